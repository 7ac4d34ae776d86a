"""What cells in a column of labels mean: which class, or why none."""

from __future__ import annotations

import ast
import contextlib
import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.formats import TableError, some
from data.sources import cell

MOST_CLASSES = 1_000
FEW = 50  # different values that are labels however few rows have each of them
MISSING = "without a label left out"
UNKNOWN = "left out, whose label is none of the known names"
SEVERAL = "with several labels left out"
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?\s*", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r"-?\d+")
_NOTHING = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "-infinity", "none", "null", "na", "n/a", "<na>"})


@dataclass(frozen=True)
class Labels:
    """The classes of a column, and for the :func:`key` of each of its cells the index of one, or why it has none."""

    classes: tuple[str, ...]
    meaning: dict[Hashable, int | str]
    repairs: tuple[str, ...] = ()


def key(value: Any) -> Hashable:
    """What two cells share that are the same: the type as well, since True is no 1."""
    if type(value) is str:
        return value
    if value is None or value != value:
        return None
    if isinstance(value, list | tuple):
        return list, tuple(map(key, value))
    return (type(value), value) if isinstance(value, Hashable) else str(value)


def read_labels(column: str, cells: Mapping[Hashable, int], names: Sequence[str], given: Sequence[str]) -> Labels:
    """The classes of a column whose ``cells`` are keys with the number of rows that have them.

    A label is the same in every format: 1, 1.0 and "1.0" are one class, so are true and "True". Where all others are
    numbers, a text such as NaN is none. ``names`` of integer labels come with the data: then -1 is none. ``given``
    names are the user's, in the order of the numbers. Raises :class:`TableError` for what is no label.
    """
    texts = {one: _text(one) for one in cells}
    found = {text for text in texts.values() if text not in (None, SEVERAL)}
    alike = _same_in_every_format(found)
    kinds = {type(one).__name__ if not isinstance(one, tuple) else one[0].__name__ for one in cells if texts[one]}
    repairs = []
    if len(kinds) > 1 and not all(text is None or _NUMBER.fullmatch(text) for text in alike.values()):
        repairs.append(f"the column {column!r} mixes types ({', '.join(sorted(kinds))}): every label is taken as text")
    values = {text for text in alike.values() if text is not None}
    classes, place = _named(column, values, names, given)
    rows = sum(cells.values())
    if len(classes) > MOST_CLASSES:
        raise TableError(
            f"the column {column!r} holds {len(classes):,} classes; at most {MOST_CLASSES:,} are supported"
        )
    fractions = all(map(_NUMBER.fullmatch, values)) and not all(map(_WHOLE.fullmatch, values))
    if not (names or given) and len(values) > FEW and (fractions or 2 * len(values) > rows):
        raise TableError(
            f"the column {column!r} holds {len(values):,} different values in {rows:,} rows, so it is no label: more "
            f"than {FEW} classes must be no fractions and have two rows or more on average"
        )
    meaning: dict[Hashable, int | str] = {}
    for one, text in texts.items():
        value = alike.get(text or "") if text != SEVERAL else SEVERAL
        meaning[one] = MISSING if value is None else place.get(value, SEVERAL if value == SEVERAL else UNKNOWN)
        if names and value == "-1" and value not in place:
            meaning[one] = MISSING
    return Labels(classes, meaning, tuple(repairs))


def _text(one: Hashable) -> str | None:
    """The label of a cell as text; None where there is none, SEVERAL where there is more than one."""
    if isinstance(one, str):
        if one[:1] == "[" and one[-1:] == "]":  # a list in a CSV
            with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                listed = ast.literal_eval(one)
                return _text(key(listed)) if isinstance(listed, list) else one
        return one if one.strip() else None
    if not isinstance(one, tuple):
        return None
    kind, value = one
    if kind is list:
        return _text(value[0]) if len(value) == 1 else SEVERAL if value else None
    if kind is float:
        return None if math.isinf(value) else _number(repr(value))
    return cell(value)


def _number(text: str) -> str:
    """A number as a whole one where it is; whole numbers stay as they are written, such as 007."""
    text = text.strip()
    value = float(text)
    if _WHOLE.fullmatch(text) or not math.isfinite(value):
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _same_in_every_format(found: Iterable[str]) -> dict[str, str | None]:
    """What each text is called as a label; None where it is none after all."""
    found = set(found)
    numbers = {text for text in found if _NUMBER.fullmatch(text)}
    if numbers and all(text.strip().lower() in _NOTHING for text in found - numbers):
        return {text: _number(text) if text in numbers else None for text in found}
    if all(text.lower() in ("true", "false") for text in found):
        return {text: text.lower() for text in found}
    return {text: text for text in found}


def _named(
    column: str, values: set[str], names: Sequence[str], given: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes, and the index in them of each value that has one."""
    whole = all(map(_WHOLE.fullmatch, values))
    ordered = sorted(values, key=lambda value: (int(value), value) if whole else (0, value))
    if given:
        if names:
            ordered = list(map(str, range(len(names))))
        shown = some([value[:40] for value in ordered])
        if not whole:
            raise TableError(f"names of labels are for numbers, and the column {column!r} holds {shown}")
        if len(given) != len(ordered):
            raise TableError(f"{len(given)} names for {len(ordered)} labels ({shown}): give one for each")
        return tuple(given), {value: place for place, value in enumerate(ordered)}
    if not names:
        return tuple(ordered), {value: place for place, value in enumerate(ordered)}
    by_name = {name: place for place, name in enumerate(names)}
    by_number = {str(place): place for place in range(len(names))}
    # Where some value can only be a name, as in a file of names beside one of numbers, so is every other.
    place = {**by_number, **by_name} if (values - by_number.keys()) & by_name.keys() else by_number
    return (tuple(names), place) if values & place.keys() else _named(column, values, (), ())
