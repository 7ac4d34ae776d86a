"""Searches that answer while one types: tasks for a worker of the screen's own process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpoints.run import Run
from engine.runs.events import Event, Notice
from engine.runs.messages import Control, Stopped, handle_messages
from engine.runs.worker import Task
from tui.background import Opened

if TYPE_CHECKING:
    from engine.retrieve.metrics import Ranked
    from engine.retrieve.search import Library

DEPTH = 100  # documents of a ranking: as far as rank arrows look


@dataclass(frozen=True)
class Answer(Event):
    """What the rankers found so far for a query."""

    query: str
    found: Mapping[str, Ranked]
    notes: Mapping[str, str] = field(default_factory=dict)
    """why a column is empty, or what is special about it"""
    relevant: frozenset[int] = frozenset()
    """rows of the documents that qrels call relevant"""
    known: str = ""
    """split and id of the query when it is one of the collection's own"""
    terms: tuple[str, ...] = ()
    """words that BM25 looks for"""
    seconds: Mapping[str, float] = field(default_factory=dict)


def opening(run: Run) -> Task:
    """Read the collection of a run and index its words."""

    def task(control: Control) -> Iterator[Event]:
        from data.beir import BeirError
        from engine.retrieve.runs import spec_of
        from engine.retrieve.search import library
        from engine.retrieve.spec import BM25

        try:
            opened = yield from library(spec_of(run), control, run)
            yield from handle_messages(control, 0)
            yield from opened.ranker(BM25, control)
        except Stopped:
            return
        except BeirError as error:
            yield Notice(f"the collection could not be loaded: {error}", "error", "search")
            return
        yield Opened(run, opened)

    return task


def searching(library: Library, query: str, methods: tuple[str, ...], ready: frozenset[str]) -> Task:
    """Ask the rankers in turn; an answer after each, the quick ones first. Only those in ``ready`` have an index."""

    def task(control: Control) -> Iterator[Event]:
        import time

        from engine.encoders.encode import EncodeFailed
        from engine.encoders.find import NoEncoder
        from engine.retrieve.rankers import Bm25, Dense
        from engine.retrieve.search import NotTrained
        from engine.retrieve.spec import BM25, TRAINED

        split, name, relevant = _own(library, query)
        known = f"{split} query {name}" if name else ""
        found: dict[str, Ranked] = {}
        notes: dict[str, str] = {}
        seconds: dict[str, float] = {}
        terms: tuple[str, ...] = ()
        try:
            for method in methods:
                if method not in ready:
                    notes[method] = "not trained yet" if method == TRAINED else "not indexed yet"
                else:
                    try:
                        ranker = yield from library.ranker(method, control)
                    except (NotTrained, NoEncoder, EncodeFailed, OSError) as error:
                        notes[method] = "not trained" if isinstance(error, NotTrained) else str(error)
                        continue
                    begun = time.perf_counter()
                    (ranked,) = ranker.rank([query], DEPTH + 1)
                    found[method] = ranked.without(library.collection.own(split, name)).top(DEPTH)
                    seconds[method] = time.perf_counter() - begun
                    if method == BM25 and isinstance(ranker, Bm25):
                        terms = tuple(ranker.terms(query))
                    if method == TRAINED and library.checkpoint is not None:
                        point = library.checkpoint
                        notes[method] = f"step {point.step:,}" + ("" if point.final else ", still training")
                        if isinstance(ranker, Dense) and ranker.pool is not None:
                            notes[method] += f", {len(ranker.pool):,} documents"
                yield Answer(query, dict(found), dict(notes), relevant, known, terms, dict(seconds))
                yield from handle_messages(control, 0)
        except Stopped:
            return
        yield Answer(query, found, notes, relevant, known, terms, seconds)

    return task


def _own(library: Library, query: str) -> tuple[str, str, frozenset[int]]:
    """Split, id and relevant rows when the query is one of the collection's."""
    collection = library.collection
    wanted = query.strip().casefold()
    for split in ("test", "dev", "train"):
        for name in collection.qrels.get(split, {}):
            if collection.queries[name].casefold() == wanted:
                return split, name, frozenset(collection.relevant(split, name))
    return "", "", frozenset()
