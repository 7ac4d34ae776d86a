"""Search with what is there: indexes that were built before, and the bi-encoder of a run, also while it trains."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from checkpoints import arrays, home
from checkpoints import run as runs
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data import beir
from data.beir import Collection
from engine import hub
from engine.encoders.find import Encoder
from engine.retrieve import results as retrieve_results
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.metrics import Ranked
from engine.retrieve.rankers import Dense, Embedder, Ranker, Rankers, projected
from engine.retrieve.results import PROJECTION, WHOLE, Checkpoint
from engine.retrieve.spec import MEAN, TRAINED, RetrieveSpec
from engine.runs.events import Event, Progress
from engine.runs.messages import Control

if TYPE_CHECKING:
    pass


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


class Library(Rankers):
    """The rankers of one collection; the trained one is that of a run, also while it trains."""

    def __init__(self, spec: RetrieveSpec, collection: Collection, run: Run | None = None) -> None:
        super().__init__(collection, spec.encoder, spec.length, spec.device)
        self.spec, self.run = spec, run
        self.checkpoint: Checkpoint | None = None
        """of the trained ranker in use"""

    def ranker(self, method: str, control: Control) -> Generator[Event, None, Ranker]:
        """The ranker of a method. A trained one follows the run's newest checkpoint.

        Yields what encoding yields. Raises :class:`NotTrained` and what :meth:`Rankers.ranker` raises.
        """
        return self.trained(control) if method == TRAINED else super().ranker(method, control)

    def trained(self, control: Control) -> Generator[Event, None, Ranker]:
        found = retrieve_results.checkpoint(self.run) if self.run is not None else None
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

    def opened(self, control: Control) -> Generator[Event, None, tuple[Encoder, Embedder]]:
        fresh = self._opened is None
        found = yield from super().opened(control)
        if fresh:
            yield Progress(f"opening {found[0].name}", 0, 0)
        return found

    def _projection(self, found: Checkpoint, control: Control) -> Generator[Event, None, Ranker]:
        import numpy as np

        frozen = yield from self.frozen(MEAN, control)
        _, embedder = yield from self.opened(control)
        weight = np.asarray(arrays.read(found.path / PROJECTION)["weight"], np.float32)
        return Dense(TRAINED, self.index(projected(np.asarray(frozen), weight)), embedder.sharing(MEAN, weight))

    def _whole(self, found: Checkpoint, control: Control) -> Generator[Event, None, Ranker]:
        base, _ = yield from self.opened(control)
        tuned = dataclasses.replace(base, name=f"{base.name}, trained", weights=(found.path / WHOLE,))
        embedder = Embedder(tuned, MEAN, self.device)
        if found.final:
            matrix = yield from self.matrix(tuned, MEAN, control)
            return Dense(TRAINED, self.index(matrix), embedder)
        pool = arrays.read(found.path / retrieve_results.POOL)
        return Part(Dense(TRAINED, self.index(pool["vectors"]), embedder), pool["rows"])


def library(spec: RetrieveSpec, run: Run | None = None) -> Library:
    """The rankers of the collection that ``spec`` names. Raises :class:`data.beir.BeirError`, :class:`OSError`."""
    return Library(spec, beir.load(spec.data, unreachable=hub.unreachable), run)


def newest_on(data: str) -> tuple[Run, RetrieveSpec] | None:
    """The newest run that has trained, or trains, a bi-encoder on a collection."""
    for run in runs.every(home.runs()):
        with contextlib.suppress(OSError, CheckpointError):  # it cannot be read, or is of another task
            spec = retrieve_runs.spec_of(run)
            if spec.data == data and retrieve_results.checkpoint(run) is not None:
                return run, spec
    return None
