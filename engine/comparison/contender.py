"""What is compared: contenders learn from labelled splits and then answer for inputs whose labels they never see."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.runs.events import ContenderStep, Event
from engine.runs.messages import Control


@dataclass(frozen=True)
class Inputs:
    """A split of a data set without its labels."""

    split: str
    """its name in the shared features"""
    items: Sequence[Any]


@dataclass(frozen=True)
class Labelled(Inputs):
    """A split that contenders learn from, or stop by."""

    labels: Sequence[Any]


@dataclass(frozen=True)
class Facts:
    """What is told of a contender beside its figures."""

    settings: str = ""
    """what was chosen, in words"""
    trained_parameters: int = 0
    parameters: int = 0
    """trained and frozen"""
    held_out_score: float | None = None


class LeftOut(Exception):
    """A contender cannot be fitted or judged on this data; the message says why."""


class Fitted(Protocol):
    """A contender that has learned."""

    @property
    def facts(self) -> Facts: ...

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Any]:
        """Scores of every possible answer ``(inputs, answers)``; after a stop of the inputs that were done, if any."""

    def save(self, store: Any, steps: Sequence[ContenderStep]) -> None:
        """Hand everything that is needed to answer again to the results of the run."""


class Contender(Protocol):
    """A method of a comparison."""

    @property
    def name(self) -> str: ...
    def fit(self, train: Labelled, held_out: Labelled, features: Any, control: Control) -> Generator[Event, None, Any]:
        """Learn, and return a :class:`Fitted`; ``features`` are shared by all contenders.

        Raises :class:`LeftOut` and :class:`engine.runs.messages.Stopped`.
        """


class Seeded(Contender, Protocol):
    """A method whose training draws random numbers."""

    def reseeded(self, number: int) -> Seeded:
        """The same with another seed, so many after its own."""
