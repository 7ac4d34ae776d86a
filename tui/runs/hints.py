"""What F1 explains in the Runs pane beside the columns of its table: the plot, and the lines about a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.runs.listing import Summary
from tui import units
from tui.hints import Hint, hints, read
from tui.runs import views
from tui.runs.columns import about_best
from tui.text import safe

VIEWS = read(Path(__file__).with_suffix(".jsonl"))


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
