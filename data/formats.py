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
from pathlib import Path, PurePath
from typing import IO, Any

from data import encodings
from data.encodings import TextError

TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
ARROW = (".parquet", ".arrow")
SPLITS = {"train": "train", "training": "train"}
SPLITS |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
SPLITS |= dict.fromkeys(("test", "testing", "eval", "evaluation"), "test")
SUFFIXES = TEXTS + ARROW
COMPRESSED = "texts also compressed as .gz or .zst"
LARGEST = 2 << 30  # bytes of a file of text, decompressed
MOST_ROWS = 2_000_000  # of a data set
LARGEST_OBJECT = 1 << 28  # characters of a JSON object that holds splits or columns
LARGEST_CELL = 1 << 27  # characters; what the csv module may hold before a text is cut
_CHUNK = 1 << 16  # characters, or rows of a Parquet file
_SNIFFED = 50  # lines of a CSV that tell its delimiter
_COMPARED = 10_000  # rows that tell what rows look like
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # the line before the header by which Excel tells the delimiter
_BETWEEN = re.compile(r"[\s,]*")
_OPENED = r"""\s*\{(?:\s*"[^"\\]*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\w.+-]+)\s*,)*\s*"""  # an object after plain values
_OBJECT = re.compile(_OPENED + r"""(?:"[^"\\]*")\s*:\s*[\[{]""")  # with rows or a column
_ARRAY = re.compile(rf"""\s*\[|{_OPENED}"(?:data|rows|examples)"\s*:\s*\[(?=\s*\{{)""")  # at the top, or of objects


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
    """Rows of a file or a split by what was done with them, and the first of each."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], str] = {}

    def add(self, where: str, what: str, place: str) -> None:
        """One more row of ``where`` of which ``what`` is said, which reads after "3 rows"."""
        self._counts[where, what] += 1
        self._first.setdefault((where, what), place)

    def lines(self) -> list[str]:
        """A sentence for each."""
        return [
            f"{where}: {count:,} row{'s' * (count != 1)} {what}; the first is {self._first[where, what]}"
            for (where, what), count in self._counts.items()
        ]


@dataclass
class Reading:
    """How files are read, and what is found in them beside their rows."""

    most: int = 0
    """rows of a file; 0 for all"""
    encoding: str = ""
    """of the texts; found in each file where it is not given"""
    largest: int = field(default_factory=lambda: LARGEST)
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


def kind_of(path: PurePath) -> str:
    """The suffix that tells the format, in lower case and without that of a compression; empty if it tells none."""
    name = path.name.lower()
    plain = encodings.uncompressed(name)
    suffix = Path(plain).suffix
    return suffix if suffix in (SUFFIXES if plain == name else TEXTS) else ""


def split_word(name: str) -> str:
    """The first word of a name that tells a split; empty where none does."""
    return next((word for word in re.findall(r"[a-z]+", name.lower()) if word in SPLITS), "")


def split_called(name: str) -> str:
    """The split that a file's or a cell's name tells: ``dev`` and ``val-00000-of-00001`` are validation."""
    return SPLITS.get(split_word(name), "")


def rows_of(path: Path, reading: Reading) -> list[Row]:
    """The rows of a file, in order. Raises :class:`TableError`."""
    told = len(reading.repairs)
    with contextlib.closing(stream(path, reading)) as found:
        rows = list(islice(found, MOST_ROWS + 1 - reading.rows))
    if not rows:
        raise TableError("; ".join([f"{path} holds no rows", *reading.repairs[told:]]))
    reading.count(len(rows))
    return rows


def stream(path: Path, reading: Reading) -> Generator[Row, None, None]:
    """The rows of a file, one after the other. Raises :class:`TableError`."""
    if not (kind := kind_of(path)):
        raise TableError(f"{path.name}: give {', '.join(SUFFIXES)} ({COMPRESSED}), or a folder of them")
    try:
        with contextlib.closing(_arrow(path, kind, reading) if kind in ARROW else _text(path, kind, reading)) as found:
            yield from islice(found, reading.most or None)
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from None
    except TextError as error:
        raise TableError(f"{path.name} cannot be read: {error}") from None
    except MemoryError:
        raise TableError(f"{path} does not fit into memory") from None


# -- text ------------------------------------------------------------------------------------------------------------


def _text(path: Path, kind: str, reading: Reading) -> Generator[Row, None, None]:
    if not reading.most and _size(path, reading.largest) > reading.largest:
        raise TableError(
            f"{path.name} has more than {reading.largest >> 30} GiB of text, the most that is read: give a part of it"
        )
    encoding = encodings.detect(path, reading.encoding, scan=not reading.most)
    reading.encodings[encodings.title(encoding)] = None
    if kind not in (".csv", ".tsv") and encoding == "utf-8-sig" and _is_json_lines(path):
        yield from _objects(path.name, "line", _utf8_lines(path, reading), reading)
        return
    with encodings.TextStream(path, encoding) as lines:
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
    if path.suffix.lower() not in encodings.COMPRESSED:
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
        top, below = next(reader, []), list(csv.reader(head, delimiter=delimiter))[1:]
        headless = _is_data(top, below)
        header = [str(place + 1) for place in range(len(top))] if headless else _header(name, top, below)
        width, last = len(header), 0 if headless else reader.line_num
        if headless:
            reading.repairs.append(f"{name}: no header, since the first row looks like data; columns are 1 to {width}")
        for number, cells in enumerate(chain([top] * headless, reader), 1):
            first, last = last + 1, reader.line_num
            if first != last:
                several.append((number, first + skipped, last + skipped, cells))
            elif len(single) < _COMPARED:
                single.append(cells)
            if len(cells) == width:
                yield Row(zip(header, cells, strict=True), name, number)
            elif cells:
                more = "more" if len(cells) > width else "fewer"
                place = f"row {number:,} in line {first:,}"
                tally.add(name, f"left out with {more} cells than the header's {width}", place)
    except csv.Error as error:
        raise TableError(f"{name} is no readable CSV near row {number + 1:,} ({error})") from None
    finally:
        csv.field_size_limit(before)
        reading.repairs += [*tally.lines(), *_swallowed(name, len(header), delimiter, single, several)]


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


def _is_data(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a first row is no header: one of its cells occurs in its column twice or more below.

    Numbers in order are names of columns, as pandas gives them.
    """
    named = [cell for cell in cells if cell.strip()]
    if named in ([str(place + first) for place in range(len(named))] for first in (0, 1)):
        return False
    below = zip(*(row for row in rows if len(row) == len(cells)), strict=True)
    return any(cell.strip() and column.count(cell) > 1 for cell, column in zip(cells, below, strict=False))


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


