"""What the student writes in the lab: an answer in sentences, texts of one's own, guesses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import HorizontalGroup
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Label, Static

from tui.background import FileWriter
from tui.text import safe
from tui.widgets.dialogs import Dialog, box, tell
from tui.widgets.editor import Editor
from tui.widgets.field import Field
from tui.widgets.styles import style_sheet

SAVE = 1.0  # seconds without a key after which what was written is saved
MOST = 999  # tokens of a guess


class Writing(Dialog[str]):
    """A text to write, saved while it is typed and when it is closed; returns the text."""

    DEFAULT_CSS = style_sheet(__file__)
    BINDINGS = [Binding("escape", "close", "Close")]

    def __init__(self, title: str, about: str, text: str, save: Callable[[str], None]) -> None:
        """``save`` is called in a thread; it may raise :class:`OSError`."""
        super().__init__(classes="wide")
        self._title, self._about, self._save = title, about, save
        self._text = self._saved = text
        self._timer: Timer | None = None
        self._file_writer = FileWriter()

    def compose(self) -> ComposeResult:
        with box(self._title, "saved as you type · Esc closes"):
            yield Static(Content(safe(self._about)), classes="text")
            yield Editor(id="lab-editor", placeholder="Write here.", tabs=False, classes="")

    def on_mount(self) -> None:
        editor = self.query_one(Editor)
        editor.load(self._text, len(self._text))
        editor.focus()

    @on(Editor.Changed)
    def _changed(self, event: Editor.Changed) -> None:
        event.stop()
        self._text = self.query_one(Editor).buffer.text
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SAVE, self._keep)

    def _keep(self) -> None:
        if self._text != self._saved:
            self._saved = self._text
            self._file_writer.soon(partial(self._write, self._text))

    def _write(self, text: str) -> None:
        try:
            self._save(text)
        except OSError as error:
            with contextlib.suppress(RuntimeError):  # the screen may be gone
                self.app.call_from_thread(tell, self.app, "It could not be saved", str(error))

    async def action_close(self) -> None:
        """Save what was written, and close."""
        self._keep()
        await self._file_writer.close()
        self.dismiss(self._text)

    async def on_unmount(self) -> None:
        """The program may be left while this is open."""
        with contextlib.suppress(RuntimeError):  # it was closed before
            self._keep()
        await self._file_writer.close()


class Guessing(Dialog[dict[str, int] | None]):
    """How many tokens each text has, before they are shown."""

    DEFAULT_CSS = style_sheet(__file__)
    BINDINGS = [
        Binding("enter", "next", "Next field, then confirm", show=False, priority=True),  # before keys that follow
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, texts: Sequence[str], known: Mapping[str, int]) -> None:
        super().__init__()
        self._texts, self._known = texts, known

    def compose(self) -> ComposeResult:
        width = max(map(len, self._texts)) + 4
        with box("your guesses", "Enter next, then confirm · Esc cancel"):
            yield Static("How many tokens does GPT-2's tokenizer make of each text?", classes="text")
            for number, text in enumerate(self._texts):
                known = self._known.get(text)
                with HorizontalGroup():
                    yield Label(Content(f"“{safe(text, lines=False)}”".ljust(width)))
                    yield Field("" if known is None else str(known), id=f"guess-{number}", compact=True, max_length=3)
            yield Static(classes="problem")

    def action_next(self) -> None:
        """To the next field without a number; with a number in each, confirm them."""
        fields = list(self.query(Field))
        missing = [field for field in fields if not _is_count(field.value)]
        if not missing:
            self.dismiss({text: int(field.value) for text, field in zip(self._texts, fields, strict=True)})
            return
        wrong = self.focused in missing
        self.query_one(".problem", Static).update(f"must be a whole number from 1 to {MOST}" if wrong else "")
        if not wrong:
            self.set_focus(missing[0])


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= MOST
