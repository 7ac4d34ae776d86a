"""Figures of a classification, intervals and tests of all comparisons, through scikit-learn and scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.imports import import_beside_torch
from engine.runs import codec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Probabilities: TypeAlias = NDArray[np.float64]
    Values: TypeAlias = NDArray[np.float64]
    Gold: TypeAlias = NDArray[np.int64]

RESAMPLES = 2000  # of a bootstrap
FLIPS = 9999  # random signs of a paired test; with thirteen items or fewer, all of them
BATCH = 100  # resamples or flips that are in memory at once
ROUNDING = 1e-9  # differences up to this are rounding
CHANCE = 0.05  # a difference with this p or a higher one could be chance
BINS = 10
CONFIDENCE = 0.95  # of the interval


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
    """95%, Wilson's"""
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
    """that were judged: the n of every figure"""
    seconds: float = 0.0
    """of training and testing; encoding is a cost of its own, which earlier versions added here"""
    trained_parameters: int = 0
    parameters: int = 0
    """trained and frozen"""
    validation_accuracy: float | None = None
    settings: str = ""
    """what was chosen on validation, in words"""
    texts: int = 0
    """that a fine-tuned encoder read, of all splits"""
    truncated_texts: int = 0
    """of them, cut to the maximum number of tokens"""
    seeds: tuple[float, ...] = ()
    """accuracy of each seed, where there are several: then figures are means, those by class and bin of the first"""
    spread: float | None = None
    """standard deviation of ``seeds``"""


def report_from(record: Mapping[str, Any]) -> Report:
    """The report of a record that :mod:`engine.runs.codec` wrote. Raises :class:`ValueError` for a damaged one."""
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
        interval=wilson(int(right.sum()), len(truth)),
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

    return float((probabilities.argmax(1) == np.asarray(gold)).mean())


def log_loss(probabilities: Probabilities, gold: Sequence[int] | Gold) -> float:
    """Mean negative log-probability of the true class, nats; a probability of 0 counts as 1e-15."""
    import numpy as np

    safe = np.clip(probabilities, 1e-15, 1.0)
    safe = safe / safe.sum(1, keepdims=True)
    least = np.finfo(safe.dtype).eps  # as scikit-learn does, whose checks take longer than an epoch of a small head
    true = safe[np.arange(len(safe)), np.asarray(gold)].clip(least, 1 - least)
    return float(np.mean(-np.log(true)))


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95% interval of ``right`` out of ``total`` (Wilson, 1927); 0 to 1 where nothing was judged."""
    binomtest = import_beside_torch("scipy.stats").binomtest

    if not total:
        return 0.0, 1.0
    found = binomtest(right, total).proportion_ci(CONFIDENCE, "wilson")
    return float(found.low), float(found.high)


def scored(values: Values) -> Values:
    """The ``values`` of items that could be scored: those that are not NaN."""
    import numpy as np

    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]


def interval(values: Values, seed: int = 1337) -> tuple[float, float]:
    """The 95% interval of the mean of ``values`` ``(items,)``, each the figure of one item; NaN is left out.

    Wilson's where every figure is 0 or 1; else the percentiles of resampled means (Efron, 1979), which two items at
    least are needed for: one by itself gives no interval but its own figure.
    """
    values = scored(values)
    if _binary(values):
        return wilson(int(values.sum()), len(values))
    return _bootstrap(values, seed)


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same items: the mean of the first less the mean of the second, and whether that is chance."""

    mean: float
    """of the differences"""
    low: float
    """95% interval of that mean, by bootstrap over items (for retrieval Sakai, 2006)"""
    high: float
    better: int
    """items that the first does better"""
    worse: int
    p: float
    """probability of a difference at least as large, either way, if both methods were equally good"""
    n: int
    """items that both have scored"""

    def reversed(self) -> PairedTest:
        """The second less the first."""
        return PairedTest(-self.mean, -self.high, -self.low, self.worse, self.better, self.p, self.n)


