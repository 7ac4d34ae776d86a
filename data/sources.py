"""Sources of rows: a name becomes splits of rows, from files, folders, the Hugging Face Hub or what is bundled."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from typing import Any

from data.formats import (
    MOST_ROWS,
    SPLITS,
    SUFFIXES,
    Reading,
    Row,
    TableError,
    Tally,
    is_number,
    kind_of,
    rows_of,
    some,
    split_called,
    split_word,
    stream,
)
from data.hub import ABOUT, Fetched, by_split, head_of, label_names, possible

_INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")  # names of columns without one, as pandas writes them


@dataclass(frozen=True)
class Raw:
    """Rows as they lie in the files: split to rows, the columns, names of integer labels, and what was repaired."""

    splits: dict[str, list[Row]]
    columns: list[str]
    names: dict[str, list[str]] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)
    encoding: str = ""
    """of the texts, as ``UTF-8``; empty where no file was a text"""
    dropped: tuple[str, ...] = ()
    """columns that the rows have beside ``columns``: they number the rows or hold their splits"""


@dataclass(frozen=True)
class Preview:
    """The beginning of a data set as it is read, and what its columns are used for."""

    source: str
    columns: tuple[str, ...]
    roles: tuple[str, ...]
    """of each column: text, label, question …; empty where it is not used"""
    rows: tuple[tuple[str, ...], ...]
    """cells as text, in the order of ``columns``"""
    splits: tuple[str, ...]
    encoding: str
    repairs: tuple[str, ...]

    def column(self, role: str) -> str:
        """The first column of a role; empty where there is none."""
        return next((column for column, own in zip(self.columns, self.roles, strict=True) if own == role), "")


def preview(raw: Raw, source: str, roles: Mapping[str, str], *, count: int = 20) -> Preview:
    """The first rows of ``raw``; ``roles`` tells what a column is used for, by its name.

    An empty name stands for one that is not found yet: then no column is said to be unused.
    """
    first = raw.splits.get("train") or next(iter(raw.splits.values()))
    return Preview(
        source,
        tuple(raw.columns),
        tuple(roles.get(column, "") for column in raw.columns),
        tuple(tuple(cell(row.get(column))[:500] for column in raw.columns) for row in first[:count]),
        tuple(raw.splits),
        raw.encoding,
        (*raw.repairs, *(() if "" in roles else unused(raw, roles))),
    )


def unused(raw: Raw, roles: Iterable[str]) -> list[str]:
    """A notice of the columns that have no role; none where all have."""
    left = [column for column in raw.columns if column not in set(roles)]
    return [f"not used: the column{'s' * (len(left) != 1)} {', '.join(map(repr, left))}"] if left else []


def limited(limit: int, counts: Mapping[str, int]) -> list[str]:
    """A notice of the splits that have more rows than ``limit``; none where it is 0 or none has."""
    cut = [f"{limit:,} of {count:,} in {split}" for split, count in counts.items() if 0 < limit < count]
    return [f"max rows: {', '.join(cut)} are used"] if cut else []


def cell(value: Any) -> str:
    """The text of a cell: empty for nothing and for what is no number."""
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value).lower() if isinstance(value, bool) else str(value)


def named(
    name: str, what: str, file: str, fetched: Fetched | None, *, most: int = 0, encoding: str = ""
) -> tuple[Raw, str]:
    """The tables that ``name`` names, and where they came from: the bundled ``file``, a path, or the Hub's.

    ``what`` they hold is said where there are none; ``fetched`` are the files of a data set on the Hub. ``most`` rows
    of each file are read where it is not 0; texts are read in ``encoding`` where it is given. Raises
    :class:`TableError`.
    """
    bundled = Path(file).stem
    if not name.strip():
        raise TableError(f"no {what} named: give {bundled}, a file, a folder or a name on the Hub")
    if name == bundled:
        with resources.as_file(resources.files("data").joinpath("bundled", file)) as found:
            return read(Path(found)), "bundled with the program"
    if (path := existing(name)) is not None:
        return read(path, most=most, encoding=encoding), str(path.absolute())
    if fetched is not None:
        return of_hub(fetched, most=most), f"{fetched.source} ({name})"
    hint = "" if possible(name) else ", and it is not a valid name on the Hub"
    raise TableError(f"there is no file or folder {name[:200]!r}{hint}")


def existing(name: str) -> Path | None:
    """The file or folder of this name; None where there is none, or can be none."""
    try:
        path = Path(os.path.expanduser(name))
        return path if name.strip() and path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def by_column(raw: Raw) -> Raw:
    """Rows of one file that tells each row's split in a column of that name."""
    if list(raw.splits) != ["train"] or "split" not in raw.columns:
        return raw
    splits: dict[str, list[Row]] = {}
    tally = Tally()
    for row in raw.splits["train"]:
        told = str(row.get("split"))
        if not (split := split_called(told)):
            tally.add("split", f"whose split is {told[:40]!r} taken as train", row.place)
        splits.setdefault(split or "train", []).append(row)
    columns, dropped = [column for column in raw.columns if column != "split"], (*raw.dropped, "split")
    return replace(raw, splits=splits, columns=columns, repairs=[*raw.repairs, *tally.lines()], dropped=dropped)


