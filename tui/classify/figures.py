"""Plots of the pane: loss, calibration, and accuracy by the number of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import Report
from engine.runs.events import CurvePoint
from tui.classify.story import ClassifyStory
from tui.classify.views import COLOURS, NAMES
from tui.widgets.plot import Axis, Plot, axis
from tui.widgets.styled import BORDER, DIM, FAIR, GOOD, MUTED, SERIES, bar, message, share, side_by_side, strip

TABLE, NARROW = 44, 27  # cells of the table beside a plot, and on a narrow screen
FEW = 5  # rows of a bin from which its accuracy says something
EMPTY_LABELS = """The label-efficiency curve is drawn when the frozen features are there:
accuracy with 8, 16, 32, … labels of each class."""


def calibration(report: Report, method: str, width: int, height: int) -> list[Strip]:
    """How sure the method was against how often it was right; on the diagonal it can be believed.

    Bins of few rows tell little: they are hollow and stand outside the line.
    """
    room = TABLE if width >= TABLE + 34 else NARROW
    plot_width = min(width - room - 2, height * 4)
    table = _bins(report, room)
    drawn: list[Strip] = []
    if height >= 7 and plot_width >= 20:
        plot = Plot(plot_width, height, 6)
        plot.scale(axis(0, 1, plot.columns, (6, 20)), axis(0, 1, plot.rows, (2, 6), 1))
        plot.line([(0, 0), (1, 1)], BORDER)
        colour = COLOURS.get(method, SERIES[0])
        sure = [(one.confidence, one.accuracy) for one in report.bins if one.count >= FEW]
        plot.line(sure, colour)
        for one in report.bins:
            few = one.count < FEW
            plot.mark(one.confidence, one.accuracy, "○" if few else "●", MUTED if few else colour)
        drawn = plot.lines()
    rows = side_by_side([(drawn, plot_width), ([], 2), (table, room)], height)
    return [row.adjust_cell_length(width) for row in rows]


def _bins(report: Report, width: int) -> list[Strip]:
    most = max((one.count for one in report.bins), default=1)
    room = max(0, min(14, width - 32))
    lines = [Text(f"{'bin':<8}{'conf.':>6}{'acc.':>6}{'rows':>6}", DIM)]
    for one in report.bins:
        gap = one.accuracy - one.confidence
        colour = GOOD if abs(gap) < 0.05 else FAIR
        line = Text().append(f"{one.low:.1f}–{one.high:.1f} ", DIM)
        line.append(f"{one.confidence:6.2f}")
        line.append(f"{one.accuracy:6.2f}", f"bold {colour}")
        line.append(f"{one.count:>6,} ").append(bar(one.count / most, room), DIM)
        lines.append(line)
    known = [one for one in report.bins if one.count]
    sure = sum(one.count * (one.confidence - one.accuracy) for one in known) / max(1, sum(one.count for one in known))
    word = "overconfident" if sure > 0.01 else "underconfident" if sure < -0.01 else "neither over- nor underconfident"
    lines += [
        Text(""),
        Text.assemble(("calibration error ", DIM), (share(report.calibration_error), "bold")),
        Text(f"{word} overall" if width > 40 else word, DIM),
        Text.assemble(("log loss ", DIM), (share(report.log_loss), "bold"), (" nats per row", DIM)),
    ]
    return [strip(line, width) for line in lines]


def labels(story: ClassifyStory, width: int, height: int) -> list[Strip]:
    """Accuracy by labels of each class, a line for each method, and what all labels give."""
    points = story.points
    if not points:
        return message(EMPTY_LABELS, width, height)
    table = _points(points, story, width)
    plot_height = height - len(table)
    if plot_height < 8:
        return table[:height]
    plot = Plot(width, plot_height, 6)
    places = sorted({point.labels for point in points})
    all_labels = [
        method.report.accuracy
        for method in story.done
        if method.report is not None and method.name in {point.contender for point in points} | {"tfidf"}
    ]
    lowest, highest = min([*all_labels, *(p.low for p in points)]), max([*all_labels, *(p.high for p in points)])
    first, last = math.log2(places[0]) - 0.2, math.log2(places[-1]) + 0.2
    ticks = tuple((math.log2(place), f"{place}") for place in places)
    plot.scale(
        Axis(first, (last - first) / max(1, plot.columns - 1), ticks), axis(lowest, highest, plot.rows, (2, 5), 1)
    )
    for accuracy in all_labels:
        plot.rule(accuracy, f"all labels {accuracy:.3f}")
    for name in dict.fromkeys(point.contender for point in points):
        own = sorted((point for point in points if point.contender == name), key=lambda point: point.labels)
        colour = COLOURS.get(name, SERIES[0])
        for point in own:
            plot.line([(math.log2(point.labels), point.low), (math.log2(point.labels), point.high)], colour)
        plot.line([(math.log2(point.labels), point.accuracy) for point in own], colour)
        for point in own:
            plot.mark(math.log2(point.labels), point.accuracy, "●", colour)
    return [*plot.lines(), *table]


def _points(points: Sequence[CurvePoint], story: ClassifyStory, width: int) -> list[Strip]:
    """The same as figures: as many as fit, the most labels last."""
    places = sorted({point.labels for point in points})
    fit = max(1, (width - 26) // 8)
    places = places[-fit:]
    head = Text().append(f"{'labels per class':<18}" + "".join(f"{place:>8,}" for place in places) + f"{'all':>8}", DIM)
    lines = [Text("test accuracy; bars span the draws, grey lines: all labels", DIM), head]
    known = {method.name: method.report.accuracy for method in story.done if method.report}
    for name in dict.fromkeys(point.contender for point in points):
        own = {point.labels: point.accuracy for point in points if point.contender == name}
        line = Text().append(f"{NAMES.get(name, name):<18}", COLOURS.get(name, ""))
        line.append("".join(f"{share(own.get(place)):>8}" for place in places))
        line.append(f"{share(known.get(name)):>8}", "bold")
        lines.append(line)
    if "tfidf" in known:
        line = Text().append(f"{NAMES['tfidf']:<18}", COLOURS["tfidf"])
        line.append(" " * 8 * len(places) + f"{share(known['tfidf']):>8}", "bold")
        lines.append(line)
    return [strip(line, width) for line in lines]
