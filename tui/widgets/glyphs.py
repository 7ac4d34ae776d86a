"""Every code point as a glyph of its own, and rows of glyphs, without laying out more of a text than is looked at.

Tokens cut where a terminal would join, so nothing is joined or hidden. A text falls into pieces: lines, and of lines
longer than ``PIECE`` characters, stretches of that length. Every piece begins a row, so the rows around any place
follow from its piece alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from rich.cells import cell_len

from tui.text import safe

NEWLINE = "⏎"
SPACE = "·"
TAB = "→"
PART = "┊"
"""stands for what a token holds of a code point whose glyph stands in another token"""


@lru_cache(maxsize=1 << 16)
def glyph(character: str, marks: bool = True) -> tuple[str, int]:
    """What shows ``character``, and how many cells that takes: at least 1.

    Marks that combine stand on a dotted circle, halves of flags and shades of skin become symbols; what no terminal
    should get is replaced as :func:`tui.text.safe` does. ``marks`` shows spaces, too.
    """
    if " " <= character <= "~":
        return (SPACE if character == " " and marks else character), 1
    if character == "\n":
        return NEWLINE, 1
    if character == "\t":
        return (TAB if marks else " "), 1
    code = ord(character)
    if 0x1F1E6 <= code <= 0x1F1FF:
        return chr(0x24B6 + code - 0x1F1E6), 1
    if 0x1F3FB <= code <= 0x1F3FF:
        return "▒", 1
    shown = safe(character, lines=False)
    if unicodedata.category(character) in ("Mn", "Me") and shown == character:
        variation = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
        return ("·" if variation else "◌" + character), 1
    width = cell_len(shown)
    if width == 0:
        return "·", 1
    if unicodedata.category(character) == "Zs":
        return ("␣" if marks else " " * width), (1 if marks else width)
    return shown, width


def plain(text: str) -> str:
    """``text`` as glyphs, in one piece."""
    return "".join(glyph(character)[0] for character in text)


def columns(text: str) -> int:
    """Cells that ``text`` takes as glyphs without marks."""
    return len(text) if text.isascii() else sum(glyph(character, marks=False)[1] for character in text)


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

    def moved(self, row: Span, by: int) -> Span | None:
        """The row ``by`` rows below, or above when negative; None beyond the first and the last."""
        near: Span | None = row
        for _ in range(abs(by)):
            near = self.before(row) if by < 0 else self.after(row)
            if near is None:
                break
            row = near
        return near

    def down(self, offset: int, count: int) -> list[Span]:
        """The row that holds ``offset`` and those that follow, ``count`` in all where there are so many."""
        rows: list[Span] = []
        row: Span | None = self.at(offset)
        while row is not None and len(rows) < count:
            rows.append(row)
            row = self.after(row)
        return rows

    def top(self, top: int, caret: int, count: int) -> int:
        """Where the first of ``count`` visible rows begins so that the caret's is among them: near ``top``."""
        top, here = self.at(top)[0], self.at(caret)
        if here[0] < top:
            return here[0]
        return top if here in self.down(top, count) else (self.moved(here, 1 - count) or self.at(0))[0]

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


def words(text: str, width: int) -> Split:
    """Rows of at most ``width`` cells and one space or line break, broken after a space where one is near."""

    def split(start: int, end: int) -> list[Span]:
        rows: list[Span] = []
        while start < end:
            edge = _fits(text, start, end, width)
            if edge < end and text[edge] in " \n":
                edge += 1  # it may hang over: there is a cell for the caret
            elif edge < end:
                space = text.rfind(" ", start + (edge - start) // 2, edge)
                edge = space + 1 if space >= 0 else edge
            rows.append((start, edge))
            start = edge
        return rows

    return split


def place(text: str, start: int, end: int, column: int) -> int:
    """The offset at ``column`` of the row from ``start`` to ``end``."""
    for offset in range(start, end):
        cells = glyph(text[offset], marks=False)[1]
        if column < cells:
            return offset
        column -= cells
    return end


def _fits(text: str, start: int, end: int, width: int) -> int:
    """How far the row from ``start`` goes: at least one character."""
    ahead = text[start : min(end, start + width)]
    if ahead.isascii():
        return start + len(ahead)
    cells = 0
    for number, character in enumerate(ahead):
        cells += glyph(character, marks=False)[1]
        if cells > width:
            return start + max(1, number)
    return start + len(ahead)
