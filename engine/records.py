"""Which values of a JSON object fit the fields of a dataclass: a file may be damaged or written by another version."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from typing import Any

LARGEST = 1 << 63  # beyond it no count, size or number of a step is meant

_allowed: dict[type, dict[str, tuple[frozenset[type], frozenset[type]]]] = {}


def known(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``record`` that are fields of ``kind``; those of other versions are left out."""
    return {name: value for name, value in record.items() if name in _types(kind)}


def misfits(kind: type, fields: Mapping[str, Any]) -> list[str]:
    """Names of ``fields`` whose value has another type than ``kind`` gives them, or is no usable number."""
    types = _types(kind)
    return [name for name, value in fields.items() if not _fits(value, *types[name])]


def _fits(value: Any, allowed: frozenset[type], members: frozenset[type]) -> bool:
    if isinstance(value, list) and members:
        return list in allowed and all(_fits(member, members, frozenset()) for member in value)
    return type(value) in allowed and _usable(value)


def _usable(value: Any) -> bool:
    """Whether every number is finite and none too large to be calculated with, also inside an object."""
    if isinstance(value, dict):
        inner = [entry for one in value.values() for entry in (one if isinstance(one, list) else (one,))]
        return all(map(_usable, inner))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) <= LARGEST


def _types(kind: type) -> dict[str, tuple[frozenset[type], frozenset[type]]]:
    """For each field the types that JSON may give, and those of a list's members where they are known."""
    if kind not in _allowed:
        _allowed[kind] = {}
        for name, hint in typing.get_type_hints(kind).items():
            origin, inner = typing.get_origin(hint), typing.get_args(hint)
            kept_in: dict[Any, set[type]] = {tuple: {list}, dict: {dict}}
            allowed = kept_in.get(origin) or set(inner) or {hint}
            plain = origin is tuple and inner[0] in (str, int, float)
            _allowed[kind][name] = _numbers(allowed), _numbers({inner[0]}) if plain else frozenset()
    return _allowed[kind]


def _numbers(wanted: set[type]) -> frozenset[type]:
    """A whole number stands for any number."""
    return frozenset(wanted | {int} if float in wanted else wanted)
