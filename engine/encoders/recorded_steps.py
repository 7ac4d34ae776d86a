"""The losses of a training, kept beside what came of it, so that whoever takes it over can tell them again."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from engine.runs.events import ContenderStep, Event
from engine.runs.messages import passed

T = TypeVar("T")
FIELDS = ("contender", "step", "steps", "loss", "held_out_loss", "held_out_score", "seconds_left", "note")
"""of a row, in the order that older runs have too"""


def recording(task: Generator[Event, None, T], steps: list[ContenderStep]) -> Generator[Event, None, T]:
    """What ``task`` yields and returns; the steps with an evaluation, one an epoch, are added to ``steps``."""

    def record(event: Event) -> tuple[Event]:
        if isinstance(event, ContenderStep) and event.held_out_loss is not None:
            steps.append(replace(event, seconds_left=None))
        return (event,)

    return passed(task, record)


def rows_of(steps: Sequence[ContenderStep]) -> list[list[Any]]:
    """As JSON can hold them."""
    return [[getattr(step, name) for name in FIELDS] for step in steps]


def steps_from(rows: Any) -> tuple[ContenderStep, ...]:
    """The steps that :func:`rows_of` wrote. Raises :class:`TypeError` and :class:`ValueError` for anything else."""
    return tuple(
        ContenderStep(str(method), int(step), int(steps), float(loss), float(missed), float(right), None, str(note))
        for method, step, steps, loss, missed, right, _, note in rows
    )
