"""Where the user looks: which view, which route, which cell, which row. Moved by keys, read by whoever draws."""

from __future__ import annotations

from dataclasses import dataclass

VIEWS = (
    ("overview", "a", "All routes"),
    ("matrix", "m", "Matrix"),
    ("classes", "c", "Classes"),
    ("calibration", "k", "Calibration"),
    ("labels", "l", "Labels"),
    ("suspects", "s", "Suspects"),
    ("sentence", "e", "Sentence"),
)
"""name, key and title of every view"""


@dataclass
class Sight:
    """Places are clamped by who draws, since what there is to look at changes under them."""

    view: str = "overview"
    route: str = ""
    """empty until the user has chosen one: then the best is shown"""
    true: int = 0
    predicted: int = 0
    reading: bool = False
    """whether the arrows walk over the texts of the cell rather than over cells"""
    row: int = 0
    """within the list of texts, classes or suspects"""

    def look(self, view: str) -> None:
        """Another view, from its top."""
        if view != self.view:
            self.view, self.row, self.reading = view, 0, False

    def move_cell(self, down: int, right: int, count: int) -> None:
        """Another cell of a matrix of ``count`` classes."""
        if count:
            self.true = max(0, min(count - 1, self.true + down))
            self.predicted = max(0, min(count - 1, self.predicted + right))
            self.row = 0
