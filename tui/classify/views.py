"""The views of a classification: where the user looks, and the lines around them."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual.strip import Strip

from tui.classify.story import ClassifyStory
from tui.comparing import headline
from tui.styled import DIM

ROUTES = {
    "majority": "majority class",
    "tfidf": "TF-IDF + LR",
    "lr": "logistic reg.",
    "mlp": "MLP",
    "finetune": "fine-tuned",
}
"""names of the routes in a column of 14"""
COLOURS = {
    "majority": "bright_black",
    "tfidf": "bright_magenta",
    "lr": "bright_cyan",
    "mlp": "bright_yellow",
    "finetune": "bright_green",
}

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
class Sight(headline.Sight):
    """With a cell of the matrix; ``reading`` walks over its texts, and ``row`` is among texts, classes or suspects."""

    route: str = ""
    """empty until the user has chosen one: then the best is shown"""
    true: int = 0
    predicted: int = 0

    def move_cell(self, down: int, right: int, count: int) -> None:
        """Another cell of a matrix of ``count`` classes."""
        if count:
            self.true = max(0, min(count - 1, self.true + down))
            self.predicted = max(0, min(count - 1, self.predicted + right))
            self.row = 0


_WORDS = {"encode": "encoding", "labels": "labels", "finetune": "fine-tuning"}
_TITLES: tuple[dict[str, str], ...] = (
    {"overview": "All", "calibration": "Calib."},
    {
        "overview": "All",
        "classes": "Class",
        "calibration": "Cal.",
        "labels": "Lab.",
        "suspects": "Susp.",
        "sentence": "Text",
    },
)
"""titles of the views for narrower and narrower screens"""


def head(story: ClassifyStory, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""

    def doing(text: Text, colour: str) -> None:
        route = story.methods.get(story.doing)
        if route is not None and (last := route.last) is not None:
            headline.training(text, last, colour, width)
        elif story.doing == "labels" and story.points:
            text.append(f"{story.points[-1].labels:,} labels of each class", DIM)

    best = story.best
    told = (ROUTES.get(best.name, best.name), f"{best.report.accuracy:.3f}") if best and best.report else ("", "")
    empty = "no classification yet: F5 runs the routes"
    return headline.head(story, name, state, width, empty=empty, words=_WORDS, best=told, doing=doing)


def tabs(sight: Sight, route: str, width: int) -> Strip:
    """The views with their keys, and the route that they show."""
    one = bool(route) and sight.view not in ("overview", "labels", "suspects", "sentence")
    right = ("r", ROUTES.get(route, route)) if one else ("", "")
    return headline.tabs(VIEWS, sight.view, width, right=right, shorter=_TITLES)
