"""Rows of a text of any length, without ever laying out more of it than is looked at.

A text falls into pieces: lines, and of lines longer than ``PIECE`` characters, stretches of that length. Every piece
begins a row, so the rows around any place follow from its piece alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from tui.tokens.glyphs import glyph

PIECE = 1024  # characters
Span: TypeAlias = tuple[int, int]
Split: TypeAlias = Callable[[int, int], list[Span]]
"""The rows of the piece from one offset to another; at least one, without gaps."""


class Rows:
    """The rows of one text under one layout."""

    def __init__(self, text: str, split: Split) -> None:
        self._text, self._split = text, split
        self._known: dict[int, list[Span]] = {}

    def at(self, offset: int) -> Span:
        """The row that holds ``offset``; the end of the text belongs to the last one."""
        rows = self._rows(offset)
        return next((row for row in rows if row[0] <= offset < row[1]), rows[-1])

    def after(self, row: Span) -> Span | None:
        """The row that follows, None after the last."""
        end = row[1]
        if end >= len(self._text):
            return (end, end) if row[0] < end and self._text.endswith("\n") else None
        return self.at(end)

    def before(self, row: Span) -> Span | None:
        """The row that precedes, None before the first."""
        return self.at(row[0] - 1) if row[0] > 0 else None

    def down(self, offset: int) -> Iterator[Span]:
        """The row that holds ``offset`` and all that follow."""
        row: Span | None = self.at(offset)
        while row is not None:
            yield row
            row = self.after(row)

    def _rows(self, offset: int) -> list[Span]:
        start, end = self._piece(offset)
        if start not in self._known:
            self._known[start] = self._split(start, end) if start < end else [(start, end)]
        return self._known[start]

    def _piece(self, offset: int) -> Span:
        text = self._text
        offset = max(0, min(offset, len(text)))
        start = text.rfind("\n", 0, offset) + 1
        found = text.find("\n", offset)
        end = len(text) if found < 0 else found + 1
        if end - start <= PIECE:
            return start, end
        inside = min(offset, end - 1) - start  # the end of the text belongs to the last piece
        start += inside // PIECE * PIECE
        return start, min(end, start + PIECE)


def words(text: str, width: int, marks: bool) -> Split:
    """Rows of at most ``width`` cells and one space or line break, broken after a space where one is near."""

    def split(start: int, end: int) -> list[Span]:
        rows: list[Span] = []
        while start < end:
            edge = _fits(text, start, end, width, marks)
            if edge < end and text[edge] in " \n":
                edge += 1  # it may hang over: there is a cell for the caret
            elif edge < end:
                space = text.rfind(" ", start + (edge - start) // 2, edge)
                edge = space + 1 if space >= 0 else edge
            rows.append((start, edge))
            start = edge
        return rows

    return split


def place(text: str, start: int, end: int, column: int, marks: bool) -> int:
    """The offset at ``column`` of the row from ``start`` to ``end``."""
    for offset in range(start, end):
        cells = glyph(text[offset], marks)[1]
        if column < cells:
            return offset
        column -= cells
    return end


def _fits(text: str, start: int, end: int, width: int, marks: bool) -> int:
    """How far the row from ``start`` goes: at least one character."""
    ahead = text[start : min(end, start + width)]
    if ahead.isascii():
        return start + len(ahead)
    cells = 0
    for number, character in enumerate(ahead):
        cells += glyph(character, marks)[1]
        if cells > width:
            return start + max(1, number)
    return start + len(ahead)
