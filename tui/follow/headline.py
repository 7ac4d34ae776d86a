"""The lines around the views: what is done and how far it is, which view is shown, and what was said last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.strip import Strip

from checkpoints.run import after_time
from engine.runs.events import ContenderStep
from tui import units
from tui.follow import state as states
from tui.follow.comparison_story import CompareStory
from tui.text import safe
from tui.widgets.lines import doing
from tui.widgets.styled import ACCENT, BRIGHT, MUTED, TEXT, cut, done_bar, notice_text, progress_text, strip

EMPTY = "no results yet: press F5"
SHORTEST = 3  # characters of a view's title at least
BAR = 6  # cells of a bar at least


@dataclass
class ViewState:
    """Where the user looks, moved by keys. Places are clamped by who draws: what there is to see changes under them."""

    view: str = "overview"
    row: int = 0
    """of the cursor in the view"""
    reading: bool = False
    """whether one thing has the whole view, or the arrows walk within it"""
    method: str = ""
    """that is looked at; empty until the user has chosen one: then the best is"""
    scroll: int = 0
    """lines of a text above the first that is seen"""

    def look(self, view: str) -> None:
        """Another view, from its top."""
        if view != self.view:
            self.view, self.row, self.reading, self.scroll = view, 0, False, 0

    def within(self, count: int) -> int:
        """The row of the cursor, moved into a list of ``count``."""
        self.row = max(0, min(self.row, count - 1))
        return self.row


@dataclass(frozen=True)
class Words:
    """What a comparison calls its methods and its views, and what it says while it works."""

    methods: Mapping[str, str]
    views: Sequence[tuple[str, str, str]]
    """name, key and title of every view"""
    doing: Mapping[str, str]
    """what is done while a method is worked on"""


def following(names: Sequence[str], name: str) -> str:
    """The name after this one, after the last one the first; the first where it is none of them."""
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


def head(story: CompareStory, words: Words, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""
    mark, colour = states.MARKS[state]
    text = Text.assemble((f"{mark} ", colour), f"{'ready' if state == states.NONE else state:<9}")
    if not name:
        return strip(text.append(f"  {EMPTY}", MUTED), width)
    text.append(f"  {after_time(safe(name, lines=False))}   ", "bold")
    encoded, method = story.encoded, story.methods.get(story.doing)
    if state == states.RUNNING and story.doing:
        text.append(f"{words.doing.get(story.doing, 'training')}  ")
    if story.finished is not None:
        if (best := story.best) is not None:
            text.append("best ", MUTED).append(words.methods.get(best.name, best.name))
            text.append(f" {best.accuracy:.3f}{'*' * best.partial}{best.UNIT}   ", f"bold {BRIGHT}")
        text.append(units.duration(story.finished.seconds), MUTED)
    elif story.progress is not None:
        text.append(progress_text(story.progress, width - text.cell_len), MUTED)
    elif story.doing == "encode" and encoded is not None:
        far(text, encoded.done, encoded.total, width)
        if encoded.sequences_per_second:
            text.append(f"  {encoded.sequences_per_second:,.0f} sequences/s", "bold")
            text.append(f"  {units.duration(encoded.seconds_left)} left", MUTED)
        elif encoded.cached:
            text.append("  cached", MUTED)
    elif method is not None and (seen := method.running) is not None and seen.done < seen.total:
        far(text, seen.done, seen.total, width)
        text.append(f"  accuracy {seen.accuracy:.3f}", "bold").append(f" ({seen.low:.3f}–{seen.high:.3f})", MUTED)
    elif method is not None and method.last is not None:
        training(text, method.last, width)
    else:
        text.append(story.detail, MUTED)
    return strip(text, width)


def far(text: Text, done: int, total: int, width: int) -> None:
    """Append a bar, where there is room, and ``done / total``."""
    cells = min(20, width - 44 - text.cell_len)
    if cells >= BAR:
        text.append_text(done_bar(done, total, cells)).append("  ")
    text.append(f"{done:,} / {total:,}", BRIGHT)


def training(text: Text, last: ContenderStep, width: int) -> None:
    """Append how far a training is, its loss, the best held-out score and the time left, where they are known."""
    if last.steps:
        far(text, last.step, last.steps, width)
    elif last.note:
        text.append(safe(last.note, lines=False))
    text.append(f"  loss {last.loss:.3f}", "bold")
    if last.best_score is not None:
        text.append("  held out ", MUTED).append(f"{last.best_score:.3f}", BRIGHT)
    if last.seconds_left:
        text.append(f"  {units.duration(last.seconds_left)} left", MUTED)


def tabs(words: Words, shown: str, width: int, key: str = "", told: str = "") -> Strip:
    """The views with their keys, and to the right a ``key`` with what it changes.

    Where there is no room for all titles, the longest are cut.
    """
    names = {view: title for view, _, title in words.views}
    while sum(len(name) + 4 for name in names.values()) > width:
        longest = max(names, key=lambda view: len(names[view]))
        if len(names[longest]) <= SHORTEST:
            break
        names[longest] = cut(names[longest], len(names[longest]) - 1)
    text = Text(no_wrap=True)
    for view, letter, _ in words.views:
        here = view == shown
        tab = Text.assemble((f" {letter}", f"bold {ACCENT}" if here else MUTED))
        tab.append(f" {names[view]} ", f"bold {BRIGHT}" if here else MUTED)
        text.append_text(doing(tab, f"view('{view}')"))
    room = width - text.cell_len - len(f"{key} {told} ")
    if key and room >= 0:
        text.append(" " * room).append(key, f"bold {ACCENT}").append(f" {told} ", TEXT)
    return strip(text, width)


def notice(story: CompareStory, width: int, outcome: Text | None = None, *, of_run: bool = True) -> Strip:
    """What the pane itself said last, else how the run stands, else what it said last; beside the form, no run's."""
    told = notice_text(story.notices[-1]) if story.notices else None
    if told is not None and story.notices[-1].kind == "screen":
        return strip(told, width)
    shown = outcome if outcome is not None else told
    return strip(shown, width) if of_run and shown is not None else Strip.blank(width)
