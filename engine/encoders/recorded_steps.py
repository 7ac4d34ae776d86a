"""The losses of a training, kept beside what came of it, so that whoever takes it over can tell them again."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import astuple, replace
from typing import Any, TypeVar

from engine.runs.events import Event, RouteStep

T = TypeVar("T")


def noting(task: Generator[Event, None, T], steps: list[RouteStep]) -> Generator[Event, None, T]:
    """What ``task`` yields and returns; its looks at what was held out, one an epoch, are noted in ``steps``."""
    while True:
        try:
            event = next(task)
        except StopIteration as end:
            value: T = end.value
            return value
        if isinstance(event, RouteStep) and event.validation_loss is not None:
            steps.append(replace(event, seconds_left=None))
        yield event


def rows_of(steps: Sequence[RouteStep]) -> list[list[Any]]:
    """As JSON can hold them."""
    return [list(astuple(step)) for step in steps]


def steps_from(rows: Any) -> tuple[RouteStep, ...]:
    """The steps that :func:`rows_of` wrote. Raises :class:`TypeError` and :class:`ValueError` for anything else."""
    return tuple(
        RouteStep(str(route), int(step), int(steps), float(loss), float(missed), float(right), None, str(note))
        for route, step, steps, loss, missed, right, _, note in rows
    )
