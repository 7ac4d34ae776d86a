"""Classifications as runs: made, owned, recorded and taken up again like any other, under the same run directories."""

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
from engine.classify import TASK, ClassifySpec, classify, from_dict, to_dict
from engine.control import Control, from_record
from engine.events import Event, Notice


def create(spec: ClassifySpec) -> Run:
    """Make the run directory for ``spec``. Raises :class:`OSError`."""
    stem = Path(spec.data).stem if spec.data.endswith(("/", ".csv", ".jsonl", ".parquet")) else Path(spec.data).name
    name = spec.name or f"classify-{stem or 'data'}"
    spec = replace(spec, data=_absolute(spec.data), test=_absolute(spec.test), encoder=_absolute(spec.encoder))
    return runs.create(home.runs(), name, to_dict(spec), session.environment())


def is_one(run: Run) -> bool:
    """Whether a run is a classification."""
    return run.read_json("spec.json").get("task") == TASK


def spec_of(run: Run) -> ClassifySpec:
    """The spec of a run. Raises :class:`checkpoints.store.CheckpointError` when its file is damaged."""
    record = run.read_json("spec.json")
    if record.get("task") != TASK:
        raise CheckpointError(f"{run.name} is no classification, or its spec.json is damaged")
    return from_dict(record)


def drive(run: Run, control: Control) -> Iterator[Event]:
    """Own ``run``, train its routes and record everything that happens.

    Raises what :func:`engine.classify.classify` raises, recorded first, and :class:`checkpoints.lock.Locked`.
    """
    with run.lock() as lock:
        for message in run.collect(int(os.environ.get(session.SINCE) or time.time_ns())):
            if (known := from_record(message)) is not None:
                control.send(known)
        yield from session.record(run, _told(lock.inherited, classify(spec_of(run), control, run)))


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
