"""The loss curve: validation over the batch losses, against what guessing reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.strip import Strip

from tui.follow.series import Bucket, clipped
from tui.widgets.plot import Axis, Plot, axis, log_axis
from tui.widgets.styled import ACCENT, BAD, BORDER, MUTED, SERIES, message

if TYPE_CHECKING:
    from tui.follow.story import Story

SMALLEST = (24, 6)  # columns and rows below which a curve says nothing
MARGIN = 6  # cells of the labels to the left
REFERENCES = (
    ("uniform_entropy", "uniform"),
    ("unigram_entropy", "letter frequencies"),
    ("bigram_entropy", "bigrams"),
)
"""losses of guessing, by their fields of :class:`engine.runs.events.Started`"""
JOINED = 3  # evaluations from which a line joins them: two would read as a curve


@dataclass(frozen=True)
class CurveOptions:
    """How to draw: logarithmic loss axis, the number of steps that are averaged, the cursor's step, the last step."""

    log: bool = False
    smoothing: int = 20
    cursor: int | None = None
    end: int = 0
    """of the axis; 0 for a round number beyond the last step"""
    before: tuple[tuple[float, float], ...] = ()
    """step and validation loss of the runs that a branch goes on from"""


def draw(story: Story, width: int, height: int, options: CurveOptions) -> list[Strip]:
    """The curve of a story in exactly ``height`` lines of ``width`` cells."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return _message("not enough room for the curve", width, height)
    buckets = story.train.buckets
    evaluations = [
        (point.step, clipped(point.val_loss)) for point in story.evaluations if math.isfinite(point.val_loss)
    ]
    if not buckets and not evaluations:
        return _message("waiting for the first steps", width, height)
    plot = Plot(width, height, MARGIN)
    steps = _step_axis(story, plot.columns, options)
    before = [(step, clipped(loss)) for step, loss in options.before if math.isfinite(loss)]
    bands = _bands(buckets, steps, plot.columns, options.smoothing)
    low = min([loss for _, loss in (*before, *evaluations)] + [least for _, least, _, _ in bands])
    high = max([loss for _, loss in (*before, *evaluations)] + [most for _, _, most, _ in bands])
    known = [(getattr(story.started, field), name) for field, name in REFERENCES] if story.started else []
    high = max([high, *(loss for loss, _ in known if loss and loss <= high * 1.02)])
    low, high = _whole(low, high, log=options.log)
    apart = max(2, plot.rows // 8)
    plot.scale(steps, (log_axis if options.log else axis)(low, high, plot.rows, (apart, 2 * apart + 1), 1))
    for loss, name in known:
        if loss and low <= loss <= high:
            plot.rule(loss, f"{name} {reference(loss)}")
    if story.diverged_at is not None:
        plot.upright(story.diverged_at, "╎", BAD)
    if options.cursor is not None:
        plot.upright(options.cursor, "│", ACCENT)
    plot.band([(step, least, most) for step, least, most, _ in bands], BORDER)
    if options.smoothing:
        plot.line([(step, mean) for step, _, _, mean in bands], MUTED)
    if before:
        plot.line(before, SERIES[0])
    if len(evaluations) >= JOINED:
        plot.line(evaluations, SERIES[0], thick=True)
    if len(evaluations) <= plot.columns // 3:
        for step, loss in evaluations:
            plot.mark(step, loss, "●", SERIES[0])
    return plot.lines()


def reference(loss: float) -> str:
    """The loss of guessing as its rule is labelled."""
    return f"{loss:.2f}"


def legend(options: CurveOptions, *, short: bool = False) -> Text:
    """What the marks of the curve mean."""
    text = Text(no_wrap=True, overflow="ellipsis").append("● ", SERIES[0]).append("validation", MUTED)
    if options.before:
        text.append("  ─ ", SERIES[0]).append("parent", MUTED)
    if options.smoothing:
        text.append(f"  ─ mean of {options.smoothing} steps", MUTED)
    text.append("  ⣿ ", BORDER).append("batch" if short else "batch, min to max", MUTED)
    return text.append("  log", MUTED) if options.log else text


def step_at(story: Story, width: int, column: int, options: CurveOptions) -> int | None:
    """The step at a cell of a curve of ``width`` cells, one with an evaluation or a sample if it lies that near.

    None left of the curve, or while there is none.
    """
    across, steps, last = column - MARGIN - 1, _step_axis(story, width - MARGIN - 1, options), _last_step(story)
    if across < 0 or not last:
        return None
    step = min(last, round(steps.low + across * steps.per_cell))
    near = min(story.steps_to_visit(), key=lambda stop: abs(stop - step))
    return near if abs(near - step) <= steps.per_cell else step


def _last_step(story: Story) -> int:
    """Of the batch losses and the evaluations."""
    evaluated = [point.step for point in story.evaluations if math.isfinite(point.val_loss)]
    return max([0, *evaluated[-1:], *(bucket.last.step for bucket in story.train.buckets[-1:])])


def _step_axis(story: Story, columns: int, options: CurveOptions) -> Axis:
    last = _last_step(story)
    end = options.end or _right_end(last, story.started.steps if story.started else 0)
    return axis(0, max(last, end), columns, (10, 24))


def _right_end(step: int, steps: int) -> int:
    """Where the step axis ends: a round number beyond ``step``, at most the run's last, so that it seldom moves."""
    power = int(10 ** max(1, math.floor(math.log10(max(1, step)))))
    round_number = next(n * power for n in (1, 2, 5, 10) if n * power > step)
    return max(1, step, min(round_number, steps) if steps else round_number)


def _whole(low: float, high: float, *, log: bool) -> tuple[float, float]:
    """``low`` and ``high`` moved outwards to multiples of 1, 2 or 5, so that a new loss seldom moves the axis.

    The multiple is of the range, an eighth to a third of it, but not smaller than the losses themselves call for: at
    the start of a run the losses lie close to each other, and soon will not.
    """
    if log:
        steps = 10  # to a factor of ten
        return (
            10 ** (math.floor(math.log10(max(low, 1e-30)) * steps) / steps),
            10 ** (math.ceil(math.log10(max(high, 1e-30)) * steps) / steps),
        )
    least = max((high - low) / 8, max(abs(low), abs(high)) / 50)
    if not least:
        return low, high
    power = 10.0 ** math.floor(math.log10(least))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _bands(buckets: list[Bucket], steps: Axis, columns: int, smoothing: int) -> list[tuple[float, float, float, float]]:
    """``(step, least, most, mean)`` of the batch losses for every column of dots that has any.

    All three are taken over the same steps, those of the column and about ``smoothing`` around them, so that the mean
    always lies between the two; over fewer while the run is short.
    """
    found: list[tuple[float, float, float, float]] = []
    if not buckets:
        return found
    span = max(1, (buckets[-1].last.step - buckets[0].first + 1) // len(buckets))
    beside = min(math.ceil(smoothing / span / 2), len(buckets) // 8)
    start = 0
    for column in range(2 * columns):
        end = start
        while end < len(buckets) and round(steps.cells(buckets[end].first) * 2) <= column:
            end += 1
        if end > start:
            near = buckets[max(0, start - beside) : end + beside]
            mean = sum(bucket.total for bucket in near) / sum(bucket.count for bucket in near)
            step = buckets[(start + end - 1) // 2].first
            found.append((step, min(one.low for one in near), max(one.high for one in near), mean))
        start = end
    return found


def _message(text: str, width: int, height: int) -> list[Strip]:
    """A sentence in the middle of exactly ``height`` lines."""
    lines = message(text, width, height)[:height]
    return lines + [Strip.blank(width)] * (height - len(lines))
