"""Rows of one file: CSV, TSV, JSON lines, JSON, Parquet and Arrow, the texts also compressed with gzip or Zstandard.

Files are read as streams, so that the first rows of a large file cost its beginning only.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import IO, Any

from data import encodings
from data.encodings import TextError

TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
ARROW = (".parquet", ".arrow")
SUFFIXES = TEXTS + ARROW
COMPRESSED = "texts also compressed as .gz or .zst"
LARGEST = 2 << 30  # bytes of a file of text, decompressed
MOST_ROWS = 2_000_000  # of a data set
LARGEST_CELL = 1 << 27  # characters; what the csv module may hold before a text is cut
_CHUNK = 1 << 16  # characters, or rows of a Parquet file
_SNIFFED = 50  # lines of a CSV that tell its delimiter
_COMPARED = 10_000  # rows that tell what rows look like
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # the line before the header by which Excel tells the delimiter
_BETWEEN = re.compile(r"[\s,]*")
_ARRAY = re.compile(  # the opening of an array: at the top, or of objects under one of these keys after plain values
    r"""\s*(?:\[|\{(?:\s*"[^"\\]*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\w.+-]+)\s*,)*\s*"(?:data|rows|examples)"\s*:\s*\[(?=\s*\{))"""
)


class TableError(Exception):
    """A data set cannot be used; the message says what is wrong, where, and what to do."""


class Row(dict[str, Any]):
    """The cells of a row by column, and where it was read."""

    __slots__ = ("file", "line")

    def __init__(self, cells: Mapping[str, Any] | Iterable[tuple[str, Any]], file: str, line: int) -> None:
        """``file`` is the name of the file; on the Hub, of the split. ``line`` counts its rows from 1.

        Blank and damaged rows count, the header of a CSV does not. In JSON lines it is the line of the file.
        """
        super().__init__(cells)
        self.file, self.line = file, line

    @property
    def place(self) -> str:
        """Where it was read, for a message."""
        return f"row {self.line:,} of {self.file}"


class Tally:
    """Rows by what was done with them, and the first of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, what: str, place: str, count: int = 1) -> None:
        """``count`` more of ``what``, which reads after "3 rows"."""
        self._counts[what] += count
        self._first.setdefault(what, place)

    def lines(self, where: str) -> list[str]:
        """A sentence for each."""
        return [
            f"{where}: {count:,} row{'s' * (count != 1)} {what}; the first is {self._first[what]}"
            for what, count in self._counts.items()
        ]


@dataclass
class Reading:
    """How files are read, and what is found in them beside their rows."""

    most: int = 0
    """rows of a file; 0 for all"""
    encoding: str = ""
    """of the texts; found in each file where it is not given"""
    largest: int = LARGEST
    """bytes of a file of text, decompressed"""
    names: dict[str, list[str]] = field(default_factory=dict)
    """of integer labels, by column"""
    encodings: dict[str, None] = field(default_factory=dict)
    """that the files have"""
    repairs: list[str] = field(default_factory=list)
    rows: int = 0
    """of all files so far"""

    def count(self, rows: int) -> None:
        """Count ``rows`` more. Raises :class:`TableError` where there are too many."""
        self.rows += rows
        if self.rows > MOST_ROWS:
            raise TableError(f"there are more than {MOST_ROWS:,} rows, the most that are read: give a part of them")

    def features(self, features: Any) -> None:
        """Keep the names of labels in ``features`` as the Hub's library writes them; anything else has none."""
        for column, kind in features.items() if isinstance(features, dict) else ():
            if isinstance(kind, dict) and isinstance(kind.get("names"), list):
                self.names[str(column)] = [str(name) for name in kind["names"]]


def some(names: Sequence[str]) -> str:
    """The first of many names, for a message."""
    return ", ".join(names[:8]) + ", …" * (len(names) > 8)


def kind_of(path: Path) -> str:
    """The suffix that tells the format, in lower case and without that of a compression; empty if it tells none."""
    name = path.name.lower()
    plain = name.removesuffix(".gz").removesuffix(".zst")
    suffix = Path(plain).suffix
    return suffix if suffix in (SUFFIXES if plain == name else TEXTS) else ""


def rows_of(path: Path, reading: Reading) -> list[Row]:
    """The rows of a file, in order. Raises :class:`TableError`."""
    if not (kind := kind_of(path)):
        raise TableError(f"{path.name}: give {', '.join(SUFFIXES)} ({COMPRESSED}), or a folder of them")
    told = len(reading.repairs)
    most = reading.most or MOST_ROWS + 1 - reading.rows
    try:
        with contextlib.closing(_arrow(path, kind, reading) if kind in ARROW else _text(path, kind, reading)) as found:
            rows = list(islice(found, most))
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from None
    except TextError as error:
        raise TableError(f"{path.name} cannot be read: {error}") from None
    except MemoryError:
        raise TableError(f"{path} does not fit into memory") from None
    if not rows:
        raise TableError("; ".join([f"{path} holds no rows", *reading.repairs[told:]]))
    reading.count(len(rows))
    return rows


