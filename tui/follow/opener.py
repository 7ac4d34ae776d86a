"""Which comparison to open: those in the runs, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from checkpoints.run import Run
from tui.follow.task_runs import Offered
from tui.text import safe
from tui.widgets.dialogs import Choices, Dialog, box
from tui.widgets.styles import style_sheet


class Opener(Dialog[Run | None]):
    """A list of runs of one task; ``what`` names one of them."""

    DEFAULT_CSS = style_sheet(__file__)

    def __init__(self, what: str, offers: Sequence[Offered]) -> None:
        super().__init__()
        self._what, self._offers = what, offers

    def compose(self) -> ComposeResult:
        with box(f"Open which {self._what}?", "Enter open · Esc cancel" if self._offers else "Esc close"):
            if self._offers:
                yield Choices(*(Option(_spell(offer)) for offer in self._offers), compact=True, markup=False)
            else:
                yield Static("No earlier run: F5 in the form starts one.", classes="text")

    def on_mount(self) -> None:
        if self._offers:
            self.query_one(OptionList).highlighted = 0
            self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._offers[event.option_index].run)


def _spell(offer: Offered) -> Content:
    return Content.assemble(
        Content.styled(safe(f"{offer.run.name[:42]:<43}", lines=False), "bold"),
        Content.styled(safe(offer.about, lines=False), "$muted"),
    )
