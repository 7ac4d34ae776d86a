"""Tables in files, as CSV, TSV, JSON lines, JSON and Parquet, one for each split, and on the Hugging Face Hub."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
LARGEST_CELL = 1 << 27  # characters; what the csv module may hold before a text is cut
_SPLITS = {"train": "train", "training": "train", "test": "test", "eval": "test", "evaluation": "test"}
_SPLITS |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")


class TableError(Exception):
    """A data set cannot be used; the message says what is wrong, where, and what to do."""


class Row(dict[str, Any]):
    """The cells of a row by column, and where it was read."""

    __slots__ = ("file", "line")

    def __init__(self, cells: Mapping[str, Any], file: str, line: int) -> None:
        """``file`` is the name of the file; on the Hub, of the split. ``line`` counts its rows from 1.

        Blank and damaged rows count, the header of a CSV does not. In JSON lines it is the line of the file.
        """
        super().__init__(cells)
        self.file, self.line = file, line


@dataclass(frozen=True)
class Raw:
    """Rows as they lie in the files: split to rows, the columns, names of integer labels, and what was repaired."""

    splits: dict[str, list[Row]]
    columns: list[str]
    names: dict[str, list[str]] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)


def named(name: str, what: str, file: str, unreachable: Callable[[], str], *, most: int = 0) -> tuple[Raw, str]:
    """The tables that ``name`` names, and where they came from: the bundled ``file``, a path, or the Hub's.

    ``what`` they hold is said where there are none. Raises :class:`TableError`.
    """
    bundled = Path(file).stem
    if not name.strip():
        raise TableError(f"no {what} named: give {bundled}, a file, a folder or a name on the Hub")
    if name == bundled:
        with resources.as_file(resources.files("data").joinpath("bundled", file)) as found:
            return read(Path(found)), "bundled with the program"
    if (path := existing(name)) is not None:
        return read(path, most=most), str(path.absolute())
    if possible(name):
        return from_hub(name, unreachable), f"the Hub ({name})"
    raise TableError(f"there is no file or folder {name[:200]!r}, and no data set on the Hub can be called so")


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
    for row in raw.splits["train"]:
        splits.setdefault(split_called(str(row.get("split"))) or "train", []).append(row)
    return replace(raw, splits=splits, columns=[column for column in raw.columns if column != "split"])


def read(path: Path, *, most: int = 0) -> Raw:
    """A file as the split train, or every split of a folder; at most ``most`` rows of each where it is not 0.

    Raises :class:`TableError`.
    """
    if path.is_dir():
        return _folder(path, most)
    names: dict[str, list[str]] = {}
    repairs: list[str] = []
    rows = _file(path, most, names, repairs)
    return Raw({"train": rows}, _columns(rows), names, repairs)


def split_called(name: str) -> str | None:
    """The split that a file's or a cell's name tells: ``dev`` and ``val-00000-of-00001`` are validation."""
    found = re.match(r"[a-z]+", name.strip().lower())
    return _SPLITS.get(found[0]) if found else None


def _folder(path: Path, most: int) -> Raw:
    files = [file for file in sorted([*path.iterdir(), *path.glob("data/*")]) if file.suffix.lower() in SUFFIXES]
    splits: dict[str, list[Row]] = {}
    names: dict[str, list[str]] = {}
    repairs: list[str] = []
    used = [file for file in files if split_called(file.stem)]
    if not used and len(files) == 1:
        return read(files[0], most=most)
    for file in used:
        splits.setdefault(split_called(file.stem) or "", []).extend(_file(file, most, names, repairs))
    if "train" not in splits:
        there = ", ".join(file.name for file in files[:8]) or "no table"
        if (path / "corpus.jsonl").exists():
            raise TableError(f"{path} is a collection to search in, not a table of texts and labels: Retrieve reads it")
        raise TableError(
            f"{path} holds {there}: name the splits train, validation and test "
            f"({', '.join(suffix[1:] for suffix in SUFFIXES)}), or give one file"
        )
    return Raw(splits, _columns([row for rows in splits.values() for row in rows[:1]]), names, repairs)


def _columns(rows: Sequence[Row]) -> list[str]:
    found: dict[str, None] = {}
    for row in rows[:1000]:
        found.update(dict.fromkeys(row))
    return list(found)


def _file(path: Path, most: int, names: dict[str, list[str]], repairs: list[str]) -> list[Row]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise TableError(f"{path.name}: give {', '.join(SUFFIXES)}, or a folder of them")
    try:
        if suffix == ".parquet":
            rows = _parquet(path, most, names)
        else:
            content = _decode(path, path.read_bytes(), repairs)
            if suffix in (".csv", ".tsv"):
                rows = _csv(path, content, most, repairs)
            else:
                rows = _json(path, content, most, repairs)
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from None
    except MemoryError:
        raise TableError(f"{path} does not fit into memory") from None
    if not rows:
        raise TableError(f"{path} holds no rows")
    return rows


def _decode(path: Path, content: bytes, repairs: list[str]) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        repairs.append(f"{path.name} is UTF-16: read as such")
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        repairs.append(f"{path.name} is not UTF-8 (byte {error.start:,}): read as Latin-1")
        return content.decode("latin-1")


def _csv(path: Path, content: str, most: int, repairs: list[str]) -> list[Row]:
    head = content[: content.find("\n")] if "\n" in content else content
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=head.count)
    before = csv.field_size_limit(LARGEST_CELL)
    rows: list[Row] = []
    odd = 0
    try:
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator)
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) < len(header):
            raise TableError(f"{path.name}: two columns have the same name ({', '.join(header[:12])})")
        for number, cells in enumerate(reader, 1):
            if len(cells) != len(header):
                odd += bool(cells)
                continue
            rows.append(Row(dict(zip(header, cells, strict=True)), path.name, number))
            if most and len(rows) >= most:
                break
    except csv.Error as error:
        raise TableError(f"{path.name} is no readable CSV near row {len(rows) + 2:,} ({error})") from None
    finally:
        csv.field_size_limit(before)
    if odd:
        repairs.append(
            f"{path.name}: {odd:,} row{'s' * (odd != 1)} left out, with another number of cells than the header"
        )
    return rows


def _json(path: Path, content: str, most: int, repairs: list[str]) -> list[Row]:
    if content.lstrip()[:1] == "[":
        try:
            loaded = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise TableError(f"{path.name} is no readable JSON ({error})") from None
        rows = [Row(row, path.name, number) for number, row in enumerate(loaded, 1) if isinstance(row, dict)]
        odd, first = len(loaded) - len(rows), 1
        rows = rows[:most] if most else rows
    else:
        rows, odd, first = [], 0, 0
        # Not splitlines: JSON strings may hold the other line ends as they are.
        for number, line in enumerate(content.split("\n"), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                rows.append(Row(row, path.name, number))
                if most and len(rows) >= most:
                    break
            else:
                odd, first = odd + 1, first or number
    if odd:
        repairs.append(
            f"{path.name}: {odd:,} line{'s' * (odd != 1)} left out that hold no JSON object, the first is {first:,}"
        )
    return rows


def _parquet(path: Path, most: int, names: dict[str, list[str]]) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise TableError(f"{path.name} is no readable Parquet ({str(error).splitlines()[0]})") from None
    about = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(about).get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        features = {}
    for column, kind in features.items() if isinstance(features, dict) else ():
        if isinstance(kind, dict) and isinstance(kind.get("names"), list):
            names[str(column)] = [str(name) for name in kind["names"]]
    return _numbered((table.slice(0, most) if most else table).to_pylist(), path.name)


def _numbered(rows: Sequence[Mapping[str, Any]], file: str) -> list[Row]:
    return [Row(row, file, number) for number, row in enumerate(rows, 1)]


_NAME = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?(:\w[\w.-]{0,95})?", re.ASCII)


def possible(name: str) -> bool:
    """Whether a data set on the Hub can be called so: ``owner/name``, or with a configuration ``owner/name:config``."""
    return bool(_NAME.fullmatch(name)) and ("/" in name or not re.search(r"\.\w+$", name))


def from_hub(name: str, unreachable: Callable[[], str]) -> Raw:
    """Every labelled split of a data set. ``unreachable`` says why the Hub cannot be asked, or nothing.

    Raises :class:`data.sources.TableError`, within seconds when neither the cache nor the Hub has it.
    """
    repository, _, configuration = name.partition(":")
    reason = "" if is_cached(repository) else unreachable()
    if reason:
        raise TableError(
            f"the data set {name!r} cannot be had: it is no file or folder here, it is not cached, and {reason}. "
            "helpdesk is bundled, and CSV, JSON lines and Parquet can be given by path"
        )
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded: Any = datasets.load_dataset(
            repository, configuration or None, download_config=datasets.DownloadConfig(max_retries=1)
        )
    except Exception as error:  # whatever a stranger's repository makes it raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        hint = " Name a configuration as owner/name:config." if "onfig" in str(error) else ""
        raise TableError(f"the data set {name!r} cannot be loaded from the Hub ({first}).{hint}") from None
    splits: dict[str, Any] = {}
    names: dict[str, list[str]] = {}
    columns: list[str] = []
    for split, table in loaded.items():
        called = split_called(str(split))
        if called is None or called in splits:
            continue
        splits[called] = _numbered(table.to_list(), str(split))
        columns = columns or list(table.column_names)
        for column, kind in table.features.items():
            if getattr(kind, "names", None):
                names[column] = [str(one) for one in kind.names]
    return Raw(splits, columns, names)


def is_cached(repository: str) -> bool:
    """Whether the library holds anything of a data set."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    folder = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    return (folder / repository.replace("/", "___")).is_dir()
