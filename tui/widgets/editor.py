"""An editor that stays quick with a megabyte in it: it lays out what is visible and sends the cells that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip

from tui.widgets.buffer import Buffer
from tui.widgets.glyphs import Rows, Span, columns, glyph, place, words
from tui.widgets.lines import FocusLines, Lines
from tui.widgets.styled import MUTED, SELECTED, strips, wrap

LIMIT = 8_000_000  # characters
_CARET = Style(reverse=True)
_AWAY = Style(underline=True, bold=True)
_SELECTED = Style.parse(SELECTED)
_TOKEN = Style(underline=True)
_MOVES = {
    "left": "left",
    "right": "right",
    "up": "up",
    "down": "down",
    "home": "line_start",
    "end": "line_end",
    "ctrl+left": "word_left",
    "ctrl+right": "word_right",
    "pageup": "page_up",
    "pagedown": "page_down",
    "ctrl+home": "text_start",
    "ctrl+end": "text_end",
}
"""where keys move the caret"""


def _moves() -> Iterator[BindingType]:
    for key, where in _MOVES.items():
        ctrl, plus, last = key.rpartition("+")
        yield Binding(key, f"go('{where}')", show=False)
        yield Binding(f"{ctrl}{plus}shift+{last}", f"go('{where}',True)", show=False)


class Editor(FocusLines):
    """Text with a caret. Letters are typed; Escape leaves it, as the pane decides."""

    ALLOW_SELECT = False  # it has a selection of its own
    BINDINGS = [
        *_moves(),
        Binding("backspace", "delete('left')", show=False),
        Binding("delete", "delete('right')", show=False),
        Binding("ctrl+w,ctrl+backspace", "delete('word_left')", show=False),
        Binding("ctrl+delete", "delete('word_right')", show=False),
        Binding("ctrl+u", "delete('line_start')", show=False),
        Binding("ctrl+k", "delete('line_end')", show=False),
        Binding("ctrl+z", "undo", show=False),
        Binding("ctrl+y", "redo", show=False),
        Binding("ctrl+x", "cut", show=False),
        Binding("ctrl+a", "select_all", show=False),
    ]
    DEFAULT_CSS = "Editor { height: 1fr; }"

    class Changed(Message):
        """The text is another one."""

    class Moved(Message):
        """The caret is elsewhere in the same text."""

    class Full(Message):
        """What was pasted does not fit."""

    @dataclass
    class Cut(Message):
        """Text was cut out and wants to be on the clipboard."""

        text: str

    def __init__(
        self, *, id: str | None = None, placeholder: str = "", tabs: bool = True, classes: str = "panel"
    ) -> None:
        """``placeholder`` is shown while there is no text; without ``tabs`` the tab key moves the focus."""
        super().__init__(id=id, classes=classes)
        self.buffer = Buffer()
        self.placeholder, self._tabs = placeholder, tabs
        self.token: Span = (0, 0)
        """what is marked as the caret's token"""
        self._rows: tuple[object, Rows] | None = None
        self._top = 0
        self._column: int | None = None

    # -- from outside ------------------------------------------------------------------------------------------------

    def load(self, text: str, caret: int = 0) -> None:
        """Show another text."""
        version = self.buffer.version
        self.buffer.load(text[:LIMIT])
        self.buffer.move(caret)
        self._after(version)

    def insert(self, text: str) -> None:
        """Type ``text`` where the caret is; what does not fit is cut off and told."""
        start, end = self.buffer.selection
        room = LIMIT - len(self.buffer.text) + end - start
        if len(text) > room:
            text = text[:room]
            self.post_message(self.Full())
        self._change(lambda: self.buffer.insert(text))

    def go_to(self, offset: int) -> None:
        """Put the caret somewhere, without a message about it."""
        self.buffer.move(offset)
        self.draw()

    def mark(self, token: Span) -> None:
        """Show which characters are the caret's token."""
        if token != self.token:
            self.token = token
            self.draw()

    def draw(self) -> None:
        """Show the rows around the caret."""
        width, height = self.size.width, self.size.height
        if not width or not height:
            return
        rows = self._layout()
        caret = rows.at(self.buffer.caret)
        self._top = rows.top(self._top, self.buffer.caret, height)
        if not self.buffer.text and self.placeholder:
            told = wrap(Text(self.placeholder, MUTED), width)
            told[0].stylize(_CARET if self.has_focus else "", 0, 1)
            self.set_strips(strips(told, width, height))
            return
        self.set_strips([self._strip(row, row == caret) for row in rows.down(self._top, height)])

    # -- keys and the mouse ------------------------------------------------------------------------------------------

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Letters are for the text: the footer shows no action on them."""
        return character is not None and character.isprintable()

    async def _on_key(self, event: events.Key) -> None:
        typed = {"enter": "\n", "tab": "\t"}.get(event.key, event.character if event.is_printable else None)
        if typed is not None and (self._tabs or typed != "\t"):
            event.stop()
            event.prevent_default()
            self.insert(typed)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.insert(event.text.replace("\r\n", "\n").replace("\r", "\n"))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self.capture_mouse()
        self._point(event.get_content_offset_capture(self), select=event.shift)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self.app.mouse_captured is self:
            self._point(event.get_content_offset_capture(self), select=True)

    def on_mouse_up(self) -> None:
        self.release_mouse()

    def on_lines_scrolled(self, event: Lines.Scrolled) -> None:
        self.action_go("down" if event.by > 0 else "up")

    def action_go(self, where: str, select: bool = False) -> None:
        """Move the caret."""
        buffer, column = self.buffer, None
        match where:
            case "left" | "right" if not select and buffer.selected:
                target = buffer.selection[0 if where == "left" else 1]
            case "left":
                target = buffer.caret - 1
            case "right":
                target = buffer.caret + 1
            case "word_left":
                target = buffer.word_left()
            case "word_right":
                target = buffer.word_right()
            case "line_start":
                target = self._layout().at(buffer.caret)[0]
            case "line_end":
                target = self._row_end(self._layout().at(buffer.caret))
            case "text_start":
                target = 0
            case "text_end":
                target = len(buffer.text)
            case _:
                step = {"up": -1, "down": 1, "page_up": -self.size.height, "page_down": self.size.height}[where]
                target, column = self._vertical(step)
        buffer.move(target, select=select)
        self._column = column
        self.draw()
        self.post_message(self.Moved())

    def action_delete(self, to: str) -> None:
        """What lies between the caret and a place near it."""
        buffer = self.buffer
        near = {"left": buffer.caret - 1, "right": buffer.caret + 1}
        target = near[to] if to in near else int(getattr(buffer, to)())
        self._delete(min(target, buffer.caret), max(target, buffer.caret))

    def action_undo(self) -> None:
        """Take the last change back."""
        self._change(self.buffer.undo)

    def action_redo(self) -> None:
        """Make it again."""
        self._change(self.buffer.redo)

    def action_select_all(self) -> None:
        """Everything."""
        self.buffer.move(0)
        self.action_go("text_end", True)

    def action_cut(self) -> None:
        """What is selected, to the clipboard."""
        if self.buffer.selected:
            self.post_message(self.Cut(self.buffer.selected))
            self._delete(0, 0)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _delete(self, start: int, end: int) -> None:
        self._change(lambda: self.buffer.delete(start, end))

    def _change(self, change: Callable[[], object]) -> None:
        version = self.buffer.version
        change()
        self._after(version)

    def _after(self, version: int) -> None:
        self._column = None
        self.draw()
        if self.buffer.version != version:
            self.post_message(self.Changed())

    def _layout(self) -> Rows:
        width = max(2, self.size.width - 1)  # the caret needs a cell after the last character
        key = (self.buffer.version, width)
        if self._rows is None or self._rows[0] != key:
            self._rows = (key, Rows(self.buffer.text, words(self.buffer.text, width)))
        return self._rows[1]

    def _row_end(self, row: Span) -> int:
        """The last place of the caret in a row."""
        end = row[1]
        last = end >= len(self.buffer.text) and not (row[0] < end and self.buffer.text.endswith("\n"))
        return end if last else max(row[0], end - 1)

    def _vertical(self, step: int) -> tuple[int, int]:
        rows, text = self._layout(), self.buffer.text
        row = rows.at(self.buffer.caret)
        column = self._column if self._column is not None else columns(text[row[0] : self.buffer.caret])
        target = rows.moved(row, step)
        if target is None:
            return (0, 0) if step < 0 else (len(text), column)
        return place(text, target[0], self._row_end(target), column), column

    def _point(self, at: Offset, *, select: bool) -> None:
        shown = self._layout().down(self._top, self.size.height)
        if not shown:  # there is no room for a row
            return
        row = shown[max(0, min(at.y, len(shown) - 1))]
        target = place(self.buffer.text, row[0], self._row_end(row), max(0, at.x))
        if not select or target != self.buffer.caret:
            self.buffer.move(target, select=select)
            self._column = None
            self.draw()
            self.post_message(self.Moved())

    def _strip(self, row: Span, holds_caret: bool) -> Strip:
        buffer, chosen = self.buffer, self.buffer.selection
        caret_style = _CARET if self.has_focus else _AWAY
        segments: list[Segment] = []
        for offset in range(*row):
            character = buffer.text[offset]
            shown = " " if character == "\n" else glyph(character, marks=False)[0]
            style = Style.null()
            if chosen[0] <= offset < chosen[1]:
                style += _SELECTED
            elif self.token[0] <= offset < self.token[1] and character != "\n":
                style += _TOKEN
            if offset == buffer.caret:
                style += caret_style
            segments.append(Segment(shown, style))
        if holds_caret and buffer.caret == row[1]:
            segments.append(Segment(" ", caret_style))
        return Strip(Segment.simplify(segments))
