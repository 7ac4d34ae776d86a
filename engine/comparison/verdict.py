"""What the figures of a comparison say, in sentences: which method is better, and which differences could be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.comparison import statistics
from engine.comparison.statistics import CHANCE, PairedTest, holm, paired_test

if TYPE_CHECKING:
    from engine.comparison.statistics import Values

FEW_ROWS = 200  # training items
FEW_JUDGED = 100  # judged items
FEW_STEPS = 100  # of an optimizer


@dataclass(frozen=True)
class Judged:
    """A method with its figure for every judged item."""

    name: str
    """as a sentence calls it"""
    values: Values
    """``(items,)``; NaN for an item that it could not score"""

    @property
    def mean(self) -> float:
        """Of the items that it could score."""
        return float(statistics.scored(self.values).mean())

    @property
    def items(self) -> int:
        """That it could score."""
        return len(statistics.scored(self.values))


@dataclass(frozen=True)
class Pair:
    """A method, another one or something else that it is compared with, and the test of their difference."""

    first: Judged
    second: str
    second_mean: float
    test: PairedTest


def pair(first: Judged, second: Judged, seed: int) -> Pair:
    """Two methods on the same items."""
    return Pair(first, second.name, second.mean, paired_test(first.values, second.values, seed))


def pairs(
    baselines: Sequence[Judged], frozen: Sequence[Judged], tuned: Sequence[Judged], seed: int = 1337
) -> list[Pair]:
    """Every trained method with every baseline, and those that train the whole model with frozen features too."""
    return [
        *(pair(one, other, seed) for one in frozen for other in baselines),
        *(pair(one, other, seed) for one in tuned for other in (*baselines, *frozen)),
    ]


def sentences(compared: Sequence[Pair], measure: str = "") -> list[str]:
    """One sentence for each first method of the pairs, in their order; ``measure`` is said before its figure.

    The p of all pairs are adjusted together (Holm); at p ≥ 0.05 a difference could be chance.
    """
    adjusted = [
        replace(one, test=replace(one.test, p=p))
        for one, p in zip(compared, holm([one.test.p for one in compared]), strict=True)
    ]
    firsts = dict.fromkeys(one.first.name for one in compared)
    found = [_sentence([one for one in adjusted if one.first.name == name], measure) for name in firsts]
    if len(compared) > 1:
        found.append(f"All p-values are adjusted for {len(compared)} comparisons (Holm).")
    return found


def limits(
    train: int | None, judged: int, steps: Mapping[str, int], partial: Mapping[str, tuple[int, int]] | None = None
) -> list[str]:
    """Sentences about what limits a comparison: few items, or few ``steps`` of a method by its name.

    ``train`` is None where nothing was trained. ``partial`` has methods that have judged only some of all items.
    """
    parts = []
    if train is not None and train < FEW_ROWS:
        parts.append(f"{_count(train, 'training item')}")
    if judged < FEW_JUDGED:
        parts.append(f"{_count(judged, 'judged item')}")
    parts += [f"{_count(count, 'step')} of {name}" for name, count in steps.items() if count < FEW_STEPS]
    found = [
        f"Figures of {name} are partial: {done:,} of {_count(every, 'item')} were judged."
        for name, (done, every) in (partial or {}).items()
    ]
    return [*found, f"This comparison is limited by {_listed(parts)}."] if parts else found


def p_words(p: float) -> str:
    """``p < 0.001`` or ``p = 0.012``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _sentence(compared: Sequence[Pair], measure: str) -> str:
    """What is known of one method: better, worse and equal ones, then those that differ by what could be chance."""
    first = compared[0].first
    equal = [one for one in compared if not (one.test.better or one.test.worse or one.test.mean)]
    unsure = [one for one in compared if one.test.p >= CHANCE and one not in equal]
    sure = [one for one in compared if one.test.p < CHANCE]
    better, worse = ([one for one in sure if (one.test.mean > 0) is above] for above in (True, False))
    groups = (("better than", better), ("worse than", worse))
    parts = [f"{word} {_listed(list(map(_second, some)))}" for word, some in groups if some]
    if equal:
        parts.append(f"equal to {_listed([f'{one.second} ({one.second_mean:.3f})' for one in equal])}")
    figure = f"{measure} {first.mean:.3f}".strip()
    said = f"{first.name[0].upper()}{first.name[1:]} ({figure}, n = {first.items:,})"
    said += f" is {_listed(parts)}" if parts else ""
    if unsure:
        differences = "difference" if len(unsure) == 1 else "differences"
        said += (
            f"{'; its' if parts else ': its'} {differences} from {_listed(list(map(_second, unsure)))} could be chance"
        )
    return f"{said}."


def _second(one: Pair) -> str:
    return f"{one.second} ({one.second_mean:.3f}, {p_words(one.test.p)})"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
