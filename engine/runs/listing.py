"""What a list of runs says about each, from the end of its journal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from checkpoints import run as runs
from checkpoints import store
from checkpoints.run import Run, read_tail
from engine.runs import notes, queue
from engine.runs import owner as run_owner
from engine.runs.codec import LARGEST
from engine.runs.events import names_of, renamed, state_after

_LOADED = names_of("loaded")
"""what a comparison tells first once it is at work"""
_STATES = ("paused", "continued", "finished")
LARGEST_FIGURE = 1e300  # beyond it a figure is damage
_CONTROLS = ("chance", "longest")


@dataclass(frozen=True)
class Summary:
    """One run in a list. Losses in nats per character; ``changed`` is Unix time."""

    name: str
    path: str
    state: str
    """queued, starting, running, paused, finished, stopped, failed, interrupted or unreadable"""
    step: int = 0
    steps: int = 0
    best_val_loss: float | None = None
    best_step: int | None = None
    corpus: str = "?"
    preset: str = "?"
    parameters: int | None = None
    changed: float = 0.0
    checkpoints: int = 0
    owner: int | None = None
    """process that owns it"""
    task: str = "train"
    """train, classify, choose or retrieve; empty for a run that is unreadable"""
    accuracy: float | None = None
    """of a classification or a ranking: the best of what was trained"""
    ndcg: float | None = None
    """of a retrieval: nDCG@10 of the best ranker"""
    partial: str = ""
    """``33 of 300`` where the best has judged only some of its items"""
    why: str = ""
    """why the run is unreadable"""
    method: str = ""
    """of a comparison: the best of what was trained"""
    chance: float | None = None
    """of a comparison: the figure of guessing, where it has one"""
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """what the run was started with"""
    size: int | None = None
    """bytes of its files on the disk, where they were counted"""
    reason: str = ""
    """that its last ``finished`` event gives; empty while a process owns it"""
    parent: str = ""
    """of a branch: the run and the step that it began with, as ``RUN@STEP``"""
    title: str = ""
    """what people call it, as the next three"""
    tags: tuple[str, ...] = ()
    note: str = ""
    pinned: bool = False
    place: int = 0
    """in the queue, from 1, of a run that is queued"""


def summarise(run: Run) -> Summary:
    """Read just enough of a run to list it. Never raises: what is unknown is None or 0, and a run that cannot be read,
    or has a task that this version does not know, is ``unreadable``.
    """
    try:
        task, spec = run_owner.task_of(run)
        return _training(run, spec) if task == "train" else _comparison(run, spec, task)
    except Exception as error:  # whatever is wrong with one run must not hide the others
        why = explain(run, error)
        return Summary(run.name, str(run.path), "unreadable", changed=_changed(run), task="", why=why)


def explain(run: Run, error: Exception) -> str:
    """Why a run cannot be read, without its path."""
    if isinstance(error, OSError) and error.filename is not None:
        file = Path(os.fsdecode(error.filename))
        with contextlib.suppress(ValueError):
            file = file.relative_to(run.path)
        return f"{file}: {error.strerror or error}"
    return str(error).removeprefix(f"{run.name}: ") or type(error).__name__


def _training(run: Run, spec: Mapping[str, Any]) -> Summary:
    tail = read_tail(run, frozenset({"started", "step", "evaluated", *_STATES}))
    evaluated, started = tail.get("evaluated", {}), tail.get("started", {})
    best_step = evaluated.get("best_step")
    return replace(
        _begun(run, tail, frozenset({"started"}), spec),
        step=max(count(tail.get(kind, {}).get("step")) for kind in ("step", "evaluated")),
        steps=count(started.get("steps")) or count(spec.get("steps")),
        best_val_loss=figure(evaluated.get("best_val_loss")),
        best_step=None if best_step is None else count(best_step),
        corpus=_text(started.get("corpus"), spec.get("corpus")),
        preset=_text(spec.get("preset")),
        parameters=count(started.get("parameters")) or None,
        checkpoints=len(store.checkpoints(run.checkpoints)),
        parent=parent if isinstance(parent := spec.get("parent"), str) else "",
    )


def _comparison(run: Run, spec: Mapping[str, Any], task: str) -> Summary:
    """A run that compares methods: those are its steps."""
    tail = read_tail(run, _LOADED | set(_STATES))
    loaded = next((renamed(tail[kind]) for kind in tail if kind in _LOADED), {})
    results = results_of(run)
    lists = (loaded.get("contenders"), spec.get("heads"), spec.get("methods"))
    asked = next((found for found in lists if found and isinstance(found, list)), [])
    measured = "ndcg@10" if task == "retrieve" else "accuracy"
    able = {name: one for name, one in results.items() if name not in _CONTROLS}
    if task == "classify":  # the majority class is no method that was trained
        able = {name: one for name, one in able.items() if one.get("trained_parameters")}
    known = {name: score for name, one in able.items() if (score := figure(one.get(measured))) is not None}
    best = max(known, key=known.__getitem__, default="")
    guessed = next((results[name] for name in ("chance", "majority") if name in results), {})
    if task == "retrieve":
        stands_on = _text(run.read_json("encoder.json").get("name"), spec.get("encoder"))
    else:
        stands_on = _text(run.read_json("classifier.json").get("pooling"), spec.get("pooling"))
    return replace(
        _begun(run, tail, _LOADED, spec),
        step=len(results),
        steps=max(len(asked), len(results)),
        corpus=_text(loaded.get("data"), spec.get("data")),
        preset=stands_on,
        task=task,
        accuracy=known.get(best) if task != "retrieve" else None,
        ndcg=known.get(best) if task == "retrieve" else None,
        partial=partial(results.get(best, {})).removeprefix(", partial: "),
        method=best,
        chance=figure(guessed.get(measured)),
    )


def _begun(run: Run, tail: Mapping[str, Any], begun: frozenset[str], spec: Mapping[str, Any]) -> Summary:
    """What is told of a run of any task. ``tail`` holds the last event of each kind, newest first."""
    about: dict[str, Any] = vars(notes.read(run))
    summary = Summary(run.name, str(run.path), "interrupted", changed=_changed(run), spec=spec, **about)
    last = next((kind for kind in tail if kind in begun or kind in _STATES), "")
    if (owner := run.owner()) is not None:
        if not last and (tail or run_owner.journal_size(run) > runs.TAIL_LIMIT):
            last = min(begun)  # it lies before the part of the journal that was read
        state = {"": "starting", "finished": "starting", "paused": "paused"}.get(last, "running")
        return replace(summary, state=state, owner=owner.pid)
    reason = tail[last].get("reason") if last == "finished" else None
    if isinstance(reason, str) and reason:
        summary = replace(summary, state=state_after(reason), reason=reason)
    if summary.state in ("interrupted", "stopped"):
        state, place = queue.standing(run)
        summary = replace(summary, state=state or summary.state, place=place)
    return summary


def count(value: Any) -> int:
    """A count from a file; 0 where the file holds none."""
    return value if type(value) is int and 0 <= value <= LARGEST else 0


def results_of(run: Run) -> dict[str, dict[str, Any]]:
    """The figures of each method that a comparison has finished. Raises :class:`OSError`."""
    return {name: one for name, one in run.read_json("results.json").items() if isinstance(one, dict)}


def figure(value: Any) -> float | None:
    """A figure from a file; None where the file holds none."""
    return float(value) if type(value) in (int, float) and -LARGEST_FIGURE < value < LARGEST_FIGURE else None


def partial(result: Mapping[str, Any]) -> str:
    """``, partial: 33 of 300`` for figures of a method that has judged only some of its items, else nothing."""
    done, every = result.get("judged"), result.get("of")
    return f", partial: {done:,} of {every:,}" if type(done) is int and type(every) is int and done < every else ""


def _text(*values: Any) -> str:
    """The first text that the values hold."""
    return next((value for value in values if value and isinstance(value, str)), "?")


def _changed(run: Run) -> float:
    try:
        return run.events.stat().st_mtime
    except OSError:
        return 0.0
