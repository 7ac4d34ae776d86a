"""The only way from a worker thread to the screen: bounded, and patient where the worker can wait."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import deque

from engine.events import Event, Progress, SampleText, Step


class Channel:
    """Events wait here until somebody drains them.

    With ``limit`` steps inside, the next one waits up to ``patience`` seconds for a drain, so that who reads a long
    journal loses nothing; after that the oldest is dropped (it is in the journal). Pieces of one sample are merged,
    never dropped. Of progress only the last of its kind is kept. Everything else is rare and kept.
    """

    def __init__(self, limit: int = 4096, patience: float = 0.0) -> None:
        self._drained = threading.Condition()
        self._limit, self._patience = limit, patience
        self._order = itertools.count()
        self._steps: deque[tuple[int, Event]] = deque(maxlen=limit)
        self._others: list[tuple[int, Event]] = []

    def put(self, event: Event) -> None:
        """Add an event. For the worker's thread, since it may wait."""
        with self._drained:
            if isinstance(event, Step) and len(self._steps) == self._limit:
                self._drained.wait(self._patience)
            number = next(self._order)
            if isinstance(event, Step):
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
        with self._drained:
            waiting = [*self._steps, *self._others]
            self._steps.clear()
            self._others = []
            self._drained.notify_all()
        waiting.sort(key=lambda entry: entry[0])
        return [event for _, event in waiting]


def _continues(last: SampleText, event: SampleText) -> bool:
    return not last.done and not event.prompt and (last.sample, last.step) == (event.sample, event.step)
