"""The loss curve as lines of styled text: plotext on a private figure, fed with at most two points a column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.follow.series import clipped, decimate
from tui.follow.story import Story
from tui.widgets.styled import strip

SMALLEST = (24, 6)  # columns and rows below which a curve says nothing
TRAIN, SMOOTH, VALIDATION, BEST = "gray", "cyan+", "orange+", "green+"
REFERENCES = (("uniform_entropy", "ln V"), ("unigram_entropy", "letters"), ("bigram_entropy", "pairs"))


@dataclass(frozen=True)
class CurveOptions:
    """How to draw: logarithmic loss axis, smoothing from 0 to 0.98, the cursor's step."""

    log: bool = False
    smoothing: float = 0.9
    cursor: int | None = None


def draw(story: Story, width: int, height: int, options: CurveOptions) -> list[Strip]:
    """The curve of a story in exactly ``height`` lines of ``width`` cells."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return _message("the curve needs more room", width, height)
    raw = story.train.extremes()
    evaluations = [point for point in story.evaluations if math.isfinite(point.val_loss)]
    validation = [(point.step, clipped(point.val_loss)) for point in evaluations]
    if not raw and not validation:
        return _message("the curve begins with the first steps", width, height)
    figure = new_figure(width, height)
    inner = max(8, width - 8)
    values = [value for _, value in (*raw, *validation)]
    scale = _Scale(min(values), max(values), options.log, story)
    steps = story.started.steps if story.started else 0
    right = _right_end(max(step for step, _ in (*raw, *validation)), steps)
    _plot(figure, decimate(raw, inner, right), scale, TRAIN)
    if options.smoothing and len(raw) > 3:
        _plot(figure, decimate(story.train.smooth(options.smoothing), inner, right), scale, SMOOTH)
    _plot(figure, decimate(validation, inner, right), scale, VALIDATION)
    best = story.best
    if best is not None:
        figure.scatter([best.step], [scale.place(best.val_loss)], marker="●", color=BEST)
    if story.diverged_at is not None:
        figure.vline(story.diverged_at, color="red+")
    if options.cursor is not None:
        figure.vline(min(max(options.cursor, 0), right), color="white")
    for value, _ in scale.references:
        figure.hline(scale.place(value), color="gray")
    figure.xlim(0, right)
    figure.ylim(scale.bottom, scale.top)
    figure.yticks(*scale.ticks(height))
    figure.xticks(*_step_ticks(right, width))
    strips = built(figure, width, height)
    strips += [Strip.blank(width)] * (height - len(strips))
    return _label_references(strips, scale, width, height)


def legend(options: CurveOptions) -> Text:
    """What the colours of the curve mean."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for mark, colour, name in (
        ("─", "bright_black", "batch"),
        ("─", "bright_cyan", f"smoothed {options.smoothing:g}" if options.smoothing else ""),
        ("─", "bright_yellow", "validation"),
        ("●", "bright_green", "best"),
    ):
        if name:
            text.append(f"{mark} ", colour)
            text.append(f"{name}  ")
    text.append("log" if options.log else "linear", "bright_black")
    return text


class _Scale:
    """The loss axis, linear or logarithmic, with limits that move in steps so that the picture stays still."""

    def __init__(self, low: float, high: float, log: bool, story: Story) -> None:
        self.log = log
        grid = 0.25
        known = [getattr(story.started, name) for name, _ in REFERENCES] if story.started else []
        labels = [label for _, label in REFERENCES]
        top = max([high, *(value for value in known if value and value <= high * 1.02)])
        low, top = math.floor(low / grid) * grid, math.ceil((top + 0.02) / grid) * grid
        if log:
            low = max(low, 0.05)
        self.bottom, self.top = self.place(low), self.place(max(top, low + grid))
        self._limits = low, max(top, low + grid)
        self.references = [
            (value, label)
            for value, label in zip(known, labels, strict=False)
            if value and self.bottom < self.place(value) < self.top
        ]

    def place(self, value: float) -> float:
        """Where a loss lies on the axis."""
        return math.log10(max(value, 1e-3)) if self.log else clipped(value)

    def ticks(self, height: int) -> tuple[list[float], list[str]]:
        """Round losses to write beside the axis, about one for three rows."""
        low, high = self._limits
        rough = (high - low) / max(2, height // 3)
        step = next((step for step in (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 1e9) if step >= rough), rough)
        first = math.ceil(low / step - 1e-9)
        values = [round(n * step, 4) for n in range(first, math.floor(high / step + 1e-9) + 1)] or [low, high]
        return [self.place(value) for value in values], [
            f"{value:5.2f}" if abs(value) < 1e4 else f"{value:.0e}" for value in values
        ]

    def row(self, value: float, rows: int) -> int:
        """The row from the top, of ``rows``, that a loss falls on."""
        share = (self.place(value) - self.bottom) / (self.top - self.bottom)
        return rows - 1 - round(share * (rows - 1))


def new_figure(width: int, height: int) -> Any:
    """An empty plot of this size on axes to the left and below."""
    from plotext._figure import _figure_class

    figure = _figure_class()
    figure.theme("clear")
    figure.plotsize(width, height)
    figure._set_size(width, height)
    figure.xaxes(True, False)
    figure.yaxes(True, False)
    return figure


def built(figure: Any, width: int, height: int) -> list[Strip]:
    """The lines of a plot."""
    return [strip(line, width) for line in Text.from_ansi(figure.build()).split("\n")[:height]]


def _plot(figure: Any, points: list[tuple[int, float]], scale: _Scale, colour: str) -> None:
    if points:
        figure.plot([x for x, _ in points], [scale.place(y) for _, y in points], marker="braille", color=colour)


def _right_end(step: int, steps: int) -> int:
    """Where the step axis ends: a round number beyond ``step``, at most the run's last, so that it seldom moves."""
    power = int(10 ** max(1, math.floor(math.log10(max(1, step)))))
    round_number = next(n * power for n in (1, 2, 5, 10) if n * power > step)
    return max(1, step, min(round_number, steps) if steps else round_number)


def _step_ticks(right: int, width: int) -> tuple[list[int], list[str]]:
    rough = right / max(2, width // 14)
    power = 10 ** math.floor(math.log10(max(1, rough)))
    step = max(1, int(next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough or m == 10)))
    values = list(range(0, right + 1, step))
    return values, [units.count(value).replace(" ", "") for value in values]


def _label_references(strips: list[Strip], scale: _Scale, width: int, height: int) -> list[Strip]:
    taken: set[int] = set()
    for value, label in scale.references:
        row = scale.row(value, height - 2)
        if row in taken:
            continue
        taken.add(row)
        text = f" {label} {value:.2f}"
        if 0 <= row < len(strips) and width > len(text) + 30:
            kept = strips[row].crop(0, width - len(text))
            strips[row] = Strip([*kept, Segment(text, Style(color="bright_black"))], width)
    return strips


def _message(text: str, width: int, height: int) -> list[Strip]:
    strips = [Strip.blank(width)] * max(0, height)
    if height > 0 and width > 0:
        line = Strip([Segment(text[:width].center(width), Style(color="bright_black"))])
        strips[height // 2] = line.adjust_cell_length(width)
    return strips
