"""Tables as lines: columns that fit the width, a heading, and as many rows as there is room for, around a cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.hints import Hint
from tui.text import safe
from tui.widgets.lines import FocusLines, Lines, pointing
from tui.widgets.styled import MUTED, SELECTED, SELECTED_MARK, strips, window

MARGIN = 2  # cells before the columns

Cell = str | tuple[str, str] | Text
"""what stands in a column: text, text with a style, or something drawn"""


@dataclass(frozen=True)
class Column:
    """One figure or text of every row.

    ``width`` is in terminal cells, with the gap: before what is aligned right, after what is aligned left. Columns of
    width 0 share what the others leave, and are given at least ``least`` cells.
    """

    title: str
    width: int
    cell: Callable[[Any], Cell]
    """from a row; what is too long is cut with ``…``"""
    left: bool = False
    priority: int = 0
    """where not all columns fit, those with the highest number are left out first, of equals the last"""
    least: int = 8
    about: str | Callable[[Any], str] = ""
    """for F1: what its figures mean, as a sentence, or from a row as two with its values; empty for names and marks"""
    term: str = ""
    """of the glossary"""


@dataclass(frozen=True)
class Drawn:
    """A row that was drawn."""

    cells: Mapping[str, str]
    """by the titles of the columns, those included for which there was no room"""
    titles: tuple[str, ...]
    """of the columns that were drawn"""
    here: bool
    """whether the cursor is on it"""


@contextmanager
def recording() -> Iterator[list[Drawn]]:
    """Collects the rows that tables draw meanwhile."""
    drawn: list[Drawn] = []
    LineTable.record = drawn
    try:
        yield drawn
    finally:
        LineTable.record = None


class LineTable:
    """Columns for tables of ``width`` cells: a margin of two, with ``▌`` in the row of the cursor, which is painted.

    A click on a row is told by the :class:`Lines` in which it is shown, as the row's place.
    """

    record: ClassVar[list[Drawn] | None] = None

    def __init__(self, columns: Sequence[Column], width: int, *, painted: bool = True) -> None:
        """``painted`` says whether the row of the cursor is to be seen."""
        self._all, self._painted = columns, painted
        room, shown = width - MARGIN, list(columns)
        while len(shown) > 1 and sum(column.width or column.least for column in shown) > room:
            least = max(column.priority for column in shown)
            del shown[max(place for place, column in enumerate(shown) if column.priority == least)]
        rest = max(0, room - sum(column.width for column in shown))
        share = rest // max(1, sum(not column.width for column in shown))
        self.columns = [column if column.width else replace(column, width=share) for column in shown]
        self.width = MARGIN + sum(column.width for column in self.columns)

    def heading(self) -> Text:
        """The titles."""
        return self._line([(column.title, MUTED) for column in self.columns])

    def row(self, entry: Any, *, here: bool = False) -> Text:
        """One row; ``here`` says that the cursor is on it."""
        if self.record is not None:
            cells: dict[str, str] = {}
            for column in self._all:
                cells.setdefault(column.title, _text(column.cell(entry)).plain.strip())
            self.record.append(Drawn(cells, tuple(column.title for column in self.columns), here))
        here = here and self._painted
        line = self._line([column.cell(entry) for column in self.columns], "▌" if here else " ")
        if here:
            line.stylize(SELECTED)
            line.stylize(SELECTED_MARK.style, 0, 1)
        return line

    def rows(self, entries: Sequence[Any], cursor: int, height: int) -> list[Text]:
        """At most ``height`` rows, that of ``cursor`` among them."""
        places = window(len(entries), cursor, max(1, height))
        return [pointing(self.row(entries[place], here=place == cursor), place) for place in places]

    def hints(self, entries: Sequence[Any], cursor: int, height: int) -> list[Hint]:
        """Of every column with figures: its cells in the rows that :meth:`rows` shows, told of that of the cursor."""
        places = window(len(entries), cursor, max(1, height))
        found = []
        for column in self.columns if entries else ():
            if column.about:
                last = column is self.columns[-1]
                cells = [_placed(column, column.cell(entries[place]), last=last).plain.strip() for place in places]
                here = entries[min(cursor, len(entries) - 1)]
                title, value = column.title.strip(), cells[min(cursor, len(entries) - 1) - places.start]
                told = f"In the selected row, {title} is {value or 'empty'}."
                text = f"{told} {column.about}" if isinstance(column.about, str) else column.about(here)
                found.append(Hint(title, tuple(filter(None, cells)), text, column.term))
        return found

    def _line(self, cells: Sequence[Cell], mark: str = " ") -> Text:
        line = Text(mark.ljust(MARGIN), no_wrap=True)
        for column, cell in zip(self.columns, cells, strict=True):
            line.append_text(_placed(column, cell, last=column is self.columns[-1]))
        return line


def _placed(column: Column, cell: Cell, *, last: bool) -> Text:
    """A cell in exactly the width of its column."""
    text = _text(cell)
    text.truncate(column.width - (column.left and not last), overflow="ellipsis")
    free = column.width - text.cell_len
    if column.left:
        text.pad_right(free)
    else:
        text.pad_left(free)
    return text


def _text(cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell.copy()
    shown, style = (cell, "") if isinstance(cell, str) else cell
    return Text(safe(shown, lines=False), style)


class TableView(FocusLines):
    """A table with a cursor, moved by keys, clicks and the wheel. Only rows that are seen are made."""

    DEFAULT_CSS = "TableView { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "one row up", show=False),
        Binding("down", "move(1)", "one row down", show=False),
        Binding("pageup", "page(-1)", "one page up", show=False),
        Binding("pagedown", "page(1)", "one page down", show=False),
        Binding("home", "ends(0)", "first row", show=False),
        Binding("end", "ends(1)", "last row", show=False),
    ]

    class Moved(Message):
        """The cursor has been moved."""

    class Chosen(Message):
        """The row of the cursor was clicked, or chosen with a key of the pane."""

    def __init__(self, columns: Sequence[Column], *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = columns
        self._first = 0
        self.entries: Sequence[Any] = ()
        self.cursor = 0

    @property
    def here(self) -> Any:
        """The entry of the row that the cursor is on; None without any."""
        return self.entries[self.cursor] if self.entries else None

    @property
    def table(self) -> LineTable:
        """The columns that there is room for beside the mark that tells how far the rows are scrolled."""
        return LineTable(self._columns, max(1, self.size.width - 1))

    def hints(self) -> list[Hint]:
        rows = self.entries[self._first : self._first + max(1, self.size.height - 1)]
        return self.table.hints(rows, self.cursor - self._first, len(rows))

    def show(self, entries: Sequence[Any], cursor: int) -> None:
        """Other rows, or others of their cells."""
        self.entries = entries
        self.cursor = max(0, min(cursor, len(entries) - 1))
        self.draw()

    def move(self, cursor: int) -> None:
        """Put the cursor on another row."""
        self.show(self.entries, cursor)
        self.post_message(self.Moved())

    def draw(self) -> None:
        room = max(1, self.size.height - 1)
        self._first = max(self.cursor - room + 1, min(self._first, self.cursor, max(0, len(self.entries) - room)))
        table, lines = self.table, []
        for place, entry in enumerate(self.entries[self._first : self._first + room], self._first):
            line = pointing(table.row(entry, here=place == self.cursor), place)
            if len(self.entries) > room and (place - self._first) == self.cursor * room // len(self.entries):
                line.append("▐", MUTED)
            lines.append(line)
        self.set_strips(strips([table.heading(), *lines], self.size.width, self.size.height))

    def action_move(self, by: int) -> None:
        """So many rows down."""
        self.move(self.cursor + by)

    def action_page(self, by: int) -> None:
        """A screen of rows down, or up."""
        self.move(self.cursor + by * max(1, self.size.height - 2))

    def action_ends(self, last: int) -> None:
        """The first row, or the last."""
        self.move(len(self.entries) if last else 0)

    def action_choose(self) -> None:
        """Take the row of the cursor."""
        if self.entries:
            self.post_message(self.Chosen())

    def on_lines_scrolled(self, event: Lines.Scrolled) -> None:
        self.action_move(event.by)

    def on_lines_pointed(self, event: Lines.Pointed) -> None:
        """A click puts the cursor on a row; on the row of the cursor, it takes the row."""
        event.stop()
        self.action_choose() if event.place == self.cursor else self.move(event.place)