def paired_test(first: Values, second: Values, seed: int = 1337) -> PairedTest:
    """Whether the figures ``(items,)`` of two methods on the same items differ by more than chance.

    Where every figure is 0 or 1 this is McNemar's exact test (McNemar, 1947). Others are tested by flipping the signs
    of the differences, in all ways or in ``FLIPS`` random ones (Fisher, 1935; for retrieval Smucker, Allan and
    Carterette, 2007). Items with NaN on either side are left out. Memory is bounded by ``BATCH`` copies of the
    differences.
    """
    import numpy as np

    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    both = ~(np.isnan(one) | np.isnan(two))
    one, two = one[both], two[both]
    gaps = one - two
    better, worse = int((gaps > ROUNDING).sum()), int((gaps < -ROUNDING).sum())
    stats = import_beside_torch("scipy.stats")
    if not better + worse:
        p = 1.0
    elif _binary(one) and _binary(two):
        p = float(stats.binomtest(better, better + worse, 0.5).pvalue)
    else:
        p = _sign_flips(gaps[np.abs(gaps) > ROUNDING], seed)  # the sign of nothing changes nothing
    low, high = _bootstrap(gaps, seed)
    mean = float(gaps.mean()) if len(gaps) else 0.0
    return PairedTest(mean, low, high, better, worse, p, len(gaps))


def paired_tests(values: Mapping[str, Values], seed: int = 1337) -> dict[tuple[str, str], PairedTest]:
    """Every two methods, in both orders, by their figures of the same items; p is adjusted for all (Holm)."""
    found = {(one, two): paired_test(values[one], values[two], seed) for one, two in combinations(values, 2)}
    adjusted = {
        names: replace(test, p=p)
        for (names, test), p in zip(found.items(), holm([test.p for test in found.values()]), strict=True)
    }
    return adjusted | {(two, one): test.reversed() for (one, two), test in adjusted.items()}


def holm(ps: Sequence[float]) -> list[float]:
    """``ps`` of several tests adjusted so that together they err as seldom as one (Holm, 1979), in the same order."""
    adjusted, highest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def _binary(values: Values) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _bootstrap(values: Values, seed: int) -> tuple[float, float]:
    """Percentiles of resampled means; in batches, since scipy would make all resamples at once."""
    import numpy as np

    if len(values) < 2:
        return (float(values[0]),) * 2 if len(values) else (0.0, 0.0)
    found = import_beside_torch("scipy.stats").bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _sign_flips(gaps: Values, seed: int) -> float:
    """Two-sided p of the mean of ``gaps``, none of them 0.

    scipy's ``permutation_test`` computes the same, and takes forty times as long for thousands of items.
    """
    import numpy as np

    least = abs(gaps.sum()) - ROUNDING
    if 2 ** len(gaps) <= FLIPS:
        return float(np.mean([abs(np.dot(signs, gaps)) >= least for signs in product((-1, 1), repeat=len(gaps))]))
    rng, hits = np.random.default_rng(seed), 0
    for start in range(0, FLIPS, BATCH):
        signs = 2 * rng.integers(0, 2, (min(BATCH, FLIPS - start), len(gaps)), dtype=np.int8) - 1
        hits += int((abs(signs @ gaps) >= least).sum())
    return (hits + 1) / (FLIPS + 1)


def above(right: int, total: int, chance: float, alternative: str = "greater") -> float:
    """The probability that guessing with ``chance`` has at least so many right (binomial test, one-sided).

    With ``alternative="two-sided"``, of a number at least as far from what guessing expects.
    """
    binomtest = import_beside_torch("scipy.stats").binomtest

    return float(binomtest(right, total, chance, alternative=alternative).pvalue) if total else 1.0


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
            found.append(_bin(lead.min(), lead.max(), lead, right[rows]))
    return tuple(found)


def _bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    import numpy as np

    edges = np.linspace(0.0, 1.0, BINS + 1)
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return tuple(
        _bin(edges[number], edges[number + 1], confidence[place == number], right[place == number])
        for number in np.unique(place).tolist()
    )


def _bin(low: float, high: float, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Bin:
    return Bin(float(low), float(high), float(confidence.mean()), float(right.mean()), len(right))
