"""A collection to search: documents, queries, relevance judgements, and what was left out of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from data.formats import Reading, Tally

LONGEST = 50_000  # characters of a document that are kept
SPLITS = ("train", "dev", "test")
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
    """which field of a file is read as what, and what was found and left as it is, in words"""
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


class Gathering:
    """A collection as it is read, and what had to be left out of it."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.ids: list[str] = []
        self._titles: list[str] = []
        self._texts: list[str] = []
        self._known: set[str] = set()
        self._queries: dict[str, str] = {}
        self._empty_queries: set[str] = set()
        self._qrels: dict[str, dict[str, dict[str, int]]] = {}
        self._left, self._told = Tally(), Tally()
        self.checks: list[str] = []

    def leave(self, file: str, what: str, place: str) -> None:
        """Count a row of a file that is left out; ``what`` reads after "rows left out"."""
        self._left.add(file, f"left out {what}", place)

    def tell(self, file: str, what: str, place: str) -> None:
        """Count a row of a file that is used, but not as it stands there."""
        self._told.add(file, what, place)

    def document(self, name: str, title: str, text: str, file: str, number: int) -> None:
        """Take in a document from a line of a file."""
        if name in self._known:
            return self.leave(file, "with an id that occurred before", f"{name} in line {number:,}")
        if not (title or text):
            return self.leave(file, "without a text", f"{name} in line {number:,}")
        if len(text) > LONGEST or len(title) > LONGEST:
            self.tell(file, f"cut after {LONGEST:,} characters", f"{name} in line {number:,}")
            title, text = title[:LONGEST], text[:LONGEST]
        self._known.add(name)
        self.ids.append(name)
        self._titles.append(title)
        self._texts.append(text)
        return None

    def query(self, name: str, _: str, text: str, file: str, number: int) -> None:
        """Take in a query from a line of a file."""
        if name in self._queries or name in self._empty_queries:
            return self.leave(file, "with an id that occurred before", f"{name} in line {number:,}")
        if not text:
            self._empty_queries.add(name)
            return self.leave(file, "without a text", f"{name} in line {number:,}")
        if len(text) > LONGEST:
            self.tell(file, f"cut after {LONGEST:,} characters", f"{name} in line {number:,}")
        self._queries[name] = text[:LONGEST]
        return None

    def grade(self, split: str, query: str, document: str, grade: float, file: str, number: int) -> None:
        """Take in the relevance of a document to a query, both of which must be there already unless only a part is."""
        if self.reading.most and not (query in self._queries and document in self._known):
            return None
        if grade % 1 or query not in self._queries or document not in self._known:  # the first also for NaN
            if query in self._queries and document not in self._known:
                self._qrels.setdefault(split, {}).setdefault(query, {})
            there = query in self._queries
            what = f"for a {'document' if there else 'query'} that is not in the collection"
            what = "with a grade that is no whole number" if grade % 1 else what
            return self.leave(file, what, f"{grade:g} for document {document} of query {query} in line {number:,}")
        judged = self._qrels.setdefault(split, {}).setdefault(query, {})
        if judged.get(document, grade) != grade:
            self.tell(file, "judged before with another grade, which they replace", f"line {number:,}")
        if grade <= 0:
            self.tell(file, "with a grade of 0 or less: not relevant", f"line {number:,}")
        judged[document] = int(grade)
        return None

    def build(self, name: str, source: str) -> Collection:
        """What was gathered. Raises :class:`BeirError` where there is no document."""
        repairs = [*self.reading.repairs, *self._left.lines()]
        if not self.ids:
            raise BeirError("; ".join([f"{source}: the corpus is empty", *repairs]))
        kept: dict[str, dict[str, dict[str, int]]] = {}
        for split in SPLITS:
            judged = self._qrels.get(split, {})
            for query, grades in judged.items():
                if relevant := {document: grade for document, grade in grades.items() if grade > 0}:
                    kept.setdefault(split, {})[query] = relevant
            lost = [query for query in judged if query not in kept.get(split, {}) and not self.reading.most]
            repairs += _left_out(f"{split} queries without a relevant document", lost)
        shared = set(kept.get("train", {})) & set(kept.get("test", {}))
        repairs += _left_out("train queries that are in test too", sorted(shared))
        if shared:
            kept["train"] = {query: found for query, found in kept["train"].items() if query not in shared}
        checks = [*self.checks, *self._told.lines()]
        spaced = [one for one in (*self.ids, *self._queries) if any(map(str.isspace, one))]
        if spaced:
            checks.append(f"{_many(len(spaced), 'id')} with spaces, such as {spaced[0]!r}: used as they are")
        named = set().union(*self._qrels.values()) if not self.reading.most else set()
        idle = [query for query in self._queries if query not in named] if named else []
        if idle:
            checks.append(f"{_many(len(idle), 'query', 'queries')} that no qrels name, such as {idle[0]!r}: not judged")
        both = [(query, found) for part in kept.values() for query, found in part.items() if query in self._known]
        owned = sorted({query for query, found in both if query not in found})
        if owned:
            many = f"{_many(len(owned), 'query', 'queries')} with the id of a document, such as {owned[0]!r}"
            checks.append(f"{many}: a query's own document is not ranked for it, as in BEIR")
        copies = len(self._texts) - len({*zip(self._titles, self._texts, strict=True)})
        if copies:
            checks.append(_many(copies, "duplicate document"))
        parts = (tuple(self.ids), tuple(self._titles), tuple(self._texts))
        return Collection(name, source, *parts, self._queries, kept, tuple(checks), tuple(repairs))


def _left_out(what: str, names: Sequence[str]) -> list[str]:
    return [f"left out {what}: {len(names):,}; the first is {names[0]}"] if names else []


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one}" if count == 1 else f"{count:,} {more or one + 's'}"
