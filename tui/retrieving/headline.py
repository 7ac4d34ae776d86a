"""The lines around the views: what is done and how far it is, which view is shown, and what was said last."""

from __future__ import annotations

import re

from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.classify.ink import BAD, DIM, FAIR, GOOD, fit, strip
from tui.retrieving.columns import NAMES
from tui.retrieving.sight import VIEWS, Sight
from tui.retrieving.story import RetrieveStory, number
from tui.text import safe

_STAMP = re.compile(r"\d{8}-\d{6}-")  # before the name of every run
_ENDS = {"stopped": "stopped", "done": "finished"}


def head(story: RetrieveStory, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""
    mark, word, colour = _doing(story, state)
    text = Text(no_wrap=True)
    text.append(f"{mark} {word:<11}", f"bold {colour}")
    if not name:
        return strip(text.append("no retrieval yet: F5 builds and judges the rankers", DIM), width)
    shown = name if width >= 80 else _STAMP.sub("", name, count=1)
    text.append(f" {safe(shown, lines=False)}  ", "bold")
    encoded, step = story.encoded, story.step
    if story.finished is not None:
        if best := story.best:
            text.append("best ", DIM).append(NAMES.get(best, best), GOOD)
            text.append(f" {number(story.results[best], 'ndcg@10'):.3f} nDCG@10  ", "bold")
        text.append(units.duration(story.finished.seconds), DIM)
    elif story.progress is not None:
        done = story.progress
        part = f" {done.done / done.total:.0%}" if done.total else ""
        text.append(f"{safe(done.what, lines=False)}{part}…", DIM)
    elif story.doing == "encode" and encoded is not None:
        _bar(text, encoded.done / max(1, encoded.total), colour, width - 44)
        text.append(f" {encoded.done:,}/{encoded.total:,}")
        if encoded.sequences_per_second:
            text.append(f"  {encoded.sequences_per_second:,.0f} texts/s", "bold")
            text.append(f"  {units.duration(encoded.seconds_left)} left", DIM)
        elif encoded.cached:
            text.append("  from the disk", DIM)
    elif story.doing == "trained" and step is not None:
        _bar(text, step.step / max(1, step.steps), colour, width - 52)
        text.append(f" {step.step:,}/{step.steps:,}  loss {step.loss:.3f}", "bold")
        if step.best_ndcg is not None:
            text.append(f"  held-out {step.best_ndcg:.3f}", GOOD)
        if step.seconds_left:
            text.append(f"  {units.duration(step.seconds_left)} left", DIM)
    return strip(text, width)


def tabs(sight: Sight, width: int) -> Strip:
    """The views with their keys."""
    text = Text(no_wrap=True)
    for view, key, title in VIEWS:
        if view == sight.view:
            text.append(f" {key} {title} ", "bold reverse")
        else:
            text.append(f" {key}", "bold").append(f" {title} ", DIM)
    told = f"c {NAMES[sight.middle]} "
    if sight.view == "search" and text.cell_len + len(told) <= width:
        text.append(" " * (width - text.cell_len - len(told))).append("c", "bold").append(told[1:], FAIR)
    return strip(text, width)


def notice(story: RetrieveStory, width: int) -> Strip:
    """The last thing that was said."""
    if not story.notices:
        return Strip.blank(width)
    said = story.notices[-1]
    mark, style = {"error": ("✗", BAD), "warning": ("!", FAIR)}.get(said.level, ("·", DIM))
    return strip(Text(fit(f"{mark} {safe(said.text, lines=False)}", width), style), width)


def _bar(text: Text, part: float, colour: str, room: int) -> None:
    cells = max(6, min(20, room - text.cell_len))
    done = round(max(0.0, min(1.0, part)) * cells)
    text.append("━" * done, colour).append("━" * (cells - done), DIM)


def _doing(story: RetrieveStory, state: str) -> tuple[str, str, str]:
    if story.finished is not None:
        reason = story.finished.reason
        if reason in _ENDS:
            return "■", _ENDS[reason], "bright_blue"
        return "✗", safe(reason, lines=False), BAD
    if not state:
        return "○", "ready", "bright_blue"
    if story.paused:
        return "‖", "paused", FAIR
    if state == "stopping":
        return "◍", "stopping", FAIR
    if story.data is None:
        return "◌", "starting", FAIR
    return "●", {"encode": "encoding", "trained": "training"}.get(story.doing, "working"), GOOD
