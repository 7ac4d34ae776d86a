"""Sentences about the figures: what is compared with what, what could be chance, and their grammar."""

from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.verdict import Judged, limits, pairs, sentences

ITEMS = 400


def judged(name: str, right: int, start: int = 0) -> Judged:
    """A method that has ``right`` of the items, from ``start`` on."""
    values = np.zeros(ITEMS)
    values[start : start + right] = 1
    return Judged(name, values)


def test_every_trained_method_is_compared_with_baselines_and_frozen_features() -> None:
    baselines, frozen = [judged("a", 100), judged("b", 120)], [judged("c", 130), judged("d", 140)]
    found = pairs(baselines, frozen, [judged("e", 150)])
    assert [one.first.name + one.second for one in found] == ["ca", "cb", "da", "db", "ea", "eb", "ec", "ed"]


def test_better_worse_equal_and_chance_are_told_apart() -> None:
    first = judged("the MLP", 200)
    others = [judged("A", 100), judged("B", 90), judged("C", 300), judged("D", 200), judged("E", 202)]
    said = sentences(pairs(others, [first], []))
    assert said == [
        "The MLP (0.500, n = 400) is better than A (0.250, p < 0.001) and B (0.225, p < 0.001), "
        "worse than C (0.750, p < 0.001) and equal to D (0.500); its difference from E (0.505, p = 1.00) could be "
        "chance.",
        "All p-values are adjusted for 5 comparisons (Holm).",
    ]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([("A", 100)], "X (0.500, n = 400) is better than A (0.250, p < 0.001)."),
        ([("A", 300)], "X (0.500, n = 400) is worse than A (0.750, p < 0.001)."),
        ([("A", 200)], "X (0.500, n = 400) is equal to A (0.500)."),
        ([("A", 202)], "X (0.500, n = 400): its difference from A (0.505, p = 0.50) could be chance."),
        (
            [("A", 202), ("B", 199), ("C", 201)],
            "X (0.500, n = 400): its differences from A (0.505, p = 1.00), B (0.497, p = 1.00) and C (0.502, p = 1.00) "
            "could be chance.",
        ),
    ],
)
def test_the_grammar_of_one_and_of_several(others: list[tuple[str, int]], said: str) -> None:
    assert sentences(pairs([judged(*other) for other in others], [judged("X", 200)], []))[0] == said


def test_several_comparisons_make_chance_more_likely() -> None:
    first, other = judged("X", 200), judged("A", 193)
    assert sentences(pairs([other], [first], [])) == ["X (0.500, n = 400) is better than A (0.482, p = 0.016)."]
    assert "could be chance" in sentences(pairs([other, *[judged(name, 199) for name in "BCD"]], [first], []))[0]


def test_as_many_right_by_other_items_is_not_equal() -> None:
    said = sentences(pairs([judged("A", 100, start=100)], [judged("X", 100)], []))[0]
    assert said == "X (0.250, n = 400): its difference from A (0.250, p = 1.00) could be chance."


def test_items_that_could_not_be_scored_are_no_part_of_a_figure() -> None:
    values = judged("X", 200).values.copy()
    values[:100] = np.nan
    assert "X (0.333, n = 300)" in sentences(pairs([judged("A", 100)], [Judged("X", values)], []))[0]


def test_a_measure_is_named_before_its_figure() -> None:
    compared = pairs([judged("A", 100)], [judged("frozen [CLS]", 200)], [])
    assert sentences(compared, "nDCG@10") == [
        "Frozen [CLS] (nDCG@10 0.500, n = 400) is better than A (0.250, p < 0.001)."
    ]


def test_what_limits_a_comparison() -> None:
    assert limits(24, 1, {"fine-tuning": 12}) == [
        "This comparison is limited by 24 training items, 1 judged item and 12 steps of fine-tuning."
    ]
    assert limits(5000, 1000, {"fine-tuning": 300}) == limits(None, 1000, {}) == []
    assert limits(None, 300, {}, {"zero-shot": (33, 300)}) == [
        "Figures of zero-shot are partial: 33 of 300 items were judged."
    ]
    assert limits(5000, 40, {}) == ["This comparison is limited by 40 judged items."]
