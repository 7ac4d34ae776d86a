"""Multiple-choice questions, from files or the Hub: read whatever the schema, repaired where that can be stated.

:mod:`data.choice_columns` finds the columns, :mod:`data.answer_keys` how the answers point at the choices.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data import answer_keys, sources
from data.answer_keys import LETTERS, AnswerKey
from data.choice_columns import Columns, find, flattened
from data.choice_schemas import Parts, drawn
from data.formats import Row, TableError, Tally
from data.hub import Fetched
from data.sources import Raw

__all__ = ["BUNDLED", "LETTERS", "ChoiceData", "Item", "TableError", "examples", "load", "read"]

BUNDLED = "everyday"
FEWEST, MOST = 2, 10  # choices of an item
LONGEST = 8_000  # characters of a question or a context that are kept
HELD_OUT_SHARE, FEWEST_HELD_OUT = 0.1, 24  # of a small set up to a quarter, since few items tell little
JUDGED_SHARE = 0.3
EXAMPLES, SHOWN = 2, 100  # items that are told as they are read, and characters of each text


@dataclass(frozen=True)
class Item:
    """One question. ``continued`` says that the choices go on with the question's own sentence."""

    question: str
    choices: tuple[str, ...]
    gold: int
    """place of the right choice; -1 where none is given"""
    context: str = ""
    continued: bool = False

    @property
    def stem(self) -> str:
        """Context and question, as one text."""
        return f"{self.context} {self.question}".strip()


