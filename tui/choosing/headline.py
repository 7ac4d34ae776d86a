"""The lines around the views of a ranking."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.choosing.ink import DIM, NAMES
from tui.choosing.sight import VIEWS, Sight
from tui.choosing.story import ChooseStory
from tui.comparing import headline

_WORDS = {"encode": "encoding", "finetune": "fine-tuning", "zero-shot": "scoring"}


def head(story: ChooseStory, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""

    def doing(text: Text, colour: str) -> None:
        method = story.methods.get(story.doing)
        if method is not None and (seen := method.running) is not None and seen.done < seen.total:
            headline.far(text, seen.done, seen.total, colour, width)
            text.append(f"  accuracy {seen.accuracy:.3f}", "bold").append(f" ({seen.low:.3f}–{seen.high:.3f})", DIM)
        elif method is not None and (last := method.last) is not None:
            headline.far(text, last.step, last.steps, colour, width)
            text.append(f"  loss {last.loss:.3f}", "bold")
            if last.seconds_left:
                text.append(f"  {units.duration(last.seconds_left)} left", DIM)

    best = story.best
    known = best is not None and best.accuracy is not None
    told = (NAMES.get(best.name, best.name), f"{best.accuracy:.3f}") if best and known else ("", "")
    empty = "nothing ranked yet: F5 runs the methods"
    return headline.head(story, name, state, width, empty=empty, words=_WORDS, best=told, doing=doing)


def tabs(sight: Sight, method: str, width: int) -> Strip:
    """The views with their keys, and the method that they show."""
    right = ("m", NAMES.get(method, method)) if method else ("", "")
    return headline.tabs(VIEWS, sight.view, width, right=right)
