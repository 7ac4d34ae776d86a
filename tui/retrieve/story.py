"""What a retrieval has told so far: events folded into plain state that any widget can draw. Knows no widget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.comparison.statistics import CHANCE
from engine.runs.events import ContenderDone, ContenderStep, Event, Loaded
from tui.follow.comparison_story import CompareStory, Method


@dataclass
class Ranker(Method):
    """One way of searching."""

    MEASURE, UNIT = "ndcg@10", " nDCG@10"

    def figure(self, name: str) -> float:
        """One of its figures: 0 where a damaged journal has none."""
        return number(self.result or {}, name)


class Difference(NamedTuple):
    """A mean difference over queries, and its interval."""

    mean: float
    low: float
    high: float
    p: float | None
    """None in runs of earlier versions"""

    @property
    def could_be_chance(self) -> bool:
        """By the interval where there is no p."""
        return not (self.p < CHANCE if self.p is not None else self.low > 0 or self.high < 0)


@dataclass
class RetrieveStory(CompareStory):
    """The state of one retrieval as its events tell it."""

    METHOD = Ranker

    methods: dict[str, Ranker] = field(default_factory=dict)
    against: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """first and second ranker to measure to mean, low, high, better, worse"""
    similarity: tuple[Any, ...] = ()
    """of the last batch that was told"""
    looks: list[tuple[int, float]] = field(default_factory=list)
    """step and held-out nDCG@10"""

    @property
    def trained(self) -> Ranker:
        """The method that is trained, with its last step and the training loss."""
        return self.methods.get("trained") or Ranker("trained")

    @property
    def judged(self) -> tuple[str, ...]:
        """Names of the rankers that have figures."""
        return tuple(ranker.name for ranker in self.done)

    def fold(self, event: Event) -> None:
        super().fold(event)
        match event:
            case Loaded():
                self.against, self.looks, self.similarity = {}, [], ()
            case ContenderStep():
                self.similarity = event.similarity or self.similarity
                if event.held_out_score is not None:
                    self.looks.append((event.step, event.held_out_score))
            case ContenderDone():
                self.doing = ""
                for other, found in event.against.items():
                    if isinstance(found, dict):
                        self.against[event.contender, other] = found

    def difference(self, first: str, second: str) -> Difference | None:
        """That of the first less the second in nDCG@10, whichever was judged first."""
        for pair, sign in (((first, second), 1), ((second, first), -1)):
            found = self.against.get(pair, {}).get(Ranker.MEASURE)
            if isinstance(found, dict):
                mean, low, high = (sign * number(found, name) for name in ("mean", "low", "high"))
                p = number(found, "p") if "p" in found else None
                return Difference(mean, min(low, high), max(low, high), p)
        return None


def number(record: Mapping[str, Any], name: str) -> float:
    """A figure of a record that may be damaged: 0 where it is none."""
    value = record.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
