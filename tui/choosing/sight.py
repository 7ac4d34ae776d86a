"""Where the user looks: which view, which method, which question. Moved by keys, read by whoever draws."""

from __future__ import annotations

from dataclasses import dataclass

from tui.choosing.story import FILTERS, SORTS

VIEWS = (("overview", "a", "All methods"), ("items", "i", "Questions"), ("own", "e", "Your own"))
"""name, key and title of every view"""


@dataclass
class Sight:
    """Places are clamped by who draws, since what there is to look at changes under them."""

    view: str = "overview"
    method: str = ""
    """empty until the user has chosen one: then the best is shown"""
    kept: str = FILTERS[0]
    order: str = SORTS[0]
    row: int = 0
    """within the list of questions"""
    reading: bool = False
    """whether the question under the cursor has the whole view"""

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
