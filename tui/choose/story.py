"""What a ranking of choices has told so far: events folded into plain state that any widget can draw."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.runs.events import Event, ItemJudged, Loaded
from tui.follow.comparison_story import CompareStory, Method

CONTROLS = ("chance", "longest")
FILTERS = ("all", "wrong", "right", "disagreed")


@dataclass
class ChooseMethod(Method):
    """One way of ranking."""

    ranked: dict[int, ItemJudged] = field(default_factory=dict)
    right: int = 0
    """of the ranked items"""

    @property
    def ways(self) -> list[Method]:
        """Of counting log-probabilities."""
        ways = (self.result or {}).get("ways")
        return [Method(f"  by {way}", figures) for way, figures in ways.items()] if isinstance(ways, dict) else []

    def rank(self, event: ItemJudged) -> None:
        """Take in what it gives the choices of an item."""
        before = self.ranked.get(event.item)
        self.right += right(event) - (before is not None and right(before))
        self.ranked[event.item] = self.running = event


@dataclass
class ChooseStory(CompareStory):
    """The state of one ranking as its events tell it."""

    METHOD, CONTROLS = ChooseMethod, CONTROLS

    methods: dict[str, ChooseMethod] = field(default_factory=dict)
    judged: list[int] = field(default_factory=list)
    """items in the order in which methods judged them"""
    _listing: Listing | None = None

    @property
    def browsable(self) -> list[str]:
        """Methods whose items can be looked at."""
        return [method.name for method in self.methods.values() if method.ranked]

    def fold(self, event: Event) -> None:
        """Take an event in. What a damaged journal says of a method is passed over."""
        super().fold(event)
        match event:
            case Loaded():
                self.judged, self._listing = [], None
            case ItemJudged() if _sound(event):
                self.doing, self.progress = event.contender, None
                self.method(event.contender).rank(event)
                self.judged.append(event.item)

    def listing(self, name: str, kept: str, order: str) -> Listing:
        """The items of a method that a filter keeps, in an order; those of the last update."""
        if self._listing is None or self._listing.key != (name, kept, order):
            self._listing = Listing(self, name, kept, order)
        return self._listing


class Listing(Sequence[ItemJudged]):
    """Items of a method in an order. An update looks at what has been judged since the last one.

    The first one of 20,000 items takes 0.1 s. It may be made in a thread, while the story goes on.
    """

    def __init__(self, story: ChooseStory, name: str, kept: str, order: str) -> None:
        self.key = (name, kept, order)
        self._story, self._ranked = story, story.methods[name].ranked if name in story.methods else {}
        self._keep, self._value = kept, ORDERS[order]
        self._places: dict[int, tuple[float, int]] = {}
        self._rows: list[tuple[float, int]] = []
        """what an item is sorted by, and the item, in order"""
        self._seen = 0

    @property
    def behind(self) -> int:
        """How many judgements an update has to look at."""
        return len(self._story.judged) - self._seen

    def updated(self) -> Listing:
        """The same with all that has been judged."""
        judged = self._story.judged[self._seen :]
        self._seen += len(judged)
        changed = dict.fromkeys(judged)
        for item in changed:
            if (place := self._places.pop(item, None)) is not None:
                del self._rows[bisect_left(self._rows, place)]
        for item in changed:
            event = self._ranked.get(item)
            if event is not None and _kept(self._story, event, self._keep):
                self._places[item] = (self._value(event), item)
                insort(self._rows, self._places[item])
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._ranked[item] for _, item in self._rows[place]]
        return self._ranked[self._rows[place][1]]


def lead(event: ItemJudged) -> float:
    """By how much the right choice leads the best other one: negative where it was not chosen."""
    if not 0 <= event.gold < len(event.scores) or chosen(event.scores) < 0:
        return 0.0
    others = [score for place, score in enumerate(event.scores) if place != event.gold]
    return event.scores[event.gold] - max(others)


def confidence(event: ItemJudged) -> float:
    """The share of the choice with the highest score; 0 where a choice could not be scored."""
    return max(shares(event.scores)) if chosen(event.scores) >= 0 else 0.0


def shares(scores: Sequence[float]) -> list[float]:
    """Scores as shares of one (softmax)."""
    top = max(scores)
    if not math.isfinite(top):
        return [1 / len(scores)] * len(scores)
    raised = [math.exp(score - top) if math.isfinite(score) else 0.0 for score in scores]
    return [one / sum(raised) for one in raised]


ORDERS: Mapping[str, Callable[[ItemJudged], float]] = {
    "worst first": lead,
    "closest first": lambda event: abs(lead(event)),
    "most confident first": lambda event: -confidence(event),
    "data order": lambda event: 0.0,
}
"""what a list is sorted by, ascending; equal ones by item"""


def right(event: ItemJudged) -> bool:
    """Whether the right choice has the highest score."""
    return chosen(event.scores) == event.gold


def chosen(scores: Sequence[float]) -> int:
    """The place of the highest score, the first of several; -1 where a choice has none that is finite."""
    try:
        return scores.index(max(scores)) if all(map(math.isfinite, scores)) else -1
    except TypeError:  # of a damaged journal
        return -1


def disagree(event: ItemJudged) -> bool:
    """Whether the ways of counting log-probabilities choose differently."""
    return len({chosen(scores) for scores in event.ways.values() if scores}) > 1


def _kept(story: ChooseStory, event: ItemJudged, kept: str) -> bool:
    if kept == "right":
        return right(event)
    if kept == "wrong":
        return not right(event) and chosen(event.scores) >= 0
    if kept == "disagreed":
        others = {
            chosen(other.scores)
            for method in list(story.methods.values())
            if (other := method.ranked.get(event.item)) is not None
        }
        return len(others) > 1 or disagree(event)
    return True


def _sound(event: ItemJudged) -> bool:
    """Whether a journal's line can be believed; scores that were no numbers came back as None."""
    return len(event.scores) > 1 and all(isinstance(score, int | float) for score in event.scores)
