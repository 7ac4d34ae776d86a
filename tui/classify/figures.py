"""Plots of the pane: calibration, and accuracy by the number of labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import Report
from engine.runs.events import CurvePoint
from tui.classify.story import ClassifyStory
from tui.classify.views import NAMES
from tui.widgets.line_table import Column, LineTable
from tui.widgets.panel import Frame
from tui.widgets.plot import Axis, Plot, axis
from tui.widgets.styled import BORDER, BRIGHT, MUTED, SERIES, bar, message, share, side_by_side

TABLE, NARROW = 46, 31  # cells of the panel of figures beside a plot, and on a narrow screen
FEW = 5  # rows of a bin from which its accuracy says something
EMPTY_LABELS = """No label-efficiency curve yet: it appears when the features of the frozen encoder are ready.

It shows the accuracy with 8, 16, 32, … labels per class."""
_MARKS = "●◆▲■"


def calibration(report: Report, method: str, width: int, height: int) -> list[Strip]:
    """Accuracy by confidence: on the diagonal the confidence can be believed.

    Bins of few rows tell little: they are hollow and stand outside the line.
    """
    frame = Frame(width)
    room = TABLE if width >= TABLE + 40 else NARROW
    drawn, plot_width, plot_height = [], width - room, height - frame.down
    if plot_height >= 7 and plot_width - frame.across >= 20:
        plot = Plot(plot_width - frame.across, plot_height, 6)
        plot.scale(axis(0, 1, plot.columns, (6, 20)), axis(0, 1, plot.rows, (2, 6), 1))
        plot.line([(0, 0), (1, 1)], BORDER)
        plot.line([(one.confidence, one.accuracy) for one in report.bins if one.count >= FEW], SERIES[0])
        for one in report.bins:
            few = one.count < FEW
            plot.mark(one.confidence, one.accuracy, "○" if few else "●", MUTED if few else SERIES[0])
        title, marks = "accuracy by confidence", f"○ under {FEW} rows"
        drawn = frame.panel(title, plot.lines(), plot_width, height, marks)
    else:
        plot_width, room = 0, width
    title = NAMES.get(method, method)
    table = frame.panel(title, _bins(report, room - frame.across), room, height, "bars: rows", active=True)
    return side_by_side([(drawn, plot_width), (table, room)], height)


def _bins(report: Report, width: int) -> list[Text]:
    most = max((one.count for one in report.bins), default=1)
    columns = (
        Column("bin", 8, lambda one: (f"{one.low:.1f}–{one.high:.1f}", MUTED), left=True),
        Column("conf.", 6, lambda one: f"{one.confidence:.2f}"),
        Column("acc.", 6, lambda one: (f"{one.accuracy:.2f}", BRIGHT)),
        Column("rows", 7, lambda one: (f"{one.count:,}", MUTED)),
        Column("", 0, lambda one: (" " + bar(one.count / most, max(0, width - 30)), MUTED), left=True, priority=1),
    )
    table = LineTable(columns, width)
    known = [one for one in report.bins if one.count]
    sure = sum(one.count * (one.confidence - one.accuracy) for one in known) / max(1, sum(one.count for one in known))
    word = "overconfident" if sure > 0.01 else "underconfident" if sure < -0.01 else "neither over- nor underconfident"
    return [
        table.heading(),
        *map(table.row, report.bins),
        Text(""),
        Text.assemble(("calibration error ", MUTED), (share(report.calibration_error), f"bold {BRIGHT}")),
        Text(f"{word} overall" if width > 40 else word, MUTED),
        Text.assemble(("log loss ", MUTED), (share(report.log_loss), f"bold {BRIGHT}"), (" nats per row", MUTED)),
    ]


def labels(story: ClassifyStory, width: int, height: int) -> list[Strip]:
    """Accuracy by labels of each class, a line for each method, and what all labels give."""
    points = story.points
    if not points:
        return message(EMPTY_LABELS, width, height)
    frame = Frame(width)
    inside = width - frame.across
    places = sorted({point.labels for point in points})
    names = list(dict.fromkeys(point.contender for point in points))
    known = {method.name: method.accuracy for method in story.done}
    rules = {name: known[name] for name in (*names, "tfidf") if name in known}
    figures = _points(points, places, rules, inside)
    table = frame.panel("test accuracy", figures, width, subtitle="by labels per class")
    plot_height = height - len(table) - frame.down
    if plot_height < 8:
        return table[:height]
    plot = Plot(inside, plot_height - 1, 6)
    lowest = min([*rules.values(), *(point.low for point in points)])
    highest = max([*rules.values(), *(point.high for point in points)])
    first, last = math.log2(places[0]) - 0.2, math.log2(places[-1]) + 0.2
    ticks = tuple((math.log2(place), f"{place}") for place in places)
    plot.scale(
        Axis(first, (last - first) / max(1, plot.columns - 1), ticks), axis(lowest, highest, plot.rows, (2, 5), 1)
    )
    for accuracy in sorted(set(rules.values())):
        whose = ", ".join(NAMES.get(name, name) for name, value in rules.items() if value == accuracy)
        plot.rule(accuracy, f"{whose}, all labels {accuracy:.3f}")
    legend = Text(no_wrap=True)
    for mark, colour, name in zip(_MARKS, SERIES, names, strict=False):
        own = sorted((point for point in points if point.contender == name), key=lambda point: point.labels)
        for point in own:
            plot.line([(math.log2(point.labels), point.low), (math.log2(point.labels), point.high)], colour)
        plot.line([(math.log2(point.labels), point.accuracy) for point in own], colour)
        for point in own:
            plot.mark(math.log2(point.labels), point.accuracy, mark, colour)
        legend.append(f"{mark} ", colour).append(f"{NAMES.get(name, name)}   ", MUTED)
    legend.append("vertical: minimum to maximum of the draws", MUTED)
    title = "test accuracy by labels per class"
    return [*frame.panel(title, [legend, *plot.lines()], width, active=True), *table]


def _points(points: Sequence[CurvePoint], places: Sequence[int], known: Mapping[str, float], width: int) -> list[Text]:
    """The same as figures: as many as fit, the most labels last; ``known`` are the accuracies with all labels."""
    found = {(point.contender, point.labels): point.accuracy for point in points}
    columns = [Column("labels per class", 18, lambda name: NAMES.get(name, name), left=True)]
    for place in places[-max(1, (width - 28) // 8) :]:
        columns.append(Column(f"{place:,}", 8, lambda name, place=place: share(found.get((name, place)))))  # type: ignore[misc]
    columns.append(Column("all", 8, lambda name: (share(known.get(name)), BRIGHT)))
    table = LineTable(columns, width)
    return [table.heading(), *map(table.row, dict.fromkeys([*(point.contender for point in points), *known]))]
