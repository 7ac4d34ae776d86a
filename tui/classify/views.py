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
VIEWS = views("classify")


@dataclass
class ViewState(headline.ViewState):
    """With a cell of the matrix; ``reading`` walks over its texts, and ``row`` is among texts, classes or suspects."""

    true: int = -1
    """negative until a matrix has been drawn, which begins at the largest confusion"""
    predicted: int = -1

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
