"""Decides when a run is saved and sees it through: the best that waits in memory, failures, the next try."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from checkpoints.saver import Outcome, Saver
from checkpoints.state import Snapshot
from checkpoints.store import State
from engine.events import Event, Notice, Saved

BACK_OFF = (5.0, 15.0, 60.0)  # seconds to the next try after a failed save, the last one again and again


class Keeper:
    """Keeps the checkpoints of one run; without a ``folder`` it keeps none and says nothing.

    A new best is held in memory until a save is due, so that a curve that improves with every evaluation is not
    written every second; what is held goes to the disk before anything newer.
    """

    def __init__(self, folder: Path | None, every: float, capture: Callable[[], tuple[Snapshot, State]]) -> None:
        self._saver = Saver(folder) if folder is not None else None
        self._every, self._capture = every, capture
        self._saved_at = time.monotonic()
        self._retry_at = math.inf
        self._failures = 0
        self._held: tuple[int, Snapshot, State] | None = None
        self._writing: tuple[int, Snapshot, State] | None = None
        self._pin = False
        self.saved_step = -1
        """step of the last checkpoint that was handed to the disk and not reported as failed"""

    @property
    def failing(self) -> bool:
        """Whether the last save failed and is still to be made good."""
        return self._failures > 0

    def due(self) -> bool:
        """Whether it is time to save."""
        now = time.monotonic()
        return self._saver is not None and (now >= self._retry_at or now - self._saved_at >= self._every)

    def hold(self, step: int) -> None:
        """Hold this step, the best so far, in memory."""
        if self._saver is not None:
            self._held = (step, *self._capture())

    def save(self, step: int, best: int, *, pin: bool = False) -> Iterator[Event]:
        """Save this step, after the best one if that still waits. ``best`` is the step that pruning must keep."""
        if self._saver is None:
            return
        begun = time.perf_counter()
        yield from self._tell(self._saver.wait())
        if self._held is not None and self._held[0] != step:
            yield from self._save_held(best)
        self._held = None
        self._pin = self._pin or pin
        self._submit(step, *self._capture(), begun, best, self._pin)
        self._saved_at, self.saved_step, self._retry_at = time.monotonic(), step, math.inf
        yield from self.report()

    def report(self) -> Iterator[Event]:
        """What became of the saves so far; does not wait."""
        if self._saver is not None:
            yield from self._tell(self._saver.poll())

    def finish(self, best: int, *, save: bool) -> Iterator[Event]:
        """Wait until everything is on the disk, with ``save`` also the best that still waits."""
        if self._saver is None:
            return
        yield from self._tell(self._saver.wait())
        if self._held is not None and save:
            yield from self._save_held(best)
            yield from self._tell(self._saver.wait())

    def close(self) -> None:
        """Let the save under way end."""
        if self._saver is not None:
            self._saver.close()

    def _save_held(self, best: int) -> Iterator[Event]:
        assert self._held is not None
        (step, snapshot, state), self._held = self._held, None
        self._submit(step, snapshot, state, time.perf_counter(), best, False)
        yield from self.report()

    def _submit(self, step: int, snapshot: Snapshot, state: State, begun: float, best: int, pin: bool) -> None:
        assert self._saver is not None
        keep = frozenset({best})
        self._writing = (step, snapshot, state)
        self._saver.submit(step, snapshot.encode, state, begun=begun, keep=keep, best=best == step, pin=pin)

    def _tell(self, outcomes: list[Outcome]) -> Iterator[Event]:
        for outcome in outcomes:
            if outcome.path is not None:
                self._failures, self._writing = 0, None
                self._pin = self._pin and outcome.step < self.saved_step
                sizes = (outcome.bytes, round(outcome.seconds, 4), round(outcome.stall, 4))
                yield Saved(outcome.step, str(outcome.path), *sizes, outcome.best)
            else:
                assert outcome.error is not None
                wait = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
                self._failures += 1
                self._retry_at = time.monotonic() + wait
                self.saved_step = -1
                if outcome.best and self._held is None:
                    self._held = self._writing
                yield Notice(
                    f"could not save step {outcome.step:,}: {outcome.error.strerror or outcome.error}. "
                    f"Training goes on; the next try is in {wait:.0f} s",
                    "error",
                    "save",
                    outcome.step,
                )
