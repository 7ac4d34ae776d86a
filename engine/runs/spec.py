"""What a spec is: a frozen dataclass whose fields carry their help, and everything that is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from engine.runs import codec

S = TypeVar("S")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec: the field, and what to do about it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class BadSpec(ValueError):
    """A spec cannot be used; ``problems`` holds everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def option(default: Any, text: str, *, unit: str = "", choices: tuple[str, ...] = (), name: str = "") -> Any:
    """A field of a spec with its help; ``name`` is that of the command line where it is another."""
    return field(default=default, metadata={"help": text, "unit": unit, "choices": choices, "name": name})


class Spec(Protocol):
    """What a task is asked for: a frozen dataclass with these fields."""

    task: ClassVar[str]
    """name of the task, as ``spec.json`` has it"""

    @property
    def name(self) -> str: ...
    def validate(self) -> list[Problem]: ...


class DataSpec(Spec, Protocol):
    """What a task on a data set is asked for."""

    @property
    def data(self) -> str: ...


def to_dict(spec: Spec) -> dict[str, Any]:
    """A spec as JSON can hold it, marked as its task's."""
    return {"task": spec.task, **codec.encode(spec)}


def restored(kind: type[S], record: Mapping[str, Any]) -> S:
    """The spec that :func:`to_dict` wrote, with defaults for missing fields and without those of other versions.

    Raises :class:`BadSpec` with every field whose value has another type.
    """
    try:
        return codec.decode(kind, record)
    except codec.Misfit as error:
        raise BadSpec([Problem(*problem) for problem in error.problems]) from None
