"""What a list of runs says about each, from the end of its journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from checkpoints import store
from checkpoints.run import Run, read_tail

_BEGUN = {"train": "started", "classify": "data_loaded", "choose": "items_loaded", "retrieve": "collection_loaded"}
"""what a task tells first once it is at work"""
_STATES = ("paused", "continued", "finished")
_CONTROLS = ("chance", "longest")


@dataclass(frozen=True)
class Summary:
    """One run in a list. Losses in nats per character; ``changed`` is Unix time."""

    name: str
    path: str
    state: str
    """training, paused, starting, interrupted, or the reason that it finished for"""
    step: int
    steps: int
    best_val_loss: float | None
    best_step: int | None
    corpus: str
    preset: str
    parameters: int | None
    changed: float
    checkpoints: int
    owner: int | None
    """process that owns it"""
    task: str = "train"
    """train, classify, choose or retrieve"""
    accuracy: float | None = None
    """of a classification or a ranking: the best of what was trained"""
    ndcg: float | None = None
    """of a retrieval: nDCG@10 of the best ranker"""


def summarise(run: Run) -> Summary:
    """Read just enough of a run to list it. Never raises for a damaged run; what is unknown is None or 0."""
    spec = run.read_json("spec.json")
    task = spec.get("task")
    if task in _BEGUN and task != "train":
        return _comparison(run, spec, str(task))
    tail = read_tail(run, frozenset({"started", "step", "evaluated", *_STATES}))
    evaluated, started = tail.get("evaluated", {}), tail.get("started", {})
    state, owner = _state(run, tail, "started")
    return Summary(
        name=run.name,
        path=str(run.path),
        state=state,
        step=max((int(tail[kind].get("step") or 0) for kind in ("step", "evaluated") if kind in tail), default=0),
        steps=int(started.get("steps") or spec.get("steps") or 0),
        best_val_loss=evaluated.get("best_val_loss"),
        best_step=evaluated.get("best_step"),
        corpus=str(started.get("corpus") or spec.get("corpus") or "?"),
        preset=str(spec.get("preset") or "?"),
        parameters=started.get("parameters"),
        changed=_changed(run),
        checkpoints=len(store.checkpoints(run.checkpoints)),
        owner=owner,
    )


def _comparison(run: Run, spec: dict[str, Any], task: str) -> Summary:
    """A run that compares routes, methods or rankers: those are its steps."""
    tail = read_tail(run, frozenset({_BEGUN[task], *_STATES}))
    state, owner = _state(run, tail, _BEGUN[task])
    loaded = tail.get(_BEGUN[task], {})
    results = {name: one for name, one in run.read_json("results.json").items() if isinstance(one, dict)}
    asked = loaded.get("routes") or loaded.get("methods") or spec.get("heads") or spec.get("methods") or []
    able = [one for name, one in results.items() if name not in _CONTROLS]
    if task == "classify":  # the majority class is nobody's success
        able = [one for one in able if one.get("trained_parameters")]
    figure = "ndcg@10" if task == "retrieve" else "accuracy"
    scores = [one.get(figure) for one in able]
    best = max((float(score) for score in scores if isinstance(score, int | float)), default=None)
    if task == "retrieve":
        stands_on = run.read_json("encoder.json").get("name") or spec.get("encoder")
    else:
        stands_on = run.read_json("classifier.json").get("pooling") or spec.get("pooling")
    return Summary(
        name=run.name,
        path=str(run.path),
        state=state,
        step=len(results),
        steps=max(len(asked), len(results)),
        best_val_loss=None,
        best_step=None,
        corpus=str(loaded.get("data") or spec.get("data") or "?"),
        preset=str(stands_on or "?"),
        parameters=None,
        changed=_changed(run),
        checkpoints=0,
        owner=owner,
        task=task,
        accuracy=best if task != "retrieve" else None,
        ndcg=best if task == "retrieve" else None,
    )


def _state(run: Run, tail: dict[str, Any], begun: str) -> tuple[str, int | None]:
    """The state, and the process that owns the run. ``tail`` holds the last event of each kind, newest first."""
    order, owner, finished = list(tail), run.owner(), tail.get("finished")
    if finished and begun in tail and order.index(begun) < order.index("finished"):
        finished = None  # it has been taken up again since
    paused = "paused" in tail and ("continued" not in tail or order.index("paused") < order.index("continued"))
    if owner is not None:
        return "paused" if paused else "training" if begun in tail else "starting", owner.pid
    return str(finished["reason"]) if finished else "interrupted", None


def _changed(run: Run) -> float:
    try:
        return run.events.stat().st_mtime
    except OSError:
        return 0.0
