"""Fields with several values: one run for each combination of them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

from engine.runs.spec import BadSpec, Problem

LIMIT = 200  # runs; a form makes all their specs with every key that is typed
_RANGE = re.compile(r"([+-]?\d{1,9})\.\.([+-]?\d{1,9})")
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})*,0\d\d(,\d{3})*")
"""one number whose thousands are separated, as ``5,000``: no list has a value that begins so"""


def combinations(kind: type, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One mapping for each combination of the values in ``given``; those of the last field change fastest.

    The text for a number of the spec ``kind`` may hold several values, separated by commas, and for a whole number
    also ranges ``a..b``, both ends included; a list holds several values of any field. Everything else is passed on as
    it is. Raises :class:`BadSpec` for a range that ends before it begins and for more than ``LIMIT`` combinations.
    """
    values = {name: _values(kind, name, value) for name, value in given.items()}
    if (count := math.prod(map(len, values.values()))) > LIMIT:
        many = [name for name, each in values.items() if len(each) > 1]
        raise BadSpec([Problem(many[0], f"{count:,} runs are too many; the most is {LIMIT:,}")])
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _values(kind: type, name: str, value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(dict.fromkeys(map(str, value))) or [value]
    usual = type(getattr(kind, name.replace("-", "_"), None))
    if not isinstance(value, str) or usual not in (int, float) or _GROUPED.fullmatch(value.strip()):
        return [value]
    found: dict[Any, None] = {}
    for part in filter(None, map(str.strip, value.split(","))):
        ends = _RANGE.fullmatch(part) if usual is int else None
        if ends is None:
            found[part] = None
            continue
        first, last = map(int, ends.groups())
        if last < first:
            raise BadSpec([Problem(name, f"{part}: the range ends before it begins")])
        if last - first >= LIMIT:
            raise BadSpec([Problem(name, f"{part} are {last - first + 1:,} runs; the most is {LIMIT:,}")])
        found |= dict.fromkeys(map(str, range(first, last + 1)))
    return list(found) if len(found) > 1 or (found and ".." in value) else [value]
