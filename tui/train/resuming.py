"""Resuming a training that has done its steps: the new number of steps is asked first."""

from __future__ import annotations

import asyncio

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.gpt.spec import TrainSpec
from engine.runs.listing import explain, summarise
from engine.runs.spec import BadSpec, convert
from tui.pane import Pane
from tui.train.runs import extend
from tui.widgets.dialogs import Entry


async def ask_steps(pane: Pane, run: Run) -> bool:
    """Ask for a later step and write it into the spec; True when the run may be resumed."""
    summary = await asyncio.to_thread(summarise, run)
    if summary.reason != "steps":
        return True
    more = await pane.app.push_screen_wait(
        Entry(
            f"{summary.name} is finished",
            f"It has trained for {summary.steps:,} steps. Continue to which step?",
            str(summary.steps * 2),
            lambda text: _problem(text, summary.steps),
        )
    )
    if more is None:
        return False
    try:
        await asyncio.to_thread(extend, run, more)
    except (BadSpec, OSError, CheckpointError) as error:
        pane.tell("The run cannot be resumed", explain(run, error))
        return False
    return True


def _problem(text: str, done: int) -> str:
    try:
        return "" if int(convert(TrainSpec, "steps", text)) > done else f"must be more than {done:,}"
    except BadSpec:
        return "must be a whole number"
