"""``llmlab-tui choose`` and ``rank``: methods for multiple-choice questions compared and used, without the screen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from data.choices import LETTERS
from engine.choose.spec import ChooseSpec
from engine.runs.events import Classified
from engine.runs.listing import partial
from tui.driven import BAD_INPUT, DONE, complain, drive
from tui.output import print_json, print_message, say
from tui.spec_options import Json, options
from tui.text import safe


@options(
    ChooseSpec,
    "data model encoder method pooling margin uninformative seeds limit length epochs learning_rate seed name",
)
def choose(spec: ChooseSpec, *, json: bool, quiet: bool) -> int:
    """Compare methods that answer multiple-choice questions by ranking the choices.

    Chance and the longest choice are always included; each method is also evaluated with the question hidden and with
    the choices shuffled.
    """
    from engine.choose import runs as choose_runs

    return resume(choose_runs.create(spec), as_json=json, quiet=quiet, fresh=True)


def resume(run: Run, *, as_json: bool, quiet: bool, fresh: bool = False) -> int:
    """Rank the questions of a run, from what is cached on."""
    from engine.choose import runs as choose_runs

    return drive(run, choose_runs.drive, _table, as_json=as_json, quiet=quiet, fresh=fresh)


def rank(run: str, /, *, file: Annotated[Path, Parameter(name="--input")], json: Json = False) -> int:
    """Answer the multiple-choice questions of a file with every method of a run.

    Parameters
    ----------
    run
        Name, path or latest.
    file
        JSON lines, JSON, CSV or Parquet with columns as for choose; no answers are needed.
    """
    from data.tablefiles import TableError
    from engine.choose.answer import Chooser, questions_in
    from engine.encoders.encode import EncodeFailed
    from engine.encoders.find import NoEncoder

    chooser = Chooser(runs.find(home.runs(), run))
    try:
        items, problems = questions_in(file)
    except TableError as error:
        return complain(str(error), BAD_INPUT)
    for problem in problems:
        print_message(problem)
    if not items:
        return complain(f"{file} holds no question that can be used", BAD_INPUT)
    for row, item in items.items():
        if not json:
            say(safe(item.question or item.context, lines=False))
        for method in chooser.methods:
            try:
                scores = chooser.rank(item, method).scores
            except (NoEncoder, EncodeFailed) as error:
                return complain(str(error), BAD_INPUT)
            except ValueError as error:  # a choice has no room in the model's context
                print_message(f"row {row:,}: {method}: {error}")
                scores = ()
            scored = bool(scores) and all(map(math.isfinite, scores))
            best = scores.index(max(scores)) if scored else None
            if json:
                answer = {"choice": best, "text": item.choices[best] if best is not None else None}
                given = [round(score, 6) for score in scores] if scored else None
                print_json({"event": "ranked", "row": row, "method": method, **answer, "scores": given})
            elif best is None:
                say(f"  {method:<13} not scored")
            else:
                say(f"  {method:<13} {LETTERS[best]} {safe(item.choices[best], lines=False)}")
    if json:
        print_json({"event": "finished", "reason": "done", "questions": len(items), "methods": chooser.methods})
    return DONE


def _table(last: Classified) -> None:
    say(f"{'method':<20} {'accuracy':>8}  {'95% interval':<13} {'n':>7}  {'hidden':>7}  {'seeds':<15} {'seconds':>8}")
    for method, result in last.results.items():
        say(
            f"{method:<20} {_figures(result)} {_hidden(result)}  {_seeds(result):<15} {result['seconds']:>8.1f}"
            f"{partial(result)}"
        )
        for way, each in result.get("ways", {}).items():
            say(f"  {'by ' + way:<18} {_figures(each)}")


def _figures(result: dict[str, Any]) -> str:
    low, high = result["interval"]
    return f"{result['accuracy']:>8.4f}  {low:.4f}-{high:.4f} {result['items']:>7,} "


def _hidden(result: dict[str, Any]) -> str:
    """Accuracy with the question hidden."""
    return f"{result['question_hidden']['accuracy']:>7.4f}" if "question_hidden" in result else f"{'':>7}"


def _seeds(result: dict[str, Any]) -> str:
    """How many were averaged, and the standard deviation of their accuracies."""
    spread = result.get("spread")
    return f"{len(result['seeds'])}, ±{spread:.4f}" if spread is not None else ""
