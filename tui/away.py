"""What became of runs while nobody looked: told at the next start of the screen, with a key that opens each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from checkpoints import home, run
from checkpoints.run import after_time
from engine.runs import queue
from engine.runs.listing import Summary, summarise
from tui import units
from tui.panes import BY_NAME
from tui.widgets.dialogs import Option, Question

LISTED = 9
"""runs in the question; the others are counted"""
FILE = "last-look"
"""its time is that of the last look"""


def look() -> None:
    """Remember that the user sees now what runs are doing. A home that cannot be written remembers nothing."""
    path = home.home() / FILE
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ended() -> list[Summary]:
    """The runs that came to an end after the last look, but for those of the queue, the newest first."""
    try:
        since = (home.home() / FILE).stat().st_mtime
        every = run.every(home.runs())
    except OSError:
        return []
    changed, waiting = [], queue.names()
    for one in every:
        with contextlib.suppress(OSError):
            if os.stat(one.events).st_mtime > since and one.owner() is None and one.name not in waiting:
                changed.append(one)
    return [summarise(one) for one in changed]


def living() -> list[str]:
    """Names of the runs that a process works on, the newest first."""
    try:
        return [one.name for one in run.every(home.runs()) if one.owner() is not None]
    except OSError:
        return []


def question(found: Sequence[Summary]) -> Question:
    """The question that tells it; its answers are positions in ``found``, from 1, or ``close``."""
    listed = found[:LISTED]
    answers = [Option(f"run-{number}", _line(one), str(number)) for number, one in enumerate(listed, 1)]
    more = f" {len(found) - len(listed)} more are in the pane Runs." if len(found) > len(listed) else ""
    text = f"These runs have ended. Press a number to open one.{more}"
    return Question("While you were away", text, (*answers, Option("close", "close", "c")), stacked=True)


def _line(summary: Summary) -> str:
    """A run by its title or its name without the time, how it ended, its progress and best figure."""
    name = summary.title or after_time(summary.name)
    if summary.why:
        return f"open {name}: {summary.why}"
    best = units.best(summary)
    figure = BY_NAME[summary.task].figure.format(best) if summary.task != "train" else f"loss {best}"
    return f"open {name}: {summary.state}, {summary.step:,} of {summary.steps:,}, {figure}"
