"""What F1 explains in the comparison of marked runs: the curves, and the columns of the tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from engine.report.compare import Compared
from tui import units
from tui.hints import Hint

COLUMNS = {
    "steps": (
        "Steps that are done, of all",
        "Losses of runs are compared at the same step, or along another axis with a.",
    ),
    "loss": (
        "Validation loss of each run at the cursor",
        "It is in nats per character; lower is better.",
        "cross-entropy",
    ),
    "best": ("Best figure of each run", "A training has the lowest validation loss, a comparison its best method."),
    "bits": (
        "Lowest validation loss in bits per character",
        "It is the loss in nats divided by ln 2.",
        "bits per character",
    ),
    "figure": ("Figure of each method on the evaluated items", "Higher is better.", "accuracy"),
    "95%": (
        "Confidence intervals",
        "The figure on further items of the same kind lies within with 95% confidence.",
        "confidence interval",
    ),
    "n": ("Evaluated items", "The more there are, the narrower the intervals."),
    "best less it": (
        "Figure of the best method less that of each other one, item by item",
        "A difference above 0 is in favour of the best.",
        "paired test",
    ),
    "p (Holm)": (
        "Probability of at least such a difference if both methods were equally good",
        "It is corrected for the number of pairs; from 0.05 on the difference could be chance.",
        "Holm",
    ),
}
"""what a column holds, what that means, and a term of the glossary, by its head without the place of the cursor"""


def columns(heads: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> list[Hint]:
    """Of the columns of a table that hold figures; a row is named by its run, or by its method."""
    found, label = [], int("method" in heads)
    for place, head in enumerate(heads):
        title, _, at = head.partition(" at ")
        what, meaning, *term = COLUMNS.get(title, ("", ""))
        cells = [(str(row[label]), str(row[place])) for row in rows if str(row[place])]
        if what and cells:
            told = ", ".join(f"{name} {cell}" for name, cell in cells)
            shown = (*(cell for _, cell in cells), *filter(None, [at]))
            found.append(Hint(head, shown, f"{what}: {told}. {meaning}", *term))
    return found


def settings(rows: Sequence[Sequence[str | Text]]) -> list[Hint]:
    """Of the settings that differ."""
    rest = "What is not listed is equal in all runs, so a difference of the figures comes from these or from chance."
    return [
        Hint(str(name), tuple(map(str, values)), f"The runs have {', '.join(map(str, values))} for {name}. {rest}")
        for name, *values in rows
    ]


def sample(name: str, step: int) -> Hint:
    """Of the title of a sample."""
    text = f"{name} wrote this at step {step:,}, the last sample up to the cursor. ←→ move it to earlier ones."
    return Hint(name, (f"step {step:,}",), text, "sampling")


def curves(compared: Compared, smoothing: float, at: float | None) -> list[Hint]:
    """Of the curves: the losses at the cursor."""
    losses = [] if at is None else [story.validation_at(at) for story in compared.stories]
    told = ", ".join(
        f"{one.title or one.name} {units.loss(loss)}" for one, loss in zip(compared.runs, losses, strict=False)
    )
    text = f"Each curve is the loss on the whole validation split of a run; at the cursor: {told or 'nothing yet'}."
    found = [
        Hint("validation loss", (), f"{text} Lower is better, if all were trained on the same text.", "cross-entropy")
    ]
    if smoothing:
        mean = f"Of the training loss each point keeps {smoothing} of the point before it. s changes that."
        found.append(Hint("smoothed", (f"{smoothing}",), mean, "moving average"))
    return found