@dataclass(frozen=True)
class ChoiceData:
    """Questions ready for ranking: two splits to train with and one that is judged."""

    name: str
    source: str
    train: tuple[Item, ...]
    held_out: tuple[Item, ...]
    """to stop training by; never judged"""
    judged: tuple[Item, ...]
    judged_split: str
    """what the judged split is called where it comes from"""
    checks: tuple[str, ...]
    repairs: tuple[str, ...]
    read: tuple[str, ...] = ()
    """which columns hold what, and how the answers are meant"""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every item, split by split."""
        digest = hashlib.sha256()
        for part in (self.train, self.held_out, self.judged):
            digest.update(len(part).to_bytes(8, "little"))
            for item in part:
                for text in (item.context, item.question, *item.choices):
                    content = text.encode("utf-8", "replace")
                    digest.update(len(content).to_bytes(8, "little") + content)
                digest.update(bytes([item.gold, item.continued]))
        return digest.hexdigest()


@dataclass(frozen=True)
class Reading:
    """The questions of every row, as one schema and one meaning of the answers read them."""

    rows: dict[str, Sequence[Row]]
    """of each split; a row with several questions is there for each of them"""
    items: dict[str, list[Item | str]]
    """of each row, its gold -1 if there is none, or what is wrong with the row"""
    told: list[str]
    """which columns hold what, and how the answers are meant"""
    repairs: list[str]


def load(
    name: str,
    *,
    answer_base: str = answer_keys.AUTO,
    context_column: str = "",
    encoding: str = "",
    most: int = 0,
    limit: int = 0,
    seed: int = 1337,
    fetched: Fetched | None = None,
) -> ChoiceData:
    """The questions that ``name`` names: ``everyday`` (bundled), a file, a folder with a file a split, or the Hub's.

    ``answer_base`` says how the answers point at the choices (one of :data:`data.answer_keys.GIVEN`),
    ``context_column`` where the context is, ``encoding`` what the files are in. At most ``most`` rows of each file are
    read, and ``limit`` items of each split kept, where these are not 0. ``fetched`` are the files of a data set on the
    Hub. An item that cannot be used is left out and told in ``repairs``. Raises :class:`TableError` when none is left.
    """
    raw, source = sources.named(name, "questions", f"{BUNDLED}.jsonl", fetched, most=most, encoding=encoding)
    raw = sources.by_column(raw) if fetched is None else raw
    found = read(raw, answer_base, context_column)
    left = Tally()
    splits = {split: items for split in found.rows if (items := _items(split, found, left))}
    repairs = [*raw.repairs, *found.repairs, *left.lines()]
    if not splits:
        told = "; ".join((*repairs, *found.told))
        raise TableError(f"{name} holds no question that can be used: {told or 'it is empty'}")
    judged_split = next((split for split in ("test", "validation") if split in splits), "")
    judged = splits.pop(judged_split, [])
    train = splits.get("train", [])
    if not judged:
        judged_split = "train"
        train, judged = _aside(train, JUDGED_SHARE, f"{seed}/judged")
        repairs.append(f"no validation or test answers: {len(judged):,} train items are held out for evaluation")
    held = splits.get("validation", [])
    if not held and len(train) > 1:
        share = max(HELD_OUT_SHARE, min(0.25, FEWEST_HELD_OUT / len(train)))
        train, held = _aside(train, share, f"{seed}/held-out")
        kept = "" if judged_split == "train" else f"; {judged_split} is used only for evaluation"
        repairs.append(f"{len(held):,} train items are held out for early stopping{kept}")
    if limit > 0:
        counts = {"train": len(train), "early stopping": len(held), "evaluation": len(judged)}
        repairs += sources.limited(limit, counts)
        train, held, judged = (_sample(part, limit, seed) for part in (train, held, judged))
    checks = _checks(train, judged)
    parts = tuple(train), tuple(held), tuple(judged)
    return ChoiceData(name, source, *parts, judged_split, tuple(checks), tuple(repairs), tuple(found.told))


def read(raw: Raw, answer_base: str = answer_keys.AUTO, context_column: str = "") -> Reading:
    """The questions of all rows. Raises :class:`TableError` where there is no ``context_column``."""
    rows = {split: flattened(rows) for split, rows in raw.splits.items()}
    columns = find([row for some in rows.values() for row in some], raw.dropped, context_column)
    parts = {split: [_parts(columns, row) for row in some] for split, some in rows.items()}
    answered = {
        split: [one for one in some if isinstance(one, Parts) and one.answer is not None]
        for split, some in parts.items()
    }
    if answer_base == answer_keys.AUTO:
        published = "0" if columns.answer in raw.names else columns.schema.published
        keys = answer_keys.decide(answered, published, columns.counted_from)
    else:
        keys = {split: AnswerKey(answer_base) for split, some in answered.items() if some}
    told = [line for line in (columns.told, raw.encoding and f"encoding: {raw.encoding}") if line]
    told = ["; ".join(told)] if told else []
    repairs = sources.unused(replace(raw, columns=[*columns.unused]), ())
    for key in dict.fromkeys(keys.values()):  # one line where all splits are alike
        split = next(split for split, own in keys.items() if own == key)
        line = key.told(answered[split][0], f"the first item of {split}")
        (repairs if key.rivals or key.kind == "1" else told).append(line)
    if columns.schema.shaped is drawn:
        repairs.append("the place of each correct answer among the distractors is drawn by a hash of its question")
    items = {
        split: [one if isinstance(one, str) else _item(one, keys.get(split)) for one in some]
        for split, some in parts.items()
    }
    cut = Tally()
    for split, some in parts.items():
        for row, one in zip(rows[split], some, strict=True):
            if not isinstance(one, str) and max(len(one.context), len(one.question)) > LONGEST:
                cut.add(split, f"whose context or question was cut to {LONGEST:,} characters", row.place)
    repairs += cut.lines()
    return Reading(rows, items, told, repairs)


def examples(items: Iterable[Item]) -> list[str]:
    """The first items as they were read, a line each."""
    told = []
    for item in itertools.islice(items, EXAMPLES):
        context = f"context {_short(item.context)}, " if item.context else ""
        choices = ", ".join(f"{LETTERS[place]} {_short(choice)}" for place, choice in enumerate(item.choices))
        told.append(f"{context}question {_short(item.question)}, choices {choices}: {LETTERS[item.gold]} is right")
    return told


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def _parts(columns: Columns, row: Row) -> Parts | str:
    """What a row asks, or what is wrong with it."""
    try:
        parts = columns.parts(row)
    except ValueError as error:
        return str(error)
    choices = parts.choices
    if len(choices) < FEWEST:
        return f"with {'one choice' if choices else 'no choices'} where it takes two"
    if len(choices) > MOST:
        return f"with more than {MOST} choices"
    return parts if all(choices) else "with an empty choice"


def _item(parts: Parts, key: AnswerKey | None) -> Item | str:
    """The item, or what is wrong with its answer."""
    gold = answer_keys.place_of(key.kind, parts) if key is not None and parts.answer is not None else -1
    if gold is None:
        return "whose answer is none of the choices"
    return Item(parts.question[:LONGEST], parts.choices, gold, parts.context[-LONGEST:], parts.continued)


def _items(split: str, read: Reading, left: Tally) -> list[Item]:
    """The items with an answer; rows that give none are counted as ``left`` out."""
    found: list[Item] = []
    for row, item in zip(read.rows[split], read.items[split], strict=True):
        if isinstance(item, Item) and item.gold >= 0:
            found.append(item)
        else:
            left.add(split, f"{item if isinstance(item, str) else 'without an answer'} left out", row.place)
    return found


def _aside(items: Sequence[Item], share: float, seed: str) -> tuple[list[Item], list[Item]]:
    """``items`` without, and with, at most ``share`` of them, drawn by ``seed``; identical questions stay together.

    Where all questions are identical, those with identical choices too do, or each stays by itself.
    """
    if len(items) < 2:
        return [], list(items)
    keys: Sequence[Callable[[Item], Any]] = (lambda item: item.stem.casefold(), _whole, id)
    key = next(key for key in keys if len(set(map(key, items))) > 1)
    groups: dict[Any, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(key(item), []).append(place)
    count = min(len(items) - 1, max(1, round(len(items) * share)))
    chosen: set[int] = set()
    for place in random.Random(seed).sample(range(len(items)), count):
        group = groups[key(items[place])]
        if place not in chosen and len(chosen) + len(group) <= count:
            chosen.update(group)
    chosen = chosen or set(sorted(groups.values(), key=len)[0])
    kept, aside = (
        [item for place, item in enumerate(items) if (place in chosen) == wanted] for wanted in (False, True)
    )
    return kept, aside


def _whole(item: Item) -> tuple[str, frozenset[str]]:
    """What two items that are one and the same share, in whatever order their choices are."""
    return item.stem.casefold(), frozenset(item.choices)


def _sample(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    if len(items) <= count:
        return list(items)
    return [items[place] for place in sorted(random.Random(f"{seed}/limit").sample(range(len(items)), count))]


def _checks(train: Sequence[Item], judged: Sequence[Item]) -> list[str]:
    """What is worth knowing about the questions before anything is ranked."""
    counts = Counter(len(item.choices) for item in judged)
    spread = " or ".join(str(count) for count in sorted(counts))
    chance = sum(1 / len(item.choices) for item in judged) / len(judged)
    told = [f"{len(train):,} items to train on, {len(judged):,} evaluated, {spread} choices each, chance {chance:.3f}"]
    places = Counter(item.gold for item in judged)
    shares = ", ".join(f"{LETTERS[place]} in {places[place] / len(judged):.0%}" for place in range(max(counts)))
    told.append(f"the answer is {shares}")
    seen = set(map(_whole, train))
    if leaked := sum(_whole(item) in seen for item in judged):
        told.append(f"evaluated items that are in train too: {leaked:,}")
    if twins := sum(len(set(map(str.casefold, item.choices))) < len(item.choices) for item in judged):
        told.append(f"evaluated items with duplicate choices: {twins:,}")
    return told
