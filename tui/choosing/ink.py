"""Names and colours of the methods, and how a choice and its tokens are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from tui.comparing.ink import BAD, DIM, GOOD, bar
from tui.text import safe

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
_PROBABLE = ((0.5, "bright_blue"), (0.1, "bright_cyan"), (0.01, "bright_yellow"), (0.0, "bright_red"))


def shares(scores: Sequence[float]) -> list[float]:
    """Scores as shares of one (softmax)."""
    top = max(scores)
    if not math.isfinite(top):
        return [1 / len(scores)] * len(scores)
    raised = [math.exp(score - top) if math.isfinite(score) else 0.0 for score in scores]
    return [one / sum(raised) for one in raised]


def number(score: float) -> str:
    """A score in seven cells."""
    return f"{score:7.3f}" if abs(score) < 100 else f"{score:7.1f}" if math.isfinite(score) else "      –"


def cell(scores: Sequence[float], place: int, gold: int, cells: int, colour: str) -> Text:
    """One score with its share among the choices as a bar; the chosen one is bold, and right or wrong when known."""
    best = max(range(len(scores)), key=lambda other: (scores[other], -other))
    here = place == best
    style = (GOOD if place == gold else BAD if gold >= 0 else "bright_white") if here else DIM
    text = Text()
    text.append(number(scores[place]), f"bold {style}" if here else style)
    if cells > 8:
        text.append(" ").append(bar(shares(scores)[place], cells - 8), colour if here else DIM)
    return text


def tokens(strip: Sequence[Sequence[object]], room: int) -> Text:
    """The tokens of a choice in the colour of their probability: blue was expected, red and underlined a surprise.

    Their log-probabilities stand beside them where all of them fit into ``room`` cells.
    """
    bare, told = Text(), Text()
    for entry in strip:
        piece, logprob = str(entry[0]), entry[1]
        known = isinstance(logprob, int | float)
        probability = math.exp(min(0.0, float(logprob))) if isinstance(logprob, int | float) else 0.0
        colour = next(colour for least, colour in _PROBABLE if probability >= least)
        shown = safe(piece, lines=False).replace(" ", "·")
        style = f"{colour} underline" if probability < 0.01 else colour
        bare.append(shown, style)
        told.append(shown, style).append(f"{logprob:.1f} " if known else "? ", DIM)
    return told if told.cell_len <= room else bare