def read(path: Path, *, most: int = 0, encoding: str = "") -> Raw:
    """A file as the split train, or every split of a folder; at most ``most`` rows of each file where it is not 0.

    Texts are read in ``encoding``, or in the one that is found. Raises :class:`TableError`.
    """
    reading = Reading(most, encoding)
    files = {"train": [path]}
    if path.is_dir():
        files = _files(path, reading.repairs)
        _described(path, reading)
    splits = {split: [row for file in own for row in rows_of(file, reading)] for split, own in files.items()}
    columns = columns_of([row for rows in splits.values() for row in rows[:1000]])
    return _finished(splits, columns, reading.names, reading.repairs, ", ".join(reading.encodings))


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns that any of the rows has, in the order in which they are met."""
    return list(dict.fromkeys(chain.from_iterable(rows)))


def column_called(columns: Sequence[str], names: Iterable[str]) -> str:
    """The first column, in any case, of the first of ``names`` (lower case) that there is; empty where none is."""
    return next((column for name in names for column in columns if column.lower() == name), "")


def _finished(
    splits: dict[str, list[Row]],
    columns: list[str],
    names: dict[str, list[str]],
    repairs: list[str],
    encoding: str = "",
) -> Raw:
    """Without the columns that have no name and only number the rows."""
    dropped = []
    for column in filter(_INDEX.fullmatch, columns):
        if all(is_number(row.get(column)) for rows in splits.values() for row in rows):
            repairs.append(f"not used: the column {column or 'without a name'}, which numbers the rows")
            dropped.append(column)
    columns = [column for column in columns if column not in dropped]
    return Raw(splits, columns, names, repairs, encoding, tuple(dropped))


# -- folders ---------------------------------------------------------------------------------------------------------


def _files(folder: Path, repairs: list[str]) -> dict[str, list[Path]]:
    """Files of each split of a folder: as ``save_to_disk`` wrote it, else by their names or those of their folders.

    Raises :class:`TableError` where no split can be told.
    """
    if (folder / "state.json").is_file():
        return {"train": _saved(folder)}
    if (folder / "dataset_dict.json").is_file():
        names = [str(name) for name in _json(folder / "dataset_dict.json").get("splits", ())]
        return {split: _saved(folder / name) for split, name in _chosen(names, repairs).items()}
    found = {file: _split_word(folder, file) for file in _tables(folder)}
    splits = by_split(found)
    if not splits and len(found) == 1:
        return {"train": list(found)}
    if not splits:
        raise TableError(_no_split(folder, list(found)))
    read = {file for files in splits.values() for file in files}
    if left := [str(file.relative_to(folder)) for file in found if file not in read]:
        repairs.append(f"not used: {some(left)}, beside {some([file.name for file in read])}")
    return splits


def _tables(folder: Path) -> list[Path]:
    """Tables in a folder, in ``data`` of it, and in the folders of both that are called as a split."""
    places = [place for place in (folder, folder / "data") if place.is_dir()]
    places += [
        inner for place in places for inner in sorted(place.iterdir()) if inner.is_dir() and split_called(inner.name)
    ]
    return [
        file
        for place in places
        for file in sorted(place.iterdir())
        if kind_of(file) and file.name not in ABOUT and not file.name.startswith(".") and file.is_file()
    ]


def _split_word(folder: Path, file: Path) -> str:
    """The word in the name of a file, or before it of its folder, that tells the split; empty where none does."""
    outer = "" if file.parent in (folder, folder / "data") else file.parent.name
    return split_word(f"{outer} {file.name}")


def _no_split(folder: Path, tables: Sequence[Path]) -> str:
    there = some([file.name for file in tables]) or "no table"
    if (folder / "corpus.jsonl").exists():
        return f"{folder} is a collection to search in, not a table of texts and labels: Retrieve reads it"
    inner = [inner.name for inner in sorted(folder.iterdir()) if inner.is_dir() and _tables(inner)]
    formats = ", ".join(suffix[1:] for suffix in SUFFIXES)
    return f"{folder} holds {there}: name the splits train, validation and test ({formats}), or give one file" + (
        f", or one of the folders in it: {some(inner)}" if inner else ""
    )


def _saved(folder: Path) -> list[Path]:
    """The files of one split that ``save_to_disk`` wrote."""
    files = [folder / str(entry["filename"]) for entry in _json(folder / "state.json").get("_data_files", ())]
    if any(file.parent != folder for file in files):
        raise TableError(f"{folder / 'state.json'} names files outside of its folder")
    return files


def _chosen(names: Sequence[str], repairs: list[str]) -> dict[str, str]:
    """Which of the names of splits is used as train, validation and test: the first that fits; others are told."""
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name not in SPLITS.values()):
        if split := split_called(name):
            found.setdefault(split, name)
    if left := [name for name in names if name not in found.values()]:
        repairs.append(f"not used: the split{'s' * (len(left) != 1)} {some(left)}")
    return found


def _described(folder: Path, reading: Reading) -> None:
    """Names of labels that stand beside the tables, in files of the Hub's library or the head of a README."""
    for name in ("dataset_infos.json", "dataset_info.json"):
        about = _json(folder / name)
        for info in (about, *about.values()):
            reading.features(info.get("features") if isinstance(info, dict) else None)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        readme = (folder / "README.md").read_text("utf-8")
        reading.names |= label_names(head_of(readme)) if "class_label" in readme else {}


