"""What F1 explains in the Runs pane beside the columns of its table, and in the comparison of marked runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from engine.report.compare import Compared
from engine.runs.listing import Summary
from tui import units
from tui.hints import Hint, hints, read
from tui.runs import views
from tui.runs.columns import about_best
from tui.text import safe

VIEWS = read(Path(__file__).with_suffix(".jsonl"))
COMPARE = {row.name: row for row in VIEWS["compare"]}
"""by the head of the column without the place of the cursor"""


def plot(shown: Sequence[views.Losses]) -> list[Hint]:
    """Of the runs in the legend."""
    bests = {one.name: min(one.points, key=lambda point: point[1]) for one in shown if one.points}
    lowest = min((loss for _, loss in bests.values()), default=0.0)
    found = []
    for name, (step, loss) in bests.items():
        apart = f"{loss - lowest:.4f} nats above the lowest of the plot" if loss > lowest else "the lowest of the plot"
        text = f"The lowest validation loss of {name} is {units.loss(loss)} nats, at step {step:,}. It is {apart}."
        found.append(Hint(safe(name, lines=False), (units.loss(loss),), text, "validation"))
    return found


def about(summary: Summary) -> list[Hint]:
    """Of the lines about a run."""
    if summary.why:
        return []
    told = dict(views.facts(summary))
    best = Hint("best", (told["best"],), about_best(summary), "validation")
    told["on disk"] = told["on disk"].removesuffix(" in ")
    return [best, *hints(VIEWS["about"], told)]


def differences(first: Summary, second: Summary) -> list[Hint]:
    """Of the sentence on two marked runs."""
    found = views.differences(first, second)
    text = f"From the first marked run to the second: {', '.join(found)}. "
    text += "With one run each a difference may be chance; runs with other seeds tell how much of it is."
    return [Hint("differs", tuple(found), text, "chance")] if found else []


def columns(heads: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> list[Hint]:
    """Of the columns of a table that hold figures; a row is named by its run, or by its method."""
    found, label = [], int("method" in heads)
    for place, head in enumerate(heads):
        title, _, at = head.partition(" at ")
        row = COMPARE.get(title)
        cells = [(str(one[label]), str(one[place])) for one in rows if str(one[place])]
        if row is not None and cells:
            told = ", ".join(f"{name} {cell}" for name, cell in cells)
            shown = (*(cell for _, cell in cells), *filter(None, [at]))
            found.append(Hint(head, shown, f"{row.figure}: {told}. {row.meaning}", row.term))
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
