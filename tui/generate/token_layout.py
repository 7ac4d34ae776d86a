"""Tokens as lines of a given width: words are kept whole, every token can be found by place, line and column."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

BREAK = "⏎"  # what a line break is shown as, at the end of its line


@dataclass(frozen=True)
class Item:
    """One token to lay out: ``key`` tells whether it changed, ``text`` is what is shown, safe, with line breaks."""

    key: object
    text: str


Row = list[tuple[int, str]]
"""A line: places with the part of their text that stands in it."""


def common_start(one: Sequence[object], other: Sequence[object]) -> int:
    """How many elements two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (ours, theirs) in pairs if ours != theirs), min(len(one), len(other)))


class TokenLayout:
    """Lays tokens out; what follows an unchanged beginning is laid out again, the beginning is not."""

    def __init__(self) -> None:
        self.rows: list[Row] = [[]]
        self._items: list[Item] = []
        self._width = 0

    def lay(self, items: Sequence[Item], width: int) -> None:
        """Lay ``items`` out in lines of ``width`` cells."""
        width = max(4, width)
        same = common_start(self._items, items) if width == self._width else 0
        if width == self._width and same == len(self._items) == len(items):
            return
        # A word may move to the next line when it grows, so the line before the first change is laid out too.
        row = max(0, self.row_of(same - 1) - 1) if same and self.rows[0] else 0
        first = self.rows[row][0][0] if self.rows[row] else 0
        while row > 0 and self.rows[row - 1] and self.rows[row - 1][-1][0] == first:
            row -= 1  # a token that began in the line before is laid out from its beginning
            first = self.rows[row][0][0]
        del self.rows[row:]
        self._items, self._width = list(items), width
        self._fill(first)

    def row_of(self, place: int) -> int:
        """The line in which the token at ``place`` begins."""
        return bisect_left(self.rows, place, hi=len(self.rows) - 1, key=lambda row: row[-1][0] if row else place)

    def column_of(self, place: int, row: int) -> int:
        """The column at which the token at ``place`` begins in a line."""
        column = 0
        for other, text in self.rows[row]:
            if other >= place:
                break
            column += cell_len(text)
        return column

    def place_at(self, row: int, column: int) -> int | None:
        """The token that stands in a line at a column, the last one beyond its end; None for an empty line."""
        if not 0 <= row < len(self.rows) or not self.rows[row]:
            return None
        end = 0
        for place, text in self.rows[row]:
            end += cell_len(text)
            if column < end:
                return place
        return self.rows[row][-1][0]

    def _fill(self, first: int) -> None:
        room = self._width - 2  # the last columns are for a space and a line break
        line: list[tuple[int, str, int]] = []
        used = 0
        space = 0  # how much of the line stands before its last word
        for place in range(first, len(self._items)):
            for character in self._items[place].text:
                if character == "\n":
                    line.append((place, BREAK, 1))
                    self._end(line)
                    line, used, space = [], 0, 0
                    continue
                width = 1 if character < "\x7f" else cell_len(character)
                if used + width > room + (character == " "):
                    rest = line[space:] if 0 < space < len(line) else []
                    self._end(line[: len(line) - len(rest)])
                    line, used, space = rest, sum(one[2] for one in rest), 0
                line.append((place, character, width))
                used += width
                if character == " ":
                    space = len(line)
        self._end(line)

    def _end(self, line: list[tuple[int, str, int]]) -> None:
        row: Row = []
        for place, character, _ in line:
            if row and row[-1][0] == place:
                row[-1] = (place, row[-1][1] + character)
            else:
                row.append((place, character))
        self.rows.append(row)
