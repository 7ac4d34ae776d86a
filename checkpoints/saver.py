"""Saves in the background: a writer thread of its own, one save at a time, failures handed back."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from checkpoints import store


@dataclass(frozen=True)
class Outcome:
    """What became of a save: ``path`` or ``error``. Times in seconds; ``stall`` is what the caller waited."""

    step: int
    path: Path | None
    error: OSError | None
    bytes: int
    seconds: float
    stall: float
    best: bool


class Saver:
    """Commits checkpoints of one run and prunes old ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._pending: Future[Outcome] | None = None
        self._done: list[Outcome] = []

    def submit(
        self,
        step: int,
        encode: Callable[[], dict[str, bytes]],
        state: store.State,
        *,
        begun: float,
        keep: frozenset[int],
        best: bool,
        pin: bool = False,
    ) -> None:
        """Save ``encode()`` and ``state`` as ``step``. Waits for the save before it, if that is still going on.

        ``begun`` is the :func:`time.perf_counter` at which the caller began to collect; ``keep`` are steps that
        pruning leaves alone; ``pin`` keeps this one for good.
        """
        self._settle()
        stall = time.perf_counter() - begun

        def work() -> Outcome:
            size = 0
            try:
                files = encode()
                size = sum(map(len, files.values()))
                path = store.commit(self._folder, step, files, state)
                if pin:
                    (path / store.PINNED).touch()
                store.prune(self._folder, keep=keep)
            except OSError as error:
                return Outcome(step, None, error, size, time.perf_counter() - begun, stall, best)
            return Outcome(step, path, None, size, time.perf_counter() - begun, stall, best)

        self._pending = self._pool.submit(work)

    def poll(self) -> list[Outcome]:
        """Outcomes since the last call; does not wait."""
        if self._pending is not None and self._pending.done():
            self._settle()
        done, self._done = self._done, []
        return done

    def wait(self) -> list[Outcome]:
        """Outcomes since the last call, the save under way included."""
        self._settle()
        return self.poll()

    def close(self) -> None:
        """Finish the save under way and end the thread."""
        self._pool.shutdown()

    def _settle(self) -> None:
        if self._pending is not None:
            self._done.append(self._pending.result())
            self._pending = None
