"""How figures decide a claim: by an interval, by the p of a paired test, or by most of several repetitions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.comparison import statistics
from engine.comparison.statistics import CHANCE
from engine.comparison.verdict import p_words
from engine.imports import import_beside_torch
from engine.lab.exercise import Outcome

if TYPE_CHECKING:
    from engine.comparison.statistics import PairedTest
    from engine.report.methods import Method

HOLDS: Outcome = "holds"
CONTRADICTED: Outcome = "does not hold"
UNDECIDED: Outcome = "could be chance"


def decided(holds: bool) -> Outcome:
    """Of figures in which nothing is drawn at random."""
    return HOLDS if holds else CONTRADICTED


def above(low: float, high: float, bound: float) -> Outcome:
    """Whether a figure is above ``bound``: undecided where its interval holds the bound, or is not known (NaN)."""
    return HOLDS if low > bound else CONTRADICTED if high < bound else UNDECIDED


def near(low: float, high: float, target: float, margin: float) -> Outcome:
    """Whether a figure is within ``margin`` of ``target``: its interval lies inside, outside, or across an end."""
    if target - margin <= low and high <= target + margin:
        return HOLDS
    return CONTRADICTED if low > target + margin or high < target - margin else UNDECIDED


def better(test: PairedTest) -> Outcome:
    """Whether the first method of a test is better than the second."""
    return UNDECIDED if not test.p < CHANCE else decided(test.mean > 0)


def most(count: int, total: int) -> Outcome:
    """Whether something is so in most repetitions, when it was in ``count`` of ``total``."""
    return above(*statistics.wilson(count, total), 0.5)


def rises(x: Sequence[float], y: Sequence[float]) -> tuple[Outcome, float, float]:
    """Whether ``y`` rises with ``x``, by the rank correlation of Kendall (1938): the outcome, tau and p."""
    found = import_beside_torch("scipy.stats").kendalltau(x, y)
    tau, p = float(found.statistic), float(found.pvalue)
    if math.isnan(tau):  # all of them are equal
        return UNDECIDED, 0.0, 1.0
    return UNDECIDED if p >= CHANCE else decided(tau > 0), tau, p


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Of a claim with several parts: a contradicted one contradicts it, an undecided one leaves it undecided."""
    found = set(outcomes)
    return next((one for one in (CONTRADICTED, UNDECIDED) if one in found), HOLDS)


def percent(share: float) -> str:
    """``76.1%``."""
    return f"{share:.1%}"


def share(right: float, low: float, high: float, n: int) -> str:
    """``76.1% (95%: 74.2% to 77.9%, n = 2,000)``; without an interval where there is none."""
    bounds = "" if math.isnan(low) or math.isnan(high) else f"95%: {percent(low)} to {percent(high)}, "
    return f"{percent(right)} ({bounds}n = {n:,})"


def accuracy(method: Method) -> str:
    """The accuracy of a method with its interval."""
    return share(method.figure, method.low, method.high, method.n)


def points(test: PairedTest) -> str:
    """A difference of accuracies in points: ``+1.1 points (95%: -0.3 to +2.4, p = 0.13)``."""
    mean, low, high = (round(100 * value, 1) + 0.0 for value in (test.mean, test.low, test.high))  # no -0.0
    return f"{mean:+.1f} points (95%: {low:+.1f} to {high:+.1f}, {p_words(test.p)})"


def difference(test: PairedTest) -> str:
    """A difference of other figures: ``+0.061 (95%: +0.012 to +0.110, p = 0.013)``."""
    mean, low, high = (round(value, 3) + 0.0 for value in (test.mean, test.low, test.high))  # no -0.000
    return f"{mean:+.3f} (95%: {low:+.3f} to {high:+.3f}, {p_words(test.p)})"
