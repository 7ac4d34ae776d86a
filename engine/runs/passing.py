"""Tasks inside tasks: the events of one are passed on by another, which may change them or add its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from engine.runs.events import Event

T = TypeVar("T")


def passed(task: Generator[Event, None, T], each: Callable[[Event], Iterable[Event]]) -> Generator[Event, None, T]:
    """Yield what ``each`` makes of every event of ``task``, and return what the task returns."""
    with contextlib.closing(task):
        while True:
            try:
                event = next(task)
            except StopIteration as end:
                value: T = end.value
                return value
            yield from each(event)
