"""The lines around the views: what is done and how far it is, which view is shown, and what was said last."""

from __future__ import annotations

import re

from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.classify.ink import BAD, DIM, FAIR, GOOD, ROUTES, fit, strip
from tui.classify.sight import VIEWS, Sight
from tui.classify.story import ClassifyStory
from tui.text import safe

_ENDS = {"stopped": "stopped", "done": "finished", "steps": "finished"}
_WORDS = {"encode": "encoding", "labels": "labels", "finetune": "fine-tuning"}
_TITLES: tuple[dict[str, str], ...] = (
    {},
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
_STAMP = re.compile(r"^\d{8}-\d{6}-")


def head(story: ClassifyStory, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""
    mark, word, colour = _doing(story, state)
    text = Text(no_wrap=True)
    text.append(f"{mark} {word:<11}", f"bold {colour}")
    if not name:
        return strip(text.append("no classification yet: F5 runs the routes", DIM), width)
    text.append(f" {safe(name if width >= 100 else _STAMP.sub('', name), lines=False)}  ", "bold")
    encoded = story.encoded
    if story.finished is not None:
        best = story.best
        if best is not None and best.report is not None:
            text.append("best ", DIM).append(ROUTES.get(best.name, best.name), GOOD)
            text.append(f" {best.report.accuracy:.3f}  ", "bold")
        text.append(units.duration(story.finished.seconds), DIM)
    elif story.progress is not None:
        done = story.progress
        part = f" {done.done / done.total:.0%}" if done.total else ""
        text.append(f"{safe(done.what, lines=False)}{part}…", DIM)
    elif story.doing == "encode" and encoded is not None:
        _bar(text, encoded.done / max(1, encoded.total), colour, width - 44)
        text.append(f" {encoded.done:,}/{encoded.total:,}")
        if encoded.sequences_per_second:
            text.append(f"  {encoded.sequences_per_second:,.0f} sequences/s", "bold")
            text.append(f"  {units.duration(encoded.seconds_left)} left", DIM)
        elif encoded.cached:
            text.append("  from the disk", DIM)
    elif (route := story.routes.get(story.doing)) is not None and (last := route.last) is not None:
        if last.steps:
            _bar(text, last.step / last.steps, colour, width - 44)
            text.append(f" {last.step:,}/{last.steps:,}")
        elif last.note:
            text.append(safe(last.note, lines=False))
        text.append(f"  loss {last.loss:.3f}", "bold")
        if last.seconds_left:
            text.append(f"  {units.duration(last.seconds_left)} left", DIM)
    elif story.doing == "labels" and story.points:
        text.append(f"{story.points[-1].labels:,} labels of each class", DIM)
    return strip(text, width)


def _bar(text: Text, part: float, colour: str, room: int) -> None:
    cells = max(6, min(20, room - text.cell_len))
    done = round(max(0.0, min(1.0, part)) * cells)
    text.append("━" * done, colour).append("━" * (cells - done), DIM)


def _doing(story: ClassifyStory, state: str) -> tuple[str, str, str]:
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
    doing = story.doing
    return "●", _WORDS.get(doing, "training" if doing else "working"), GOOD


def tabs(sight: Sight, route: str, width: int) -> Strip:
    """The views with their keys, and the route that they show."""
    text = Text(no_wrap=True)
    for titles in _TITLES:
        text = Text(no_wrap=True)
        for view, key, title in VIEWS:
            name = titles.get(view, title)
            if view == sight.view:
                text.append(f" {key} {name} ", "bold reverse")
            else:
                text.append(f" {key}", "bold").append(f" {name} ", DIM)
        if text.cell_len <= width:
            break
    if sight.view not in ("overview", "labels", "suspects", "sentence") and route:
        told = f"r {ROUTES.get(route, route)} "
        if text.cell_len + len(told) <= width:
            text.append(" " * (width - text.cell_len - len(told))).append("r", "bold").append(told[1:], FAIR)
    return strip(text, width)


def notice(story: ClassifyStory, width: int) -> Strip:
    """The last thing that was said."""
    if not story.notices:
        return Strip.blank(width)
    said = story.notices[-1]
    mark, style = {"error": ("✗", BAD), "warning": ("!", FAIR)}.get(said.level, ("·", DIM))
    return strip(Text(fit(f"{mark} {safe(said.text, lines=False)}", width), style), width)
