"""Figures against loops over rows."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from engine.comparison import statistics

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


def test_the_interval_is_that_of_resampled_rows(judged: tuple[np.ndarray, list[int]]) -> None:
    found, gold = judged
    right = [bool(row.argmax() == g) for row, g in zip(found, gold, strict=True)]
    rng = random.Random(1)
    drawn = sorted(sum(rng.choices(right, k=200)) / 200 for _ in range(4000))
    report = statistics.evaluate(found, gold, NAMES)
    assert report.interval == pytest.approx((drawn[100], drawn[3899]), abs=0.012)
    assert statistics.evaluate(found, gold, NAMES).interval == report.interval


def test_mcnemar_is_exact() -> None:
    gold = [0] * 20
    first = np.tile([0.9, 0.1], (20, 1))
    second = first.copy()
    second[:9] = [0.1, 0.9]  # nine rows that only the first has right
    first[9:11] = [0.1, 0.9]  # two that only the second has
    told = statistics.mcnemar(first, second, gold)
    tail = sum(math.comb(11, k) for k in (0, 1, 2)) / 2**11
    assert (told.only_first, told.only_second, told.p) == (9, 2, pytest.approx(2 * tail))
    assert statistics.mcnemar(first, first, gold).p == 1.0


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
    assert statistics.report_from(json.loads(json.dumps(report.to_dict()))) == report
