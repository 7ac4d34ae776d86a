"""The views of a ranking: where the user looks, and the lines around them."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual.strip import Strip

from tui.choosing.story import FILTERS, SORTS, ChooseStory
from tui.comparing import headline
from tui.styled import DIM

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
VIEWS = (("overview", "a", "All methods"), ("items", "i", "Questions"), ("own", "e", "Your own"))
"""name, key and title of every view"""


@dataclass
class Sight(headline.Sight):
    """With the method, and which questions are listed; ``row`` is among those."""

    method: str = ""
    """empty until the user has chosen one: then the best is shown"""
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


_WORDS = {"encode": "encoding", "finetune": "fine-tuning", "zero-shot": "scoring"}


def head(story: ChooseStory, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""

    def doing(text: Text, colour: str) -> None:
        method = story.methods.get(story.doing)
        if method is not None and (seen := method.running) is not None and seen.done < seen.total:
            headline.far(text, seen.done, seen.total, colour, width)
            text.append(f"  accuracy {seen.accuracy:.3f}", "bold").append(f" ({seen.low:.3f}–{seen.high:.3f})", DIM)
        elif method is not None and (last := method.last) is not None:
            headline.training(text, last, colour, width)

    best = story.best
    known = best is not None and best.accuracy is not None
    told = (NAMES.get(best.name, best.name), f"{best.accuracy:.3f}") if best and known else ("", "")
    empty = "nothing ranked yet: F5 runs the methods"
    return headline.head(story, name, state, width, empty=empty, words=_WORDS, best=told, doing=doing)


def tabs(sight: Sight, method: str, width: int) -> Strip:
    """The views with their keys, and the method that they show."""
    right = ("m", NAMES.get(method, method)) if method else ("", "")
    return headline.tabs(VIEWS, sight.view, width, right=right)
