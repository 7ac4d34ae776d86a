"""Saves in the background: a writer thread of its own, one save at a time, failures handed back."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from checkpoints import store


@dataclass(frozen=True)
class Save:
    """A checkpoint to write: ``encode()`` and ``state`` as ``step``. ``pin`` keeps it for good."""

    step: int
    encode: Callable[[], dict[str, bytes]]
    state: store.State
    best: bool = False
    pin: bool = False


@dataclass(frozen=True)
class SaveResult:
    """The result of a save: ``path`` or ``error``. Times in seconds; ``stall`` is what the caller waited."""

    save: Save
    path: Path | None
    error: OSError | None
    bytes: int
    seconds: float
    stall: float


class Saver:
    """Commits checkpoints of one run and prunes old ones.

    ``before_commit`` is called in the writer thread; when it raises :class:`OSError`, the save has failed.
    """

    def __init__(self, folder: Path, before_commit: Callable[[], object] | None = None) -> None:
        self._folder, self._before_commit = folder, before_commit
        self.best = -1
        """the newest step on the disk that was saved as the best; pruning leaves it alone"""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._pending: Future[SaveResult] | None = None
        self._done: list[SaveResult] = []

    def submit(self, save: Save, *, begun: float) -> None:
        """Write a checkpoint. Waits for the save before it, if that is still going on.

        ``begun`` is the :func:`time.perf_counter` at which the caller began to collect.
        """
        self._settle()
        stall = time.perf_counter() - begun

        def work() -> SaveResult:
            size, path, failure = 0, None, None
            try:
                files = save.encode()
                size = sum(map(len, files.values()))
                if self._before_commit is not None:
                    self._before_commit()
                committed = store.commit(self._folder, save.step, files, save.state)
                if save.pin:
                    (committed / store.PINNED).touch()
                self.best = save.step if save.best else self.best
                store.prune(self._folder, newest=save.step, keep=frozenset({self.best}))
                path = committed
            except OSError as error:
                failure = error
            return SaveResult(save, path, failure, size, time.perf_counter() - begun, stall)

        self._pending = self._pool.submit(work)

    def poll(self) -> list[SaveResult]:
        """Results since the last call; does not wait."""
        if self._pending is not None and self._pending.done():
            self._settle()
        done, self._done = self._done, []
        return done

    def wait(self) -> list[SaveResult]:
        """Results since the last call, the save under way included."""
        self._settle()
        return self.poll()

    def close(self) -> None:
        """Finish the save under way and end the thread."""
        self._pool.shutdown()

    def _settle(self) -> None:
        if self._pending is not None:
            self._done.append(self._pending.result())
            self._pending = None
