"""Data sets for classification: texts with a label each, from files or the Hub, repaired where that can be stated.

``load`` never guesses silently: what it chose, changed or left out is in ``repairs``, what it found in ``checks``.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data import sources
from data.sources import Raw, Row, TableError
from data.tablechecks import Checks, check, normalized

__all__ = ["Checks", "Preview", "Rows", "TableError", "TextData", "load", "preview"]

BUNDLED = "helpdesk"
LONGEST = 20_000  # characters of a text that are kept
MOST_CLASSES = 500
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2
TEXT_NAMES = ("text", "sentence", "content", "message", "review", "comment", "tweet", "utterance", "question", "title")
LABEL_NAMES = ("label", "labels", "class", "category", "intent", "target", "sentiment", "emotion", "topic")


@dataclass(frozen=True)
class Rows:
    """One split: texts and, for each, the index of its class."""

    texts: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    places: tuple[tuple[str, int], ...] = ()
    """name of the file and number of the row in it, see :class:`data.sources.Row`"""

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class TextData:
    """A data set ready for training: three splits that share their classes."""

    name: str
    source: str
    text_column: str
    label_column: str
    classes: tuple[str, ...]
    train: Rows
    validation: Rows
    test: Rows
    checks: Checks
    repairs: tuple[str, ...] = field(default=())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of classes, texts and labels of all splits."""
        digest = hashlib.sha256("\0".join(self.classes).encode("utf-8", "replace"))
        for rows in (self.train, self.validation, self.test):
            digest.update(len(rows).to_bytes(8, "little"))
            for text, label in zip(rows.texts, rows.labels, strict=True):
                content = text.encode("utf-8", "replace")
                digest.update(len(content).to_bytes(8, "little") + content + label.to_bytes(4, "little"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Preview:
    """The beginning of a data set, for choosing columns. ``rows`` are cells as text, in the order of ``columns``."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_column: str | None
    label_column: str | None
    splits: tuple[str, ...]


def load(
    name: str,
    *,
    test: str = "",
    text_column: str = "",
    label_column: str = "",
    limit: int = 0,
    seed: int = 1337,
    unreachable: Callable[[], str] = lambda: "",
) -> TextData:
    """The data set that ``name`` names: ``helpdesk`` (bundled), a file, a folder with one file a split, or the Hub's.

    ``test`` is a file with the test split. ``limit`` keeps at most so many rows of each split, in the classes' shares.
    ``unreachable`` says why the Hub cannot be asked, or nothing. Raises :class:`TableError`.
    """
    raw, source = _read(name, test, unreachable)
    text, label = _choose(raw, text_column, label_column)
    repairs = list(raw.repairs)
    splits = {split: _clean(split, rows, text, label, repairs) for split, rows in raw.splits.items()}
    names = _classes(splits, raw.names.get(label), label, repairs)
    rows = _index(splits, names, repairs)
    rows = _complete(rows, seed, repairs)
    if limit > 0:
        rows = {split: _sample(part, limit, seed) for split, part in rows.items()}
    names, rows = _drop_unlearnable(names, rows, repairs)
    checks = check(names, {split: (part.texts, part.labels) for split, part in rows.items()})
    return TextData(
        name, source, text, label, names, rows["train"], rows["validation"], rows["test"], checks, tuple(repairs)
    )


def read_texts(file: Path, column: str = "") -> tuple[list[Row], str, list[str]]:
    """Rows of a file without looking for labels, the column of their texts, and what was repaired.

    The column is found by its name if it is not given. Raises :class:`TableError`.
    """
    if not file.is_file():
        raise TableError(f"{file} is no file")
    raw = sources.read(file)
    column = column or next((name for wanted in TEXT_NAMES for name in raw.columns if name.lower() == wanted), "")
    if column not in raw.columns:
        problem = f"there is no column {column!r}" if column else "which column holds the text cannot be told"
        named = ", ".join(map(repr, raw.columns))
        raise TableError(f"{file.name}: {problem}: name it with --text-column. The columns are: {named}")
    return raw.splits["train"], column, raw.repairs


def preview(name: str, *, count: int = 20, unreachable: Callable[[], str] = lambda: "") -> Preview:
    """Columns and first rows of a data set, and the columns that would be chosen. Raises :class:`TableError`."""
    raw, source = _read(name, "", unreachable, most=count)
    first = raw.splits.get("train") or next(iter(raw.splits.values()))
    columns = tuple(raw.columns)
    cells = tuple(tuple(_cell(row.get(column))[:500] for column in columns) for row in first[:count])
    found: list[str | None] = []
    for wanted in (TEXT_NAMES, LABEL_NAMES):
        found.append(next((column for name in wanted for column in columns if column.lower() == name), None))
    return Preview(source, columns, cells, found[0], found[1], tuple(raw.splits))


def _read(name: str, test: str, unreachable: Callable[[], str], most: int = 0) -> tuple[Raw, str]:
    raw, source = sources.named(name, "data set", f"{BUNDLED}.csv", unreachable, most=most)
    raw = sources.by_column(raw)
    if test:
        other = sources.read(Path(os.path.expanduser(test)), most=most)
        rows = other.splits.get("test") or next(iter(other.splits.values()))
        names = {**raw.names, **other.names}
        raw = replace(raw, splits={**raw.splits, "test": rows}, repairs=[*raw.repairs, *other.repairs], names=names)
    if "train" not in raw.splits:
        raise TableError(f"{name} has no split called train; it has: {', '.join(raw.splits) or 'none'}")
    return raw, source


def _choose(raw: Raw, text: str, label: str) -> tuple[str, str]:
    """The two columns: those that were named, else those whose names say it. All that is wrong is told at once."""
    problems: list[str] = []
    chosen: list[str] = []
    for what, given, names in (("text", text, TEXT_NAMES), ("label", label, LABEL_NAMES)):
        if given:
            if given not in raw.columns:
                problems.append(f"there is no column {given!r}")
            chosen.append(given)
            continue
        found = [column for name in names for column in raw.columns if column.lower() == name and column not in chosen]
        if not found:
            problems.append(f"which column holds the {what} cannot be told: name it with --{what}-column")
        chosen.append(found[0] if found else "")
    if not problems and chosen[0] == chosen[1]:
        problems.append(f"text and label cannot both be the column {chosen[0]!r}")
    if problems:
        raise TableError("; ".join(problems) + f". The columns are: {', '.join(map(repr, raw.columns)) or 'none'}")
    return chosen[0], chosen[1]


def _clean(
    split: str, rows: Sequence[Row], text: str, label: str, repairs: list[str]
) -> list[tuple[str, Any, tuple[str, int]]]:
    """Text, raw label, and file and row number; rows without either are left out, and texts beyond measure cut."""
    result: list[tuple[str, Any, tuple[str, int]]] = []
    done: Counter[str] = Counter()
    for row in rows:
        content, mark = row.get(text), row.get(label)
        if isinstance(mark, float) and mark == int(mark):
            mark = int(mark)
        if mark is None or mark == "" or mark == -1:
            done["without a label left out"] += 1
            continue
        if not isinstance(content, str):
            if content is not None:
                done["whose text was no text taken as it prints"] += 1
            content = _cell(content)
        if not content.strip():
            done["with an empty text left out"] += 1
            continue
        if len(content) > LONGEST:
            done[f"cut to the first {LONGEST:,} characters"] += 1
            content = content[:LONGEST]
        result.append((content, mark, (row.file, row.line)))
    repairs += [f"{split}: {count:,} row{'s' * (count != 1)} {what}" for what, count in done.items()]
    return result


def _classes(
    splits: Mapping[str, Sequence[tuple[str, Any, Any]]], known: list[str] | None, column: str, repairs: list[str]
) -> tuple[str, ...]:
    marks = [mark for rows in splits.values() for _, mark, _ in rows]
    kinds = {type(mark) for mark in marks}
    if known and kinds == {int}:
        return tuple(known)
    if len(kinds) > 1:
        spelled = ", ".join(sorted(kind.__name__ for kind in kinds))
        repairs.append(f"the column {column!r} mixes types ({spelled}): every label is taken as text")
    names = {_cell(mark) for mark in marks}
    if len(names) > MOST_CLASSES:
        raise TableError(
            f"the column {column!r} holds {len(names):,} different values, so it is no label; at most "
            f"{MOST_CLASSES} classes are told apart"
        )
    whole = all(name.lstrip("-").isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name), name) if whole else (0, name)))


def _index(
    splits: Mapping[str, Sequence[tuple[str, Any, tuple[str, int]]]], names: Sequence[str], repairs: list[str]
) -> dict[str, Rows]:
    place = {name: index for index, name in enumerate(names)}
    result: dict[str, Rows] = {}
    for split, rows in splits.items():
        texts, labels, places, odd = [], [], [], 0
        for text, mark, place_of_row in rows:
            index = place.get(_cell(mark))
            if index is None and isinstance(mark, int) and 0 <= mark < len(names):
                index = mark
            if index is None:
                odd += 1
                continue
            texts.append(text)
            labels.append(index)
            places.append(place_of_row)
        if odd:
            repairs.append(f"{split}: {odd:,} row{'s' * (odd != 1)} left out, whose label is none of the known names")
        result[split] = Rows(tuple(texts), tuple(labels), tuple(places))
    return result


def _complete(rows: dict[str, Rows], seed: int, repairs: list[str]) -> dict[str, Rows]:
    """Set aside what is missing: a test split, then a validation split, of train, in the classes' shares."""
    train = rows["train"]
    if len(train) < 2 or len(set(train.labels)) < 2:
        kept = f"{len(train):,} usable row{'s' * (len(train) != 1)} of {len(set(train.labels))} class"
        kept += "es" * (len(set(train.labels)) != 1)
        told = "".join(f"; {line}" for line in repairs)
        raise TableError(f"train has {kept}: it takes two classes to tell apart{told}")
    for split, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        if len(rows.get(split, ())) > 0:
            continue
        whole, how = train, "identical texts together"
        train, aside = _split(whole, share, f"{seed}/{split}")
        if not len(aside):
            train, aside = _split(whole, share, f"{seed}/{split}", together=False)
            how = "identical texts divided, since no class has two different ones"
        if not len(aside):
            raise TableError(f"train has {len(train):,} rows, too few to set some aside for {split}")
        repairs.append(
            f"no {split} split: {len(aside):,} rows of train set aside ({share:.0%} of each class, {how}, seed {seed})"
        )
        rows = {**rows, "train": train, split: aside}
    return rows


def _drop_unlearnable(
    names: tuple[str, ...], rows: dict[str, Rows], repairs: list[str]
) -> tuple[tuple[str, ...], dict[str, Rows]]:
    """Leave out rows of classes that train lacks: no method could ever be right on them."""
    known = sorted(set(rows["train"].labels))
    if len(known) < 2:
        raise TableError("after that, train has rows of one class only: it takes two classes to tell apart")
    if len(known) == len(names):
        return names, rows
    place = {old: new for new, old in enumerate(known)}
    result: dict[str, Rows] = {}
    for split, part in rows.items():
        kept = [row for row, label in enumerate(part.labels) if label in place]
        if lost := len(part) - len(kept):
            strange = sorted({names[label] for label in part.labels if label not in place})
            repairs.append(
                f"{split}: {lost:,} row{'s' * (lost != 1)} left out, whose label train lacks "
                f"({', '.join(strange[:5])}{', …' * (len(strange) > 5)})"
            )
        taken = _take(part, kept)
        result[split] = replace(taken, labels=tuple(place[label] for label in taken.labels))
        if not kept:
            raise TableError(f"no row of {split} has a label that train knows")
    return tuple(names[old] for old in known), result


def _split(rows: Rows, share: float, seed: str, *, together: bool = True) -> tuple[Rows, Rows]:
    """``rows`` without, and with, ``share`` of each class. Identical texts stay ``together``.

    A text with several labels counts for the most frequent of them. A class keeps at least one row in the first; in the
    second it has rows where it has two texts that allow it, be they more than its share.
    """
    texts: dict[str | int, list[int]] = {}
    for row, text in enumerate(rows.texts):
        texts.setdefault(normalized(text) if together else row, []).append(row)
    groups: dict[int, list[list[int]]] = {}
    for group in texts.values():
        labels = Counter(rows.labels[row] for row in group)
        groups.setdefault(max(labels, key=lambda label: (labels[label], -label)), []).append(group)
    left = Counter(rows.labels)  # in the first
    chosen: set[int] = set()

    def move(group: list[int], room: int) -> int:
        """Rows of ``group`` that move to the second: all of them or none."""
        moved = Counter(rows.labels[row] for row in group)
        if len(group) > room or any(left[label] <= count for label, count in moved.items()):
            return 0
        left.subtract(moved)
        chosen.update(group)
        return len(group)

    rng = random.Random(seed)
    for label in sorted(groups):
        own = groups[label]
        rng.shuffle(own)
        wanted = room = max(1, round(sum(map(len, own)) * share))
        for group in own:
            room -= move(group, room)
        for group in sorted(own, key=len) if room == wanted else ():
            if move(group, len(group)):
                break
    kept, aside = ([row for row in range(len(rows)) if (row in chosen) == wanted] for wanted in (False, True))
    return _take(rows, kept), _take(rows, aside)


def _sample(rows: Rows, count: int, seed: int) -> Rows:
    if len(rows) <= count:
        return rows
    share = count / len(rows)
    rng = random.Random(f"{seed}/limit")
    picked: list[int] = []
    spare: list[int] = []
    for own in _shuffled_classes(rows, rng):
        cut = max(1, int(len(own) * share))
        picked += own[:cut]
        spare += own[cut:]
    rng.shuffle(spare)
    return _take(rows, sorted((picked + spare)[: max(count, len(set(rows.labels)))]))


def _shuffled_classes(rows: Rows, rng: random.Random) -> Iterator[list[int]]:
    """Places of each class's rows, in an order that ``rng`` draws."""
    for label in sorted(set(rows.labels)):
        own = [row for row, mark in enumerate(rows.labels) if mark == label]
        rng.shuffle(own)
        yield own


def _take(rows: Rows, which: Sequence[int]) -> Rows:
    return Rows(
        tuple(rows.texts[row] for row in which),
        tuple(rows.labels[row] for row in which),
        tuple(rows.places[row] for row in which),
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
