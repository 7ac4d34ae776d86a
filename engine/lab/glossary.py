"""The glossary: terms of the field, what each means as it is computed here, and where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Term:
    """A term of the field."""

    name: str
    definition: str
    """what it means here, in one or two sentences"""
    source: str
    """authors, year and title, or the official documentation"""
    url: str = ""
    """of the source, where it has a stable one"""


def order(name: str) -> str:
    """The key by which names are sorted: letters and digits, lower case."""
    return re.sub(r"\W", "", name).casefold()


def page() -> list[Term]:
    """Every term in the order of the alphabet."""
    return list(TERMS.values())


_LINES = Path(__file__).with_suffix(".jsonl").read_text("utf-8").splitlines()
TERMS: Mapping[str, Term] = {term.name: term for term in (Term(**json.loads(line)) for line in _LINES)}
