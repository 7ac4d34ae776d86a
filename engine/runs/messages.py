"""Messages to a running task. The task looks between two steps; the sender never waits."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from engine.runs import codec
from engine.runs.events import Continued, Event, Paused


@dataclass(frozen=True)
class Message:
    """Anything that can be asked of a running task."""


@dataclass(frozen=True)
class Pause(Message):
    """Wait after this step, with the model loaded."""


@dataclass(frozen=True)
class Continue(Message):
    """Go on after a pause."""


@dataclass(frozen=True)
class Stop(Message):
    """End after this step; ``save`` first unless told otherwise."""

    save: bool = True


@dataclass(frozen=True)
class SaveNow(Message):
    """Write a checkpoint after this step; ``pin`` keeps it for good."""

    pin: bool = True


@dataclass(frozen=True)
class SampleNow(Message):
    """Sample from the weights as they are. ``prompt`` may hold characters that the model does not know."""

    prompt: str = ""
    length: int = 0


@dataclass(frozen=True)
class SetLearningRate(Message):
    """Use this learning rate as the schedule's peak from the next step on."""

    learning_rate: float


@dataclass(frozen=True)
class Detach(Message):
    """For a follower: look away. The run goes on."""


_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in Message.__subclasses__()}


def to_record(message: Message) -> dict[str, Any]:
    """A message as JSON can hold it."""
    return {"message": type(message).__name__, **codec.encode(message)}


def from_record(record: dict[str, Any]) -> Message | None:
    """The message that a record describes, or None when it describes none that this version understands."""
    named = record.get("message")
    kind = _KINDS.get(named) if isinstance(named, str) else None
    try:
        if kind is None or codec.unknown(kind, record).keys() != {"message"}:
            return None
        return codec.decode(kind, record)
    except codec.Misfit:
        return None


class Control:
    """A mailbox. ``poll`` is an outside source of messages (a run's inbox); ``take`` uses it every ``POLL`` seconds."""

    POLL = 0.1  # seconds

    def __init__(self, poll: Callable[[], list[Message]] | None = None) -> None:
        self._messages: deque[Message] = deque()
        self._arrived: SimpleQueue[None] = SimpleQueue()
        """one entry a message: unlike an Event it may be put into by a signal handler while its thread is waiting"""
        self._poll = poll
        self._polling = threading.Lock()
        self._polled = 0.0
        self._stop_sent: float | None = None
        self._stop_taken = False
        self._taken: float | None = None
        self._longest = 0.0
        self.abandon: Callable[[], object] = lambda: None
        """records that the run was stopped; for a process that then exits without waiting for the task"""

    def send(self, message: Message) -> None:
        """Leave a message. Any thread or signal handler, never blocks."""
        if isinstance(message, Stop) and self._stop_sent is None:
            self._stop_sent = time.monotonic()
        self._messages.append(message)
        self._arrived.put(None)

    def look(self) -> None:
        """Poll the outside source unless another thread does. Raises what ``poll`` raises."""
        if self._poll is not None and self._polling.acquire(blocking=False):
            try:
                for message in self._poll():
                    self.send(message)
            finally:
                self._polling.release()

    def take(self) -> list[Message]:
        """Every message since the last call, in order. For the task."""
        now = time.monotonic()
        if now - self._polled >= self.POLL:
            self._polled = now
            self.look()
        self._longest = max(self._longest, now - (self._taken or now))
        self._taken = now
        if not self._messages:
            return []
        taken = []
        while self._messages:
            taken.append(self._messages.popleft())
            with contextlib.suppress(Empty):
                self._arrived.get_nowait()
        self._stop_taken = self._stop_taken or any(isinstance(message, Stop) for message in taken)
        return taken

    def overdue(self, grace: float) -> bool:
        """Whether the first stop has waited for ``grace`` seconds, and twice the longest time between two takes."""
        if self._stop_sent is None or self._stop_taken:
            return False
        return time.monotonic() - self._stop_sent > max(grace, 2 * self._longest)

    def wait(self, seconds: float) -> None:
        """Sleep until a message arrives, at most ``seconds``. A polled source is not woken by; keep it short."""
        if not self._messages:
            with contextlib.suppress(Empty):
                self._arrived.get(timeout=seconds)


E = TypeVar("E")
T = TypeVar("T")
WAIT = 0.2  # seconds between looks at the mailbox during a pause


class Stopped(Exception):
    """The task was asked to stop; what was finished before is kept."""


def handle_messages(
    control: Control, step: int, other: Callable[[Message], object] = lambda _: None
) -> Iterator[Event]:
    """Take the messages that came since the last call; ``step`` says how far the work is.

    Yields :class:`Paused` and :class:`Continued` around a pause; ``other`` gets what asks neither for that nor for a
    stop. Raises :class:`Stopped`.
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
            else:
                other(message)
        if not paused:
            return
        control.wait(WAIT)


def passed(task: Generator[E, None, T], each: Callable[[E], Iterable[Event]]) -> Generator[Event, None, T]:
    """Yield what ``each`` makes of every event of ``task``, and return what the task returns."""
    with contextlib.closing(task):
        while True:
            try:
                event = next(task)
            except StopIteration as end:
                value: T = end.value
                return value
            yield from each(event)


def finish(task: Generator[E, None, T], tell: Callable[[E], object] = lambda _: None) -> T:
    """Run a task to its end, ``tell`` every event, and return what it returns."""
    while True:
        try:
            tell(next(task))
        except StopIteration as end:
            value: T = end.value
            return value
