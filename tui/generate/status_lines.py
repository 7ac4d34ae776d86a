"""The lines around the text of the Generate pane: the model, the state of the work, what the text is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from engine.runs.events import Completed, Progress
from engine.runs.worker import State
from tui import actions, units
from tui.generate.token_tree import TokenTree
from tui.text import safe
from tui.widgets.styled import BAD, BOLD, BRIGHT, DIM, GOOD, MUTED, WARN, cut, cut_start, progress_text, proposals

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

SOURCE = 32  # cells that where a model came from is shown from
_WORDS = {
    "load": ("◌", "loading", WARN),
    "complete": ("●", "writing", GOOD),
    "replay": ("●", "reading", GOOD),
    "compare": ("●", "comparing", GOOD),
    "look": ("✓", "reading", GOOD),
    "probe": ("✓", "ready", GOOD),
}


WELCOME = (
    ("edit", "write a prompt; F5 continues it"),
    ("start", "start without a prompt"),
    ("chat", "chat: the model answers a message"),
    ("sweep", "the lab's prompt, greedy and at five temperatures"),
    ("models", "choose another model"),
    ("open_text", "open a text file as the prompt"),
)
"""what an empty text proposes, by action"""


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
    mark, word, colour = _WORDS.get(activity.kind, ("✓", "ready", GOOD))
    if activity.state is State.PAUSED:
        mark, word, colour = "‖", "paused", WARN
    elif activity.state is State.STOPPING:
        mark, word, colour = "◍", "stopping", WARN
    elif lm is None and activity.kind != "load":
        mark, word, colour = "○", "no model", WARN
    length = Segment.get_line_length
    parts = [Segment(f"{mark} ", Style(color=colour)), Segment(f"{word:<9}")]
    if activity.kind == "load" and activity.progress is not None:
        parts.append(Segment(" " + progress_text(activity.progress, width - length(parts) - 1), DIM))
    elif lm is None:
        parts.append(Segment(" m chooses one", DIM))
    else:
        left = lm.context - activity.context
        spent = DIM  # a model whose context slides goes on when it is full
        if left < 16 and not lm.slides:
            spent = Style(color=WARN if left > 0 else BAD)
        values = head_values(lm, activity)
        right = [Segment(f"context {values['context']}", spent)]
        if activity.speed:
            right.append(Segment(f"  {values['tokens/s']} tokens/s", BOLD))
        facts = [f"{values['parameters']} parameters", f"{values['bytes']} {lm.precision}", lm.device.type]
        name = safe(lm.name, lines=False)
        room = max(8, width - length(parts) - length(right) - 3)
        parts.append(Segment(f" {cut_start(name, room)}", BOLD))
        room = width - length(parts) - length(right) - 2
        while facts and len(", ".join(facts)) + 2 > room:
            facts.pop()
        told = f"  {', '.join(facts)}" if facts else ""
        source = safe(lm.source, lines=False)
        if facts and source != name and room - len(told) >= SOURCE:
            told = f"  {cut(source, room - len(told) - 2)}{told}"
        parts.append(Segment(told, DIM))
        parts.append(Segment(" " * max(1, width - length(parts) - length(right))))
        parts += right
    return Strip(parts).adjust_cell_length(width)


def head_values(lm: LanguageModel, activity: Activity) -> dict[str, str]:
    """The figures of the head line, as they are drawn."""
    return {
        "parameters": units.count(lm.parameters),
        "bytes": units.size(lm.bytes),
        "context": f"{activity.context:,}/{lm.context:,}",
        "tokens/s": f"{activity.speed:,.1f}" if activity.speed else "",
    }


def welcome(lm: LanguageModel | None) -> list[Text]:
    """What an empty text shows: what can be done, and which model does it."""
    chats = lm is not None and lm.chat is not None
    lines = proposals(actions.proposals("generate", [one for one in WELCOME if one[0] != "chat" or chats]))
    if lm is not None:
        source = f": {safe(lm.source, lines=False)}" if lm.source != lm.name else ""
        lines += [Text(""), Text.assemble(("Model  ", MUTED), (safe(lm.name, lines=False), BRIGHT), (source, MUTED))]
    return lines


def text_title(tree: TokenTree) -> str:
    """How many tokens the text has."""
    counts = [f"{tree.tally(prompt=prompt)[0]:,} {name}" for name, prompt in (("prompt", True), ("completed", False))]
    draft = f", {len(tree.draft):,} characters not tokenized yet" if tree.draft else ""
    return f"text, {' + '.join(counts)}{draft}" if tree.path else f"text{draft}"


def text_facts(tree: TokenTree) -> str:
    """The perplexities of prompt and completion, and the branch that the text takes."""
    found = []
    for name, prompt in (("prompt", True), ("completion", False)):
        perplexity = tree.tally(prompt=prompt)[1]
        if perplexity is not None:
            found.append(f"{name} {perplexity_of(perplexity)}")
    told = f"perplexity  {'  '.join(found)}" if found else ""
    if (place := tree.fork()) is not None:
        now, of = tree.branches(place)
        told = f"branch {now} of {of}" + (f" · {told}" if told else "")
    return told


def summary(done: Completed) -> str:
    """How a completion went."""
    words = {"length": "limit reached", "eos": "end-of-text token", "stop": "stopped"}
    reused = f", {done.reused:,} of {done.prompt_tokens:,} prompt tokens cached" if done.reused else ""
    speed = f", {done.tokens_per_second:,.1f} tokens/s" if done.tokens_per_second else ""
    return (
        f"{done.tokens:,} tokens, {words.get(done.reason, done.reason)}{speed}, "
        f"first after {done.first_token_seconds:.2f} s{reused}"
    )


def perplexity_of(value: float) -> str:
    """A perplexity as it is drawn."""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"
