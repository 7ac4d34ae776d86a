"""The lines around the views of a retrieval."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.comparing import headline
from tui.comparing.ink import DIM, GOOD
from tui.retrieving.columns import NAMES
from tui.retrieving.sight import VIEWS, Sight
from tui.retrieving.story import RetrieveStory, number

_WORDS = {"encode": "encoding", "trained": "training"}


def head(story: RetrieveStory, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""

    def doing(text: Text, colour: str) -> None:
        step = story.step
        if story.doing != "trained" or step is None:
            return
        headline.far(text, step.step, step.steps, colour, width)
        text.append(f"  loss {step.loss:.3f}", "bold")
        if step.best_ndcg is not None:
            text.append(f"  held-out {step.best_ndcg:.3f}", GOOD)
        if step.seconds_left:
            text.append(f"  {units.duration(step.seconds_left)} left", DIM)

    best = story.best
    told = (NAMES.get(best, best), f"{number(story.results[best], 'ndcg@10'):.3f} nDCG@10") if best else ("", "")
    empty = "no retrieval yet: F5 builds and judges the rankers"
    return headline.head(story, name, state, width, empty=empty, words=_WORDS, best=told, doing=doing)


def tabs(sight: Sight, width: int) -> Strip:
    """The views with their keys, and the ranker of the middle column."""
    right = ("c", NAMES[sight.middle]) if sight.view == "search" else ("", "")
    return headline.tabs(VIEWS, sight.view, width, right=right)
