"""Collections for retrieval in the BEIR layout: found by name, read from files, the Hub, or what is bundled.

``corpus.jsonl``, ``queries.jsonl`` and ``qrels/{train,dev,test}.tsv`` in a folder, also compressed or as Parquet, the
same from the Hub, or one's own documents (a table, or texts), which can be searched but not judged. What cannot be
used is left out, and counted with the place of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from typing import Any

from data import encodings, formats, passages, sources
from data.collection import LONGEST, SPLITS, BeirError, Collection, Gathering, Qrels
from data.encodings import TextError
from data.formats import Reading, Row, TableError, kind_of, split_called
from data.hub import ABOUT, Fetched, possible
from data.sources import column_called

__all__ = ["BUNDLED", "LONGEST", "SPLITS", "BeirError", "Collection", "Qrels", "load"]

BUNDLED = "workshop"
LARGEST = 1 << 32  # bytes of a file of a collection
LOOKED_AT = 100  # records that tell which fields there are
# Names of fields, the likeliest first.
_ID = ("_id", "id", "doc_id", "docid", "docno", "pid", "corpus-id", "corpus_id", "qid", "query-id", "query_id")
_TITLE = ("title", "headline")
_DOCUMENT = ("text", "contents", "content", "passage", "body", "document", "abstract", "segment", "sentence")
_QUERY = ("text", "query", "question", "title", "sentence")
_JUDGED = (
    ("query-id", "query_id", "qid", "query"),
    ("corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "pid"),
    ("score", "relevance", "grade", "label", "rel"),
)


def load(
    name: str,
    *,
    text_column: str = "",
    encoding: str = "",
    most: int = 0,
    fetched: Mapping[str, Fetched] | None = None,
) -> Collection:
    """The collection that ``name`` names: ``workshop`` (bundled), a folder in BEIR layout, own documents, or the Hub's.

    ``text_column`` is the field of the documents' texts, found by its name where it is empty; files are read in
    ``encoding``, or in the one that is found. Where ``most`` is not 0, only so many rows of each file are read, to
    look at them: judgements of other documents are passed over. ``fetched`` are the files of a collection on the Hub:
    its corpus, queries and qrels. Raises :class:`BeirError` and :class:`OSError`.
    """
    if not name.strip():
        raise BeirError(f"no collection named: give {BUNDLED}, a folder, or a name on the Hub such as BeIR/scifact")
    found = Gathering(Reading(most, encoding, LARGEST))
    try:
        if name == BUNDLED:
            with resources.as_file(resources.files("data").joinpath("bundled", BUNDLED)) as folder:
                return _folder(Path(folder), name, "bundled with the program", "", found)
        if (path := sources.existing(name)) is not None:
            return _path(path, str(path.absolute()), text_column, found)
        if fetched is not None:
            return _hub(name, fetched, text_column, found)
    except (TableError, TextError) as error:
        raise BeirError(str(error)) from None
    hint = "" if possible(name) else ", and it is not a valid name on the Hub"
    raise BeirError(f"there is no folder {name[:200]!r}{hint}")


def _path(path: Path, source: str, text_column: str, found: Gathering) -> Collection:
    """A folder in BEIR layout, else a table of documents, or texts."""
    if path.is_dir() and _tables(path, "corpus", found):
        return _folder(path, path.name, source, text_column, found)
    texts, others = passages.texts(path)
    if texts:
        passages.gather(texts, others, found)
        return found.build(path.name, source)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    tables = [file for file in files if file.is_file() and kind_of(file) and file.name not in ABOUT]
    if len(tables) == 1:
        if others := [name for name in others if name != tables[0].name]:
            found.checks.append(f"not used: {formats.some(others)}, beside {tables[0].name}")
        _take(_records(tables, found), found, text_column=text_column, own=True)
        found.checks.append("a table of documents; no queries or qrels: search only")
        return found.build(path.name, source)
    if tables:
        raise BeirError(f"{path} holds {', '.join(file.name for file in tables[:8])}: name the one of the documents")
    raise BeirError(
        f"{path} holds neither corpus.jsonl (BEIR layout), nor a table of documents ({', '.join(formats.SUFFIXES)}), "
        f"nor texts ({', '.join(passages.SUFFIXES)})"
    )


# -- documents and queries -------------------------------------------------------------------------------------------


def _folder(path: Path, name: str, source: str, text_column: str, found: Gathering) -> Collection:
    _take(_records(_tables(path, "corpus", found), found), found, text_column=text_column)
    if queries := _tables(path, "queries", found):
        _take(_records(queries, found), found, queries=True)
    qrels = _qrels(path)
    for file, split in qrels:
        label = file.relative_to(path.parent if path not in file.parents else path).as_posix()
        _judge(_judgements(file, label, found), label, split, found)
    if not queries:
        found.checks.append("there is no queries.jsonl: search only, no evaluation")
    elif not qrels:
        found.checks.append("there is no qrels/train.tsv, dev.tsv or test.tsv: no evaluation")
    return found.build(name, source)


def _tables(folder: Path, what: str, found: Gathering) -> list[Path]:
    """Files of ``corpus`` or ``queries``: one of that name, ``.jsonl`` first, or those in a folder of that name."""
    single = [file for file in folder.glob(f"{what}.*") if file.is_file() and kind_of(file)]
    single.sort(key=lambda file: (file.name != f"{what}.jsonl", file.name))
    inner = [file for file in sorted((folder / what).rglob("*")) if kind_of(file) and file.name not in ABOUT]
    used = single[:1] or [file for file in inner if kind_of(file) == kind_of(inner[0])]
    if left := [str(file.relative_to(folder)) for file in (*single, *inner) if file not in used]:
        note = f"not used: {formats.some(left)}, beside {used[0].name}"
        found.checks += [note] if note not in found.checks else []
    return used


def _records(files: Iterable[Path], found: Gathering) -> Iterator[Row]:
    return chain.from_iterable(formats.stream(file, found.reading) for file in files)


def _take(
    records: Iterator[Row], found: Gathering, *, queries: bool = False, text_column: str = "", own: bool = False
) -> None:
    """Take in documents or queries, whose fields are found by their names in the first records.

    One's ``own`` documents are called by their line where no field is an id.
    """
    first = list(islice(records, LOOKED_AT))
    if not first:
        return
    file, columns = first[0].file, sources.columns_of(first)
    key, text = column_called(columns, _ID), text_column or column_called(columns, _QUERY if queries else _DOCUMENT)
    title = "" if queries else column_called(columns, _TITLE)
    if not text and own:
        texts = [column for column in columns if column not in (key, title) and isinstance(first[0].get(column), str)]
        text = texts[0] if len(texts) == 1 else ""
    if text not in columns and (text_column or own):
        problem = f"no field {text!r} in {file}" if text else f"no field of {file} is known to be the documents' text"
        raise BeirError(f"{problem}: name one of {', '.join(columns)} as text column")
    used = {"id": key, "title": title, "text": text}
    unused = [column for column in columns if column not in used.values()]
    told = f"; not used: the field{'s' * (len(unused) != 1)} {', '.join(map(repr, unused))}" if unused else ""
    roles = ", ".join(f"{role} from {column!r}" for role, column in used.items() if column)
    found.checks.append(f"{file}: {roles}{told}")
    put = found.query if queries else found.document
    for record in chain(first, records):
        file, number = record.file, record.line
        name = _key(record.get(key)) if key or not own else str(number)
        content, heading = _text(record.get(text)), _text(record.get(title))
        if name and content is not None and heading is not None:
            put(name, heading, content, file, number)
        else:
            broken = text if content is None else title
            found.leave(file, f"with a {broken} that is no text" if name else "without an id", f"line {number:,}")


def _key(value: Any) -> str:
    """An id as text, a number as a whole one; empty for anything else."""
    if type(value) is str:
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return ""
    return str(int(value))


def _text(value: Any) -> str | None:
    """A cell as text, empty for an empty one; None for what is no text."""
    if type(value) is str:
        return value.strip()
    if value is None or value != value:
        return ""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# -- relevance judgements --------------------------------------------------------------------------------------------


def _qrels(folder: Path) -> list[tuple[Path, str]]:
    """Files of relevance judgements and their splits, from the first place that has any.

    Those are ``qrels/``, ``qrels.tsv`` beside the corpus, and the Hub's ``NAME-qrels/`` and ``data/``. Where a name
    tells no split it is test.
    """
    beside = folder.parent / f"{folder.name}-qrels"
    inner = (sorted(place.rglob("*")) for place in (folder / "qrels", beside, folder / "data"))
    for files in (*inner, sorted(folder.glob("qrels*"))):
        found = []
        for file in files:
            suffix = Path(encodings.uncompressed(file.name)).suffix
            if file.is_file() and (kind_of(file) or suffix in (".txt", ".qrels", ".trec")):
                split = split_called(file.name) or split_called(file.parent.name) or "test"
                found.append((file, _split(split)))
        if found:
            return found
    return []


def _split(name: str) -> str:
    return "dev" if name == "validation" else name


def _judgements(file: Path, label: str, found: Gathering) -> Iterator[tuple[int, Sequence[Any]]]:
    """Lines of a file of qrels as cells, which tabs, commas or spaces part, or rows of a table."""
    if kind_of(file) not in ("", ".tsv", ".csv"):
        yield from _cells(formats.rows_of(file, found.reading))
        return
    with encodings.open_text(file, found.reading.encoding) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                separator = next((one for one in "\t," if line.count(one) >= 2), None)
                yield number, [cell.strip(' \r\n"') for cell in line.split(separator)]
        found.reading.repairs += lines.notices(label)


def _cells(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Sequence[Any]]]:
    """The columns of a table, as row 0, and its rows."""
    for number, row in enumerate(rows, 1):
        if number == 1:
            yield 0, list(row)
        yield number, list(row.values())


def _judge(rows: Iterable[tuple[int, Sequence[Any]]], label: str, split: str, found: Gathering) -> None:
    """Take in rows of query, document and grade, of TREC's four columns, or in the order of a header."""
    order: Sequence[int] = ()
    for number, cells in rows:
        if not order:
            header = [column_called([*map(str, cells)], names) for names in _JUDGED]
            order = (
                [cells.index(name) for name in header] if all(header) else (0, 2, 3) if len(cells) == 4 else (0, 1, 2)
            )
            if all(header) or (any(header) and not number):
                continue
        try:
            query, document = (_key(cells[place]) for place in order[:2])
            grade = float(cells[order[2]])
        except (ValueError, TypeError, IndexError):
            query = ""
        if query and document:
            found.grade(split, query, document, grade, label, number)
        else:
            found.leave(label, "without query, document and grade", f"line {number:,}")


# -- the Hub ---------------------------------------------------------------------------------------------------------


def _hub(name: str, fetched: Mapping[str, Fetched], text_column: str, found: Gathering) -> Collection:
    for what in ("corpus", "queries"):
        splits = fetched[what].splits
        files = next((splits[split] for split in (what, "train") if split in splits), next(iter(splits.values())))
        rows = sources.hub_rows(files, f"{name}:{what}", found.reading)
        _take(rows, found, queries=what == "queries", text_column=text_column if what == "corpus" else "")
    for told, files in fetched["qrels"].splits.items():
        split = _split(split_called(told) or told)
        for file in files if split in SPLITS else ():
            _judge(_judgements(file, f"{told} qrels", found), f"{told} qrels", split, found)
    return found.build(name, f"{fetched['corpus'].source} ({name})")
