"""What a ranking of choices has told so far: events folded into plain state that any widget can draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.runs.events import Event, ItemJudged
from tui.follow.comparison_story import CompareStory, Method

CONTROLS = ("chance", "longest")
FILTERS = ("all", "wrong", "right", "disagreed")
SORTS = ("worst first", "closest first", "most confident first", "as given")


@dataclass
class ChooseMethod(Method):
    """One way of ranking."""

    ranked: dict[int, ItemJudged] = field(default_factory=dict)

    @property
    def ways(self) -> list[Method]:
        """Of counting log-probabilities."""
        ways = (self.result or {}).get("ways")
        return [Method(f"  by {way}", figures) for way, figures in ways.items()] if isinstance(ways, dict) else []


@dataclass
class ChooseStory(CompareStory):
    """The state of one ranking as its events tell it."""

    METHOD, CONTROLS = ChooseMethod, CONTROLS

    methods: dict[str, ChooseMethod] = field(default_factory=dict)

    @property
    def browsable(self) -> list[str]:
        """Methods whose items can be looked at."""
        return [method.name for method in self.methods.values() if method.ranked]

    def fold(self, event: Event) -> None:
        """Take an event in. What a damaged journal says of a method is passed over."""
        super().fold(event)
        match event:
            case ItemJudged() if _sound(event):
                self.doing, self.progress = event.contender, None
                method = self.method(event.contender)
                method.ranked[event.item] = method.running = event


def lead(event: ItemJudged) -> float:
    """By how much the right choice leads the best other one: negative where it was not chosen."""
    if not 0 <= event.gold < len(event.scores) or chosen(event.scores) < 0:
        return 0.0
    others = [score for place, score in enumerate(event.scores) if place != event.gold]
    return event.scores[event.gold] - max(others)


def chosen(scores: Sequence[float]) -> int:
    """The place of the highest score, the first of several; -1 where a choice has none that is finite."""
    if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
        return -1
    return max(range(len(scores)), key=lambda place: (scores[place], -place))


def disagree(event: ItemJudged) -> bool:
    """Whether the ways of counting log-probabilities choose differently."""
    return len({chosen(scores) for scores in event.ways.values() if scores}) > 1


def listed(story: ChooseStory, name: str, kept: str, order: str) -> list[ItemJudged]:
    """The items of a method that a filter keeps, in an order."""
    method = story.methods.get(name)
    if method is None:
        return []
    found = [event for event in method.ranked.values() if _kept(story, event, kept)]
    if order == "worst first":
        found.sort(key=lambda event: (lead(event), event.item))
    elif order == "closest first":
        found.sort(key=lambda event: (abs(lead(event)), event.item))
    elif order == "most confident first":
        found.sort(key=lambda event: (-lead(event), event.item))
    else:
        found.sort(key=lambda event: event.item)
    return found


def _kept(story: ChooseStory, event: ItemJudged, kept: str) -> bool:
    right = chosen(event.scores) == event.gold
    if kept == "right":
        return right
    if kept == "wrong":
        return not right and chosen(event.scores) >= 0
    if kept == "disagreed":
        others = {
            chosen(other.scores)
            for method in story.methods.values()
            if (other := method.ranked.get(event.item)) is not None
        }
        return len(others) > 1 or disagree(event)
    return True


def _sound(event: ItemJudged) -> bool:
    """Whether a journal's line can be believed; scores that were no numbers came back as None."""
    return len(event.scores) > 1 and all(isinstance(score, int | float) for score in event.scores)
