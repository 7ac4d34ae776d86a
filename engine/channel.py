"""The only way from a worker thread to the screen: bounded, never blocking, and honest about what it drops."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import deque

from engine.events import Event, Progress, SampleText, Step


class Channel:
    """Events wait here until somebody drains them.

    Steps are dropped oldest first beyond ``limit`` (they are in the journal already). Pieces of one sample are
    merged, never dropped. Of progress only the last of its kind is kept. Everything else is rare and kept.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._steps: deque[tuple[int, Event]] = deque(maxlen=limit)
        self._others: list[tuple[int, Event]] = []
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Add an event. Any thread; waits at most for the copy that a drain makes."""
        with self._lock:
            number = next(self._order)
            if isinstance(event, Step):
                self.dropped += len(self._steps) == self._steps.maxlen
                self._steps.append((number, event))
                return
            last = self._others[-1][1] if self._others else None
            if isinstance(event, SampleText) and isinstance(last, SampleText) and _continues(last, event):
                merged = dataclasses.replace(last, text=last.text + event.text, done=event.done)
                self._others[-1] = (self._others[-1][0], merged)
            elif isinstance(event, Progress) and isinstance(last, Progress) and last.what == event.what:
                self._others[-1] = (number, event)
            else:
                self._others.append((number, event))

    def drain(self) -> list[Event]:
        """Everything that waits, in order."""
        with self._lock:
            waiting = [*self._steps, *self._others]
            self._steps.clear()
            self._others = []
        waiting.sort(key=lambda entry: entry[0])
        return [event for _, event in waiting]


def _continues(last: SampleText, event: SampleText) -> bool:
    return not last.done and not event.prompt and (last.sample, last.step) == (event.sample, event.step)
