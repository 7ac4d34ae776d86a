"""Data sets for classification: texts with a label each, from files or the Hub, repaired where that can be stated.

``load`` never guesses silently: what it chose, changed or left out is in ``repairs``, what it found in ``checks``.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from data import sources
from data.formats import Row, TableError, Tally, some
from data.hub import Fetched
from data.labels import SEVERAL, Labels, key, read_labels
from data.sources import Preview, Raw, cell, column_called
from data.tablechecks import Checks, check, normalized

BUNDLED, FEELINGS = "helpdesk", "feelings"
"""data sets that are bundled; the first is used by default"""
LONGEST = 20_000  # characters of a text that are kept
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
    """name of the file and number of the row in it, see :class:`data.formats.Row`"""

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


def load(
    name: str,
    *,
    test: str = "",
    text_column: str = "",
    label_column: str = "",
    label_names: Sequence[str] = (),
    encoding: str = "",
    limit: int = 0,
    seed: int = 1337,
    fetched: Fetched | None = None,
) -> TextData:
    """The data set that ``name`` names: a bundled one, a file, a folder with one file a split, or the Hub's.

    ``test`` is a file with the test split. ``label_names`` are those of labels that are numbers, in their order.
    ``encoding`` is that of text files, found if it is not given. ``limit`` keeps at most so many rows of each split, in
    the classes' shares. ``fetched`` are the files of a data set on the Hub. Raises :class:`TableError`.
    """
    raw, source = _read(name, test, fetched, encoding=encoding)
    text, label = _choose(raw, text_column, label_column)
    repairs = [*raw.repairs, *sources.unused(raw, (text, label))]
    keys = {split: [key(row.get(label)) for row in rows] for split, rows in raw.splits.items()}
    counted = Counter(chain.from_iterable(keys.values()))
    labels = read_labels(label, counted, raw.names.get(label, ()), label_names)
    repairs += labels.repairs
    rows = {split: _labelled(split, own, keys[split], text, labels, repairs) for split, own in raw.splits.items()}
    rows = _complete(rows, seed, repairs)
    if limit > 0:
        repairs += sources.limited(limit, {split: len(part) for split, part in rows.items()})
        rows = {split: _sample(part, limit, seed) for split, part in rows.items()}
    names, rows = _drop_unlearnable(labels.classes, rows, repairs)
    checks = check(names, {split: (part.texts, part.labels) for split, part in rows.items()})
    return TextData(
        name, source, text, label, names, rows["train"], rows["validation"], rows["test"], checks, tuple(repairs)
    )


def bundled(name: str) -> str:
    """``name`` where a bundled data set has it, else the name of the one that is used by default."""
    return FEELINGS if name == FEELINGS else BUNDLED


def read_texts(file: Path, column: str = "", encoding: str = "") -> tuple[list[Row], str, list[str]]:
    """Rows of a file without looking for labels, the column of their texts, and what was repaired.

    The column is found by its name if it is not given. Raises :class:`TableError`.
    """
    if not file.is_file():
        raise TableError(f"{file} is not a file")
    raw = sources.read(file, encoding=encoding)
    column = column or column_called(raw.columns, TEXT_NAMES)
    if column not in raw.columns:
        problem = f"there is no column {column!r}" if column else "cannot tell which column holds the text"
        named = ", ".join(map(repr, raw.columns))
        raise TableError(f"{file.name}: {problem}: name it with --text-column. The columns are: {named}")
    return raw.splits["train"], column, raw.repairs


def preview(
    name: str,
    *,
    text_column: str = "",
    label_column: str = "",
    encoding: str = "",
    count: int = 20,
    fetched: Fetched | None = None,
) -> Preview:
    """Columns and first rows of a data set, the columns being found by their names where they are not given.

    Reads the beginning of each file only. Raises :class:`TableError`.
    """
    raw, source = _read(name, "", fetched, most=count, encoding=encoding)
    text = text_column or column_called(raw.columns, TEXT_NAMES)
    label = label_column or column_called([column for column in raw.columns if column != text], LABEL_NAMES)
    return sources.preview(raw, source, {label: "label", text: "text"}, count=count)


def _read(name: str, test: str, fetched: Fetched | None, *, most: int = 0, encoding: str = "") -> tuple[Raw, str]:
    raw, source = sources.named(name, "data set", f"{bundled(name)}.csv", fetched, most=most, encoding=encoding)
    raw = sources.by_column(raw)
    if test:
        other = sources.read(Path(os.path.expanduser(test)), most=most, encoding=encoding)
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
        found = column_called([column for column in raw.columns if column not in chosen], names)
        if not found:
            problems.append(f"cannot tell which column holds the {what}: name it with --{what}-column")
        chosen.append(found)
    if not problems and chosen[0] == chosen[1]:
        problems.append(f"text and label cannot both be the column {chosen[0]!r}")
    if problems:
        problems.append(f"the columns are: {', '.join(map(repr, raw.columns)) or 'none'}")
        raise TableError("; ".join((*problems, *raw.repairs)))
    return chosen[0], chosen[1]


def _labelled(
    split: str, rows: Sequence[Row], keys: Sequence[Hashable], text: str, labels: Labels, repairs: list[str]
) -> Rows:
    """Texts and classes; rows without either are left out, and texts beyond measure cut.

    ``keys`` are those of the rows' labels. Raises :class:`TableError` for a row with several labels.
    """
    texts, indices, places = [], [], []
    tally = Tally()
    for row, mark in zip(rows, keys, strict=True):
        index, content = labels.meaning[mark], row.get(text)
        if isinstance(index, str):
            if index == SEVERAL:
                raise TableError(
                    f"{row.place} has several labels: this is multi-label data, and classification takes one label of "
                    "each text. Choose another column, or keep one label in each row"
                )
            tally.add(split, index, row.place)
            continue
        if not isinstance(content, str):
            content = cell(content)
            if content:
                tally.add(split, "whose text was no text taken as it prints", row.place)
        if not content.strip():
            tally.add(split, "with an empty text left out", row.place)
            continue
        if len(content) > LONGEST:
            tally.add(split, f"cut to the first {LONGEST:,} characters", row.place)
            content = content[:LONGEST]
        texts.append(content)
        indices.append(index)
        places.append((row.file, row.line))
    repairs += tally.lines()
    return Rows(tuple(texts), tuple(indices), tuple(places))


def _complete(rows: dict[str, Rows], seed: int, repairs: list[str]) -> dict[str, Rows]:
    """Set aside what is missing: a test split, then a validation split, of train, in the classes' shares."""
    train = rows["train"]
    if len(train) < 2 or len(set(train.labels)) < 2:
        kept = f"{len(train):,} usable row{'s' * (len(train) != 1)} of {len(set(train.labels))} class"
        kept += "es" * (len(set(train.labels)) != 1)
        told = "".join(f"; {line}" for line in repairs)
        raise TableError(f"train has {kept}: at least two classes are needed{told}")
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
        raise TableError("after that, train has rows of one class only; at least two are needed")
    if len(known) == len(names):
        return names, rows
    place = {old: new for new, old in enumerate(known)}
    result: dict[str, Rows] = {}
    for split, part in rows.items():
        kept = [row for row, label in enumerate(part.labels) if label in place]
        if lost := [row for row, label in enumerate(part.labels) if label not in place]:
            strange = sorted({names[part.labels[row]] for row in lost})
            file, line = part.places[lost[0]]
            repairs.append(
                f"{split}: {len(lost):,} row{'s' * (len(lost) != 1)} left out, label not in train "
                f"({some(strange)}); the first is row {line:,} of {file}"
            )
        taken = _take(part, kept)
        result[split] = replace(taken, labels=tuple(place[label] for label in taken.labels))
        if not kept:
            raise TableError(f"no row of {split} has a label that occurs in train")
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
    for label in sorted(set(rows.labels)):
        own = [row for row, mark in enumerate(rows.labels) if mark == label]
        rng.shuffle(own)
        cut = max(1, int(len(own) * share))
        picked += own[:cut]
        spare += own[cut:]
    rng.shuffle(spare)
    return _take(rows, sorted((picked + spare)[: max(count, len(set(rows.labels)))]))


def _take(rows: Rows, which: Sequence[int]) -> Rows:
    return Rows(
        tuple(rows.texts[row] for row in which),
        tuple(rows.labels[row] for row in which),
        tuple(rows.places[row] for row in which),
    )
