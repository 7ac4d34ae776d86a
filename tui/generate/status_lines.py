"""The lines around the text of the Generate pane: the model, the state of the work, what the text is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.runs.events import Completed, Progress
from engine.runs.worker import State
from tui import units
from tui.generate.token_tree import TokenTree
from tui.generate.token_view import DIM
from tui.text import safe

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

BOLD = Style(bold=True)
WIDE = 98  # cells from which words are spelled out
_WORDS = {
    "load": ("◌", "loading", "bright_yellow"),
    "complete": ("●", "writing", "bright_green"),
    "replay": ("●", "reading", "bright_green"),
    "compare": ("●", "comparing", "bright_green"),
    "look": ("○", "reading", "bright_blue"),
    "probe": ("○", "looking", "bright_blue"),
}


@dataclass(frozen=True)
class Activity:
    """What the head line tells."""

    kind: str = ""
    """of the work under way"""
    state: State | None = None
    progress: Progress | None = None
    speed: float | None = None
    """tokens per second of the completion"""
    context: int = 0
    """tokens of the context that are used"""


def head(lm: LanguageModel | None, activity: Activity, width: int) -> Strip:
    """What is done, with which model, where it came from, what it costs, how much of its context is left."""
    mark, word, colour = _WORDS.get(activity.kind, ("■", "ready", "bright_blue"))
    if activity.state is State.PAUSED:
        mark, word, colour = "‖", "paused", "bright_yellow"
    elif activity.state is State.STOPPING:
        mark, word, colour = "◍", "stopping", "bright_yellow"
    elif lm is None and activity.kind != "load":
        mark, word, colour = "○", "no model", "bright_yellow"
    parts = [Segment(f"{mark} {word:<9}", Style(color=colour, bold=True))]
    if activity.kind == "load" and activity.progress is not None:
        progress = activity.progress
        share = f" {progress.done / progress.total:.0%}" if progress.total else ""
        share = share or (f" {units.size(progress.done)}" if progress.done else "")
        parts.append(Segment(f" {safe(progress.what, lines=False)}{share}…", DIM))
    elif lm is None:
        parts.append(Segment(" m chooses one", DIM))
    else:
        left = max(0, lm.context - activity.context)
        spent = Style(color="bright_red") if not left else Style(color="bright_yellow") if left < 16 else DIM
        spent = DIM if lm.slides else spent  # it goes on when its context is full
        right = [Segment(f"context {activity.context:,}/{lm.context:,}", spent)]
        if activity.speed:
            right.append(Segment(f"  {activity.speed:,.1f} tokens/s", BOLD))
        facts = [f"{units.count(lm.parameters)} parameters", f"{units.size(lm.bytes)} {lm.precision}", lm.device.type]
        name = safe(lm.name, lines=False)
        room = max(8, width - _cells(parts) - _cells(right) - 3)
        parts.append(Segment(f" {name if len(name) <= room else '…' + name[1 - room :]}", BOLD))
        room = width - _cells(parts) - _cells(right) - 2
        while facts and len(", ".join(facts)) + 2 > room:
            facts.pop()
        told = f"  {', '.join(facts)}" if facts else ""
        source = safe(lm.source, lines=False)
        if facts and source != name and len(source) + len(told) + 2 <= room:
            told = f"  {source}{told}"
        parts.append(Segment(told, DIM))
        parts.append(Segment(" " * max(1, width - _cells(parts) - _cells(right))))
        parts += right
    return Strip(parts).adjust_cell_length(width)


def status(tree: TokenTree, width: int) -> Strip:
    """What the text is made of."""
    parts: list[Segment] = []
    for name, prompt in (("prompt", True), ("completion", False)):
        number, perplexity = tree.tally(prompt=prompt)
        if number:
            tokens = (" token" if number == 1 else " tokens") if width >= WIDE else ""
            parts += [Segment(f"{name} ", DIM), Segment(f"{number:,}{tokens}", BOLD)]
            if perplexity is not None:
                word = ", perplexity " if width >= WIDE else ", ppl "
                parts += [Segment(word, DIM), Segment(_short(perplexity), BOLD)]
            parts.append(Segment("   "))
    if tree.draft:
        parts += [Segment(f"{len(tree.draft):,} characters not tokenized yet", DIM), Segment("   ")]
    if (place := tree.fork()) is not None:
        now, of = tree.branches(place)
        parts += [Segment(f"branch {now} of {of}", Style(color="bright_magenta", bold=True))]
        parts.append(Segment(f" at token {place:,}  [ ]", DIM))
    return Strip(parts).adjust_cell_length(width)


def summary(done: Completed) -> str:
    """How a completion went."""
    words = {"length": "as many as asked for", "eos": "the model ended the text", "stop": "stopped"}
    reused = f", {done.reused:,} of {done.prompt_tokens:,} prompt tokens not computed again" if done.reused else ""
    speed = f", {done.tokens_per_second:,.1f} tokens/s" if done.tokens_per_second else ""
    return (
        f"{done.tokens:,} tokens, {words.get(done.reason, done.reason)}{speed}, "
        f"first after {done.first_token_seconds:.2f} s{reused}"
    )


def _short(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def _cells(parts: list[Segment]) -> int:
    return sum(part.cell_length for part in parts)
