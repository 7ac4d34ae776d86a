"""The views of a ranking: where the user looks, and the lines around them."""

from __future__ import annotations

from dataclasses import dataclass

from tui.actions import views
from tui.choose.story import FILTERS, ORDERS
from tui.follow import headline

NAMES = {
    "chance": "chance",
    "longest": "longest choice",
    "zero-shot": "zero-shot LM",
    "margin": "margin ranker",
    "cross-entropy": "cross-entropy",
    "finetune": "fine-tuned",
}
"""in a column of 14"""
SHORT = {"zero-shot": "zero-shot", "margin": "margin", "cross-entropy": "cross-entropy", "finetune": "fine-tuned"}
VIEWS = views("choose")


@dataclass
class ViewState(headline.ViewState):
    """With which questions are listed; ``row`` is among those."""

    kept: str = FILTERS[0]
    order: str = next(iter(ORDERS))

    def look(self, view: str) -> None:
        """Another view; the cursor stays on its question."""
        row = self.row
        super().look(view)
        self.row = row

    def filter(self) -> None:
        """The next filter."""
        self.kept, self.row = headline.following(FILTERS, self.kept), 0

    def sort(self) -> None:
        """The next order."""
        self.order, self.row = headline.following(tuple(ORDERS), self.order), 0


WORDS = headline.Words(
    NAMES,
    VIEWS,
    {"encode": "encoding", "finetune": "fine-tuning", "zero-shot": "scoring"},
)
