"""Collections for retrieval in the BEIR layout: documents, queries, and which documents are relevant to which query.

``corpus.jsonl``, ``queries.jsonl`` and ``qrels/{train,dev,test}.tsv`` in a folder, the same from the Hub, or a folder
of one's own text files, which can be searched but not judged. What is wrong with a file is said with its line; what
can be left out is left out and told.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from data import sources

BUNDLED = "workshop"
LONGEST = 50_000  # characters of a document that are kept
PASSAGE = 1200  # characters of one's own text in one document
LARGEST = 1 << 32  # bytes of a file of a collection
SUFFIXES = (".txt", ".md", ".rst", ".text", ".tex", ".org")
SPLITS = ("train", "dev", "test")
SHOWN = 3  # examples in a message
Qrels = Mapping[str, Mapping[str, int]]
"""query id to document id to grade, 1 or more"""


class BeirError(Exception):
    """The collection cannot be used; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Collection:
    """Documents in order, queries by id, and for each split the relevant documents of its queries."""

    name: str
    source: str
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    texts: tuple[str, ...]
    queries: Mapping[str, str]
    qrels: Mapping[str, Qrels]
    checks: tuple[str, ...] = field(default=())
    """what was found and left as it is, in words"""
    repairs: tuple[str, ...] = field(default=())
    """what was left out, in words"""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def documents(self) -> list[str]:
        """What rankers read: title and text in one."""
        return [f"{title} {text}".strip() for title, text in zip(self.titles, self.texts, strict=True)]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Place of each document id."""
        return {name: row for row, name in enumerate(self.ids)}

    @property
    def judged(self) -> str:
        """The split that rankers are judged on; empty when there are no qrels."""
        return next((split for split in ("test", "dev", "train") if self.qrels.get(split)), "")

    def relevant(self, split: str, query: str) -> dict[int, int]:
        """Rows of the documents relevant to a query, with their grades."""
        return {self.rows[name]: grade for name, grade in self.qrels.get(split, {}).get(query, {}).items()}

    def own(self, split: str, query: str) -> int | None:
        """Row of the document that has the id of a query and is not relevant to it, as where queries are documents.

        As in BEIR it is no answer to the query.
        """
        return None if query in self.qrels.get(split, {}).get(query, {}) else self.rows.get(query)

    @cached_property
    def corpus_fingerprint(self) -> str:
        """SHA-256 of the documents and their ids."""
        digest = hashlib.sha256()
        for part in (*self.ids, *self.documents):
            content = part.encode("utf-8", "replace")
            digest.update(len(content).to_bytes(8, "little") + content)
        return digest.hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of documents, queries and qrels."""
        digest = hashlib.sha256(self.corpus_fingerprint.encode())
        rest = [
            dict(self.queries),
            {split: {q: dict(d) for q, d in part.items()} for split, part in self.qrels.items()},
        ]
        digest.update(json.dumps(rest, sort_keys=True).encode("utf-8", "replace"))
        return digest.hexdigest()


def load(name: str, *, unreachable: Callable[[], str] = lambda: "") -> Collection:
    """The collection that ``name`` names: ``workshop`` (bundled), a folder in BEIR layout or of texts, or the Hub's.

    ``unreachable`` says why the Hub cannot be asked, or nothing. Raises :class:`BeirError` and :class:`OSError`.
    """
    if not name.strip():
        raise BeirError(f"no collection named: give {BUNDLED}, a folder, or a name on the Hub such as BeIR/scifact")
    if name == BUNDLED:
        with resources.as_file(resources.files("data").joinpath("bundled", BUNDLED)) as folder:
            return _folder(Path(folder), name, "bundled with the program")
    if (path := sources.existing(name)) is not None:
        if not path.is_dir():
            raise BeirError(f"{path} is no folder: give one with corpus.jsonl, queries.jsonl and qrels/, or with texts")
        if (path / "corpus.jsonl").is_file():
            return _folder(path, path.name or name, str(path.absolute()))
        return texts(path)
    if sources.possible(name):
        return _hub(name, unreachable)
    raise BeirError(f"there is no folder {name[:200]!r}, and no data set on the Hub can be called so")


def texts(folder: Path) -> Collection:
    """One's own text files as a collection without queries: each file cut into passages at its paragraphs.

    Files that are no UTF-8 are read with replacement characters. Raises :class:`BeirError` when there are none.
    """
    builder = _Builder()
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        name = file.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in Path(name).parts):
            continue
        content = file.read_bytes()
        if b"\0" in content[:4096]:
            builder.left("files that are no text", name)
            continue
        pieces = list(_passages(content.decode("utf-8", "replace")))
        for number, piece in enumerate(pieces, 1):
            builder.document(name if len(pieces) == 1 else f"{name}#{number}", file.stem, piece)
    if not builder.ids:
        raise BeirError(
            f"{folder} holds neither corpus.jsonl (BEIR layout) nor texts ({', '.join(SUFFIXES)}) with a word in them"
        )
    builder.checks.append("a folder of texts: it can be searched; without queries and qrels nothing can be judged")
    return builder.build(folder.name, str(folder.absolute()))


