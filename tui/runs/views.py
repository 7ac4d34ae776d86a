"""What the Runs pane draws: the columns of its table, facts about a run, and losses of runs in one plot."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual.strip import Strip

from checkpoints.journal import Reader
from checkpoints.run import Run, after_time
from engine.report import compare
from engine.runs import query
from engine.runs.listing import Summary, figure
from tui import units
from tui.panes import BY_NAME
from tui.text import safe
from tui.widgets.plot import Plot, axis
from tui.widgets.styled import MUTED, SERIES, cut_start, message, wrap

SHAPES = "●◆▲■▼✚"  # of the evaluations, one for each of SERIES
QUEUED = "queued; r starts it now, [ ] { move it, k cancels it"
SMALLEST = (24, 6)  # columns and rows below which a plot says nothing


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


def disk(size: int) -> str:
    """Bytes on the disk in whole MiB, so that a journal that grows does not change the line all the time."""
    return "< 1 MiB" if size < 2**20 else units.size(size) if size >= 2**30 else f"{size >> 20:,} MiB"


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Best figure, model, what is on the disk, and the owner of a run."""
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
    found = [
        ("best", best + at),
        ("model", model),
        ("on disk", kept),
        ("owner", f"process {summary.owner}" if summary.owner else resumed),
        *[("note", note)] * bool(note),
    ]
    return [(name, safe(told, lines=False)) for name, told in found]


def about(summary: Summary, width: int) -> Text:
    """The facts of a run, with its place, or why it cannot be read."""
    text, path = Text(), safe(summary.path, lines=False)
    if summary.why:
        why = Text(f"unreadable: {safe(summary.why, lines=False)}")
        return Text("\n").join([*wrap(why, width)[:3], Text(cut_start(path, width), MUTED)])
    for name, told in facts(summary):
        place = cut_start(path, width - 9 - len(told)) if name == "on disk" else ""
        text.append(f"{name:<9}", MUTED).append(f"{told}{place}\n")
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


def differences(first: Summary, second: Summary) -> list[str]:
    """In which settings a run differs from another, each with both values, and by how much its best figure."""
    found = [
        safe(f"{name.replace('_', ' ')} {value(one)} → {value(other)}", lines=False)
        for name, (one, other) in compare.differences((first.spec, second.spec)).items()
    ]
    bests = query.best(first), query.best(second)
    if first.task == second.task and bests[0] is not None and bests[1] is not None:
        by, unit = bests[1] - bests[0], " nats" if first.task == "train" else ""
        found.append(f"{abs(by):.3f}{unit} {'lower' if by < 0 else 'higher'}")
    return found


def contrast(first: Summary, second: Summary, width: int) -> list[Text]:
    """The differences in a sentence or two."""
    found = differences(first, second)
    told = [part for part in found if "→" in part]
    one, other = (safe(run.title or after_time(run.name), lines=False) for run in (first, second))
    text = f"{other} differs from {one}: {', '.join(told)}."
    if first.task != second.task:
        text = f"{one} and {other} have different tasks."
    elif not told:
        text = f"{other} has the same settings as {one}."
    return wrap(Text(text + (f" Its best is {found[-1]}." if found != told else "")), width)


def value(known: Any) -> str:
    """A setting of a run as text; a dash where it has none."""
    shown = "–" if known is None else ", ".join(map(str, known)) if isinstance(known, list) else str(known)
    return safe(shown, lines=False)
