"""Zero-shot over many items, as a task: every item is told with its scores, and stopping keeps what was judged."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data.choices import Item
from engine import choicereport, metrics
from engine.control import Control
from engine.events import Event, ItemRanked, Notice, Progress
from engine.heed import heed
from engine.zeroshot import WAYS, ChoiceScore, Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUTE = "zero-shot"
LEADING = "character"
"""the way of counting that ranks: the harness's acc_norm"""


class Judging:
    """Items on their way through a language model."""

    def __init__(self, reader: Reader, items: Sequence[Item]) -> None:
        self.reader, self.items = reader, items
        self.done: list[tuple[ChoiceScore, ...]] = []

    def run(self, control: Control) -> Iterator[Event]:
        """Score every item. Raises :class:`engine.heed.Stopped`, with what was judged in ``done``."""
        right = 0
        for place, item in enumerate(self.items):
            yield from heed(control, place)
            try:
                found = self.reader.score(item)
            except ValueError as error:
                if place == 0:
                    yield Notice(str(error), "error", "model")
                found = tuple(ChoiceScore((), *[float("-inf")] * 5) for _ in item.choices)
            self.done.append(found)
            row = tuple(one.way(LEADING) for one in found)
            right += row.index(max(row)) == item.gold
            low, high = metrics.wilson(right, place + 1)
            yield ItemRanked(
                ROUTE,
                place,
                place + 1,
                len(self.items),
                item.gold,
                row,
                right / (place + 1),
                low,
                high,
                ways(found),
                tuple(one.strip for one in found),
            )

    def scores(self, way: str) -> NDArray[np.float64]:
        """Scores of what was judged, by one way, ``(items, choices)``."""
        return choicereport.matrix([[one.way(way) for one in found] for found in self.done])

    def result(self, seed: int, seconds: float, settings: str) -> tuple[dict[str, Any], NDArray[np.float64]]:
        """Figures of what was judged, every way side by side, and the scores of the leading way."""
        import numpy as np

        items = self.items[: len(self.done)]
        gold = [item.gold for item in items]
        scores = self.scores(LEADING)
        result = choicereport.figures(scores, items, seed=seed, seconds=seconds, settings=settings)
        chosen = np.stack([self.scores(way).argmax(1) for way in WAYS])
        result["ways"] = {}
        for way, row in zip(WAYS, chosen, strict=True):
            right = row == np.asarray(gold)
            low, high = metrics.bootstrap(right, seed)
            result["ways"][way] = {
                "accuracy": round(float(right.mean()), 6),
                "interval": [round(low, 6), round(high, 6)],
            }
        result["disagree"] = int((chosen != chosen[0]).any(0).sum())
        alone = [
            [one.alone / len(choice) for one, choice in zip(found, item.choices, strict=True)]
            for found, item in zip(self.done, self.items, strict=False)
        ]
        result["question_hidden"] = choicereport.against(scores, choicereport.matrix(alone), gold, seed)
        return result, scores

    def reordered(self, control: Control, seed: int, most: int) -> Generator[Event, None, dict[str, Any]]:
        """The first ``most`` items again with their choices in another order; who ranks choices chooses the same."""
        rng = random.Random(f"{seed}/orders")
        items = self.items[: min(most, len(self.done))]
        changed = right = 0
        for place, item in enumerate(items):
            yield from heed(control, place)
            order = list(range(len(item.choices)))
            rng.shuffle(order)
            moved = replace(item, choices=tuple(item.choices[old] for old in order), gold=order.index(item.gold))
            before = [one.way(LEADING) for one in self.done[place]]
            row = [one.way(LEADING) for one in self.reader.score(moved)] if self.done[place][0].strip else before
            again = row.index(max(row))
            right += again == moved.gold
            changed += order[again] != before.index(max(before))
            yield Progress(f"{ROUTE}: choices in another order", place + 1, len(items))
        return {"accuracy": round(right / len(items), 6), "changed": changed, "items": len(items)}


def ways(found: Sequence[ChoiceScore]) -> dict[str, Any]:
    """Way to scores of the choices."""
    return {way: tuple(one.way(way) for one in found) for way in WAYS}
