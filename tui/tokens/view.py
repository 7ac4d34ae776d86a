"""The rows of a text in several vocabularies on the screen: only what is visible is laid out and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from engine.tokenization.spans import Token
from tui.lines import Lines
from tui.text import safe
from tui.tokens.glyphs import Span
from tui.tokens.rows import Sheet

_PROBLEM = Style.parse("bright_red")
_QUIET = Style.parse("bright_black")


class TokenRows(Lines, can_focus=True):
    """Shows a :class:`tui.tokens.rows.Sheet` around a caret."""

    DEFAULT_CSS = "TokenRows { height: 1fr; }"

    @dataclass
    class Pointed(Message):
        """A character was clicked."""

        offset: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._sheet: Sheet | None = None
        self._top = 0
        self._caret = 0
        self._shown: list[Span] = []
        self._said = 0

    def show(
        self,
        sheet: Sheet | None,
        caret: int,
        current: Sequence[Token | None],
        bold: int,
        said: Sequence[tuple[str, bool]],
    ) -> None:
        """Show the rows around ``caret``; ``current`` and ``bold`` are as in :meth:`tui.tokens.rows.Sheet.strips`.

        ``said`` are lines above them, with whether something is wrong.
        """
        self._sheet, self._caret = sheet, caret
        width, height = self.size.width, self.size.height
        if not width or not height:
            return
        strips = [Strip([Segment(safe(text, lines=False), _PROBLEM if bad else _QUIET)]) for text, bad in said]
        self._said = len(strips)
        self._shown = []
        if sheet is not None and sheet.views:
            self._shown = self._choose(sheet, caret, max(1, height - len(strips)))
            for row in self._shown:
                strips += sheet.strips(row, current, bold)
        self.set_strips(strips[:height])

    def away(self, rows: int) -> int:
        """The place as many rows of text below the caret, or above it."""
        if self._sheet is None:
            return self._caret
        row = self._sheet.rows.at(self._caret)
        inside = self._caret - row[0]
        for _ in range(abs(rows)):
            near = self._sheet.rows.before(row) if rows < 0 else self._sheet.rows.after(row)
            if near is None:
                return 0 if rows < 0 else len(self._sheet.text)
            row = near
        return min(row[0] + inside, max(row[0], row[1] - 1))

    @property
    def page(self) -> int:
        """Rows of text that are visible at once."""
        return max(1, self.size.height // self._sheet.height) if self._sheet else 1

    def on_click(self, event: events.Click) -> None:
        sheet = self._sheet
        line = event.y - self._said
        if sheet is None or line < 0 or line // sheet.height >= len(self._shown):
            return
        offset = sheet.offset(self._shown[line // sheet.height], event.x)
        if offset is not None:
            self.post_message(self.Pointed(offset))

    def _choose(self, sheet: Sheet, caret: int, height: int) -> list[Span]:
        """The rows that fill ``height`` lines, the caret's among those that are whole; moves as little as it can."""
        whole = max(1, height // sheet.height)
        here = sheet.rows.at(caret)
        self._top = sheet.rows.at(self._top)[0]
        if here[0] < self._top:
            self._top = here[0]
        else:
            near = [row for row, _ in zip(sheet.rows.down(self._top), range(whole), strict=False)]
            if here not in near:
                self._top = self._above(sheet, here, whole - 1)
        needed = -(-height // sheet.height)
        return [row for row, _ in zip(sheet.rows.down(self._top), range(needed), strict=False)]

    @staticmethod
    def _above(sheet: Sheet, row: Span, rows: int) -> int:
        """Where the row begins that stands so many rows above."""
        for _ in range(rows):
            before = sheet.rows.before(row)
            if before is None:
                break
            row = before
        return row[0]
