"""The views of a retrieval: where the user looks, and the lines around them."""

from __future__ import annotations

from dataclasses import dataclass

from engine.retrieve import spec
from engine.retrieve.spec import RANKERS
from tui.actions import views
from tui.follow import headline
from tui.text import safe

LONGEST = 18  # characters of the name of a method


def name_of(method: str) -> str:
    """What a method is called."""
    return safe(spec.name_of(method), lines=False)[:LONGEST]


VIEWS = views("retrieve")
MIDDLE = ("mean", "cls", "hybrid")
"""what the middle column can show"""


@dataclass
class ViewState(headline.ViewState):
    """With the rankers that are compared; ``reading`` gives a document the whole board."""

    view: str = "search"
    middle: str = "mean"
    first: str = "trained"
    """of the pair whose gains are listed"""
    second: str = "bm25"
    chosen: bool = False
    """whether the user chose the pair: until then it is the last ranker there is against the first"""
    column: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The rankers of the columns, from left to right."""
        return ("bm25", self.middle, "trained")

    def another(self, which: int, known: tuple[str, ...]) -> None:
        """The next ranker: of the middle column, or in the list of gains of either side of the pair."""
        if self.view != "gains":
            if which == 0:
                self.middle = headline.following(MIDDLE, self.middle)
        elif len(known) > 1:
            pair = [self.first, self.second]
            pair[which] = headline.following([name for name in known if name != pair[1 - which]], pair[which])
            (self.first, self.second), self.chosen = pair, True


WORDS = headline.Words(
    {method: name_of(method) for method in RANKERS},
    VIEWS,
    {"encode": "encoding", "trained": "training"},
)
