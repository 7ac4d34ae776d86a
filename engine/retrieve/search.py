"""Search with what is there: indexes that were built before, and the bi-encoder of a run, also while it trains."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterator
from functools import partial

from checkpoints import arrays, home
from checkpoints import run as runs
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data.beir import Collection
from engine.encoders.find import Encoder
from engine.retrieve import results as retrieve_results
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.rankers import Dense, Embedder, Ranker, Rankers
from engine.retrieve.results import PROJECTION, WHOLE, Checkpoint
from engine.retrieve.spec import TRAINED, RetrieveSpec, load_collection
from engine.runs.events import Event, Progress
from engine.runs.messages import Control, handle_messages


class NotTrained(Exception):
    """There is no trained bi-encoder to search with; the message says how to come to one."""


class Library(Rankers):
    """The rankers of one collection; the trained one is that of a run, also while it trains."""

    def __init__(self, spec: RetrieveSpec, collection: Collection, run: Run | None = None) -> None:
        super().__init__(spec, collection)
        self.run = run
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
                weight = arrays.read(found.path / PROJECTION)["weight"]
                self.made[TRAINED] = yield from self.projected(weight, control)
            self.checkpoint = found
        return self.made[TRAINED]

    def found(self, name: str, encoder: Encoder) -> Iterator[Event]:
        yield Progress(f"opening {encoder.name}", 0, 0)

    def _whole(self, found: Checkpoint, control: Control) -> Generator[Event, None, Ranker]:
        base = (yield from self.embedder(control)).encoder
        tuned = dataclasses.replace(base, name=f"{base.name}, trained", weights=(found.path / WHOLE,))
        if found.final:
            return (yield from self.tuned(tuned, control))
        some = arrays.read(found.path / retrieve_results.POOL)
        return Dense(TRAINED, self.index(some["vectors"]), Embedder(tuned, self.spec.device), some["rows"])


def library(spec: RetrieveSpec, control: Control, run: Run | None = None) -> Generator[Event, None, Library]:
    """The rankers of the collection that ``spec`` names.

    Raises :class:`data.beir.BeirError`, :class:`OSError` and, while it is downloaded,
    :class:`engine.runs.messages.Stopped`.
    """
    collection = yield from load_collection(spec, partial(handle_messages, control, 0))
    return Library(spec, collection, run)


def newest_on(data: str) -> tuple[Run, RetrieveSpec] | None:
    """The newest run that has trained, or trains, a bi-encoder on a collection."""
    for run in runs.every(home.runs()):
        with contextlib.suppress(OSError, CheckpointError):  # it cannot be read, or is of another task
            spec = retrieve_runs.spec_of(run)
            if spec.data == data and retrieve_results.checkpoint(run) is not None:
                return run, spec
    return None
