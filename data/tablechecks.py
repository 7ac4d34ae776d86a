"""What is worth knowing about a labelled data set before anything is trained on it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.formats import some

SKEWED = 3.0  # times that the largest class must be larger than the smallest to be called skewed
SHORT_SUPPORT = 8  # rows of a class in train below which it is named


@dataclass(frozen=True)
class Checks:
    """Facts about the splits; rows are indices into their split."""

    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    """split: rows of each class"""
    characters: tuple[int, int, int]
    """of the training texts: shortest, median, longest"""
    words: tuple[int, int, int]
    repeated: int
    """training rows whose text came before"""
    contradicted: int
    """texts that occur in train with more than one label"""
    leaked: tuple[int, ...]
    """test rows whose text is in train"""
    leaked_validation: tuple[int, ...]

    @property
    def majority(self) -> int:
        """The class that is most frequent in train."""
        counts = self.counts["train"]
        return counts.index(max(counts))

    @property
    def skew(self) -> float:
        """The largest class of train over the smallest."""
        counts = self.counts["train"]
        return max(counts) / max(1, min(counts))

    def lines(self) -> tuple[str, ...]:
        """Everything that was found, in words."""
        counts = self.counts["train"]
        total = sum(counts)
        shares = ", ".join(
            f"{name} {count / total:.0%}" for name, count in zip(self.classes[:12], counts, strict=False)
        )
        balance = f"skewed {self.skew:.1f} to 1" if self.skew >= SKEWED else "balanced"
        told = [
            f"{len(self.classes)} classes, {balance} in train: {shares}{', …' * (len(self.classes) > 12)}",
            f"train texts have {self.words[0]} to {self.words[2]:,} words, {self.words[1]} in the median, "
            f"and at most {self.characters[2]:,} characters",
        ]
        spelled: dict[str, list[str]] = {}
        for name in self.classes:
            spelled.setdefault(" ".join(name.casefold().split()), []).append(repr(name))
        twins = [" and ".join(names) for names in spelled.values() if len(names) > 1]
        empty = [name for name in self.classes if name.strip().lower() in ("nan", "null", "n/a")]
        rare = [name for name, count in zip(self.classes, counts, strict=True) if count < SHORT_SUPPORT]
        for wrong, text in (
            (twins, f"labels that differ only in case or spaces are classes of their own: {some(twins)}"),
            (empty, f"the class {', '.join(map(repr, empty))} may be rows without a label"),
            (rare, f"fewer than {SHORT_SUPPORT} training rows: {some(rare)}"),
            (self.repeated, f"{self.repeated:,} training texts are repeated"),
            (self.contradicted, f"{self.contradicted:,} training texts carry more than one label"),
            (
                self.leaked,
                f"test texts that are in train too: {len(self.leaked):,}; results are given with and without them",
            ),
            (self.leaked_validation, f"validation texts that are in train too: {len(self.leaked_validation):,}"),
        ):
            if wrong:
                told.append(text)
        for split in ("validation", "test"):
            lacking = [name for name, count in zip(self.classes, self.counts[split], strict=True) if not count]
            told += [f"{split} has no rows of {some(lacking)}"] if lacking else []
        return tuple(told)


def normalized(text: str) -> str:
    """What is compared when two texts are called identical."""
    return text.strip()


def check(classes: Sequence[str], splits: Mapping[str, tuple[Sequence[str], Sequence[int]]]) -> Checks:
    """Look at the splits ``train``, ``validation`` and ``test``, each texts and class indices."""
    texts, labels = splits["train"]
    seen: dict[str, set[int]] = {}
    for text, label in zip(texts, labels, strict=True):
        seen.setdefault(normalized(text), set()).add(label)
    return Checks(
        tuple(classes),
        {split: _counts(part[1], len(classes)) for split, part in splits.items()},
        _spread([len(text) for text in texts]),
        _spread([len(text.split()) for text in texts]),
        len(texts) - len(seen),
        sum(len(marks) > 1 for marks in seen.values()),
        tuple(row for row, text in enumerate(splits["test"][0]) if normalized(text) in seen),
        tuple(row for row, text in enumerate(splits["validation"][0]) if normalized(text) in seen),
    )


def _counts(labels: Sequence[int], classes: int) -> tuple[int, ...]:
    counted = Counter(labels)
    return tuple(counted[index] for index in range(classes))


def _spread(values: Sequence[int]) -> tuple[int, int, int]:
    return min(values), int(statistics.median(values)), max(values)
