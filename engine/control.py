"""Messages to a running task. The task looks between two steps; the sender never waits."""

from __future__ import annotations

import threading
import time
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.sampling import Sampling


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
class SetSampling(Message):
    """Draw the next token, and all after it, with these settings."""

    sampling: Sampling


@dataclass(frozen=True)
class Detach(Message):
    """For a follower: look away. The run goes on."""


# What can come through an inbox: completions are made in the process that asks for them.
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in Message.__subclasses__() if kind is not SetSampling}


def to_record(message: Message) -> dict[str, Any]:
    """A message as JSON can hold it."""
    return {"message": type(message).__name__, **vars(message)}


def from_record(record: dict[str, Any]) -> Message | None:
    """The message that a record describes, or None when it describes none."""
    fields = {name: value for name, value in record.items() if name != "message"}
    named = record.get("message")
    kind = _KINDS.get(named) if isinstance(named, str) else None
    if kind is None:
        return None
    wanted = typing.get_type_hints(kind)
    try:
        for name, value in fields.items():
            if wanted.get(name) is float and type(value) is int:
                fields[name] = float(value)
            elif type(value) is not wanted.get(name):
                return None
        return kind(**fields)
    except (TypeError, OverflowError):
        return None


class Control:
    """A mailbox. ``poll`` is an outside source of messages (a run's inbox), looked at no oftener than ``POLL``."""

    POLL = 0.1  # seconds

    def __init__(self, poll: Callable[[], list[Message]] | None = None) -> None:
        self._messages: deque[Message] = deque()
        self._arrived = threading.Event()
        self._poll = poll
        self._polled = 0.0

    def send(self, message: Message) -> None:
        """Leave a message. Any thread, never blocks."""
        self._messages.append(message)
        self._arrived.set()

    def take(self) -> list[Message]:
        """Every message since the last call, in order."""
        if self._poll is not None and (now := time.monotonic()) - self._polled >= self.POLL:
            self._polled = now
            self._messages.extend(self._poll())
        if not self._messages:
            return []
        self._arrived.clear()
        taken = []
        while self._messages:
            taken.append(self._messages.popleft())
        return taken

    def wait(self, seconds: float) -> None:
        """Sleep until a message arrives, at most ``seconds``. A polled source is not woken by; keep it short."""
        if not self._messages:
            self._arrived.wait(seconds)