def _is_json_lines(path: Path) -> bool:
    """Whether the first line of a file in UTF-8 is an object of its own, and not the only one."""
    with encodings.open_bytes(path) as file:
        first, second = file.readline(_CHUNK), file.readline(_CHUNK)
    return isinstance(_value(first.decode("utf-8-sig", "replace")), dict) and bool(second.strip())


def _json(name: str, lines: IO[str], reading: Reading) -> Iterator[Row]:
    """Objects of an array, at the top or under a key such as data, of splits or columns, else of lines."""
    head = lines.read(_CHUNK)
    opening = _ARRAY.match(head)
    with contextlib.suppress(ValueError, RecursionError):
        if opening and head.lstrip()[json.JSONDecoder().raw_decode(head.lstrip())[1] :].strip():
            opening = None  # it is one line of several
    if opening:
        yield from _objects(name, "element", _array(name, head, opening.end(), lines), reading)
        return
    head += lines.readline()
    first, _, rest = head.lstrip().partition("\n")
    if _OBJECT.match(first + rest) and not (rest.strip() and isinstance(_value(first), dict)):
        head += lines.read(LARGEST_OBJECT)
        if splits := _of_object(_value(head), name, reading):
            for split, rows in splits.items():
                told = [{**row, "split": split} if split and isinstance(row, dict) else row for row in rows]
                yield from _objects(f"{name} ({split})" if split else name, "element", enumerate(told, 1), reading)
            return
    yield from _objects(name, "line", _lines(chain(io.StringIO(head, newline="\n"), lines)), reading)


def _of_object(value: Any, name: str, reading: Reading) -> dict[str, list[Any]]:
    """The rows in an object by the split; by an empty name where it is one of columns."""
    if not isinstance(value, dict):
        return {}
    splits = {key: rows for key, part in value.items() if split_called(key) and (rows := _table(part))}
    if splits and (left := [key for key in value if key not in splits]):
        reading.repairs.append(f"{name}: not used: {some(left)}")
    return splits or ({"": rows} if (rows := _table(value)) else {})


def _table(value: Any) -> list[Any]:
    """A list of objects, or the rows of columns: lists, or objects by index as pandas writes them.

    It also writes lists of cells with the names of their columns.
    """
    if isinstance(value, dict) and value.keys() >= {"columns", "data"}:
        value = [dict(zip(value["columns"], row, strict=False)) for row in value["data"]]
    if isinstance(value, list):
        return value if any(isinstance(row, dict) for row in value) else []
    if not isinstance(value, dict) or len(value) < 2 or not all(isinstance(one, dict | list) for one in value.values()):
        return []
    if len({tuple(one) if isinstance(one, dict) else len(one) for one in value.values()}) > 1:
        return []
    columns = [one.values() if isinstance(one, dict) else one for one in value.values()]
    return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _value(text: str) -> Any:
    """What a text stands for; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _objects(name: str, what: str, values: Iterable[tuple[int, Any]], reading: Reading) -> Iterator[Row]:
    """Rows of those of the numbered values that are objects; the others are counted."""
    tally = Tally()
    try:
        for number, value in values:
            if type(value) is dict:
                yield Row(value, name, number)
            elif isinstance(value, list) and len(value) == 3 and isinstance(value[1], list):  # as DREAM's authors do
                yield Row(zip(("dialogue", "questions", "id"), value, strict=True), name, number)
            else:
                tally.add(name, "left out that are no JSON objects", f"{what} {number:,}")
    finally:
        reading.repairs += tally.lines()


def _lines(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Number and value of every line that is not blank; None for what is no JSON."""
    return ((number, _value(line)) for number, line in enumerate(lines, 1) if line.strip())


def _utf8_lines(path: Path, reading: Reading) -> Iterator[tuple[int, Any]]:
    """As :func:`_lines` of a file in UTF-8, in half the time."""
    replaced = first = 0
    try:
        with encodings.open_bytes(path) as file:
            for number, line in enumerate(file, 1):
                try:
                    value = json.loads(line.decode())
                except (ValueError, RecursionError):  # also for a byte order mark
                    decoded = encodings.decode(line, "utf-8")
                    replaced, first = replaced + decoded.replaced, first or number * bool(decoded.replaced)
                    value = _value(decoded.text)
                if value is not None or line.strip():
                    yield number, value
    finally:
        reading.repairs += encodings.notices(path.name, "utf-8", replaced, first)


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
