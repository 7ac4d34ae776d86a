"""``llmlab-tui predict``: texts classified by every trained method of a run, without the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from checkpoints import home
from checkpoints import run as runs
from engine.runs.spec import BadSpec, Problem
from tui.command import piped
from tui.command.driven import BAD_INPUT, DONE, complain
from tui.command.options import Json, RunName, Texts
from tui.output import print_json, print_message, print_text, say
from tui.text import safe


def predict(
    run: RunName,
    text: Annotated[list[str] | None, Texts] = None,
    /,
    *,
    input: Path | None = None,
    output: Path | None = None,
    text_column: str = "",
    encoding: str = "",
    json: Json = False,
) -> int:
    """Classify texts with every trained method of a run.

    Parameters
    ----------
    text
        One or more texts; without any, or with -, each line of stdin.
    input
        A CSV, TSV, JSON lines, JSON or Parquet file with a text in each row, instead of texts.
    output
        Write the rows of --input with their predictions to this .csv, .tsv or .jsonl file; replaced if it exists.
    text_column
        Column of --input with the texts; found by its name if not given.
    encoding
        Encoding of --input, such as utf-8, cp1252 or gb18030; found if not given.
    """
    from data.tables import read_texts
    from engine.classify.predict import Classifier
    from engine.classify.predict_file import check_output, predict_file, text_of

    wrong = {
        "input": input is not None and bool(text) and "give texts or a file, not both",
        "output": output is not None and input is None and "needs --input",
        "text_column": bool(text_column) and input is None and "needs --input",
        "encoding": bool(encoding) and input is None and "needs --input",
    }
    if problems := [Problem(field, problem) for field, problem in wrong.items() if problem]:
        raise BadSpec(problems)
    classifier = Classifier(runs.find(home.runs(), run))
    for method, why in classifier.unreadable.items():
        complain(f"{method}: unreadable: {why}", BAD_INPUT)
    done = 0
    if input is None:
        texts = text if text and text != ["-"] else piped.lines()
    else:
        rows, column, repairs = read_texts(input, text_column, encoding)
        if output is not None:
            check_output(output, input)
        for repair in repairs:
            print_message(repair)
        if blank := sum(not text_of(row, column) for row in rows):
            print_message(f"{blank:,} row{'s' * (blank != 1)} without text: not classified")
        if output is not None:
            for done in predict_file(classifier, rows, column, output):
                print_message(f"{done:,} of {len(rows):,} rows")
            if not json:
                say(str(output.absolute()))
        texts = [each for row in rows if (each := text_of(row, column))] if output is None else []
    found, classes = classifier.predict(texts), classifier.classes
    for number, each in enumerate(texts):
        if not json and len(texts) > 1:
            say(safe(each, lines=False))
        for method in classifier.methods:
            shares = found[method][number]
            best = int(shares.argmax())
            if json:
                told = {name: round(float(share), 6) for name, share in zip(classes, shares, strict=True)}
                record = {"event": "predicted", "text": each, "method": method, "class": classes[best]}
                print_json({**record, "probabilities": told})
                continue
            order = shares.argsort()[::-1][:4]
            rest = "  ".join(f"{safe(classes[place], lines=False)} {shares[place]:.3f}" for place in order)
            say(f"  {method:<9} {rest}")
    if json:
        print_json({"event": "finished", "reason": "done", "texts": done or len(texts), "methods": classifier.methods})
    return DONE


def suspects(run: str, *, output: Path | None = None) -> int:
    """Write the suspicious labels of a run as CSV, with file and row of each: to stdout, or to a file.

    Parameters
    ----------
    run
        Name, path or latest; a classification that was started with --suspects.
    output
        File to write; replaced if it exists.
    """
    from engine.classify.export import suspects_csv

    table = suspects_csv(runs.find(home.runs(), run))
    if output is None:
        print_text(table)
    else:
        output.write_text(table, "utf-8", "replace", newline="")
        say(str(output.absolute()))
    return DONE