class _Builder:
    """Collects a collection and what had to be left out of it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._titles: list[str] = []
        self._texts: list[str] = []
        self._known: set[str] = set()
        self._spoken: dict[str, str] = {}
        self._qrels: dict[str, dict[str, dict[str, int]]] = {}
        self._left: dict[str, list[str]] = {}
        self._empty_queries: set[str] = set()
        self.checks: list[str] = []

    def left(self, what: str, example: str) -> None:
        """Something that is left out."""
        self._left.setdefault(what, []).append(example)

    def document(self, name: str, title: str, text: str) -> None:
        if name in self._known:
            return self.left("documents whose id was there already", name)
        if not (title.strip() or text.strip()):
            return self.left("documents without a text", name)
        self._known.add(name)
        self.ids.append(name)
        self._titles.append(title.strip()[:LONGEST])
        self._texts.append(text.strip()[:LONGEST])
        return None

    def query(self, name: str, text: str) -> None:
        if name in self._spoken or name in self._empty_queries:
            return self.left("queries whose id was there already", name)
        if not text.strip():
            self._empty_queries.add(name)
            return self.left("queries without a text", name)
        self._spoken[name] = text.strip()[:LONGEST]
        return None

    def grade(self, split: str, query: str, document: str, grade: float) -> None:
        if grade % 1:
            return self.left(f"{split} qrels whose grade is no whole number", f"{grade:g} for query {query}")
        if grade <= 0:
            return None
        if query not in self._spoken:
            self.left(f"{split} qrels of queries that are not there", query)
        elif document not in self._known:
            self._qrels.setdefault(split, {}).setdefault(query, {})
            self.left(f"{split} qrels that name documents that are not there", f"{document} of query {query}")
        else:
            self._qrels.setdefault(split, {}).setdefault(query, {})[document] = int(grade)
        return None

    def build(self, name: str, source: str) -> Collection:
        if not self.ids:
            raise BeirError(f"{source}: the corpus is empty" + "".join(f"; {line}" for line in self._lines()))
        kept: dict[str, dict[str, dict[str, int]]] = {}
        for split in SPLITS:
            for query, found in self._qrels.get(split, {}).items():
                if found:
                    kept.setdefault(split, {})[query] = found
                else:
                    self.left(f"{split} queries without a relevant document", query)
        shared = set(kept.get("train", {})) & set(kept.get("test", {}))
        if shared:
            self.left("train queries that are in test too", sorted(shared)[0])
            kept["train"] = {query: found for query, found in kept["train"].items() if query not in shared}
        spaced = [one for one in (*self.ids, *self._spoken) if any(map(str.isspace, one))]
        if spaced:
            self.checks.append(f"{_many(len(spaced), 'id')} with spaces, such as {spaced[0]!r}: used as they are")
        judged = set().union(*kept.values()) if kept else set()
        if (idle := len(self._spoken) - len(judged)) and kept:
            self.checks.append(f"{_many(idle, 'query', 'queries')} that no qrels name: not judged")
        both = [(query, found) for part in kept.values() for query, found in part.items() if query in self._known]
        owned = sorted({query for query, found in both if query not in found})
        if owned:
            checks = f"{_many(len(owned), 'query', 'queries')} with the id of a document, such as {owned[0]!r}"
            self.checks.append(f"{checks}: a query's own document is not ranked for it, as in BEIR")
        copies = len(self._texts) - len({*zip(self._titles, self._texts, strict=True)})
        if copies:
            self.checks.append(f"{_many(copies, 'document')} with the text of another one")
        parts = (tuple(self.ids), tuple(self._titles), tuple(self._texts))
        return Collection(name, source, *parts, self._spoken, kept, tuple(self.checks), tuple(self._lines()))

    def _lines(self) -> list[str]:
        result = []
        for what, names in self._left.items():
            more = ", …" if len(names) > SHOWN else ""
            result.append(f"left out {what}: {len(names):,} ({', '.join(names[:SHOWN])}{more})")
        return result


def _folder(path: Path, name: str, source: str) -> Collection:
    builder = _Builder()
    for where, record in _records(path / "corpus.jsonl", builder):
        builder.document(_id(record, where), _text(record, "title", where), _text(record, "text", where))
    queries = path / "queries.jsonl"
    if queries.is_file():
        for where, record in _records(queries, builder):
            builder.query(_id(record, where), _text(record, "text", where))
    found = 0
    for split in SPLITS:
        file = path / "qrels" / f"{split}.tsv"
        if file.is_file():
            found += 1
            _read_qrels(file, split, builder)
    if not queries.is_file():
        builder.checks.append("there is no queries.jsonl: it can be searched, but nothing can be judged")
    elif not found:
        builder.checks.append("there is no qrels/train.tsv, dev.tsv or test.tsv: nothing can be judged")
    return builder.build(name, source)


def _records(file: Path, builder: _Builder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record with where it is; lines that are no JSON are left out, unless all are."""
    if not file.is_file():
        raise BeirError(f"{file} is not there")
    if file.stat().st_size > LARGEST:
        raise BeirError(f"{file} is larger than {LARGEST >> 30} GiB")
    good, broken = 0, ""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{file.name} line {number:,}"
            try:
                record = json.loads(line.removeprefix(codecs.BOM_UTF8))
                if not isinstance(record, dict):
                    raise ValueError("no object")
            except (ValueError, RecursionError) as error:
                reason = f"{where} is no JSON object ({str(error)[:100]})"
                broken = broken or reason
                builder.left("lines that are no JSON objects", where)
                continue
            good += 1
            yield where, record
    if broken and not good:
        raise BeirError(f"{file.parent}: {broken}")


