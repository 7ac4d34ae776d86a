"""The events that a journal holds already, in as few values as possible: nearly all lines of a long one are steps."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from checkpoints.journal import records
from engine.runs.events import Event, Step, from_dict

READING = "reading its journal"  # text of the progress meanwhile
_NUMBER = rb"-?\d++(?:\.\d++)?(?:[eE][+-]?\d++)?"
_START = b'{"event":"step",'
_REST = b"".join(b',"%s":%s' % (entry.name.encode(), _NUMBER) for entry in dataclasses.fields(Step)[2:])
_STEP = re.compile(rb'(\{"event":"step","step":(\d{1,18}+),"loss":(%s)%s\})\n' % (_NUMBER, _REST))
"""a step as this version writes it, of finite numbers: the line, the step and the loss"""


@dataclass(frozen=True)
class Steps(Event):
    """Consecutive steps. ``losses[i]`` is that of step ``numbers[i]``; the rest is read when it is asked for."""

    numbers: Sequence[int]
    losses: Sequence[float]
    lines: Sequence[bytes]

    @property
    def step(self) -> int:
        """The last of them."""
        return self.numbers[-1]

    def at(self, index: int) -> Step:
        """The step of ``numbers[index]``, whole."""
        (record,) = records([self.lines[index]])
        event = from_dict(record)
        assert isinstance(event, Step)  # the line had all its numbers
        return event


@dataclass(frozen=True)
class Past(Event):
    """First event of a journal that is followed: those that it holds already, to be read where they are folded."""

    events: Iterator[Event]


def condensed(lines: Sequence[bytes]) -> Iterator[Event | None]:
    """The events of lines of a journal, steps many at a time; None for each that this version cannot read."""
    begun = 0
    others = [place for place, line in enumerate(lines) if not line.startswith(_START)]
    for place in (*others, len(lines)):
        if begun < place:
            yield from _steps(lines[begun:place])
        yield from each(lines[place : place + 1])
        begun = place + 1


def each(lines: Sequence[bytes]) -> Iterator[Event | None]:
    """As :func:`condensed`, one event for a line."""
    return map(from_dict, records(lines))


def _steps(lines: Sequence[bytes]) -> Iterator[Event | None]:
    found = _STEP.findall(b"\n".join([*lines, b""]))
    if len(found) != len(lines):  # one of another version, with an infinite loss, or damaged
        yield from each(lines)
        return
    whole, numbers, losses = zip(*found, strict=True)
    yield Steps(tuple(map(int, numbers)), tuple(map(float, losses)), whole)