def _json(file: Path) -> dict[str, Any]:
    """The object in a small file; empty where there is none."""
    try:
        found = json.loads(file.read_bytes()) if file.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"{file} cannot be read ({error})") from None
    return found if isinstance(found, dict) else {}


# -- the Hub ---------------------------------------------------------------------------------------------------------


def of_hub(fetched: Fetched, *, most: int = 0) -> Raw:
    """Every labelled split of a data set of the Hub; ``most`` rows of each file where it is not 0.

    Raises :class:`TableError`.
    """
    reading = Reading(most)
    splits: dict[str, list[Row]] = {}
    for split, named in _chosen(list(fetched.splits), reading.repairs).items():
        found = hub_rows(fetched.splits[named], named, reading)
        splits[split] = list(islice(found, MOST_ROWS + 1 - reading.rows))
        reading.count(len(splits[split]))
    columns = columns_of([row for rows in splits.values() for row in rows[:1000]])
    names = {**reading.names, **{column: list(own) for column, own in fetched.names.items()}}
    return _finished(splits, columns, names, reading.repairs, ", ".join(reading.encodings))


def hub_rows(files: Iterable[Path], name: str, reading: Reading) -> Iterator[Row]:
    """The rows of a split's files, whose places are in the split of this ``name``, whatever its files are called."""
    for number, row in enumerate(chain.from_iterable(stream(file, reading) for file in files), 1):
        row.file, row.line = name, number
        yield row
