"""What the journal of a run says, as much as a picture or a page needs: curves in bins, evaluations, samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from engine.report import journal
from engine.report.journal import Steps
from engine.report.tables import Samples
from engine.runs.listing import figure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    """Read the journal of ``run``, however long it is, once.

    ``axis`` is one of ``AXES``. ``smoothing`` from 0 to below 1 is the share of the smoothed loss that each step keeps
    (an exponential mean, corrected for its beginning); steps in one bin count as their mean. Raises :class:`OSError`.
    """
    import numpy as np

    x: list[NDArray[np.float64]] = []
    loss: list[NDArray[np.float64]] = []
    begun: Mapping[str, Any] = {}
    ended: Mapping[str, Any] = {}
    validation, evaluations, found = [], [], []
    methods: dict[str, list[tuple[float, float]]] = {}
    samples = Samples()
    for part in journal.read(run, ("step", "loss")):
        if isinstance(part, Steps):
            x.append(part.columns[AXES[axis]].astype(float))
            loss.append(part.columns["loss"])
            ended = {}
            continue
        record, kind = part.record, part.record.get("event")
        ended = record if kind == "finished" else {}
        if kind in ("started", "loaded"):
            begun = record
        elif kind == "evaluated" and figure(record.get("val_loss")) is not None and type(record.get("step")) is int:
            at = {"step": float(record["step"]), "epoch": part.place.epoch, "tokens": part.place.tokens}
            validation.append((at.get(axis, part.place.seconds), float(record["val_loss"])))
            evaluations.append(record)
        elif kind == "contender_step" and (score := figure(record.get("held_out_score"))) is not None:
            methods.setdefault(str(record.get("contender")), []).append((float(record.get("step") or 0), score))
        elif (sample := samples.add(part)) is not None:
            found.append(sample)
    train = _binned(np.concatenate(x), np.concatenate(loss), smoothing, bins) if x else ()
    kept = {name: tuple(points) for name, points in methods.items()}
    return Story(begun, ended, train, tuple(validation), tuple(evaluations), tuple(found), kept)


def _binned(x: NDArray[np.float64], loss: NDArray[np.float64], smoothing: float, bins: int) -> tuple[Bin, ...]:
    import numpy as np

    usable = np.isfinite(x) & np.isfinite(loss)
    x, loss = x[usable], loss[usable]
    if not len(x):
        return ()
    starts = np.unique(np.linspace(0, len(x), min(bins, len(x)) + 1).astype(int)[:-1])
    ends = np.append(starts[1:], len(x))
    means = np.add.reduceat(loss, starts) / (ends - starts)
    lows, highs = np.minimum.reduceat(loss, starts), np.maximum.reduceat(loss, starts)
    smoothed = _smoothed(means.tolist(), (ends - starts).tolist(), smoothing)
    return tuple(map(Bin, x[ends - 1].tolist(), smoothed, lows.tolist(), highs.tolist()))


def _smoothed(means: Sequence[float], counts: Sequence[int], share: float) -> list[float]:
    """The exponential mean after each bin of ``counts`` steps."""
    found, total, weight = [], 0.0, 0.0
    for mean, count in zip(means, counts, strict=True):
        kept = share**count
        total, weight = kept * total + (1 - kept) * mean, kept * weight + (1 - kept)
        found.append(total / weight if weight else math.nan)
    return found
