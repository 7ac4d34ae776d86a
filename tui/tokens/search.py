"""Search in a vocabulary: a line to type into, and what was found as it is typed."""

from __future__ import annotations

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from tui.tokens.tokenizer_list import TokenizerEntry
from tui.widgets.dialogs import Dialog, box
from tui.widgets.field import Field
from tui.widgets.glyphs import plain
from tui.widgets.line_table import Column, TableView
from tui.widgets.styles import style_sheet

SHOWN = 200
_LONGEST = 16  # characters of a token that are shown


class TokenSearch(Dialog[str | None]):
    """Gives the text of the token that was chosen, or None."""

    BINDINGS = [
        Binding("f8", "case", "Case", priority=True),
        Binding("down", "into", show=False),
        Binding("enter", "row", "insert the token", show=False),
    ]
    DEFAULT_CSS = style_sheet(__file__)

    def __init__(self, entry: TokenizerEntry) -> None:
        super().__init__()
        self._entry = entry
        self._case = False

    def compose(self) -> ComposeResult:
        with box(f"Vocabulary of {self._entry.name}", "↓ list · Enter insert · F8 case · Esc close"):
            yield Field(placeholder="part of a token, ·the with a space, or an id", compact=True)
            yield Static(id="found")
            yield TableView(
                (
                    Column("id", 8, str),
                    Column("  spelled", _LONGEST + 3, self._spelled, left=True),
                    Column(" text", _LONGEST + 2, self._text, left=True),
                    Column("in corpus", 10, self._seen),
                )
            )

    def on_mount(self) -> None:
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
        if wanted == self.query_one(Input).value:
            self._table.show(found, 0)
            self._tell(wanted)

    @property
    def _table(self) -> TableView:
        """The ids of the tokens that were found."""
        return self.query_one(TableView)

    def _spelled(self, ident: int) -> str:
        token = self._entry.tokenizer.token(ident) if self._entry.tokenizer is not None else ""
        return f"  {token.replace(' ', '␣')[:_LONGEST]}"

    def _text(self, ident: int) -> Text:
        text = self._entry.lexicon.text(ident) if self._entry.lexicon is not None else ""
        return Text.assemble(" ", (plain(text)[:_LONGEST], "reverse"))

    def _seen(self, ident: int) -> str:
        seen = self._entry.occurrences
        return f"{seen.counts[ident]:,}" if seen else ""

    def _tell(self, wanted: str) -> None:
        number = len(self._table.entries)
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
        self._table.focus()

    def action_row(self) -> None:
        """The token of the row that the cursor is on."""
        self._table.action_choose()

    @on(Input.Submitted)
    @on(TableView.Chosen)
    def _choose(self) -> None:
        if self._entry.lexicon is None or self._table.here is None:
            self.app.bell()
            return
        self.dismiss(self._entry.lexicon.text(self._table.here))
