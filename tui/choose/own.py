"""A question that is typed: the tasks that rank it, what every method gives, and how the ranking moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.strip import Strip

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data.choices import FEWEST, MOST, Item
from engine.runs.events import Event, ItemJudged, Notice
from engine.runs.messages import Control, Stopped, handle_messages
from engine.runs.worker import Task
from tui.background import Opened
from tui.choose.questions import card
from tui.widgets.panel import Frame
from tui.widgets.styled import paragraph

if TYPE_CHECKING:
    from engine.choose.answer import Chooser


@dataclass(frozen=True)
class Answered(Event):
    """What a method says of an item."""

    item: Item
    ranked: ItemJudged


def item_of(question: str, choices: str) -> Item | None:
    """The item that two lines spell: choices stand between ``|``, the right one may begin with ``*``.

    None while there is too little, or too much, to rank.
    """
    parts = [part.strip() for part in choices.split("|")]
    gold = next((place for place, part in enumerate(parts) if part.startswith("*")), -1)
    texts = tuple(part.removeprefix("*").strip() for part in parts)
    if not question.strip() or not FEWEST <= len(texts) <= MOST or not all(texts):
        return None
    return Item(question.strip(), texts, gold)


def spelled(item: Item) -> tuple[str, str]:
    """The two lines that spell an item."""
    shown = [f"*{choice}" if place == item.gold else choice for place, choice in enumerate(item.choices)]
    return item.stem, " | ".join(shown)


def opening(run: Run) -> Task:
    """Read the methods of a run."""

    def task(control: Control) -> Iterator[Event]:
        from engine.choose.answer import Chooser

        yield Opened(run, Chooser(run))

    return task


def ranking(chooser: Chooser, item: Item) -> Task:
    """Every method on an item, one after the other; one that cannot is told and does not stop the rest."""

    def task(control: Control) -> Iterator[Event]:
        from engine.encoders.encode import EncodeFailed
        from engine.encoders.find import NoEncoder
        from engine.lm.find import NoModel
        from engine.tokenization.encoding import NoTokenizer

        try:
            for method in chooser.methods:
                try:
                    yield Answered(item, chooser.rank(item, method))
                except (CheckpointError, EncodeFailed, NoEncoder, NoModel, NoTokenizer, ValueError) as error:
                    yield Notice(f"{method}: {error}", "warning", "rank")
                yield from handle_messages(control, 0)
        except Stopped:
            return

    return task


class Own:
    """The item that was ranked last, the answers to it, and to the one before."""

    def __init__(self) -> None:
        self.item: Item | None = None
        self.answers: dict[str, ItemJudged] = {}
        self._before: dict[str, dict[str, int]] = {}
        """method: choice to its rank, for the item before"""

    def answer(self, item: Item, ranked: ItemJudged) -> None:
        """Take in what a method says; the first answer to another item lets the last one become the one before."""
        if item != self.item:
            if self.item is not None:
                for method, event in self.answers.items():
                    self._before[method] = dict(zip(self.item.choices, ranks(event.scores), strict=True))
            self.item, self.answers = item, {}
        self.answers[ranked.contender] = ranked

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
            return paragraph(
                "No results yet: when a method has finished, your own questions can be ranked here.", width
            )
        if typed is None:
            told = (
                f"Type a question and {FEWEST} to {MOST} choices, separated by |; * marks the correct one. Every "
                "method ranks them as you type. Enter moves to the choices, Esc leaves the text field."
            )
            return paragraph(told, width)
        if self.item is None or not self.answers:
            return paragraph(working or "…", width)
        title = f"your question{f', {working}' if working and typed != self.item else ''}"
        return card(self.item, self.answers, method, title, Frame(width), width, height, self.moved())


def ranks(scores: Sequence[float]) -> list[int]:
    """The rank of every choice, 0 for the highest score."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    found = [0] * len(scores)
    for rank, place in enumerate(order):
        found[place] = rank
    return found