# -- text ------------------------------------------------------------------------------------------------------------


def _text(path: Path, kind: str, reading: Reading) -> Generator[Row, None, None]:
    if not reading.most and _size(path, reading.largest) > reading.largest:
        raise TableError(
            f"{path.name} has more than {reading.largest >> 30} GiB of text, the most that is read: give a part of it"
        )
    encoding = encodings.detect(path, reading.encoding, scan=not reading.most)
    with encodings.TextStream(path, encoding) as lines:
        reading.encodings[encodings.title(encoding)] = None
        try:
            if kind in (".csv", ".tsv"):
                yield from _csv(path.name, kind, lines, reading)
            else:
                lines.reconfigure(newline="\n")  # the other line ends may stand in JSON as they are
                yield from _json(path.name, lines, reading)
        finally:
            reading.repairs += lines.notices(path.name)


def _size(path: Path, limit: int) -> int:
    """Bytes of a text, decompressed; no more than just above ``limit`` are counted."""
    if kind_of(path) == path.suffix.lower():
        return path.stat().st_size
    size = 0
    with encodings.open_bytes(path) as file:
        while size <= limit and (block := file.read(encodings.BLOCK)):
            size += len(block)
    return size


# -- CSV -------------------------------------------------------------------------------------------------------------


def _csv(name: str, kind: str, lines: Iterator[str], reading: Reading) -> Iterator[Row]:
    tally, number = Tally(), 0
    single: list[list[str]] = []
    several: list[tuple[int, int, int, list[str]]] = []
    """rows of several lines: their number, the first and the last line, and the cells"""
    header: list[str] = []
    delimiter = ""
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        head = list(islice(lines, _SNIFFED))
        skipped = sum(1 for _ in takewhile(str.isspace, head))
        told = _SEP.fullmatch("".join(head[skipped : skipped + 1]))
        skipped += bool(told)
        head = head[skipped:]
        delimiter = told[1] if told else _delimiter(head, "\t" if kind == ".tsv" else "")
        reader = csv.reader(chain(head, lines), delimiter=delimiter)
        header = _header(name, next(reader, []), list(csv.reader(head, delimiter=delimiter))[1:])
        width, last = len(header), reader.line_num
        for number, cells in enumerate(reader, 1):
            first, last = last + 1, reader.line_num
            if first != last:
                several.append((number, first + skipped, last + skipped, cells))
            elif len(single) < _COMPARED:
                single.append(cells)
            if len(cells) == width:
                yield Row(zip(header, cells, strict=True), name, number)
            elif cells:
                more = "more" if len(cells) > width else "fewer"
                tally.add(f"left out with {more} cells than the header's {width}", f"row {number:,} in line {first:,}")
    except csv.Error as error:
        raise TableError(f"{name} is no readable CSV near row {number + 1:,} ({error})") from None
    finally:
        csv.field_size_limit(before)
        reading.repairs += [*tally.lines(name), *_swallowed(name, len(header), delimiter, single, several)]


def _delimiter(head: Sequence[str], preferred: str) -> str:
    """The delimiter of these first lines: of those in the header the one that most rows follow."""
    found = [delimiter for delimiter in ",;\t|" if delimiter in "".join(head[:1])]
    if preferred in found or not found:
        return preferred or ","

    def fitting(delimiter: str) -> tuple[float, int]:
        """Share of the rows with as many cells as the header, and these."""
        header, *rows = (len(cells) for cells in csv.reader(head, delimiter=delimiter) if cells)
        return sum(width == header for width in rows) / max(1, len(rows)), header

    return max(found, key=fitting) if len(found) > 1 else found[0]


