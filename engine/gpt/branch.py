"""A new run that goes on from a checkpoint of another one, with other settings from there."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkpoints import home, store
from checkpoints import run as runs
from checkpoints.run import Run
from engine.gpt.runs import spec_of
from engine.gpt.spec import TrainSpec
from engine.runs import owner
from engine.runs.spec import BadSpec, Problem, changed, options, restored, to_dict

PARENT = "parent"
"""entry of ``spec.json``: the run and the step that a branch begins with, as ``RUN@STEP``"""
_COPIED = ("corpus.txt", "corpus.json")
_KEPT = frozenset({"corpus", "encoding", "preset", "optimizer"}) | {
    name for name, known in options(TrainSpec).items() if known.group == "model" and name != "dropout"
}
"""fields that a checkpoint decides"""


def branch(wanted: str, given: Mapping[str, Any]) -> Run:
    """Make a run that begins with the checkpoint that ``wanted`` names: ``RUN@STEP``, ``RUN@best`` or ``RUN@last``.

    ``given`` are the fields that differ from the spec of the checkpoint, as text or of their type. A branch without
    any continues exactly as its parent did. The checkpoint, the best one until then and the corpus are copied, so the
    parent may be deleted. Raises :class:`engine.runs.spec.BadSpec`, :class:`checkpoints.run.NoSuchRun`,
    :class:`checkpoints.store.CheckpointError` and :class:`OSError`.
    """
    name, at, which = wanted.rpartition("@")
    parent = runs.find(home.runs(), name if at else wanted)
    threads = spec_of(parent).threads  # a checkpoint holds the number that it was trained with
    checkpoint = _checkpoint(parent, which if at else "last")
    saved, contents = store.read(checkpoint)
    step = store.step_of(checkpoint)
    if not isinstance(saved.get("spec"), dict) or not isinstance(saved.get("position"), dict):
        raise store.CheckpointError(f"{parent.name}/{checkpoint.name} cannot be used by this version")
    before = dataclasses.replace(restored(TrainSpec, saved["spec"]), threads=threads)
    spec = changed(before, given)
    problems = [
        Problem(field, f"is {getattr(before, field)!r} in the checkpoint, and a branch keeps its model and corpus")
        for field in sorted(_KEPT)
        if getattr(spec, field) != getattr(before, field)
    ]
    if spec.steps <= step:
        problems.append(Problem("steps", f"the checkpoint has done {step:,} steps; give a higher number"))
    if problems:
        raise BadSpec(problems)
    record = {**to_dict(spec), PARENT: f"{parent.name}@{step}"}
    name = spec.name if "name" in given else f"{runs.after_time(parent.name)}-at-{step}"
    run = runs.create(home.runs(), name, record, owner.environment())
    try:
        for file in _COPIED:
            if (parent.path / file).is_file():
                store.replace_file(run.path / file, store.read_file(parent.path / file))
        best = saved["position"].get("best_step")
        if type(best) is int and 0 <= best < step:
            with contextlib.suppress(store.CheckpointError):  # it need not be there, or whole
                state, files = store.read(parent.checkpoints / store.name_of(best))
                store.commit(run.checkpoints, best, files, state)
        store.commit(run.checkpoints, step, contents, saved)
    except Exception:  # without its checkpoint it would begin anew under the parent's name
        run.delete()
        raise
    return run


def _checkpoint(run: Run, which: str) -> Path:
    """The checkpoint of a run at a step, its best or its last. Raises :class:`checkpoints.store.CheckpointError`."""
    found = {store.step_of(path): path for path in store.checkpoints(run.checkpoints)}
    if not found:
        raise store.CheckpointError(f"{run.name} has no checkpoint yet")
    wanted = max(found) if which == "last" else int(which) if which.isdecimal() else None
    if which == "best" and isinstance(position := store.read_state(found[max(found)]).get("position"), dict):
        wanted = position.get("best_step")
    if wanted not in found:
        there = ", ".join(f"{step:,}" for step in sorted(found))
        raise store.CheckpointError(f"{run.name} has no checkpoint {which}; it has steps {there}")
    return found[wanted]
