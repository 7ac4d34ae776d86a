"""What the Runs pane draws: the columns of its table, facts about a run, and losses of runs in one plot."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.strip import Strip

from checkpoints.journal import Reader
from checkpoints.run import Run, after_time
from engine.report import compare
from engine.runs import query
from engine.runs.listing import Summary, figure
from tui import units
from tui.follow import state as states
from tui.panes import BY_NAME
from tui.text import safe
from tui.widgets.line_table import Column
from tui.widgets.plot import Plot, axis
from tui.widgets.styled import MUTED, SERIES, cut_start, message, wrap

SHAPES = "●◆▲■▼✚"  # of the evaluations, one for each of SERIES
QUEUED = "queued; r starts it now, [ ] { move it, k cancels it"
SMALLEST = (24, 6)  # columns and rows below which a plot says nothing
_UNITS = {"train": "nats", "retrieve": "nDCG@10"}


@dataclass(frozen=True)
class Losses:
    """What one run adds to the plot."""

    name: str
    points: Sequence[tuple[int, float]] = ()
    """step and validation loss of every evaluation"""


class LossReader:
    """Reads the evaluations of a training, each time from where the last look ended."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._journal = Reader(run.events)
        self._points: list[tuple[int, float]] = []

    def read(self, title: str = "") -> Losses:
        """All that is known now of the run, shown as ``title`` or by its name. Reads the whole journal at first."""
        with contextlib.suppress(OSError):
            while lines := self._journal.lines():
                for line in lines:
                    if b'"evaluated"' in line or b'"started"' in line:
                        _add(self._points, line)
        return Losses(title or after_time(self._run.name), [*self._points])

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()


def _add(points: list[tuple[int, float]], line: bytes) -> None:
    try:
        event = json.loads(line)
        step, loss = event.get("step"), figure(event.get("val_loss"))
    except (ValueError, AttributeError, RecursionError):
        return
    if event.get("event") == "started" and type(step) is int:  # what was said about later steps holds no more
        points[:] = [point for point in points if point[0] <= step]
    elif event.get("event") == "evaluated" and type(step) is int and loss is not None:
        points.append((step, loss))


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

    def setting(name: str, width: int, title: str, priority: int) -> Column:
        return Column(title, width, lambda run: f"{run.spec[name]}" if name in run.spec else "", priority=priority)

    return (
        Column("state", 14, standing, left=True),
        Column("  name", 0, name, left=True, least=16),
        Column("task", 9, lambda run: (run.task, MUTED), left=True, priority=2),
        Column("steps", 14, lambda run: "" if run.why else f"{run.step:,} / {run.steps:,}", priority=1),
        Column("best", 16, best),
        Column("bits, chance", 13, bits_or_chance, priority=5),
        Column("data", 16, lambda run: f"  {Path(run.corpus).name}", left=True, priority=3),
        Column(
            "model, method", 16, lambda run: run.preset if run.task == "train" else run.method, left=True, priority=4
        ),
        setting("learning_rate", 9, "rate", 6),
        setting("seed", 7, "seed", 7),
        Column("age", 9, age, priority=1),
    )


def bits_or_chance(summary: Summary) -> str:
    """Bits per character of a training; what guessing reaches in a comparison."""
    bits = query.value(summary, "bits")
    if bits is not None:
        return f"{bits:.3f}"
    return "" if summary.chance is None else f"{summary.chance:.1%}"


def disk(size: int) -> str:
    """Bytes on the disk in whole MiB, so that a journal that grows does not change the line all the time."""
    return "< 1 MiB" if size < 2**20 else units.size(size) if size >= 2**30 else f"{size >> 20:,} MiB"


def age(summary: Summary) -> str:
    """How long ago a run changed."""
    if summary.owner:
        return "now"
    seconds = time.time() - summary.changed
    for limit, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= limit:
            return f"{seconds // limit:.0f} {unit}"
    return "< 1 min"


