"""What every task on texts does with its mail: wait when asked to, end when asked to; and a task run to its end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from engine.control import Continue, Control, Pause, Stop
from engine.events import Continued, Event, Paused

T = TypeVar("T")
WAIT = 0.2  # seconds between looks at the mailbox during a pause


class Stopped(Exception):
    """The task was asked to stop; what was finished before is kept."""


def heed(control: Control, step: int) -> Iterator[Event]:
    """Take the messages that came since the last call; ``step`` says how far the work is.

    Yields :class:`Paused` and :class:`Continued` around a pause. Raises :class:`Stopped`.
    """
    paused = False
    while True:
        for message in control.take():
            if isinstance(message, Stop):
                raise Stopped
            if isinstance(message, Pause) and not paused:
                paused = True
                yield Paused(step)
            elif isinstance(message, Continue) and paused:
                paused = False
                yield Continued(step)
        if not paused:
            return
        control.wait(WAIT)


def finish(task: Generator[Event, None, T], tell: Callable[[Event], object] = lambda _: None) -> T:
    """Run a task to its end, ``tell`` every event, and return what it returns."""
    while True:
        try:
            tell(next(task))
        except StopIteration as end:
            value: T = end.value
            return value
