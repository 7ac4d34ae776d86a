"""A question that is typed: what every method gives to its choices, and how the ranking moved with the last change."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.strip import Strip

from data.choices import FEWEST, MOST, Item
from engine.events import ItemRanked
from tui.choosing.ink import DIM
from tui.choosing.questions import card
from tui.comparing.ink import strip, wrap


class Own:
    """The item that was ranked last, the answers to it, and to the one before."""

    def __init__(self) -> None:
        self.item: Item | None = None
        self.answers: dict[str, ItemRanked] = {}
        self._before: dict[str, dict[str, int]] = {}
        """method: choice to its rank, for the item before"""

    def answer(self, item: Item, ranked: ItemRanked) -> None:
        """Take in what a method says; the first answer to another item lets the last one become the one before."""
        if item != self.item:
            if self.item is not None:
                for method, event in self.answers.items():
                    self._before[method] = dict(zip(self.item.choices, ranks(event.scores), strict=True))
            self.item, self.answers = item, {}
        self.answers[ranked.method] = ranked

    def moved(self) -> dict[str, list[int]]:
        """By how many ranks each choice of the item went up, for each method."""
        if self.item is None:
            return {}
        found = {}
        for method, event in self.answers.items():
            before = self._before.get(method, {})
            now = ranks(event.scores)
            found[method] = [
                before.get(choice, rank) - rank for choice, rank in zip(self.item.choices, now, strict=True)
            ]
        return found

    def draw(
        self, typed: Item | None, method: str, able: Sequence[str], working: str, width: int, height: int
    ) -> list[Strip]:
        """What the view shows."""
        if not able:
            told = "No method has finished yet, so nobody can rank a question."
            return [strip(line, width) for line in wrap(Text(told, DIM), width)]
        if typed is None:
            told = (
                f"Type a question, and {FEWEST} to {MOST} choices with | between them; * before the right one. Every "
                "method ranks them as you type. Enter goes to the choices, Esc leaves the line."
            )
            return [strip(line, width) for line in wrap(Text(told, DIM), width)]
        if self.item is None or not self.answers:
            return [strip(Text(working or "…", DIM), width)]
        lines = card(self.item, self.answers, method, width, height - 1, self.moved())
        if working and typed != self.item:
            lines.append(strip(Text(working, DIM), width))
        return lines


def ranks(scores: Sequence[float]) -> list[int]:
    """The rank of every choice, 0 for the highest score."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    found = [0] * len(scores)
    for rank, place in enumerate(order):
        found[place] = rank
    return found
