"""Pieces of Markdown pages that hold text of users, models and data, none of which can become markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any


def code(content: Any) -> str:
    """Text as a piece of code in a line: it can end neither the code, nor the line, nor a cell."""
    return "`" + (visible(str(content)).replace("`", "'").replace("|", "/").strip() or "·") + "`"


def text(value: Any) -> str:
    """Text as text of a line: nothing in it becomes markup, a link or a cell's end."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~&$@])", r"\\\1", visible(str(value)))


def fenced(content: str, language: str = "text") -> list[str]:
    """Lines of text as a block that ends only where it should."""
    longest = max(map(len, re.findall("`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *(visible(line) for line in content.split("\n")), fence]


def quote(content: str) -> list[str]:
    """Lines of text as a quotation: none of them becomes a list, a heading, a rule or a table."""
    lines = [text(line.strip()) for line in content.strip().split("\n")]
    safe = [re.sub(r"^(?:(?=[-=:])|[0-9]+(?=[.]))", r"\g<0>\\", line) for line in lines]
    ends = ["\\" * bool(line and after) for line, after in pairwise([*safe, ""])]  # the next line stays one
    return [f"> {line}{end}".rstrip() for line, end in zip(safe, ends, strict=True)]


def visible(content: str) -> str:
    """Text with ``·`` for every character that does not print: controls, line breaks, marks of direction."""
    return "".join(letter if letter.isprintable() else "·" for letter in content)


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a table; headings and text among the cells may hold Markdown, see :func:`cell`."""
    return [_row(heads), "|---" * len(heads) + "|", *(_row(list(map(cell, row))) for row in rows)]


def cell(value: Any) -> str:
    """A figure, the ends of an interval, or text, which must be Markdown that is safe in a cell."""
    match value:
        case float():
            return f"{value:.4f}"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case [float() | int() as low, float() | int() as high]:
            return f"{low:.4f} to {high:.4f}"
        case str() if value:
            return value
        case _:
            return "–"


def without_folder(value: Any) -> Any:
    """A setting without the folders of the machine that the run was on."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
