"""``llmlab-tui queue``: runs that wait for their turn, listed, moved and cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import App, Parameter

from checkpoints import home
from checkpoints import run as directories
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.gpt.spec import TrainSpec
from engine.runs import queue as waiting
from engine.runs.listing import summarise
from engine.runs.spec import BadSpec, Problem
from tui.command.driven import DONE
from tui.command.options import Flag, Json, RunName
from tui.output import print_json, print_message, say
from tui.text import safe

queue = App(name="queue", help="List the runs that wait for their turn, and go on with them; move and cancel them.")


@queue.default
def list_queue(*, json: Json = False) -> int:
    """Go on with the queue where a kill or a restart has interrupted it, then list its runs and their states.

    A run that was interrupted is resumed exactly. Runs get into the queue by train with several values of a field.
    """
    started = waiting.advance()
    for run in started:
        print_message(f"started {run.name}")
    _print([entry.run for entry in waiting.read()], as_json=json)
    return DONE


@queue.command
def move(run: RunName, to: Literal["first", "up", "down"], /) -> int:
    """Move a run that waits.

    Parameters
    ----------
    to
        Before all others that wait, before the one before it, or after the one after it.
    """
    waiting.move(directories.find(home.runs(), run).name, to)
    _print([entry.run for entry in waiting.read()], as_json=False)
    return DONE


@queue.command
def cancel(
    run: Annotated[list[str] | None, Parameter(negative="")] = None, /, *, all: Annotated[bool, Flag] = False
) -> int:
    """Take runs out of the queue.

    A run that has not begun is moved into the trash; one that is running is stopped and can be resumed.

    Parameters
    ----------
    run
        One or more runs: name, path or latest.
    all
        Cancel all runs of the queue; a damaged queue is put aside.
    """
    if bool(run) == all:
        raise BadSpec([Problem("", "give the runs to cancel, or --all")])
    try:
        chosen = [entry.name for entry in waiting.read()] if all else []
    except CheckpointError:
        print_message(f"the queue was damaged and is now {waiting.put_aside()}; its runs are kept")
        return DONE
    for name, became in waiting.cancel(
        chosen or [directories.find(home.runs(), one).name for one in run or ()]
    ).items():
        kept = f"; restore it within a week: llmlab-tui runs restore {name}" if became == "deleted" else ""
        print_message(f"cancelled {name}: {became}{kept}")
    return DONE


def add_to_queue(runs: Sequence[Run], spec: TrainSpec, *, as_json: bool, quiet: bool) -> int:
    """Put new runs into the queue, start the first, whose spec is ``spec``, and print them all."""
    try:
        waiting.add(runs)
    except CheckpointError:
        for run in runs:
            run.delete()
        raise
    if not quiet:
        manner = waiting.manner(spec.device, spec.gpus)
        print_message(f"{len(runs):,} runs, {manner}; llmlab-tui queue lists, moves and cancels them")
        _print(runs, as_json=as_json)
    return DONE


def _print(runs: Sequence[Run], *, as_json: bool) -> None:
    for one in map(summarise, runs):
        if as_json:
            print_json(asdict(one))
        else:
            name, state = (safe(text, lines=False) for text in (one.name, one.state))
            say(f"{one.place or '':>3}  {name:<40}  {state:<11}  {one.step:>8,} / {one.steps:,}")
    if not runs and not as_json:
        print_message("The queue is empty. To fill it: llmlab-tui train --learning-rate 1e-3,3e-3 --seed 1..3")
