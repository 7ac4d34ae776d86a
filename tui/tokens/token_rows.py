"""The rows of a text in several vocabularies on the screen: only what is visible is laid out and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.message import Message

from engine.tokenization.spans import Token
from tui import actions
from tui.text import safe
from tui.tokens.aligned_text import AlignedText
from tui.widgets.glyphs import Span
from tui.widgets.lines import Lines
from tui.widgets.styled import BAD, MUTED, proposals, strips, wrap

WELCOME = (
    ("edit", "type or paste a text"),
    ("lab", "the lab's five spellings of Hello World"),
    ("english", "a page of English"),
    ("dante", "some tercets of Dante"),
    ("open_file", "open a text file"),
    ("add", "add a vocabulary"),
)
"""what an empty text proposes, by action"""


class TokenRows(Lines, can_focus=True):
    """Shows a :class:`tui.tokens.aligned_text.AlignedText` around a caret."""

    DEFAULT_CSS = "TokenRows { height: 1fr; }"

    @dataclass
    class Pointed(Message):
        """A character was clicked."""

        offset: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._aligned: AlignedText | None = None
        self._top = 0
        self._caret = 0
        self._shown: list[Span] = []
        self._said = 0

    def show(
        self,
        aligned: AlignedText | None,
        caret: int,
        current: Sequence[Token | None],
        bold: int,
        said: Sequence[tuple[str, bool]],
    ) -> None:
        """Show the rows around ``caret``; ``current`` and ``bold`` are as in :meth:`AlignedText.strips`.

        ``said`` are lines above them, with whether something is wrong.
        """
        self._aligned, self._caret = aligned, caret
        width, height = self.size.width, self.size.height
        if not width or not height:
            return
        told = proposals(actions.proposals("tokens", WELCOME)) if aligned is not None and not aligned.text else []
        told += [
            line for text, bad in said for line in wrap(Text(safe(text, lines=False), BAD if bad else MUTED), width)
        ]
        shown = strips(told, width, height)
        self._said = len(shown)
        self._shown = []
        if aligned is not None and aligned.views:
            room = max(1, height - len(shown))
            self._top = aligned.rows.top(self._top, caret, max(1, room // aligned.height))
            self._shown = aligned.rows.down(self._top, -(-room // aligned.height))
            for row in self._shown:
                shown += aligned.strips(row, current, bold)
        self.set_strips(shown[:height])

    def away(self, rows: int) -> int:
        """The place as many rows of text below the caret, or above it."""
        if self._aligned is None:
            return self._caret
        here = self._aligned.rows.at(self._caret)
        row = self._aligned.rows.moved(here, rows)
        if row is None:
            return 0 if rows < 0 else len(self._aligned.text)
        return min(row[0] + self._caret - here[0], max(row[0], row[1] - 1))

    @property
    def page(self) -> int:
        """Rows of text that are visible at once."""
        return max(1, self.size.height // self._aligned.height) if self._aligned else 1

    def on_click(self, event: events.Click) -> None:
        aligned, at = self._aligned, event.get_content_offset(self)
        line = at.y - self._said if at is not None else -1
        if aligned is None or at is None or line < 0 or line // aligned.height >= len(self._shown):
            return
        offset = aligned.offset(self._shown[line // aligned.height], at.x)
        if offset is not None:
            self.post_message(self.Pointed(offset))
