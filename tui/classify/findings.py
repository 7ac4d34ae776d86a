"""What the routes said of every test row, read once when they are done, so that a view only has to look it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from engine.metrics import Comparison


@dataclass(frozen=True)
class Suspect:
    """A row whose label the routes that did not learn it doubt most."""

    split: str
    row: int
    text: str
    label: int
    proposed: int
    doubt: float
    """probability of the proposed class, of a model that has not seen this row"""
    label_probability: float


@dataclass(frozen=True)
class Findings:
    """Test rows and what each route gives every class for them. Row numbers are those of the test split."""

    classes: tuple[str, ...] = ()
    texts: Sequence[str] = ()
    gold: Sequence[int] = ()
    probabilities: Mapping[str, Any] = field(default_factory=dict)
    """route: array ``(rows, classes)``"""
    leaked: frozenset[int] = frozenset()
    suspects: tuple[Suspect, ...] = ()
    pairs: Mapping[tuple[str, str], Comparison] = field(default_factory=dict)
    """McNemar's test of every two routes, in both orders"""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """why the predictions of a route cannot be read"""

    def cell(self, route: str, true: int, predicted: int) -> list[int]:
        """Rows of one cell of a confusion matrix: the surest mistakes first; on the diagonal, the least sure first."""
        import numpy as np

        found = self.probabilities.get(route)
        if found is None or not len(found):
            return []
        told = np.asarray(found)
        rows = np.flatnonzero((told.argmax(1) == predicted) & (np.asarray(self.gold) == true))
        order = np.argsort(told[rows, true], kind="stable")
        return [int(row) for row in rows[order]]

    def probability(self, route: str, row: int, label: int) -> float:
        """What a route gives a class for a row."""
        return float(self.probabilities[route][row][label])


def pairs_of(probabilities: Mapping[str, Any], gold: Sequence[int]) -> dict[tuple[str, str], Comparison]:
    """McNemar's test of every two routes. Loads scipy: not for the thread of a screen."""
    from engine.metrics import mcnemar

    result: dict[tuple[str, str], Comparison] = {}
    for one, two in combinations(probabilities, 2):
        found = mcnemar(probabilities[one], probabilities[two], gold)
        result[one, two] = found
        result[two, one] = Comparison(found.only_second, found.only_first, found.p)
    return result