def _header(name: str, cells: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Names of the columns. That of a first column that numbers the first ``rows`` may be missing or empty."""
    header = [cell.strip() for cell in cells]
    rows = [row for row in rows if row]
    numbered = bool(rows) and sum(is_number(row[0]) for row in rows) > len(rows) / 2
    if numbered and sum(len(row) == len(header) + 1 for row in rows) > len(rows) / 2:
        header = ["", *header]
    header = [cell or ("" if numbered and not place else f"column {place + 1}") for place, cell in enumerate(header)]
    _distinct(name, header)
    return header


def is_number(cell: Any) -> bool:
    """Whether a cell holds a whole number, as one that numbers the rows does."""
    return isinstance(cell, int) or (isinstance(cell, str) and cell.strip().isdecimal())


def _distinct(name: str, columns: Sequence[str]) -> None:
    if len(set(columns)) < len(columns):
        raise TableError(f"{name}: two columns have the same name ({', '.join(columns[:12])})")


def _swallowed(
    name: str,
    width: int,
    delimiter: str,
    single: Sequence[Sequence[str]],
    several: Sequence[tuple[int, int, int, list[str]]],
) -> list[str]:
    """Notices of rows of several lines that look like rows of their own, as after a quote that is not closed.

    Such a line has enough cells, and its first or last is one that rows of a ``single`` line have there.
    """
    if not several or width < 2:
        return []
    firsts, lasts = ({row[place].strip() for row in single if len(row) == width} - {""} for place in (0, -1))
    found = 0
    spans: list[tuple[int, int, int]] = []
    for number, first, last, cells in several:
        alike = 0
        for line in "\n".join(cell for cell in cells if "\n" in cell or "\r" in cell).splitlines():
            parts = line.split(delimiter)
            alike += len(parts) >= width and (parts[0].strip() in firsts or parts[-1].strip() in lasts)
        if alike:
            found += alike
            spans.append((number, first, last))
    if not spans:
        return []
    number, first, last = spans[0]
    lines = sum(last - first + 1 for _, first, last in spans)
    rows = "1 row has" if len(spans) == 1 else f"{len(spans):,} rows have"
    return [
        f"{name}: {rows} {lines:,} lines, {found:,} of which look like rows of their own; the first is row {number:,} "
        f'in lines {first:,} to {last:,}: is a quote (") not closed?'
    ]


# -- JSON ------------------------------------------------------------------------------------------------------------


def _json(name: str, lines: IO[str], reading: Reading) -> Iterator[Row]:
    """Objects of an array, at the top or under a key such as data, else of lines."""
    tally = Tally()
    head = lines.read(_CHUNK)
    opening = _ARRAY.match(head)
    with contextlib.suppress(ValueError, RecursionError):
        if opening and head.lstrip()[json.JSONDecoder().raw_decode(head.lstrip())[1] :].strip():
            opening = None  # it is one line of several
    try:
        if opening:
            values = _array(name, head, opening.end(), lines)
        else:
            head += lines.readline()
            values = _lines(chain(io.StringIO(head, newline="\n"), lines))
        for number, value in values:
            if isinstance(value, dict):
                yield Row(value, name, number)
            else:
                tally.add("left out that are no JSON objects", f"{'element' if opening else 'line'} {number:,}")
    finally:
        reading.repairs += tally.lines(name)


def _lines(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Number and value of every line that is not blank; None for what is no JSON."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _array(name: str, text: str, at: int, more: IO[str]) -> Iterator[tuple[int, Any]]:
    """Number, from 1, and value of the elements of an array that is open at a place of ``text``, and of ``more``."""
    decoder = json.JSONDecoder()
    number = 0
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] == "]":
            return
        reason = "it ends inside an array"
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            end, reason = len(text), str(error)
        if end < len(text):  # else it may go on
            number, at = number + 1, end
            yield number, value
        elif read := more.read(max(_CHUNK, len(text) - at)):
            text, at = text[at:] + read, 0
        else:
            raise TableError(f"{name} is no readable JSON near element {number + 1:,} ({reason})")


# -- Arrow -----------------------------------------------------------------------------------------------------------


def _arrow(path: Path, kind: str, reading: Reading) -> Generator[Row, None, None]:
    """Rows of a Parquet file or of what ``save_to_disk`` writes, a block of them in memory at a time."""
    import pyarrow
    import pyarrow.parquet

    number, size = 0, min(reading.most or _CHUNK, _CHUNK)
    try:
        if kind == ".parquet":
            file = pyarrow.parquet.ParquetFile(path)
            schema, batches = file.schema_arrow, file.iter_batches(size)
        else:
            file = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
            schema, batches = file.schema, iter(file)
        _distinct(path.name, schema.names)
        with contextlib.suppress(TypeError, KeyError, ValueError):
            reading.features(json.loads(schema.metadata[b"huggingface"])["info"]["features"])
        for batch in batches:
            for start in range(0, len(batch), size):
                for row in batch.slice(start, size).to_pylist():
                    number += 1
                    yield Row(row, path.name, number)
    except pyarrow.ArrowException as error:
        what = "Parquet" if kind == ".parquet" else "Arrow stream"
        raise TableError(f"{path.name} is no readable {what} ({str(error).splitlines()[0]})") from None