def _id(record: Mapping[str, Any], where: str) -> str:
    found = record.get("_id", record.get("id"))
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise BeirError(f"{where}: there is no _id")
    return str(found)


def _text(record: Mapping[str, Any], key: str, where: str) -> str:
    found = record.get(key)
    if found is not None and not isinstance(found, str):
        raise BeirError(f"{where}: {key} is no text")
    return found or ""


def _read_qrels(file: Path, split: str, builder: _Builder) -> None:
    """Lines of query, document and grade, or TREC's four columns; a header is passed over."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            content = line.decode("utf-8", "replace").strip("\r\n").removeprefix("\ufeff")
            if not content.strip():
                continue
            cells = [cell.strip() for cell in content.split("\t")]
            if len(cells) == 1 and len(content.split()) in (3, 4):
                cells = content.split()
            if len(cells) == 4:
                cells = [cells[0], *cells[2:]]
            try:
                query, document, grade = cells
                value = float(grade)
            except ValueError:
                if number > 1:
                    builder.left(
                        "lines of qrels without query, document and grade", f"qrels/{file.name} line {number:,}"
                    )
                continue
            builder.grade(split, query, document, value)


def _hub(name: str, unreachable: Callable[[], str]) -> Collection:
    """``owner/name`` with its configurations corpus and queries, and ``owner/name-qrels``."""
    builder = _Builder()
    for row in _rows(f"{name}:corpus", unreachable, ("corpus", "train")):
        builder.document(_id(row, name), str(row.get("title") or ""), str(row.get("text") or ""))
    for row in _rows(f"{name}:queries", unreachable, ("queries", "train")):
        builder.query(_id(row, name), str(row.get("text") or ""))
    for split, rows in _tables(f"{name}-qrels", unreachable).items():
        called = "dev" if split == "validation" else split
        for row in rows if called in SPLITS else ():
            builder.grade(called, str(row["query-id"]), str(row["corpus-id"]), float(row["score"]))
    return builder.build(name, f"the Hub ({name})")


def _rows(name: str, unreachable: Callable[[], str], splits: tuple[str, ...]) -> Any:
    tables = _tables(name, unreachable)
    return next((tables[split] for split in splits if split in tables), next(iter(tables.values())))


def _tables(name: str, unreachable: Callable[[], str]) -> Mapping[str, Any]:
    repository, _, configuration = name.partition(":")
    if not sources.is_cached(repository) and (reason := unreachable()):
        raise BeirError(
            f"the collection {repository!r} cannot be had: no folder is called so, it is not cached, and {reason}. "
            f"{BUNDLED} is bundled, and folders in BEIR layout or of text files can be given by path"
        )
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded: Mapping[str, Any] = datasets.load_dataset(
            repository, configuration or None, download_config=datasets.DownloadConfig(max_retries=1)
        )
    except Exception as error:  # whatever a stranger's repository makes it raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise BeirError(f"{name} cannot be loaded from the Hub ({first})") from None
    if not loaded:
        raise BeirError(f"{name} on the Hub is empty")
    return loaded


def _passages(content: str) -> Iterator[str]:
    """Paragraphs put together up to ``PASSAGE`` characters; a longer one is cut at spaces."""
    held = ""
    for paragraph in content.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        rest = " ".join(paragraph.split())
        while rest:
            if held and len(held) + len(rest) + 1 > PASSAGE:
                yield held
                held = ""
            if len(rest) <= PASSAGE:
                held = f"{held} {rest}".strip()
                break
            cut = rest.rfind(" ", 0, PASSAGE) + 1 or PASSAGE
            yield rest[:cut].strip()
            rest = rest[cut:].lstrip()
    if held:
        yield held


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one}" if count == 1 else f"{count:,} {more or one + 's'}"