def about(summary: Summary, width: int) -> Text:
    """Figures, model, place and owner of a run, or why it cannot be read."""
    text, path = Text(), safe(summary.path, lines=False)
    if summary.why:
        why = Text(f"unreadable: {safe(summary.why, lines=False)}")
        return Text("\n").join([*wrap(why, width)[:3], Text(cut_start(path, width), MUTED)])
    best = f"{units.loss(summary.best_val_loss)} nats"
    if summary.best_val_loss is not None:
        best += f", {summary.best_val_loss / math.log(2):.4f} bits per character"
    at = f" at step {summary.best_step:,}" if summary.best_step is not None else ""
    size = f", {units.count(summary.parameters)} parameters" if summary.parameters else ""
    model = f"{summary.preset}{size}, trained on {summary.corpus}"
    if summary.parent:
        model += f", from {after_time(summary.parent)}"
    if summary.task != "train":
        entry = BY_NAME[summary.task]
        best, models = entry.figure.format(units.best(summary)), entry.models
        at = f" (* partial: {summary.partial})" if summary.partial else ""
        model = models.format(summary.corpus, summary.preset)
    kept = "" if summary.size is None else f"{disk(summary.size)} in "
    finished = summary.reason in ("steps", "done")
    resumed = f"not running; r {'trains to a later step' if finished else 'resumes it exactly'}"
    if summary.task == "train":
        kept = f"{summary.checkpoints} checkpoint{'' if summary.checkpoints == 1 else 's'}, {kept}"
    else:
        resumed = "not running" if finished else "not running; r reuses finished parts"
    if summary.place:
        resumed = QUEUED
    note = " ".join([*(f"#{tag}" for tag in summary.tags), summary.note])
    for name, told in (
        ("best", best + at),
        ("model", model),
        ("on disk", kept + cut_start(path, width - 9 - len(kept))),
        ("owner", f"process {summary.owner}" if summary.owner else resumed),
        *[("note", note)] * bool(note),
    ):
        text.append(f"{name:<9}", MUTED).append(safe(told, lines=False) + "\n")
    return text


def plot(shown: Sequence[Losses], width: int, height: int) -> list[Strip]:
    """Validation losses of runs by step, each in its colour and with its mark."""
    every = [point for losses in shown for point in losses.points]
    if not every or width < SMALLEST[0] or height < SMALLEST[1]:
        said = (
            "Space marks a training; the validation losses of marked trainings are plotted here."
            if not every
            else "not enough room for the plot"
        )
        return message(said, width, height)
    made = Plot(width, height, 6)
    apart = max(2, made.rows // 8)
    made.scale(
        axis(0, max(1, *(step for step, _ in every)), made.columns, (10, 24)),
        axis(min(loss for _, loss in every), max(loss for _, loss in every), made.rows, (apart, 2 * apart + 1), 1),
    )
    draw(made, [losses.points for losses in shown])
    return made.lines()


def draw(made: Plot, curves: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Add curves to a plot, each in its colour, with its mark at every point or, of many, at the last."""
    for points, colour in zip(curves, SERIES, strict=False):
        made.line(points, colour)
    for points, colour, shape in zip(curves, SERIES, SHAPES, strict=False):
        for x, loss in points if len(points) <= made.columns // 4 else points[-1:]:
            made.mark(x, loss, shape, colour)


def legend(shown: Sequence[Losses], width: int) -> Text:
    """The runs of the plot with their marks and best losses, as far as there is room."""
    text = Text()
    for losses, colour, shape in zip(shown, SERIES, SHAPES, strict=False):
        best = min((loss for _, loss in losses.points), default=None)
        said = f" {safe(losses.name, lines=False)} {units.loss(best)}"
        if text.cell_len + len(said) + 3 > width:
            return text.append(" …", MUTED)
        text.append("  " * bool(text)).append(shape, colour).append(said, MUTED)
    return text


def differences(first: Summary, second: Summary, width: int) -> list[Text]:
    """In which settings a run differs from another, and whose best figure is lower or higher."""
    told = ", ".join(
        f"{name.replace('_', ' ')} {value(one)} → {value(other)}"
        for name, (one, other) in compare.differences((first.spec, second.spec)).items()
    )
    one, other = (safe(run.title or after_time(run.name), lines=False) for run in (first, second))
    text = f"{other} differs from {one}: {safe(told, lines=False)}."
    if first.task != second.task:
        text = f"{one} and {other} have different tasks."
    elif not told:
        text = f"{other} has the same settings as {one}."
    bests = query.best(first), query.best(second)
    if first.task == second.task and bests[0] is not None and bests[1] is not None:
        by = bests[1] - bests[0]
        unit = " nats" if first.task == "train" else ""
        text += f" Its best is {abs(by):.3f}{unit} {'lower' if by < 0 else 'higher'}."
    return wrap(Text(text), width)


def value(known: Any) -> str:
    """A setting of a run as text; a dash where it has none."""
    shown = "–" if known is None else ", ".join(map(str, known)) if isinstance(known, list) else str(known)
    return safe(shown, lines=False)
