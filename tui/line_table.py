"""Tables as lines: columns that fit the width, a heading, and as many rows as there is room for, around a cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.text import Text

from tui.styled import CURSOR, DIM, window
from tui.text import safe

Cell = str | tuple[str, str] | Text
"""what stands in a column: text, text with a style, or something drawn"""


@dataclass(frozen=True)
class Column:
    """One figure or text of every row.

    ``width`` is in terminal cells, with the gap: before what is aligned right, after what is aligned left. 0 takes
    what the other columns leave.
    """

    title: str
    width: int
    cell: Callable[[Any], Cell]
    """from a row; what is too long is cut with ``…``"""
    left: bool = False
    wanted: int = 0
    """cells of the table from which the column is shown"""
    named: bool = False
    """whether the cursor is painted on this cell"""


class LineTable:
    """Columns for tables of ``width`` cells. Where not all fit, the last give way.

    With ``marked`` the row of the cursor has ``▸`` before it and its ``named`` cell is painted, without all of it is.
    """

    def __init__(self, columns: Sequence[Column], width: int, *, marked: bool = True, cursor: str = CURSOR) -> None:
        self.marked, self._cursor = marked, cursor
        room = width - 2 * marked
        shown = [column for column in columns if width >= column.wanted]
        while len(shown) > 1 and sum(column.width for column in shown) > room:
            shown.pop()
        rest = max(0, room - sum(column.width for column in shown))
        self.columns = [column if column.width else replace(column, width=rest) for column in shown]
        self.width = 2 * marked + sum(column.width for column in self.columns)

    def heading(self) -> Text:
        """The titles."""
        return self._line([(column.title, DIM) for column in self.columns], here=False)

    def row(self, entry: Any, *, here: bool = False) -> Text:
        """One row; ``here`` says that the cursor is on it."""
        return self._line([column.cell(entry) for column in self.columns], here=here)

    def rows(self, entries: Sequence[Any], cursor: int, height: int) -> list[Text]:
        """At most ``height`` rows, that of ``cursor`` among them."""
        places = window(len(entries), cursor, max(1, height))
        return [self.row(entries[place], here=place == cursor) for place in places]

    def _line(self, cells: Sequence[Cell], *, here: bool) -> Text:
        line = Text(no_wrap=True)
        if self.marked:
            line.append("▸ " if here else "  ", self._cursor if here else "")
        for column, cell in zip(self.columns, cells, strict=True):
            placed = _placed(column, cell, last=column is self.columns[-1])
            if here and self.marked and column.named:
                placed.stylize(self._cursor)
            line.append_text(placed)
        if here and not self.marked:
            line.stylize(self._cursor)
        return line


def _placed(column: Column, cell: Cell, *, last: bool) -> Text:
    """A cell in exactly the width of its column."""
    if isinstance(cell, Text):
        text = cell.copy()
    else:
        shown, style = (cell, "") if isinstance(cell, str) else cell
        text = Text(safe(shown, lines=False), style)
    text.truncate(column.width - (column.left and not last), overflow="ellipsis")
    free = column.width - text.cell_len
    if column.left:
        text.pad_right(free)
    else:
        text.pad_left(free)
    return text
