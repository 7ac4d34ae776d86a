"""Rankings of choices as runs: made, owned, recorded and taken up again like any other, under the same directories."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data.choices import BUNDLED
from engine import session
from engine.choices import TASK, ChooseSpec, choose, from_dict, to_dict
from engine.control import Control, from_record
from engine.events import Event, Notice
from engine.spec import BadSpec


def create(spec: ChooseSpec) -> Run:
    """Make the run directory for ``spec``. Raises :class:`OSError` and :class:`engine.spec.BadSpec`."""
    if problems := spec.validate():
        raise BadSpec(problems)
    stem = Path(spec.data).name.removesuffix(".jsonl") or "questions"
    data = spec.data if spec.data == BUNDLED else _absolute(spec.data)
    spec = replace(spec, data=data, encoder=_absolute(spec.encoder), model=_absolute(spec.model))
    return runs.create(home.runs(), spec.name or f"choose-{stem}", to_dict(spec), session.environment())


def is_one(run: Run) -> bool:
    """Whether a run ranks choices."""
    return run.read_json("spec.json").get("task") == TASK


def spec_of(run: Run) -> ChooseSpec:
    """The spec of a run. Raises :class:`checkpoints.store.CheckpointError` when its file is damaged."""
    record = run.read_json("spec.json")
    try:
        if record.get("task") != TASK:
            raise TypeError
        return from_dict(record)
    except TypeError:
        raise CheckpointError(f"{run.name} ranks no choices, or its spec.json is damaged") from None


def drive(run: Run, control: Control) -> Iterator[Event]:
    """Own ``run``, rank and record everything that happens.

    Raises what :func:`engine.choices.choose` raises, recorded first, and :class:`checkpoints.lock.Locked`.
    """
    with run.lock() as lock:
        for message in run.collect(int(os.environ.get(session.SINCE) or time.time_ns())):
            if (known := from_record(message)) is not None:
                control.send(known)
        yield from session.record(run, _told(lock.inherited, choose(spec_of(run), control, run)))


def _told(inherited: object, events: Iterator[Event]) -> Iterator[Event]:
    if inherited is not None:
        yield Notice(f"{inherited} ended without releasing this run: taken over", "warning", "lock")
    yield from events


def _absolute(name: str) -> str:
    """A path that is there, from the root, since who takes the run up may stand in another folder."""
    try:
        path = Path(name).expanduser()
        return str(path.absolute()) if name and path.exists() else name
    except (OSError, RuntimeError, ValueError):
        return name
