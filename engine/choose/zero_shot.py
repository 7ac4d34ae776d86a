"""Zero-shot ranking: the items of a split on their way through a causal language model.

Items are scored in batches; when it is stopped, what was judged stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from data.choices import Item
from engine.choose import report as choose_report
from engine.choose.judged_items import ChoiceScore, JudgedItem, JudgedItems
from engine.choose.likelihood import LEADING, Question, Reader, ways
from engine.runs.events import Event, ItemJudged, Progress
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD = "zero-shot"
TOGETHER, ON_A_GPU = 256, 2048  # tokens that are computed together: more gain nothing, and a stop waits for them


class Judging:
    """Items on their way through a language model."""

    def __init__(self, reader: Reader, items: Sequence[Item], saved: JudgedItems | None = None) -> None:
        self.reader, self.items, self._saved = reader, items, saved
        self.done: list[tuple[ChoiceScore, ...]] = []
        self.truncated = 0
        """prompts that were cut to the model's context"""
        self.unscored: Counter[str] = Counter()
        """why items could not be scored, and how many"""

    def run(self, control: Control) -> Iterator[Event]:
        """Score every item. Raises :class:`engine.runs.messages.Stopped`, with what was judged in ``done``.

        Those that an earlier start has saved are taken over where the model scores the first of them alike.
        """
        saved = self._saved
        if saved is not None and saved.found:
            (first,) = self._judge(*self._batches(self.items[:1]))
            if not first.agrees(saved.found[0]):
                saved.forget()
        earlier = saved.found[: len(self.items)] if saved is not None else []
        for judged in earlier:
            yield self._done(judged)
        for batch in self._batches(self.items[len(earlier) :]):
            yield from handle_messages(control, len(self.done))
            for judged in self._judge(batch):
                if saved is not None:
                    saved.add(judged)
                yield self._done(judged)

    def _done(self, judged: JudgedItem) -> ItemJudged:
        place, found = len(self.done), judged.choices
        self.done.append(found)
        self.truncated += judged.truncated
        self.unscored.update([judged.reason] if judged.reason else [])
        row = tuple(one.way(LEADING) for one in found)
        strips = tuple(one.strip for one in found)
        return ItemJudged(METHOD, place, place + 1, len(self.items), -1, row, 0.0, 0.0, 1.0, ways(found), strips)

    def _batches(self, items: Sequence[Item]) -> Iterator[list[Question | JudgedItem]]:
        """Items that are computed together; of one that cannot be, why."""
        together = ON_A_GPU if self.reader.lm.device.type == "cuda" else TOGETHER
        batch: list[Question | JudgedItem] = []
        tokens = 0
        for item in items:
            asked, count = self._asked(item)
            if batch and tokens + count > together:
                yield batch
                batch, tokens = [], 0
            batch.append(asked)
            tokens += count
        if batch:
            yield batch

    def _asked(self, item: Item) -> tuple[Question | JudgedItem, int]:
        """What is to be computed for an item, and how many tokens it has; or why it cannot be."""
        try:
            question = self.reader.question(item)
        except ValueError as error:
            nothing = ChoiceScore((), *[float("-inf")] * 5)
            return JudgedItem((nothing,) * len(item.choices), reason=str(error)), 1
        return question, question.tokens

    def _judge(self, batch: Sequence[Question | JudgedItem]) -> list[JudgedItem]:
        scores = iter(self.reader.scores([one for one in batch if isinstance(one, Question)]))
        return [self._judged(one, next(scores)) if isinstance(one, Question) else one for one in batch]

    def _judged(self, question: Question, found: tuple[ChoiceScore, ...]) -> JudgedItem:
        known = all(one.strip for one in found)
        reason = "" if known else f"a choice has no character that {self.reader.lm.name} knows"
        return JudgedItem(found, question.truncated, reason)

    def scores(self, way: str) -> NDArray[np.float64]:
        """Scores of what was judged, by one way, ``(items, choices)``."""
        return choose_report.matrix([[one.way(way) for one in found] for found in self.done])

    def alone(self) -> NDArray[np.float64]:
        """Scores of what was judged by the choices alone, without the question ``(items, choices)``."""
        return choose_report.matrix(
            [
                [one.alone / len(choice) for one, choice in zip(found, item.choices, strict=True)]
                for found, item in zip(self.done, self.items, strict=False)
            ]
        )

    def reordered(
        self, control: Control, seed: int, most: int
    ) -> Generator[Event, None, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """The first ``most`` items again with their choices in another order: the orders, and the scores in them."""
        items = self.items[: min(most, len(self.done))]
        order, moved = choose_report.orders(items, seed), []
        rows: list[list[float]] = []
        for item, places in zip(items, order.tolist(), strict=True):
            moved.append(replace(item, choices=tuple(item.choices[old] for old in places[: len(item.choices)])))
        for batch in self._batches(moved):
            yield from handle_messages(control, len(rows))
            rows += [[one.way(LEADING) for one in judged.choices] for judged in self._judge(batch)]
            yield Progress(f"{METHOD}: choices in another order", len(rows), len(items))
        return order, choose_report.matrix(rows)
