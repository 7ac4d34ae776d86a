"""Retrievals as runs: made, owned, recorded and taken up again like any other, under the same run directories."""

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
from engine import session
from engine.control import Control, from_record
from engine.events import Event, Notice
from engine.retrieve import TASK, RetrieveSpec, from_dict, retrieve, to_dict


def create(spec: RetrieveSpec) -> Run:
    """Make the run directory for ``spec``. Raises :class:`OSError`."""
    name = spec.name or f"retrieve-{Path(spec.data.rstrip('/')).name or 'data'}"
    spec = replace(spec, data=absolute(spec.data), encoder=absolute(spec.encoder))
    return runs.create(home.runs(), name, to_dict(spec), session.environment())


def is_one(run: Run) -> bool:
    """Whether a run is a retrieval."""
    return run.read_json("spec.json").get("task") == TASK


def spec_of(run: Run) -> RetrieveSpec:
    """The spec of a run. Raises :class:`checkpoints.store.CheckpointError` when its file is damaged."""
    record = run.read_json("spec.json")
    if record.get("task") != TASK:
        raise CheckpointError(f"{run.name} is no retrieval, or its spec.json is damaged")
    return from_dict(record)


def drive(run: Run, control: Control) -> Iterator[Event]:
    """Own ``run``, build and judge its rankers and record everything that happens.

    Raises what :func:`engine.retrieve.retrieve` raises, recorded first, and :class:`checkpoints.lock.Locked`.
    """
    with run.lock() as lock:
        for message in run.collect(int(os.environ.get(session.SINCE) or time.time_ns())):
            if (known := from_record(message)) is not None:
                control.send(known)
        yield from session.record(run, _told(lock.inherited, retrieve(spec_of(run), control, run)))


def _told(inherited: object, events: Iterator[Event]) -> Iterator[Event]:
    if inherited is not None:
        yield Notice(f"{inherited} ended without releasing this run: taken over", "warning", "lock")
    yield from events


def absolute(name: str) -> str:
    """A path that is there, from the root, since who takes the run up may stand in another folder."""
    try:
        path = Path(name).expanduser()
        return str(path.absolute()) if name and path.exists() else name
    except (OSError, RuntimeError, ValueError):
        return name
