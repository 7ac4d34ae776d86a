"""Search in a vocabulary: a line to type into, and what was found as it is typed."""

from __future__ import annotations

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Input, Label, Static
from textual.worker import get_current_worker

from tui.dialogs import Dialog, hint
from tui.field import Field
from tui.styles import style_sheet
from tui.text import safe
from tui.tokens.glyphs import plain
from tui.tokens.tokenizer_list import TokenizerEntry

SHOWN = 200
_LONGEST = 16  # characters of a token that are shown


class TokenSearch(Dialog[str | None]):
    """Gives the text of the token that was chosen, or None."""

    BINDINGS = [
        Binding("f8", "case", "Case", priority=True),
        Binding("down", "into", show=False),
    ]
    DEFAULT_CSS = style_sheet(__file__)

    def __init__(self, entry: TokenizerEntry) -> None:
        super().__init__()
        self._entry = entry
        self._case = False
        self._ids: list[int] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(f"Vocabulary of {safe(self._entry.name, lines=False)}"), classes="title")
            yield Field(placeholder="part of a token, ·the with a space, or an id", compact=True)
            yield Static(id="found")
            yield DataTable(cursor_type="row", cell_padding=1)
            yield hint("↓ to the list, Enter types the token into the text, F8 case, Esc closes")

    def on_mount(self) -> None:
        table: DataTable[Text] = self.query_one(DataTable)
        for name, width in (("id", 7), ("spelled", _LONGEST), ("text", _LONGEST), ("in corpus", 9)):
            table.add_column(name, width=width, key=name)
        self._tell("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._look(event.value, self._case)

    @work(thread=True, exclusive=True, group="search", exit_on_error=False)
    def _look(self, wanted: str, case: bool) -> None:
        lexicon = self._entry.lexicon
        if lexicon is None:
            return
        found = lexicon.search(wanted, case=case, limit=SHOWN)
        if not get_current_worker().is_cancelled:
            self.call_later(self._show, wanted, found)

    def _show(self, wanted: str, found: list[int]) -> None:
        if wanted != self.query_one(Input).value:
            return
        self._ids = found
        tokenizer, seen = self._entry.tokenizer, self._entry.occurrences
        table: DataTable[Text] = self.query_one(DataTable)
        table.clear()
        if tokenizer is None or self._entry.lexicon is None:
            return
        for ident in found:
            text = self._entry.lexicon.text(ident)
            table.add_row(
                Text(str(ident), justify="right"),
                Text(safe(tokenizer.token(ident), lines=False).replace(" ", "␣")[:_LONGEST]),
                Text(plain(text)[:_LONGEST], "reverse"),
                Text(f"{seen.counts[ident]:,}" if seen else "", justify="right"),
            )
        self._tell(wanted)

    def _tell(self, wanted: str) -> None:
        number = len(self._ids)
        found = f"{number}{' or more' if number == SHOWN else ''} found" if wanted else ""
        letters = "case matters" if self._case else "any case"
        self.query_one("#found", Static).update(Content(f"{found}  ({letters})"))

    def action_case(self) -> None:
        """Capital letters matter, or do not."""
        self._case = not self._case
        self._tell(self.query_one(Input).value)
        self._look(self.query_one(Input).value, self._case)

    def action_into(self) -> None:
        """From the line into the list."""
        self.query_one(DataTable).focus()

    @on(Input.Submitted)
    @on(DataTable.RowSelected)
    def _choose(self) -> None:
        row = self.query_one(DataTable).cursor_row
        if self._entry.lexicon is None or not 0 <= row < len(self._ids):
            self.app.bell()
            return
        self.dismiss(self._entry.lexicon.text(self._ids[row]))
