"""Trained rankers that answer while a question is typed: tasks for a worker of the screen's own process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data.choices import FEWEST, MOST, Item
from engine.control import Control
from engine.events import Event, ItemRanked, Notice
from engine.heed import Stopped, heed
from engine.worker import Task

if TYPE_CHECKING:
    from engine.choosing import Chooser


@dataclass(frozen=True)
class Opened(Event):
    """The methods of a run are there."""

    run: Run
    chooser: Chooser


@dataclass(frozen=True)
class Answered(Event):
    """What a method says of an item."""

    item: Item
    ranked: ItemRanked


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
        from engine.choosing import Chooser

        yield Opened(run, Chooser(run))

    return task


def ranking(chooser: Chooser, item: Item) -> Task:
    """Every method on an item, one after the other; one that cannot is told and does not stop the rest."""

    def task(control: Control) -> Iterator[Event]:
        from engine.encoders import NoEncoder
        from engine.encoding import NoTokenizer
        from engine.lm import NoModel

        try:
            for method in chooser.methods:
                try:
                    yield Answered(item, chooser.rank(item, method))
                except (CheckpointError, NoEncoder, NoModel, NoTokenizer, ValueError) as error:
                    yield Notice(f"{method}: {error}", "warning", "rank")
                yield from heed(control, 0)
        except Stopped:
            return

    return task
