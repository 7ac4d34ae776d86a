"""Hand-made curves and what is said about them."""

from __future__ import annotations

import math

import pytest

from engine.gpt.diagnose import Evaluation, diagnose

UNIFORM = math.log(72)


def curve(*points: tuple[float, float | None]) -> list[Evaluation]:
    """Evaluations every 100 steps from (validation loss, training loss)."""
    return [Evaluation(100 * index, val, train) for index, (val, train) in enumerate(points)]


FALLING = [(4.3, None), (3.0, 3.2), (2.5, 2.6), (2.2, 2.3), (2.0, 2.1), (1.9, 1.95), (1.85, 1.9), (1.8, 1.8)]


@pytest.mark.parametrize("count", range(len(FALLING) + 1))
def test_a_curve_that_falls_needs_no_words(count: int) -> None:
    assert diagnose(curve(*FALLING[:count]), UNIFORM) is None


def test_validation_rising_while_training_falls_is_overfitting() -> None:
    history = curve((4.3, None), (2.5, 2.6), (2.0, 2.0), (2.1, 1.8), (2.2, 1.6), (2.3, 1.4))
    assert diagnose(history[:5], UNIFORM) is None  # two worse evaluations are not three
    kind, text = diagnose(history, UNIFORM) or ("", "")
    assert kind == "overfitting"
    assert "since step 200" in text
    assert "2.000" in text
    assert "2.300" in text


def test_a_rise_below_one_percent_is_not_overfitting() -> None:
    assert diagnose(curve((4.3, None), (2.0, 2.0), (2.01, 1.9), (2.015, 1.8), (2.018, 1.7)), UNIFORM) is None


def test_rising_together_is_not_overfitting() -> None:
    found = diagnose(curve((4.3, None), (2.0, 2.0), (2.1, 2.1), (2.2, 2.2), (2.3, 2.3)), UNIFORM)
    assert found is None or found[0] != "overfitting"


def test_losing_to_knowing_nothing_is_divergence() -> None:
    history = curve((4.3, None), (3.0, 3.0), (6.0, 5.5))
    kind, text = diagnose(history, UNIFORM) or ("", "")
    assert kind == "divergence"
    assert "learning rate" in text


def test_the_beginning_is_not_divergence() -> None:
    assert diagnose(curve((4.31, None), (4.4, 4.4)), UNIFORM) is None


def test_a_flat_curve_is_a_plateau() -> None:
    flat = [(4.3, None), (2.5, 2.5), (2.3, 2.3), *[(2.3, 2.3)] * 6]
    assert diagnose(curve(*flat[:7]), UNIFORM) is None
    kind, text = diagnose(curve(*flat), UNIFORM) or ("", "")
    assert kind == "plateau"
    assert "2.300" in text


def test_slow_progress_is_not_a_plateau() -> None:
    slow = [(4.3, None), *[(2.5 * 0.99**n, 2.5 * 0.99**n) for n in range(12)]]
    assert diagnose(curve(*slow), UNIFORM) is None
