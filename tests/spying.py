"""Watches what methods of a comparison are given, and fails where the labels of the judged split can be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest


def reachable(value: Any, seen: set[int]) -> Iterator[Any]:
    """Everything that can be reached from a value through attributes, items and closures."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | type | ModuleType | None):
        return
    seen.add(id(value))
    yield value
    inner: list[Any] = [*getattr(value, "__dict__", {}).values()]
    inner += [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    inner += [getattr(value, name, None) for name in getattr(value, "__slots__", ())]
    inner += [getattr(value, name, None) for name in ("__self__", "func", "args", "keywords")]
    if isinstance(value, dict):
        inner += value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        inner += value
    for one in inner:
        yield from reachable(one, seen)


def watch(
    patch: pytest.MonkeyPatch, methods: Mapping[Any, tuple[str, ...]], labels: Callable[[Any], bool]
) -> list[tuple[str, ...]]:
    """Record every call of ``methods`` (class to names) with the types of what was given.

    A call fails where ``labels`` is true of anything that can be reached from the object or the arguments.
    """
    calls: list[tuple[str, ...]] = []

    def replace(kind: Any, method: str) -> None:
        really, named = getattr(kind, method), kind.__name__

        def watched(self: Any, *given: Any) -> Any:
            for one in reachable((self, given), set()):
                assert not labels(one), f"{named}.{method} can reach the labels of the judged split"
            calls.append((method, *(type(one).__name__ for one in given)))
            return really(self, *given)

        patch.setattr(kind, method, watched)

    for kind, names in methods.items():
        for name in names:
            replace(kind, name)
    return calls


def record(patch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[tuple[Any, ...]]:
    """Record the positional arguments of every call of a function of ``module``, which is called all the same."""
    calls: list[tuple[Any, ...]] = []
    really = getattr(module, name)

    def recorded(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return really(*given, **named)

    patch.setattr(module, name, recorded)
    return calls
