"""The lines around the views: what is done and how far it is, which view is shown, and what was said last."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.choosing.ink import BAD, DIM, FAIR, GOOD, NAMES
from tui.choosing.sight import VIEWS, Sight
from tui.choosing.story import ChooseStory
from tui.classify.ink import fit, strip
from tui.text import safe

_ENDS = {"stopped": "stopped", "done": "finished"}
_WORDS = {"encode": "encoding", "finetune": "fine-tuning", "zero-shot": "scoring"}


def head(story: ChooseStory, name: str, state: str, width: int) -> Strip:
    """What is done now, on what, how fast, and how long it will take."""
    mark, word, colour = _doing(story, state)
    text = Text(no_wrap=True).append(f"{mark} {word:<11}", f"bold {colour}")
    if not name:
        return strip(text.append("nothing ranked yet: F5 runs the methods", DIM), width)
    text.append(f" {safe(name, lines=False)}  ", "bold")
    encoded, method = story.encoded, story.methods.get(story.doing)
    if story.finished is not None:
        best = story.best
        if best is not None and best.accuracy is not None:
            text.append("best ", DIM).append(NAMES.get(best.name, best.name), GOOD)
            text.append(f" {best.accuracy:.3f}  ", "bold")
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
    elif method is not None and (seen := method.running) is not None and seen.done < seen.total:
        _bar(text, seen.done / max(1, seen.total), colour, width - 44)
        text.append(f" {seen.done:,}/{seen.total:,}")
        text.append(f"  accuracy {seen.accuracy:.3f}", "bold").append(f" ({seen.low:.3f}–{seen.high:.3f})", DIM)
    elif method is not None and (last := method.last) is not None:
        _bar(text, last.step / max(1, last.steps), colour, width - 44)
        text.append(f" {last.step:,}/{last.steps:,}").append(f"  loss {last.loss:.3f}", "bold")
        if last.seconds_left:
            text.append(f"  {units.duration(last.seconds_left)} left", DIM)
    return strip(text, width)


def tabs(sight: Sight, method: str, width: int) -> Strip:
    """The views with their keys, and the method that they show."""
    text = Text(no_wrap=True)
    for view, key, title in VIEWS:
        if view == sight.view:
            text.append(f" {key} {title} ", "bold reverse")
        else:
            text.append(f" {key}", "bold").append(f" {title} ", DIM)
    if method:
        told = f"m {NAMES.get(method, method)} "
        if text.cell_len + len(told) <= width:
            text.append(" " * (width - text.cell_len - len(told))).append("m", "bold").append(told[1:], FAIR)
    return strip(text, width)


def notice(story: ChooseStory, width: int) -> Strip:
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


def _doing(story: ChooseStory, state: str) -> tuple[str, str, str]:
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
    return "●", _WORDS.get(story.doing, "training" if story.doing else "working"), GOOD
