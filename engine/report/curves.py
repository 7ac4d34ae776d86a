"""What the journal of a run says, as much as a picture or a page needs: curves in bins, evaluations, samples."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpoints import run as runs
from checkpoints.run import Run, mark
from checkpoints.store import CheckpointError
from engine.report import journal
from engine.report.journal import Steps
from engine.report.tables import Samples
from engine.runs import owner
from engine.runs.listing import figure

if TYPE_CHECKING:
    from engine.report.journal import Columns

AXES = {"step": "step", "epoch": "epoch", "tokens": "tokens", "time": "seconds"}
"""what a horizontal axis shows, and the column of the journal that it is"""
LABELS = {"step": "step", "epoch": "epoch", "tokens": "tokens", "time": "seconds of training"}
BINS = 500


@dataclass(frozen=True)
class Bin:
    """Consecutive steps of a curve; losses in nats per character."""

    x: float
    """of the last of them"""
    loss: float
    """mean, as it is smoothed"""
    low: float
    """lowest of a single step"""
    high: float


@dataclass(frozen=True)
class Story:
    """What a run has come to."""

    begun: Mapping[str, Any]
    """the last event that began it: ``started`` of a training, ``loaded`` of a comparison; empty without one"""
    ended: Mapping[str, Any]
    """its last event, if it has ended"""
    train: tuple[Bin, ...]
    validation: tuple[tuple[float, float], ...]
    """place on the axis and loss of every evaluation"""
    evaluations: tuple[Mapping[str, Any], ...]
    samples: tuple[Mapping[str, Any], ...]
    """step, sample, prompt and text"""
    methods: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """of a comparison: step and held-out figure of each method that was trained step by step"""

    @property
    def best(self) -> Mapping[str, Any]:
        """The evaluation with the lowest loss; empty without one."""
        return min(self.evaluations, key=lambda one: one["val_loss"], default={})

    def validation_at(self, x: float) -> float | None:
        """The last validation loss at this place of the axis or before it; None before the first and after the end."""
        ended = max((bin_.x for bin_ in self.train[-1:]), default=0.0)
        if not self.validation or x > max(ended, self.validation[-1][0]):
            return None
        return next((loss for at, loss in reversed(self.validation) if at <= x), None)


def read(run: Run, axis: str = "step", smoothing: float = 0.0, bins: int = BINS) -> Story:
    """Read the journal of ``run``, however long it is, once until it is written again.

    ``axis`` is one of ``AXES``. ``smoothing`` from 0 to below 1 is the share of the smoothed loss that each step keeps
    (an exponential mean, corrected for its beginning); steps in one bin count as their mean. Raises :class:`OSError`.
    """
    known, column = _read(run, mark(run.events), bins), AXES[axis]
    smoothed = _smoothed(known.means, known.counts, smoothing)
    binned = map(Bin, known.places.get(column, ()), smoothed, known.lows, known.highs)
    validation = [(place[column], float(one["val_loss"])) for one, place in known.evaluations]
    evaluations = tuple(one for one, _ in known.evaluations)
    train = tuple(one for one in binned if math.isfinite(one.x))
    return Story(known.begun, known.ended, train, tuple(validation), evaluations, known.samples, known.methods)


def before(run: Run) -> tuple[tuple[float, float], ...]:
    """Step and validation loss of the runs that a branch goes on from, each up to the step where the next begins.

    Empty for a run that is no branch. A run that was deleted or cannot be read is left out, and so are those before it.
    """
    points: tuple[tuple[float, float], ...] = ()
    begins = math.inf
    with contextlib.suppress(runs.NoSuchRun, CheckpointError, OSError):
        while (parent := owner.task_of(run)[1].get("parent")) and isinstance(parent, str):
            name, _, step = parent.rpartition("@")
            if not step.isdecimal() or int(step) >= begins:  # no branch begins before its parent does
                break
            run, begins = runs.find(run.path.parent, name), int(step)
            points = (*(point for point in read(run).validation if point[0] <= begins), *points)
    return points


@dataclass(frozen=True)
class _Journal:
    """What is the same for every axis and smoothing; lists have an entry for each bin."""

    begun: Mapping[str, Any]
    ended: Mapping[str, Any]
    places: Mapping[str, list[float]]
    """by column of ``AXES``"""
    means: list[float]
    counts: list[int]
    lows: list[float]
    highs: list[float]
    evaluations: tuple[tuple[Mapping[str, Any], Mapping[str, float]], ...]
    """each with its place by column"""
    samples: tuple[Mapping[str, Any], ...]
    methods: Mapping[str, tuple[tuple[float, float], ...]]


@functools.lru_cache(8)
def _read(run: Run, written: object, bins: int) -> _Journal:
    """``written`` differs when the journal was."""
    import numpy as np

    parts: list[Columns] = []
    begun: Mapping[str, Any] = {}
    ended: Mapping[str, Any] = {}
    evaluations: list[tuple[Mapping[str, Any], Mapping[str, float]]] = []
    found: list[Mapping[str, Any]] = []
    methods: dict[str, list[tuple[float, float]]] = {}
    samples = Samples()
    for part in journal.read(run, ("step", "loss")):
        if isinstance(part, Steps):
            parts.append(part.columns)
            ended = {}
            continue
        record, kind = part.record, part.record.get("event")
        ended = record if kind == "finished" else {}
        if kind in ("started", "loaded"):
            begun = record
        elif kind == "evaluated" and figure(record.get("val_loss")) is not None and type(record.get("step")) is int:
            evaluations.append((record, {**vars(part.place), "step": float(record["step"])}))
        elif kind == "contender_step" and (score := figure(record.get("held_out_score"))) is not None:
            methods.setdefault(str(record.get("contender")), []).append((float(record.get("step") or 0), score))
        elif (sample := samples.add(part)) is not None:
            found.append(sample)
    kept = {name: tuple(points) for name, points in methods.items()}
    columns = {name: np.concatenate([one[name] for one in parts]) for name in (*AXES.values(), "loss")} if parts else {}
    return _Journal(begun, ended, *_binned(columns, bins), tuple(evaluations), tuple(found), kept)


def _binned(
    columns: Columns, bins: int
) -> tuple[dict[str, list[float]], list[float], list[int], list[float], list[float]]:
    """Of the steps in each bin: their last place by column, mean loss, count, lowest and highest loss."""
    import numpy as np

    usable = np.isfinite(columns["loss"]) if columns else np.zeros(0, bool)
    if not usable.any():
        return {}, [], [], [], []
    loss = columns["loss"][usable]
    starts = np.unique(np.linspace(0, len(loss), min(bins, len(loss)) + 1).astype(int)[:-1])
    ends = np.append(starts[1:], len(loss))
    places = {name: columns[name][usable][ends - 1].astype(float).tolist() for name in AXES.values()}
    means = (np.add.reduceat(loss, starts) / (ends - starts)).tolist()
    low, high = np.minimum.reduceat(loss, starts).tolist(), np.maximum.reduceat(loss, starts).tolist()
    return places, means, (ends - starts).tolist(), low, high


def _smoothed(means: Sequence[float], counts: Sequence[int], share: float) -> list[float]:
    """The exponential mean after each bin of ``counts`` steps."""
    found, total, weight = [], 0.0, 0.0
    for mean, count in zip(means, counts, strict=True):
        kept = share**count
        total, weight = kept * total + (1 - kept) * mean, kept * weight + (1 - kept)
        found.append(total / weight if weight else math.nan)
    return found
