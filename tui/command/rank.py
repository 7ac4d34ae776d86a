"""``llmlab-tui rank``: the methods of a multiple-choice run answer the questions of a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from checkpoints import home
from checkpoints import run as runs
from data.choices import LETTERS
from tui.command.driven import BAD_INPUT, DONE, complain
from tui.command.options import Json, RunName
from tui.output import print_json, print_message, say
from tui.text import safe


def rank(run: RunName, /, *, file: Annotated[Path, Parameter(name="--input")], json: Json = False) -> int:
    """Answer the multiple-choice questions of a file with every method of a run.

    Parameters
    ----------
    file
        JSON lines, JSON, CSV or Parquet with columns as for choose; no answers are needed.
    """
    from engine.choose.answer import Chooser, questions_in

    chooser = Chooser(runs.find(home.runs(), run))
    items, problems = questions_in(file, chooser.run)
    for problem in problems:
        print_message(problem)
    if not items:
        return complain(f"{file} has no usable question", BAD_INPUT)
    for row, item in items.items():
        if not json:
            say(safe(item.question or item.context, lines=False))
        for method in chooser.methods:
            try:
                scores = chooser.rank(item, method).scores
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
