"""Which retrieval to open: those in the runs, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from checkpoints.run import Run
from tui.retrieving.laboratory import Offered
from tui.text import safe


class RetrievalOpener(ModalScreen[Run | None]):
    """A list of retrievals."""

    BINDINGS = [Binding("escape", "cancel", "Cancel")]
    DEFAULT_CSS = """
    RetrievalOpener OptionList { height: auto; max-height: 14; margin: 1 0; background: $surface; border: none;
        padding: 0; }
    RetrievalOpener OptionList:focus { border: none; }
    .-low RetrievalOpener OptionList { margin: 0; max-height: 9; }
    """

    def __init__(self, choices: Sequence[Offered]) -> None:
        super().__init__()
        self._choices = choices

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.styles.width = 96
            yield Label("Open which retrieval?", classes="title")
            if self._choices:
                yield OptionList(*(Option(_spell(offer)) for offer in self._choices), compact=True, markup=False)
                yield Static(Content.styled("↑↓ and Enter choose, Esc leaves it", "$foreground 60%"))
            else:
                yield Static(Content("None has been run yet: F5 in the form runs the first one."), classes="text")
                yield Static(Content.styled("Esc closes", "$foreground 60%"))

    def on_mount(self) -> None:
        if self._choices:
            self.query_one(OptionList).highlighted = 0
            self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._choices[event.option_index].run)

    def action_cancel(self) -> None:
        """Open none."""
        self.dismiss(None)


def _spell(offer: Offered) -> Content:
    return Content.assemble(
        Content.styled(safe(f"{offer.run.name[:42]:<43}", lines=False), "bold"),
        Content.styled(safe(offer.about, lines=False), "$foreground 60%"),
    )
