"""What a list of runs says about each, from the end of its journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from checkpoints import store
from checkpoints.run import Run, read_tail

_CLASSIFYING = frozenset({"data_loaded", "items_loaded", "paused", "continued", "finished"})
_RETRIEVING = frozenset({"collection_loaded", "paused", "continued", "finished"})
_WANTED = frozenset({"started", "step", "evaluated", "paused", "continued", "finished"})


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
    """of a classification: the best of its trained routes on the test split"""
    ndcg: float | None = None
    """of a retrieval: nDCG@10 of the best ranker"""


def summarise(run: Run) -> Summary:
    """Read just enough of a run to list it. Never raises for a damaged run; what is unknown is None or 0."""
    spec = run.read_json("spec.json")
    if spec.get("task") in ("classify", "choose"):
        return _classification(run, spec)
    if spec.get("task") == "retrieve":
        return _retrieval(run, spec)
    tail = read_tail(run, _WANTED)
    order = list(tail)  # newest first
    owner = run.owner()
    finished = tail.get("finished")
    if finished and "started" in tail and order.index("started") < order.index("finished"):
        finished = None
    paused = "paused" in tail and ("continued" not in tail or order.index("paused") < order.index("continued"))
    if owner is not None:
        state = "paused" if paused else "training" if "started" in tail else "starting"
    else:
        state = str(finished["reason"]) if finished else "interrupted"
    evaluated, started = tail.get("evaluated", {}), tail.get("started", {})
    step = max((int(tail[kind].get("step") or 0) for kind in ("step", "evaluated") if kind in tail), default=0)
    try:
        changed = run.events.stat().st_mtime
    except OSError:
        changed = 0.0
    return Summary(
        name=run.name,
        path=str(run.path),
        state=state,
        step=step,
        steps=int(started.get("steps") or spec.get("steps") or 0),
        best_val_loss=evaluated.get("best_val_loss"),
        best_step=evaluated.get("best_step"),
        corpus=str(started.get("corpus") or spec.get("corpus") or "?"),
        preset=str(spec.get("preset") or "?"),
        parameters=started.get("parameters"),
        changed=changed,
        checkpoints=len(store.checkpoints(run.checkpoints)),
        owner=owner.pid if owner else None,
    )


def _classification(run: Run, spec: dict[str, Any]) -> Summary:
    """A run that trains classifiers or ranks choices: its steps are routes, or methods."""
    begun = "items_loaded" if spec["task"] == "choose" else "data_loaded"
    tail = read_tail(run, _CLASSIFYING)
    order = list(tail)
    owner, finished = run.owner(), tail.get("finished")
    if finished and begun in tail and order.index(begun) < order.index("finished"):
        finished = None
    paused = "paused" in tail and ("continued" not in tail or order.index("paused") < order.index("continued"))
    if owner is not None:
        state = "paused" if paused else "training" if begun in tail else "starting"
    else:
        state = str(finished["reason"]) if finished else "interrupted"
    reports = run.read_json("results.json")
    figures = [one for name, one in reports.items() if isinstance(one, dict) and name not in ("chance", "longest")]
    trained = [one for one in figures if one.get("trained_parameters")] or (figures if begun == "items_loaded" else [])
    scores = [one.get("accuracy") for one in trained]
    loaded = tail.get(begun, {})
    routes = loaded.get("routes") or loaded.get("methods") or spec.get("heads") or spec.get("methods") or []
    try:
        changed = run.events.stat().st_mtime
    except OSError:
        changed = 0.0
    return Summary(
        name=run.name,
        path=str(run.path),
        state=state,
        step=len(reports),
        steps=max(len(routes), len(reports)),
        best_val_loss=None,
        best_step=None,
        corpus=str(loaded.get("data") or spec.get("data") or "?"),
        preset=str(run.read_json("classifier.json").get("pooling") or spec.get("pooling") or "?"),
        parameters=None,
        changed=changed,
        checkpoints=0,
        owner=owner.pid if owner else None,
        task=str(spec["task"]),
        accuracy=max((float(score) for score in scores if isinstance(score, int | float)), default=None),
    )


def _retrieval(run: Run, spec: dict[str, Any]) -> Summary:
    """A run that judges search engines: its steps are rankers."""
    tail = read_tail(run, _RETRIEVING)
    order = list(tail)
    owner, finished = run.owner(), tail.get("finished")
    if finished and "collection_loaded" in tail and order.index("collection_loaded") < order.index("finished"):
        finished = None
    paused = "paused" in tail and ("continued" not in tail or order.index("paused") < order.index("continued"))
    if owner is not None:
        state = "paused" if paused else "training" if "collection_loaded" in tail else "starting"
    else:
        state = str(finished["reason"]) if finished else "interrupted"
    results = {name: one for name, one in run.read_json("results.json").items() if isinstance(one, dict)}
    scores = [one.get("ndcg@10") for one in results.values()]
    try:
        changed = run.events.stat().st_mtime
    except OSError:
        changed = 0.0
    return Summary(
        name=run.name,
        path=str(run.path),
        state=state,
        step=len(results),
        steps=max(len(spec.get("methods") or []), len(results)),
        best_val_loss=None,
        best_step=None,
        corpus=str(tail.get("collection_loaded", {}).get("data") or spec.get("data") or "?"),
        preset=str(run.read_json("encoder.json").get("name") or spec.get("encoder") or "?"),
        parameters=None,
        changed=changed,
        checkpoints=len(store.checkpoints(run.checkpoints)),
        owner=owner.pid if owner else None,
        task="retrieve",
        ndcg=max((float(score) for score in scores if isinstance(score, int | float)), default=None),
    )
