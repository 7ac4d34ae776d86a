"""Saves the checkpoints of a run in the background, one at a time: when, which, and again when a save has failed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from checkpoints import store
from checkpoints.state import Snapshot
from engine.runs.events import Event, Notice, Saved

BACK_OFF = (5.0, 15.0, 60.0)  # seconds to the next try after a failed save, the last one again and again


@dataclass(frozen=True)
class Save:
    """A checkpoint to write. ``pin`` keeps it for good."""

    step: int
    snapshot: Snapshot
    state: store.State
    best: bool
    pin: bool = False


class Checkpointer:
    """Keeps the checkpoints of one run; without a ``folder`` it keeps none and says nothing.

    A new best is held in memory until a save is due, so that a curve that improves with every evaluation is not
    written every second. A best whose save failed is held again, unless there is a better one by then. What is held is
    on the disk before anything newer is written: a checkpoint's best is always there. ``before_commit`` is called in
    the thread that writes; when it raises :class:`OSError`, the save has failed.
    """

    def __init__(
        self,
        folder: Path | None,
        every: float,
        capture: Callable[[], tuple[Snapshot, store.State]],
        before_commit: Callable[[], object] = lambda: None,
    ) -> None:
        self._folder, self._every, self._capture, self._before_commit = folder, every, capture, before_commit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._pending: tuple[Save, Future[Saved]] | None = None
        self._saved_at = time.monotonic()
        self._retry_at = math.inf
        self._failures = 0
        self._held: Save | None = None
        self._pin = False
        self._best = -1
        """the newest step on the disk that was saved as the best; pruning leaves it alone"""
        self.saved_step = -1
        """step whose state as it is now was handed to the disk, and the save is not known to have failed; or -1"""

    @property
    def failing(self) -> bool:
        """Whether a save failed and has not been tried again since."""
        return self._retry_at < math.inf

    def due(self) -> bool:
        """Whether it is time to save."""
        now = time.monotonic()
        return self._folder is not None and (now >= self._retry_at or now - self._saved_at >= self._every)

    def missing(self, step: int) -> list[int]:
        """Steps that a run which ends at ``step`` needs on the disk and does not have there: the best and the last.

        Without a last step worth saving ``step`` is -1.
        """
        if self._folder is None:
            return []
        held = [self._held.step] if self._held is not None else []
        return [*held, step] if step >= 0 and step not in (self.saved_step, *held) else held

    def resume(self, step: int, best: int) -> None:
        """The run goes on from its checkpoint of ``step``, which knows ``best`` as its best step."""
        self.saved_step, self._best = step, best

    def hold(self, step: int) -> None:
        """Hold this step, the best so far, in memory."""
        if self._folder is not None:
            self._held, self.saved_step = Save(step, *self._capture(), best=True), -1

    def save(self, step: int, *, best: bool, pin: bool = False) -> Iterator[Event]:
        """Save the best step if it still waits, then this one (the ``best``?) unless it is on the disk or -1.

        Waits for the save before it, if that is still going on.
        """
        if self._folder is None:
            return
        begun = time.perf_counter()
        yield from self.report(wait=True)
        self._saved_at, self._retry_at = time.monotonic(), math.inf
        held, self._held = self._held, None
        if held is not None and held.step != step:
            self._start(self._folder, held, begun)
            begun = time.perf_counter()
            yield from self.report(wait=True)
            if self.failing:
                self._pin = self._pin or pin
                return
        if step >= 0 and (step != self.saved_step or pin):
            pin = pin or self._pin or (held is not None and held.step == step and held.pin)
            self._pin, self.saved_step = False, step
            self._start(self._folder, Save(step, *self._capture(), best, pin), begun)
        yield from self.report()

    def report(self, *, wait: bool = False) -> Iterator[Event]:
        """What became of the last save, once; nothing while it goes on, unless this is to ``wait`` for it."""
        if self._pending is None or not (wait or self._pending[1].done()):
            return
        (save, result), self._pending = self._pending, None
        try:
            saved = result.result()
        except OSError as error:
            yield self._failed(save, error)
            return
        if self._held is None:  # no failed save of a best is left to try again
            self._failures = 0
        yield saved

    def close(self) -> None:
        """Finish the save under way and end the thread."""
        self._thread.shutdown()

    def _start(self, folder: Path, save: Save, begun: float) -> None:
        self._pending = save, self._thread.submit(self._write, folder, save, begun, time.perf_counter() - begun)

    def _write(self, folder: Path, save: Save, begun: float, stall: float) -> Saved:
        files = save.snapshot.encode()
        self._before_commit()
        path = store.commit(folder, save.step, files, save.state)
        if save.pin:
            (path / store.PINNED).touch()
        self._best = save.step if save.best else self._best
        store.prune(folder, newest=save.step, keep=frozenset({self._best}))
        seconds = round(time.perf_counter() - begun, 4)
        return Saved(save.step, str(path), sum(map(len, files.values())), seconds, round(stall, 4), save.best)

    def _failed(self, save: Save, error: OSError) -> Notice:
        wait = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
        self._failures += 1
        self._retry_at = time.monotonic() + wait
        if save.step == self.saved_step:
            self.saved_step = -1
        if save.best and self._held is None:
            self._held = save
        else:
            self._pin = self._pin or save.pin
        return Notice(
            f"could not save step {save.step:,}: {error.strerror or error}. "
            f"Training goes on; the next try is in {wait:.0f} s",
            "error",
            "save",
            save.step,
        )
