"""The columns of the table of runs: what stands in each, and what its figures mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from checkpoints.run import after_time
from engine.runs import query
from engine.runs.listing import Summary
from tui import units
from tui.follow import state as states
from tui.hints import MISSING
from tui.panes import BY_NAME
from tui.widgets.line_table import Column
from tui.widgets.styled import MUTED

_UNITS = {"train": "nats", "retrieve": "nDCG@10"}


def columns(marked: Callable[[str], str]) -> tuple[Column, ...]:
    """Of the table of runs; ``marked`` gives the shape of a run that is in the plot."""

    def standing(summary: Summary) -> Text:
        return states.line(summary.state, f"{summary.state} {summary.place}" if summary.place else summary.state)

    def name(summary: Summary) -> tuple[str, str]:
        shape = marked(summary.name)
        said = " ".join(
            [*["▲"] * summary.pinned, summary.title or after_time(summary.name), *(f"#{tag}" for tag in summary.tags)]
        )
        return f"{shape or ' '} {said}", "bold" if summary.owner else ""

    def best(summary: Summary) -> str:
        shown = units.best(summary)
        return f"{shown} {'' if shown == '–' else _UNITS.get(summary.task, 'accuracy'):<8}"  # figures below each other

    def setting(name: str, width: int, title: str, priority: int, about: str) -> Column:
        def cell(run: Summary) -> str:
            return f"{run.spec[name]}" if name in run.spec else ""

        return Column(
            title, width, cell, priority=priority, about=about, term="learning rate" if name == "learning_rate" else ""
        )

    return (
        Column("state", 14, standing, left=True, about="A number is the place of a queued run in the queue."),
        Column("  name", 0, name, left=True, least=16),
        Column("task", 9, lambda run: (run.task, MUTED), left=True, priority=2),
        Column("steps", 14, steps, priority=1, about=_about_steps, term="step"),
        Column("best", 16, best, about=about_best, term="validation"),
        Column("bits, chance", 13, bits_or_chance, priority=5, about=_about_bits, term="bits per character"),
        Column("  data", 16, lambda run: f"  {Path(run.corpus).name}", left=True, priority=3),
        Column(
            "model, method", 16, lambda run: run.preset if run.task == "train" else run.method, left=True, priority=4
        ),
        setting("learning_rate", 9, "rate", 6, "It is the peak of the schedule of a training."),
        setting("seed", 7, "seed", 7, "Runs that differ in the seed alone show how much of a figure is chance."),
        Column("age", 9, age, priority=1, about="It is the time since the run has last written something."),
    )


def steps(summary: Summary) -> str:
    """Steps of a training, or methods of a comparison, that are done of all."""
    return "" if summary.why else f"{summary.step:,} / {summary.steps:,}"


def _about_steps(summary: Summary) -> str:
    if summary.task == "train":
        return f"The selected run has done {steps(summary)} optimizer steps. r trains a finished one to a later step."
    return f"The selected run has finished {steps(summary)} methods. r resumes one that has ended before all were."


def about_best(summary: Summary) -> str:
    """The best figure of a run in two sentences."""
    shown = units.best(summary)
    if shown == MISSING:
        return "The selected run has no figure yet. It will be the lowest validation loss, or that of the best method."
    if summary.task != "train":
        told = BY_NAME[summary.task].figure.format(shown)
        part = f"* says that only {summary.partial} items were judged." if summary.partial else ""
        return f"The best method of the selected run, {summary.method}, has {told}. {part or 'Higher is better.'}"
    at = f" at step {summary.best_step:,}" if summary.best_step is not None else ""
    return (
        f"The lowest validation loss of the selected run is {shown} nats{at} = {bits_or_chance(summary)} bits per "
        "character. Lower is better, among runs on the same corpus."
    )


def _about_bits(summary: Summary) -> str:
    shown, best = bits_or_chance(summary) or MISSING, units.best(summary)
    if summary.task == "train":
        return (
            f"The best loss of the selected run, {best} nats, is {shown} bits per character. Nats are divided by ln 2."
        )
    return f"Guessing has {shown} on the data of the selected run. Its best method has {best}."


def bits_or_chance(summary: Summary) -> str:
    """Bits per character of a training; what guessing reaches in a comparison."""
    bits = query.value(summary, "bits")
    if bits is not None:
        return f"{bits:.3f}"
    return "" if summary.chance is None else f"{summary.chance:.1%}"


def age(summary: Summary) -> str:
    """How long ago a run changed."""
    if summary.owner:
        return "now"
    seconds = time.time() - summary.changed
    for limit, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= limit:
            return f"{seconds // limit:.0f} {unit}"
    return "< 1 min"
