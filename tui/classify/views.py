"""The views of a classification: where the user looks, and the lines around them."""

from __future__ import annotations

from dataclasses import dataclass

from tui.actions import views
from tui.follow import headline

NAMES = {
    "majority": "majority class",
    "tfidf": "TF-IDF + LR",
    "lr": "logistic reg.",
    "mlp": "MLP",
    "finetune": "fine-tuned",
}
"""names of the methods in a column of 14"""
COLOURS = {
    "majority": "bright_black",
    "tfidf": "bright_magenta",
    "lr": "bright_cyan",
    "mlp": "bright_yellow",
    "finetune": "bright_green",
}

VIEWS = views("classify")


@dataclass
class ViewState(headline.ViewState):
    """With a cell of the matrix; ``reading`` walks over its texts, and ``row`` is among texts, classes or suspects."""

    true: int = 0
    predicted: int = 0

    def move_cell(self, down: int, right: int, count: int) -> None:
        """Another cell of a matrix of ``count`` classes."""
        if count:
            self.true = max(0, min(count - 1, self.true + down))
            self.predicted = max(0, min(count - 1, self.predicted + right))
            self.row = 0


WORDS = headline.Words(
    NAMES,
    VIEWS,
    {"encode": "encoding", "labels": "labels", "finetune": "fine-tuning"},
)
