"""Plots of the pane: loss, calibration, and accuracy by the number of labels. plotext on a private figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import Report
from engine.runs.events import CurvePoint
from tui.classify.story import ClassifyStory
from tui.classify.views import COLOURS, NAMES
from tui.widgets.curve import built, new_figure
from tui.widgets.styled import DIM, FAIR, GOOD, bar, message, share, side_by_side, strip

TABLE, NARROW = 44, 27  # cells of the table beside a plot, and on a narrow screen
FEW = 5  # rows of a bin from which its accuracy says something
EMPTY_LABELS = """The label-efficiency curve is drawn when the frozen features are there:
accuracy with 8, 16, 32, … labels of each class."""
_PLOTEXT = {
    "bright_black": "gray",
    "bright_magenta": "magenta+",
    "bright_cyan": "cyan+",
    "bright_yellow": "orange+",
    "bright_green": "green+",
}


def calibration(report: Report, method: str, width: int, height: int) -> list[Strip]:
    """How sure the method was against how often it was right; on the diagonal it can be believed.

    Bins of few rows tell little: they are hollow and stand outside the line.
    """
    room = TABLE if width >= TABLE + 34 else NARROW
    plot_width = min(width - room - 2, height * 4)
    table = _bins(report, room)
    drawn: list[Strip] = []
    if height >= 7 and plot_width >= 20:
        figure = new_figure(plot_width, height)
        figure.plot([0, 1], [0, 1], marker="braille", color="gray")
        colour = _PLOTEXT.get(COLOURS.get(method, ""), "cyan+")
        for few in (True, False):
            bins = [one for one in report.bins if (one.count < FEW) == few]
            xs, ys = [one.confidence for one in bins], [one.accuracy for one in bins]
            if len(xs) > 1 and not few:
                figure.plot(xs, ys, marker="braille", color=colour)
            if xs:
                figure.scatter(xs, ys, marker="○" if few else "●", color="gray" if few else colour)
        figure.xlim(0, 1)
        figure.ylim(0, 1)
        ticks = [0, 0.25, 0.5, 0.75, 1]
        figure.xticks(ticks, ["0", ".25", ".5", ".75", "1"])
        figure.yticks(ticks, ["0.00", "0.25", "0.50", "0.75", "1.00"])
        drawn = built(figure, plot_width, height)
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
    figure = new_figure(width, plot_height)
    places = sorted({point.labels for point in points})
    lowest, highest = 1.0, 0.0
    for name in dict.fromkeys(point.contender for point in points):
        own = sorted((point for point in points if point.contender == name), key=lambda point: point.labels)
        xs = [math.log2(point.labels) for point in own]
        colour = _PLOTEXT.get(COLOURS.get(name, ""), "cyan+")
        figure.plot(xs, [point.accuracy for point in own], marker="braille", color=colour)
        figure.scatter(xs, [point.accuracy for point in own], marker="●", color=colour)
        for x, point in zip(xs, own, strict=True):
            figure.plot([x, x], [point.low, point.high], marker="braille", color=colour)
        lowest, highest = min(lowest, *(p.low for p in own)), max(highest, *(p.high for p in own))
    for method in story.done:
        if method.report is not None and method.name in {point.contender for point in points} | {"tfidf"}:
            figure.hline(method.report.accuracy, color="gray")
            lowest, highest = min(lowest, method.report.accuracy), max(highest, method.report.accuracy)
    low, high = max(0.0, math.floor(lowest * 10) / 10), min(1.0, math.ceil(highest * 10 + 1e-9) / 10)
    figure.ylim(low, max(high, low + 0.1))
    figure.xlim(math.log2(places[0]) - 0.2, math.log2(places[-1]) + 0.2)
    figure.xticks([math.log2(place) for place in places], [f"{place}" for place in places])
    steps = max(1, round((high - low) * 10))
    each = max(1, math.ceil(steps / max(2, plot_height // 3)))
    ticks = [low + step / 10 for step in range(0, steps + 1, each)]
    figure.yticks(ticks, [f"{tick:.1f}" for tick in ticks])
    return [*built(figure, width, plot_height), *table]


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
