"""What the pane asks of the engine: to start, follow and reopen rankings, and to read the questions they are about.

A ranking runs in a process of its own, as a training does. Everything here reads files or starts processes: not for the
thread of a screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from data.choices import Item
from engine import session
from engine.control import Control
from engine.events import Event
from tui.classify.laboratory import Offered

TASK = "choose"
RUNS = 60  # the newest that are offered for opening


def create(given: Mapping[str, str]) -> Run:
    """A run directory for what the form says. Raises :class:`OSError` and :class:`engine.spec.BadSpec`."""
    from engine import choose_run
    from engine.choices import ChooseSpec

    return choose_run.create(
        ChooseSpec(
            data=given["data"].strip(),
            methods=tuple(given["methods"].split()),
            model=given["model"].strip() or "bundled",
            encoder=given["encoder"].strip(),
            pooling=given["pooling"],
            margin=float(given["margin"]),
            seeds=int(given["seeds"]),
            limit=int(given["limit"]),
            seed=int(given["seed"]),
        )
    )


def values_of(run: Run) -> dict[str, str]:
    """What the form would have to say for this run."""
    from tui.choosing.values import DEFAULTS

    record = run.read_json("spec.json")
    found = dict(DEFAULTS)
    for name in DEFAULTS:
        value: Any = record.get(name)
        if value is None:
            continue
        found[name] = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found


def begin(run: Run) -> Any:
    """Start the process that runs it, and a task that follows it."""
    told = run.events.stat().st_size
    process = session.spawn(run)

    def task(control: Control) -> Iterator[Event]:
        return session.attend(run, process, control, told)

    return task


def follow(run: Run) -> Any:
    """A task that follows a run, living or done."""

    def task(control: Control) -> Iterator[Event]:
        return session.follow(run, control)

    return task


def is_one(run: Run) -> bool:
    """Whether a run is one of this pane."""
    return run.read_json("spec.json").get("task") == TASK


def living() -> Run | None:
    """The newest ranking that a process works on."""
    every = (run for run in runs.every(home.runs())[:200] if run.owner() is not None)
    return next((run for run in every if is_one(run)), None)


def offers() -> list[Offered]:
    """Rankings there are, newest first."""
    found = []
    for run in runs.every(home.runs()):
        if not is_one(run):
            continue
        results = run.read_json("results.json")
        told = [f"{name} {float(one.get('accuracy', 0)):.3f}" for name, one in results.items() if isinstance(one, dict)]
        spec = run.read_json("spec.json")
        found.append(Offered(run, f"{spec.get('data')}: {', '.join(told[-3:]) or 'nothing finished'}"))
        if len(found) == RUNS:
            break
    return found


def items(run: Run) -> tuple[Item, ...]:
    """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
    from engine import choice_store

    return choice_store.read(run).items
