"""The views of a ranking: where the user looks, and the lines around them."""

from __future__ import annotations

from dataclasses import dataclass

from tui.actions import views
from tui.choose.story import FILTERS, SORTS
from tui.follow import headline

NAMES = {
    "chance": "chance",
    "longest": "always longest",
    "zero-shot": "zero-shot LM",
    "margin": "margin ranker",
    "cross-entropy": "cross-entropy",
    "finetune": "fine-tuned",
}
"""in a column of 14"""
SHORT = {"zero-shot": "zero-shot", "margin": "margin", "cross-entropy": "cross-ent.", "finetune": "fine-tuned"}
COLOURS = {
    "chance": "bright_black",
    "longest": "bright_black",
    "zero-shot": "bright_magenta",
    "margin": "bright_cyan",
    "cross-entropy": "bright_yellow",
    "finetune": "bright_green",
}
VIEWS = views("choose")


@dataclass
class ViewState(headline.ViewState):
    """With which questions are listed; ``row`` is among those."""

    kept: str = FILTERS[0]
    order: str = SORTS[0]

    def look(self, view: str) -> None:
        """Another view."""
        self.view, self.reading = view, False

    def filter(self) -> None:
        """The next filter."""
        self.kept, self.row = _next(FILTERS, self.kept), 0

    def sort(self) -> None:
        """The next order."""
        self.order, self.row = _next(SORTS, self.order), 0


def _next(names: tuple[str, ...], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]


WORDS = headline.Words(
    NAMES,
    VIEWS,
    {"encode": "encoding", "finetune": "fine-tuning", "zero-shot": "scoring"},
)
