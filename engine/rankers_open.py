"""Search with what is there: indexes that were built before, and the bi-encoder of a run, also while it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from data import beir
from data.beir import Collection
from engine import encoders, hub, rankers_store, vectors
from engine.control import Control
from engine.encode import placed
from engine.encoders import Encoder
from engine.events import Event, Progress
from engine.rankers import (
    BM25,
    CLS,
    HYBRID,
    MEAN,
    TRAINED,
    Bm25,
    Dense,
    Embedder,
    Hybrid,
    Ranker,
    document_vectors,
    projected,
)
from engine.rankers_store import PROJECTION, WHOLE, Checkpoint
from engine.ranking import Ranked
from engine.retrieve import TASK, RetrieveSpec, from_dict

if TYPE_CHECKING:
    from engine.vectors import Matrix


class NotTrained(Exception):
    """There is no trained bi-encoder to search with; the message says how to come to one."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A ranker over some of the documents: what there is while an encoder is being trained."""

    ranker: Dense
    pool: Any
    """rows of the documents that it knows"""
    name: str = TRAINED

    @property
    def bytes(self) -> int:
        return self.ranker.bytes

    def rank(self, queries: Sequence[str], k: int) -> list[Ranked]:
        """Rows of the whole collection."""
        found = self.ranker.rank(queries, k)
        return [Ranked(tuple(self.pool[list(one.rows)].tolist()), one.scores) for one in found]


class Library:
    """The rankers of one collection, each made when it is first asked for. Not for two threads at once."""

    def __init__(self, spec: RetrieveSpec, collection: Collection, run: Run | None = None) -> None:
        self.spec, self.collection, self.run = spec, collection, run
        self.made: dict[str, Ranker] = {}
        self.checkpoint: Checkpoint | None = None
        """of the trained ranker in use"""
        self.encoder: Encoder | None = None
        self._embedder: Embedder | None = None
        self._frozen: dict[str, Matrix] = {}

    def ranker(self, method: str, control: Control) -> Generator[Event, None, Ranker]:
        """The ranker of a method. A trained one follows the run's newest checkpoint.

        Yields what encoding yields. Raises :class:`NotTrained`, :class:`engine.encoders.NoEncoder`,
        :class:`engine.encode.EncodeFailed`, :class:`engine.heed.Stopped`, :class:`OSError`.
        """
        if method == TRAINED:
            return (yield from self._trained(control))
        if method not in self.made:
            if method == BM25:
                self.made[method] = Bm25(self.collection)
            elif method == HYBRID:
                first = yield from self.ranker(BM25, control)
                second = yield from self.ranker(MEAN, control)
                self.made[method] = Hybrid(first, second)
            elif method in (CLS, MEAN):
                matrix = yield from self._matrix(method, control)
                assert self._embedder is not None
                self.made[method] = Dense(method, self._exact(matrix), self._embedder.sharing(method))
            else:
                raise ValueError(f"no method {method!r}")
        return self.made[method]

    def _trained(self, control: Control) -> Generator[Event, None, Ranker]:
        found = rankers_store.checkpoint(self.run) if self.run is not None else None
        if found is None:
            raise NotTrained(
                f"nothing is trained on {self.spec.data} yet: llmlab-tui retrieve --data {self.spec.data} "
                "--method trained does it"
            )
        if self.checkpoint != found or TRAINED not in self.made:
            if found.whole:
                self.made[TRAINED] = yield from self._whole(found, control)
            else:
                self.made[TRAINED] = yield from self._projection(found, control)
            self.checkpoint = found
        return self.made[TRAINED]

    def _projection(self, found: Checkpoint, control: Control) -> Generator[Event, None, Ranker]:
        import numpy as np

        frozen = yield from self._matrix(MEAN, control)
        assert self._embedder is not None
        weight = np.asarray(rankers_store.load_arrays(found.path / PROJECTION)["weight"], np.float32)
        embedder = self._embedder.sharing(MEAN, weight)
        return Dense(TRAINED, self._exact(projected(np.asarray(frozen), weight)), embedder)

    def _whole(self, found: Checkpoint, control: Control) -> Generator[Event, None, Ranker]:
        base = yield from self._base(control)
        tuned = dataclasses.replace(base, name=f"{base.name}, trained", weights=(found.path / WHOLE,))
        embedder = Embedder(tuned, MEAN, self.spec.device)
        if found.final:
            matrix = yield from document_vectors(
                self.collection, tuned, MEAN, control, length=self.spec.length, device=self.spec.device
            )
            return Dense(TRAINED, self._exact(matrix), embedder)
        pool = rankers_store.load_arrays(found.path / rankers_store.POOL)
        return Part(Dense(TRAINED, self._exact(pool["vectors"]), embedder), pool["rows"])

    def _matrix(self, pooling: str, control: Control) -> Generator[Event, None, Matrix]:
        if pooling not in self._frozen:
            encoder = yield from self._base(control)
            self._frozen[pooling] = yield from document_vectors(
                self.collection, encoder, pooling, control, length=self.spec.length, device=self.spec.device
            )
        return self._frozen[pooling]

    def _base(self, control: Control) -> Generator[Event, None, Encoder]:
        if self.encoder is None:
            self.encoder = yield from encoders.find(self.spec.encoder, control)
            yield Progress(f"opening {self.encoder.name}", 0, 0)
            self._embedder = Embedder(self.encoder, MEAN, self.spec.device)
        return self.encoder

    def _exact(self, matrix: Matrix) -> vectors.Exact:
        return vectors.Exact(matrix, placed(self.spec.device)[0])


def library(spec: RetrieveSpec, run: Run | None = None) -> Library:
    """The rankers of the collection that ``spec`` names. Raises :class:`data.beir.BeirError`, :class:`OSError`."""
    return Library(spec, beir.load(spec.data, unreachable=hub.unreachable), run)


def newest_on(data: str) -> tuple[Run, RetrieveSpec] | None:
    """The newest run that has trained, or trains, a bi-encoder on a collection."""
    for run in runs.every(home.runs()):
        record = run.read_json("spec.json")
        if record.get("task") == TASK and record.get("data") == data and rankers_store.checkpoint(run) is not None:
            return run, from_dict(record)
    return None
