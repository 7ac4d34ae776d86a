"""What F1 explains: the figures on the screen with the values that are drawn, and the fields of a form.

A view makes its hints from what it draws, with the functions that write the values on the screen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.runs.spec import Option

MISSING = "–"
"""what is drawn for a figure without a value"""


@dataclass(frozen=True)
class Hint:
    """One figure, column or field of a view."""

    name: str
    """its label, as it is drawn"""
    shown: tuple[str, ...]
    """its values, exactly as they are drawn"""
    text: str
    """two sentences: the values with their units, and what they mean"""
    term: str = ""
    """of the glossary"""


@dataclass(frozen=True)
class Row:
    """How a figure is explained. Both sentences may hold values in braces, by their names."""

    name: str
    figure: str
    """what the value is"""
    meaning: str = ""
    """what follows from it"""
    term: str = ""
    pattern: str = ""
    """of a line, a regular expression in which ``{x}`` is a number, ``{x:time}`` a time, ``{x:words}`` some words"""
    others: bool = False
    """whether this explains all columns that no other row does; their titles are names"""


def read(file: Path) -> dict[str, list[Row]]:
    """The rows of a file by view: an object a line, with the fields of a row and the names of its views."""
    found: dict[str, list[Row]] = {}
    for line in file.read_text("utf-8").splitlines():
        fields = json.loads(line)
        for view in fields.pop("views"):
            found.setdefault(view, []).append(Row(**fields))
    return found


def hints(rows: Iterable[Row], values: Mapping[str, str], labels: Mapping[str, str] | None = None) -> list[Hint]:
    """The rows whose value is drawn. ``values`` are as they are drawn, ``labels`` where they differ from the names."""
    found = []
    for row in rows:
        if value := values.get(row.name, ""):
            figure = row.figure.format_map(values) if value != MISSING else "There is no value yet."
            name = (labels or {}).get(row.name, row.name)
            found.append(Hint(name, (value,), f"{figure} {row.meaning.format_map(values)}", row.term))
    return found


def setting(known: Option, value: str, default: str, able: Sequence[str] = ()) -> str:
    """What a field of a spec is for; then its value with the unit, its default, and what it may be."""
    meant = f" ({known.meanings[value]})" if value in known.meanings else ""
    now = f"It is {value} {known.unit}".rstrip() if value.strip() else "It is empty"
    able = [*known.listed, *able]
    bounded = any(limit is not None for limit in (known.minimum, known.above, known.maximum, known.below))
    limits = f"; it is one of {', '.join(able)}" if able else f"; it {known.range('the value')}" if bounded else ""
    about = known.help.rstrip(".")
    return f"{about[:1].upper()}{about[1:]}. {now}{meant}; the default is {default or 'empty'}{limits}."


def seen(found: Iterable[Hint], text: str) -> list[Hint]:
    """Those whose label stands in ``text``: where there is no room for all figures, some are not drawn."""
    return [hint for hint in found if re.search(rf"(?<!\w){re.escape(hint.name)}(?!\w)", text)]


def definition(term: str) -> str:
    """What the glossary says about a term, and its source; empty for one that it does not have."""
    from engine.lab.glossary import TERMS  # reads a file, when it is first wanted

    return f"{TERMS[term].definition} ({TERMS[term].source})" if term in TERMS else ""
