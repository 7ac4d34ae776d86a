"""Every figure of a classification, in one place, through scikit-learn wherever it has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.imports import import_beside_torch
from engine.runs import codec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Probabilities: TypeAlias = NDArray[np.float64]
    Gold: TypeAlias = NDArray[np.int64]

RESAMPLES = 2000
BINS = 10
SURE = 0.95  # of the interval


@dataclass(frozen=True)
class ClassReport:
    """Of one class; shares from 0 to 1, ``support`` in test rows."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same confidence: how sure they were, how often right."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Report:
    """One method on the test split."""

    accuracy: float
    interval: tuple[float, float]
    """95%, by bootstrap over test rows"""
    macro_f1: float
    log_loss: float
    """nats a row"""
    calibration_error: float
    """expected difference of confidence and accuracy"""
    accuracy_without_leaks: float | None
    """without the test rows that are in train; None when there are none"""
    classes: tuple[ClassReport, ...]
    confusion: tuple[tuple[int, ...], ...]
    """row: true class; column: predicted"""
    bins: tuple[Bin, ...]
    rows: int
    seconds: float = 0.0
    """of training and testing, features included where they were not cached"""
    trained_parameters: int = 0
    parameters: int = 0
    """trained and frozen"""
    validation_accuracy: float | None = None
    settings: str = ""
    """what was chosen on validation, in words"""

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return codec.encode(self)


def report_from(record: Mapping[str, Any]) -> Report:
    """The report that :meth:`Report.to_dict` wrote.

    Raises :class:`ValueError` for another or a damaged one.
    """
    report = codec.decode(Report, record)
    if {len(report.classes)} != {len(report.confusion), *map(len, report.confusion)}:
        raise ValueError("figures of another kind")
    shares = [report.accuracy, *report.interval, *(of for one in report.bins for of in (one.confidence, one.accuracy))]
    if not all(-0.01 < share < 1.01 for share in shares):
        raise ValueError("a share outside 0 to 1")
    return report


def evaluate(
    probabilities: Probabilities,
    gold: Sequence[int],
    classes: Sequence[str],
    *,
    leaked: Sequence[int] = (),
    seed: int = 1337,
) -> Report:
    """Judge probabilities ``(rows, classes)`` by the true class indices. Seconds and parameters are the caller's."""
    import numpy as np

    metrics = import_beside_torch("sklearn.metrics")

    truth = np.asarray(gold)
    predicted = probabilities.argmax(1)
    labels = np.arange(len(classes))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0.0
    )
    right = predicted == truth
    kept = np.ones(len(truth), bool)
    kept[list(leaked)] = False
    bins = _bins(probabilities.max(1), right)
    return Report(
        accuracy=float(metrics.accuracy_score(truth, predicted)),
        interval=bootstrap(right, seed),
        macro_f1=float(metrics.f1_score(truth, predicted, labels=labels, average="macro", zero_division=0.0)),
        log_loss=log_loss(probabilities, truth),
        calibration_error=sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / len(truth),
        accuracy_without_leaks=float(right[kept].mean()) if leaked and kept.any() else None,
        classes=tuple(
            ClassReport(name, float(precision[row]), float(recall[row]), float(f1[row]), int(support[row]))
            for row, name in enumerate(classes)
        ),
        confusion=tuple(tuple(map(int, row)) for row in metrics.confusion_matrix(truth, predicted, labels=labels)),
        bins=bins,
        rows=len(truth),
    )


def accuracy(probabilities: Probabilities, gold: Sequence[int]) -> float:
    """Share of rows whose most probable class is the true one."""
    import numpy as np

    metrics = import_beside_torch("sklearn.metrics")

    return float(metrics.accuracy_score(np.asarray(gold), probabilities.argmax(1)))


def log_loss(probabilities: Probabilities, gold: Sequence[int] | Gold) -> float:
    """Mean negative log-probability of the true class, nats; a probability of 0 counts as 1e-15."""
    import numpy as np

    metrics = import_beside_torch("sklearn.metrics")

    safe = np.clip(probabilities, 1e-15, 1.0)
    safe = safe / safe.sum(1, keepdims=True)
    return float(metrics.log_loss(np.asarray(gold), safe, labels=np.arange(probabilities.shape[1])))


def bootstrap(right: NDArray[np.bool_], seed: int) -> tuple[float, float]:
    """The interval that holds 95% of the accuracies of resampled test rows (Efron, 1979)."""
    import numpy as np

    # Resampling rows that are right or wrong is drawing how many are right.
    drawn = np.random.default_rng(seed).binomial(len(right), right.mean(), RESAMPLES) / len(right)
    low, high = np.quantile(drawn, [(1 - SURE) / 2, (1 + SURE) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """McNemar's exact test of two methods on the same test rows."""

    only_first: int
    """rows that only the first has right"""
    only_second: int
    p: float
    """of so large a difference if both were equally good"""


def mcnemar(first: Probabilities, second: Probabilities, gold: Sequence[int]) -> Comparison:
    """Whether two methods differ by more than chance (McNemar, 1947; exact, two-sided)."""
    import numpy as np

    binomtest = import_beside_torch("scipy.stats").binomtest

    truth = np.asarray(gold)
    one, two = first.argmax(1) == truth, second.argmax(1) == truth
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    differing = only_first + only_second
    p = float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0
    return Comparison(only_first, only_second, p)


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95% interval of ``right`` out of ``total`` (Wilson, 1927): for a share that is still being counted."""
    binomtest = import_beside_torch("scipy.stats").binomtest

    if not total:
        return 0.0, 1.0
    found = binomtest(right, total).proportion_ci(SURE, "wilson")
    return float(found.low), float(found.high)


def above(right: int, total: int, chance: float) -> float:
    """The probability that guessing with ``chance`` has at least so many right (binomial test, one-sided)."""
    binomtest = import_beside_torch("scipy.stats").binomtest

    return float(binomtest(right, total, chance, alternative="greater").pvalue) if total else 1.0


def by_margin(margins: NDArray[np.float64], right: NDArray[np.bool_], parts: int = 5) -> tuple[Bin, ...]:
    """Accuracy of equally many rows each, from those with the smallest lead of the first choice to the largest.

    ``confidence`` is the mean margin here. A ranker whose margins mean something is righter in every next part.
    """
    import numpy as np

    order = np.argsort(margins, kind="stable")
    found = []
    for rows in np.array_split(order, min(parts, max(1, len(order)))):
        if len(rows):
            lead = margins[rows]
            found.append(
                Bin(float(lead.min()), float(lead.max()), float(lead.mean()), float(right[rows].mean()), len(rows))
            )
    return tuple(found)


def _bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    import numpy as np

    edges = np.linspace(0.0, 1.0, BINS + 1)
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    result = []
    for number in range(BINS):
        inside = place == number
        if count := int(inside.sum()):
            mean, share = float(confidence[inside].mean()), float(right[inside].mean())
            result.append(Bin(float(edges[number]), float(edges[number + 1]), mean, share, count))
    return tuple(result)
