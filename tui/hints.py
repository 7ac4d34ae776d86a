"""What F1 explains: the figures on the screen with the values that are drawn, and the fields of a form.

A view makes its hints from what it draws, with the functions that write the values on the screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

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
    meaning: str
    """what follows from it"""
    term: str = ""


def hints(rows: Iterable[Row], values: Mapping[str, str], labels: Mapping[str, str] | None = None) -> list[Hint]:
    """The rows whose value is drawn. ``values`` are as they are drawn, ``labels`` where they differ from the names."""
    found = []
    for row in rows:
        if value := values.get(row.name, ""):
            figure = row.figure.format_map(values) if value != MISSING else "There is no value yet."
            name = (labels or {}).get(row.name, row.name)
            found.append(Hint(name, (value,), f"{figure} {row.meaning.format_map(values)}", row.term))
    return found


def seen(found: Iterable[Hint], text: str) -> list[Hint]:
    """Those whose label stands in ``text``: where there is no room for all figures, some are not drawn."""
    return [hint for hint in found if re.search(rf"(?<!\w){re.escape(hint.name)}(?!\w)", text)]


def definition(term: str) -> str:
    """What the glossary says about a term, and its source; empty for one that it does not have."""
    with suppress(ImportError, KeyError):
        known = import_module("engine.lab.glossary").TERMS[term]
        return f"{known.definition} ({known.source})"
    return ""
