"""Frozen dataclasses as JSON and back: one codec for specs, events, messages and figures.

A file may be damaged or written by another version, so :func:`decode` takes no value of another type than its field
and tells all that are wrong at once. Entries that are no fields are left out; :func:`unknown` gives them to whoever
writes the record again.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import reprlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

LARGEST = 1 << 63  # beyond it no count, size or number of a step is meant
DEEPEST = 50  # objects within objects
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""how a field of type float is written that JSON has no number for"""

S = TypeVar("S")
Reader = Callable[[Any], Any]
"""the value of a field from its JSON; raises :class:`ValueError` for one of another type"""


class Misfit(ValueError):
    """A record is not what it should be. ``problems`` has the name of each field that is wrong, and why."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in problems))
        self.problems = problems


def encode(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON can hold them. Inside a dictionary, numbers that are not finite become null."""
    return {entry.name: _written(getattr(value, entry.name)) for entry in dataclasses.fields(value)}


def decode(kind: type[S], record: Mapping[str, Any]) -> S:
    """The dataclass that :func:`encode` wrote, with defaults for missing fields. Raises :class:`Misfit`."""
    problems, values = [], {}
    readers, needed = _readers(typing.cast(Any, kind))
    for name in readers.keys() & record.keys():
        try:
            values[name] = readers[name](record[name])
        except ValueError:
            problems.append((name, f"{reprlib.repr(record[name])} has the wrong type"))
    problems += [(name, "is missing") for name in needed - record.keys()]
    if problems:
        raise Misfit(sorted(problems))
    return kind(**values)


def unknown(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``record`` that are no fields of ``kind``: those of another version."""
    return {name: value for name, value in record.items() if name not in _readers(kind)[0]}


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: None for NaN and infinity, lists for tuples. :func:`decode` does not undo it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, tuple | list) else value


def _written(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, tuple | list):
        return [_written(entry) for entry in value]
    if isinstance(value, dict):
        return plain(value)
    return encode(value) if dataclasses.is_dataclass(value) else value


@functools.cache
def _readers(kind: Any) -> tuple[dict[str, Reader], frozenset[str]]:
    """What reads each field, and the fields without a default."""
    hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
    free = dataclasses.MISSING
    needed = [entry.name for entry in fields if entry.default is free and entry.default_factory is free]
    return {entry.name: _reader(hints[entry.name]) for entry in fields}, frozenset(needed)


def _reader(hint: Any) -> Reader:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return functools.partial(_first, tuple(map(_reader, inner)))
    if origin is tuple:
        if inner[-1] is ...:
            return functools.partial(_row, _reader(inner[0]))
        return functools.partial(_places, tuple(map(_reader, inner)))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return functools.partial(_record, hint)
    return {float: _number, int: _whole, Any: _usable}.get(hint) or functools.partial(_exactly, origin or hint)


def _first(readers: tuple[Reader, ...], value: Any) -> Any:
    for reader in readers:
        try:
            return reader(value)
        except ValueError:
            pass
    raise ValueError


def _row(reader: Reader, value: Any) -> tuple[Any, ...]:
    if type(value) is not list:
        raise ValueError
    return tuple(map(reader, value))


def _places(readers: tuple[Reader, ...], value: Any) -> tuple[Any, ...]:
    if type(value) is not list:
        raise ValueError
    return tuple(reader(entry) for reader, entry in zip(readers, value, strict=True))


def _record(kind: type, value: Any) -> Any:
    if type(value) is not dict:
        raise ValueError
    return decode(kind, value)


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is str and value in NOT_FINITE:
        return NOT_FINITE[value]
    return float(_whole(value))


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) > LARGEST:
        raise ValueError
    return value


def _exactly(kind: type, value: Any) -> Any:
    """A string, a truth value, None or a dictionary, whose numbers must be usable."""
    if type(value) is not kind:
        raise ValueError
    return _usable(value) if kind is dict else value


def _usable(value: Any, depth: int = 0) -> Any:
    """Any value in which every number is finite and none too large to be calculated with, and nothing is too deep."""
    if depth > DEEPEST:
        raise ValueError
    if type(value) is int:
        return _whole(value)
    if type(value) is float and not math.isfinite(value):
        raise ValueError
    for entry in value.values() if type(value) is dict else value if type(value) is list else ():
        _usable(entry, depth + 1)
    return value
