"""Figures against loops over rows."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from itertools import product

import numpy as np
import pytest

from engine.comparison import statistics
from engine.runs import codec

NAMES = ("a", "b", "c")


@pytest.fixture
def judged() -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(3)
    raw = rng.random((200, 3)) ** 3
    gold = [int(row) for row in rng.choice(3, 200, p=[0.6, 0.3, 0.1])]
    raw[np.arange(200), gold] += 0.3
    return raw / raw.sum(1, keepdims=True), gold


def test_every_figure_equals_a_loop(judged: tuple[np.ndarray, list[int]]) -> None:
    found, gold = judged
    told = [max(range(3), key=lambda c: row[c]) for row in found]
    pairs = list(zip(told, gold, strict=True))
    report = statistics.evaluate(found, gold, NAMES, leaked=[0, 5])
    assert report.accuracy == pytest.approx(sum(t == g for t, g in pairs) / 200)
    assert report.log_loss == pytest.approx(-sum(math.log(row[g]) for row, g in zip(found, gold, strict=True)) / 200)
    kept = [t == g for row, (t, g) in enumerate(pairs) if row not in (0, 5)]
    assert report.accuracy_without_leaks == pytest.approx(sum(kept) / 198)
    f1s = []
    for index, one in enumerate(report.classes):
        hit = sum(t == g == index for t, g in pairs)
        precision, recall = hit / sum(t == index for t, _ in pairs), hit / sum(g == index for _, g in pairs)
        f1s.append(2 * precision * recall / (precision + recall))
        assert (one.precision, one.recall, one.f1) == pytest.approx((precision, recall, f1s[-1]))
        assert list(report.confusion[index]) == [sum(g == index and t == c for t, g in pairs) for c in range(3)]
    assert report.macro_f1 == pytest.approx(sum(f1s) / 3)
    gaps = 0.0
    for low in range(10):
        inside = [
            (max(row), t == g) for row, (t, g) in zip(found, pairs, strict=True) if low < max(row) * 10 <= low + 1
        ]
        if inside:
            gaps += abs(sum(sure for sure, _ in inside) - sum(right for _, right in inside))
    assert report.calibration_error == pytest.approx(gaps / 200)


def test_the_interval_of_right_and_wrong_is_wilsons(judged: tuple[np.ndarray, list[int]]) -> None:
    found, gold = judged
    right = [float(row.argmax() == g) for row, g in zip(found, gold, strict=True)]
    report = statistics.evaluate(found, gold, NAMES)
    z, p, n = 1.959963984540054, sum(right) / 200, 200  # Wilson (1927), by hand
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert report.interval == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))
    assert statistics.interval(np.array([*right, math.nan])) == pytest.approx(report.interval)
    assert statistics.interval(np.ones(24))[0] == pytest.approx(24 / (24 + z * z))  # all right is not certainty
    assert statistics.wilson(0, 0) == (0.0, 1.0)


def test_the_interval_of_other_figures_is_that_of_resampled_items() -> None:
    values = np.random.default_rng(8).random(60) ** 2
    rng = random.Random(1)
    drawn = sorted(sum(rng.choices(values.tolist(), k=60)) / 60 for _ in range(4000))
    assert statistics.interval(values) == pytest.approx((drawn[100], drawn[3899]), abs=0.012)
    assert statistics.interval(np.full(9, 0.3)) == pytest.approx((0.3, 0.3))  # no NaN where all are equal
    assert statistics.interval(np.array([0.3])) == (0.3, 0.3)


def test_a_paired_test_of_right_and_wrong_is_mcnemars() -> None:
    first, second = np.ones(20), np.ones(20)
    second[:9] = 0  # nine items that only the first has right
    first[9:11] = 0  # two that only the second has
    found = statistics.paired_test(first, second)
    tail = sum(math.comb(11, k) for k in (0, 1, 2)) / 2**11
    assert (found.better, found.worse, found.n) == (9, 2, 20)
    assert found.p == pytest.approx(2 * tail)
    assert found.mean == pytest.approx(7 / 20)
    assert found.low < 7 / 20 < found.high
    assert statistics.paired_test(first, first).p == 1.0
    assert statistics.paired_test(second, first) == found.reversed() == statistics.paired_test(second, first)
    short = np.where(np.arange(20) < 3, math.nan, first)
    assert (statistics.paired_test(short, second).n, statistics.paired_test(second, short).worse) == (17, 6)


def test_a_paired_test_of_other_figures_flips_signs() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random(9), rng.random(9)
    gaps = (first - second).tolist()
    sums = [abs(sum(sign * gap for sign, gap in zip(signs, gaps, strict=True))) for signs in product((1, -1), repeat=9)]
    exact = sum(one >= abs(sum(gaps)) - 1e-9 for one in sums) / len(sums)
    found = statistics.paired_test(np.append(first, 0.5), np.append(second, 0.5))  # a tie says nothing
    assert found.p == pytest.approx(exact)
    assert (found.better, found.worse) == (sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps))
    many = rng.normal(0.3, 1, 400)
    assert statistics.paired_test(many, np.zeros(400)).p < 0.01
    assert statistics.paired_test(many - many.mean(), np.zeros(400)).p > 0.9
    resampled = [float(np.mean(rng.choice(many, 400))) for _ in range(3000)]
    found = statistics.paired_test(many, np.zeros(400))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])), abs=0.03)


def test_a_paired_test_of_many_items_takes_little_memory() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random(20_000), rng.random(20_000)
    tracemalloc.start()
    statistics.paired_test(first, second)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 150e6  # all flips at once would be 320e6, all resamples as much


def test_holm_is_the_step_down_procedure() -> None:
    ps = [0.01, 0.04, 0.03, 0.005]
    # By hand, from the smallest: 4 × 0.005, 3 × 0.01, 2 × 0.03, then 1 × 0.04, never less than the one before.
    assert statistics.holm(ps) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []
    right = {name: np.random.default_rng(seed).random(300) < 0.5 + seed / 20 for seed, name in enumerate("abc")}
    alone = [statistics.paired_test(right[one], right[two]).p for one, two in ("ab", "ac", "bc")]
    together = statistics.paired_tests(right)
    assert [together[one, two].p for one, two in ("ab", "ac", "bc")] == statistics.holm(alone) != alone
    assert together["b", "a"] == together["a", "b"].reversed()


def test_a_class_that_nobody_predicts_and_certainty_that_is_wrong_are_survived() -> None:
    found = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    report = statistics.evaluate(found, [0, 1], NAMES)
    assert (report.classes[2].f1, report.classes[1].recall, report.log_loss) == (
        0.0,
        0.0,
        pytest.approx(17.27, abs=0.01),
    )


def test_a_report_survives_json(judged: tuple[np.ndarray, list[int]]) -> None:
    report = statistics.evaluate(*judged, NAMES, leaked=[1])
    assert statistics.report_from(json.loads(json.dumps(codec.encode(report)))) == report


@pytest.mark.parametrize("count", [2, 3, 8, 12, 60, 300])
def test_p_is_that_of_scipys_permutation_test(count: int) -> None:
    from scipy import stats

    rng = np.random.default_rng(count)
    first = np.round(rng.random(count), 2)
    second = np.where(rng.random(count) < 0.3, first, np.round(rng.random(count) * 0.85, 2))
    found = statistics.paired_test(first, second).p
    gaps = first - second
    theirs = stats.permutation_test((gaps,), np.sum, permutation_type="samples", n_resamples=20_000, rng=1)
    p = theirs.pvalue if len(set(theirs.null_distribution)) > 1 else 1.0
    assert found == pytest.approx(min(1.0, p), abs=1e-9 if count <= 8 else 0.015)
    assert statistics.paired_test(first, first).p == 1.0
