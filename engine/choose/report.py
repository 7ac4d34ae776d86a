"""What a ranking of choices is worth: figures of the statistics beside the controls that tell whether to believe
them. Scores are matrices ``(items, choices)``, ``-inf`` where an item has no such choice or it could not be scored.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from data.choices import LETTERS, Item
from engine.comparison import statistics
from engine.comparison.seeds import by_seed, mean_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.comparison.statistics import Values

    Scores: TypeAlias = NDArray[np.float64]

CHANCE, LONGEST = "chance", "longest"
CONTROLS = (CHANCE, LONGEST)


@dataclass(frozen=True)
class Controls:
    """Scores of the same items under other conditions, which tell whether to believe those of a method."""

    ways: Mapping[str, Scores] = field(default_factory=dict)
    """by other ways to turn log-probabilities into a score"""
    seeds: Sequence[Scores] = ()
    """of the same method trained with several seeds, its own first"""
    hidden: Sequence[Scores] = ()
    """without the question, by each seed"""
    retrained: bool = True
    """whether the method was also trained without questions for ``hidden``, where it is trained"""
    shuffled: tuple[NDArray[np.int64], Scores] | None = None
    """the order of the choices ``(items, choices)`` and the scores in that order, of the first items at least"""
    truncated: int = 0
    """items whose question was cut"""


def figures(scores: Scores, items: Sequence[Item], *, seconds: float, settings: str = "") -> dict[str, Any]:
    """Accuracy with interval, log loss and calibration of the softmax, what stands at each place, and the margins.

    All of them are of ``items``, those that could be scored; ``judged`` of ``of`` items had their turn until then, and
    ``unscored`` of those could not be scored. Raises :class:`ValueError` where none could. ``places`` holds for each
    letter how often the right choice stands there, how often it is chosen, and the share of right choices there that
    are found: where the two first differ much, the method prefers a place.
    """
    import numpy as np

    usable = scorable(scores, items)
    if not usable.any():
        raise ValueError(f"none of {len(scores):,} items could be scored")
    some = [items[row] for row in np.flatnonzero(usable).tolist()]
    gold, found = [item.gold for item in some], scores[usable]
    report = statistics.evaluate(softmax(found), gold, LETTERS[: scores.shape[1]])
    right = correct(found, some)
    chosen = np.asarray(report.confusion).sum(0)
    chance = guessing(some)
    return {
        "accuracy": round(report.accuracy, 6),
        "interval": [round(end, 6) for end in report.interval],
        "items": report.rows,
        "judged": len(scores),
        "of": len(items),
        "unscored": len(scores) - report.rows,
        "chance": round(chance, 6),
        "p_chance": _above_chance(right, some),
        "log_loss": round(report.log_loss, 6),
        "calibration_error": round(report.calibration_error, 6),
        "places": [
            {"place": one.name, "right": one.support, "chosen": int(count), "found": round(one.recall, 6)}
            for one, count in zip(report.classes, chosen, strict=True)
        ],
        "margins": [_rounded(one) for one in statistics.by_margin(margins(found), right > 0)],
        "seconds": round(seconds, 3),
        "settings": settings,
    }


def scorable(scores: Scores, items: Sequence[Item]) -> NDArray[np.bool_]:
    """Which of the first items, those that ``scores`` are of, have a finite score for every choice ``(scored,)``."""
    import numpy as np

    rows = zip(scores, items, strict=False)
    return np.array([bool(np.isfinite(row[: len(item.choices)]).all()) for row, item in rows], bool)


def correct(scores: Scores, items: Sequence[Item]) -> Values:
    """1 for an item whose right choice has the highest score, else 0 ``(items,)``.

    NaN for items that could not be scored, and for those after the last of ``scores``.
    """
    import numpy as np

    right = np.full(len(items), np.nan)
    usable = np.flatnonzero(scorable(scores, items)).tolist()
    right[usable] = scores[usable].argmax(1) == np.array([items[row].gold for row in usable])
    return right


def over_seeds(scores: Sequence[Scores], items: Sequence[Item]) -> Values:
    """The share of seeds that have each item right ``(items,)``; NaN as in :func:`correct`."""
    return mean_of([correct(one, items) for one in scores])


def _above_chance(right: Values, items: Sequence[Item]) -> float:
    """The probability that guessing is as good. The mean of several seeds varies no more than one seed does."""
    import numpy as np

    known = np.flatnonzero(~np.isnan(right)).tolist()
    return statistics.above(round(right[known].sum()), len(known), guessing([items[row] for row in known]))


def guessing(items: Sequence[Item]) -> float:
    """The accuracy that guessing can expect."""
    return sum(1 / len(item.choices) for item in items) / len(items)


def against(right: Values, control: Values, seed: int) -> dict[str, Any]:
    """A control on the same items, and the probability of so large a difference if both were equally good."""
    return _proportion(control) | {"p": statistics.paired_test(right, control, seed).p}


def of_controls(controls: Controls, scores: Scores, items: Sequence[Item], seed: int) -> dict[str, Any]:
    """Figures of a method under other conditions, beside its ``scores``, on the items that it could score.

    Where it was trained with several seeds, accuracy and interval are of the mean over seeds, in place of those of
    :func:`figures`, and ``spread`` is the standard deviation of the accuracies of single seeds.
    """
    import numpy as np

    right, usable = over_seeds(controls.seeds or (scores,), items), scorable(scores, items)
    found: dict[str, Any] = {"truncated": controls.truncated} if controls.truncated else {}
    if controls.seeds:
        accuracies, spread = by_seed([correct(one, items) for one in controls.seeds])
        found |= _proportion(right) | {
            "seeds": [round(one, 6) for one in accuracies],
            "spread": round(spread, 6) if spread is not None else None,
            "p_chance": _above_chance(right, items),
        }
    if controls.ways:
        found["ways"] = {way: _proportion(correct(one, items)) for way, one in controls.ways.items()}
        every = np.stack([one[usable].argmax(1) for one in controls.ways.values()])
        found["disagree"] = int((every != every[0]).any(0).sum())
    if controls.hidden:
        found["question_hidden"] = against(right, over_seeds(controls.hidden, items), seed)
        if not controls.retrained:
            found["question_hidden"]["retrained"] = False
    if controls.shuffled is not None:
        order, moved = controls.shuffled
        rows = np.flatnonzero(usable[: len(order)]).tolist()
        again, gold = moved[rows].argmax(1), np.array([items[row].gold for row in rows])
        accuracy = float((order[rows, again] == gold).mean()) if len(rows) else 0.0
        found["choices_shuffled"] = {
            "accuracy": round(accuracy, 6),
            "changed": int((order[rows, again] != scores[rows].argmax(1)).sum()),
            "items": len(rows),
        }
    return found


def _proportion(right: Values) -> dict[str, Any]:
    scored = statistics.scored(right)
    return {
        "accuracy": round(float(scored.mean()), 6),
        "interval": [round(end, 6) for end in statistics.interval(scored)],
        "items": len(scored),
    }


def margins(scores: Scores) -> NDArray[np.float64]:
    """By how much the first choice leads the second ``(items,)``."""
    import numpy as np

    ordered = np.sort(np.maximum(scores, -1e9), 1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def softmax(scores: Scores) -> Scores:
    """Shares of the choices of each item; alike where none has a score."""
    import numpy as np

    top = scores.max(1, keepdims=True)
    raised = np.exp(scores - np.where(np.isfinite(top), top, 0.0))
    raised = np.where(np.isfinite(top), raised, 1.0)
    return np.asarray(raised / raised.sum(1, keepdims=True))


def matrix(rows: Sequence[Sequence[float]]) -> Scores:
    """Rows of scores, padded to the longest."""
    import numpy as np

    result = np.full((len(rows), max(map(len, rows))), -np.inf)
    for place, row in enumerate(rows):
        result[place, : len(row)] = row
    return result


def longest(items: Sequence[Item], seed: int) -> Scores:
    """Scores that always choose the longest choice; who is as long as others is drawn."""
    rng = random.Random(f"{seed}/longest")
    return matrix([[len(choice) + rng.random() / 2 for choice in item.choices] for item in items])


def orders(items: Sequence[Item], seed: int) -> NDArray[np.int64]:
    """A random order of each item's choices ``(items, choices)``, padding left behind."""
    import numpy as np

    rng = random.Random(f"{seed}/orders")
    most = max(len(item.choices) for item in items)
    rows = []
    for item in items:
        places = list(range(len(item.choices)))
        rng.shuffle(places)
        rows.append([*places, *range(len(places), most)])
    return np.array(rows, np.int64)


def _rounded(one: statistics.Bin) -> dict[str, Any]:
    return {name: round(value, 6) for name, value in asdict(one).items()}
