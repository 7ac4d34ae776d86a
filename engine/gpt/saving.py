"""Decides when a run is saved: the best step that waits in memory, failures, the next try."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from checkpoints.saver import Save, Saver, SaveResult
from checkpoints.state import Snapshot
from checkpoints.store import State
from engine.runs.events import Event, Notice, Saved

BACK_OFF = (5.0, 15.0, 60.0)  # seconds to the next try after a failed save, the last one again and again


class Checkpointer:
    """Keeps the checkpoints of one run; without a ``folder`` it keeps none and says nothing.

    A new best is held in memory until a save is due, so that a curve that improves with every evaluation is not
    written every second. A best whose save failed is held again, unless there is a better one by then. What is held is
    on the disk before anything newer is written: a checkpoint's best is always there. ``before_commit`` is
    :class:`checkpoints.saver.Saver`'s.
    """

    def __init__(
        self,
        folder: Path | None,
        every: float,
        capture: Callable[[], tuple[Snapshot, State]],
        before_commit: Callable[[], object] | None = None,
    ) -> None:
        self._saver = Saver(folder, before_commit) if folder is not None else None
        self._every, self._capture = every, capture
        self._saved_at = time.monotonic()
        self._retry_at = math.inf
        self._failures = 0
        self._held: Save | None = None
        self._pin = False
        self.saved_step = -1
        """step whose state as it is now was handed to the disk, and the save is not known to have failed; or -1"""

    @property
    def failing(self) -> bool:
        """Whether a save failed and has not been tried again since."""
        return self._retry_at < math.inf

    def due(self) -> bool:
        """Whether it is time to save."""
        now = time.monotonic()
        return self._saver is not None and (now >= self._retry_at or now - self._saved_at >= self._every)

    def missing(self, step: int) -> list[int]:
        """Steps that a run which ends at ``step`` needs on the disk and does not have there: the best and the last.

        Without a last step worth saving ``step`` is -1.
        """
        if self._saver is None:
            return []
        held = [self._held.step] if self._held is not None else []
        return [*held, step] if step >= 0 and step not in (self.saved_step, *held) else held

    def resume(self, step: int, best: int) -> None:
        """The run goes on from its checkpoint of ``step``, which knows ``best`` as its best step."""
        self.saved_step = step
        if self._saver is not None:
            self._saver.best = best

    def hold(self, step: int) -> None:
        """Hold this step, the best so far, in memory."""
        if self._saver is not None:
            self._held, self.saved_step = self._collect(step, best=True), -1

    def save(self, step: int, *, best: bool, pin: bool = False) -> Iterator[Event]:
        """Save the best step if it still waits, then this one (the ``best``?) unless it is on the disk or -1."""
        if self._saver is None:
            return
        begun = time.perf_counter()
        yield from self._report(self._saver.wait())
        self._saved_at, self._retry_at = time.monotonic(), math.inf
        held, self._held = self._held, None
        if held is not None and held.step != step:
            self._saver.submit(held, begun=begun)
            begun = time.perf_counter()
            yield from self._report(self._saver.wait())
            if self.failing:
                self._pin = self._pin or pin
                return
        if step >= 0 and (step != self.saved_step or pin):
            pin = pin or self._pin or (held is not None and held.step == step and held.pin)
            self._pin, self.saved_step = False, step
            self._saver.submit(self._collect(step, best=best, pin=pin), begun=begun)
        yield from self.report()

    def report(self) -> Iterator[Event]:
        """The results of the saves so far; does not wait."""
        if self._saver is not None:
            yield from self._report(self._saver.poll())

    def wait(self) -> Iterator[Event]:
        """The results of all saves."""
        if self._saver is not None:
            yield from self._report(self._saver.wait())

    def close(self) -> None:
        """Let the save under way end."""
        if self._saver is not None:
            self._saver.close()

    def _collect(self, step: int, *, best: bool, pin: bool = False) -> Save:
        snapshot, state = self._capture()
        return Save(step, snapshot.encode, state, best, pin)

    def _report(self, results: list[SaveResult]) -> Iterator[Event]:
        for result in results:
            save = result.save
            if result.path is not None:
                if self._held is None:  # no failed save of a best is left to try again
                    self._failures = 0
                sizes = (result.bytes, round(result.seconds, 4), round(result.stall, 4))
                yield Saved(save.step, str(result.path), *sizes, save.best)
            else:
                assert result.error is not None
                wait = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
                self._failures += 1
                self._retry_at = time.monotonic() + wait
                if save.step == self.saved_step:
                    self.saved_step = -1
                if save.best and self._held is None:
                    self._held = save
                else:
                    self._pin = self._pin or save.pin
                yield Notice(
                    f"could not save step {save.step:,}: {result.error.strerror or result.error}. "
                    f"Training goes on; the next try is in {wait:.0f} s",
                    "error",
                    "save",
                    save.step,
                )
