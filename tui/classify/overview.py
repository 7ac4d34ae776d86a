"""All routes at once: the comparison, what it means in words, and the losses of what trains."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import CHANCE, Report
from tui import units
from tui.classify import figures
from tui.classify.laboratory import Findings
from tui.classify.story import CURVED, ClassifyStory, Route
from tui.classify.views import COLOURS, ROUTES
from tui.styled import (
    BAD,
    CURSOR,
    DIM,
    FAIR,
    GOOD,
    TITLE,
    data_lines,
    fit,
    interval,
    limits,
    message,
    p_value,
    share,
    side_by_side,
    strip,
    strips,
    wrap,
)
from tui.text import safe

NAME = 16
PLOT = 24  # cells of the drawn interval at most


@dataclass(frozen=True)
class Column:
    """One figure: heading, width with the gap before it, and from which width of the screen it is shown."""

    title: str
    width: int
    wanted: int


COLUMNS = (
    Column("accuracy", 9, 0),
    Column("95% interval", 14, 0),
    Column("n", 7, 90),
    Column("macro-F1", 9, 0),
    Column("log loss", 9, 68),
    Column("calib.", 8, 76),
    Column("seconds", 9, 0),
    Column("trained", 9, 85),
    Column("no leaks", 10, 95),
)


def table(story: ClassifyStory, chosen: str, width: int) -> list[Text]:
    """Heading and one line for each route; the chosen one is marked."""
    leaks = any(route.report.accuracy_without_leaks is not None for route in story.done if route.report)
    columns = [column for column in COLUMNS if width >= column.wanted and (column.title != "no leaks" or leaks)]
    while sum(column.width for column in columns) + NAME > width and len(columns) > 2:
        columns.pop(-2)
    room = width - NAME - sum(column.width for column in columns) - 3
    plot = min(PLOT, room) if room >= 12 else 0
    head = Text().append(f"{'  route':<{NAME}}", DIM)
    for column in columns:
        head.append(f"{column.title:>{column.width}}", DIM)
    low, high = limits([route.report.interval for route in story.done if route.report])
    if plot:
        head.append(f"   {low:.2f}{'':<{plot - 8}}{high:.2f}", DIM)
    best = story.best
    lines = [head]
    for route in story.routes.values():
        mark = "▸ " if route.name == chosen else "  "
        name = fit(f"{mark}{ROUTES.get(route.name, route.name)}", NAME)
        style = CURSOR if route.name == chosen else COLOURS.get(route.name, "")
        line = Text().append(name, style)
        if route.report is None:
            line.append(_waiting(story, route), DIM if story.doing != route.name else FAIR)
        else:
            for column in columns:
                line.append(*_cell(column, route.report, best is route))
            if plot:
                line.append("   ")
                report, colour = route.report, COLOURS.get(route.name, "")
                line.append_text(interval((low, high), report.interval, report.accuracy, colour, plot))
        lines.append(line)
    return lines


def differences(story: ClassifyStory, findings: Findings | None, chosen: str, width: int) -> list[Text]:
    """McNemar's test of the chosen route against every other one."""
    if findings is None or chosen not in findings.probabilities:
        return []
    name = ROUTES.get(chosen, chosen).strip()
    roomy = width >= 52
    told = "rows only one has right, McNemar's p (Holm)" if roomy else "McNemar's test"
    lines = [Text.assemble((f"{name} against", TITLE), (f"  {told}", DIM))]
    for other in story.done:
        found = findings.pairs.get((chosen, other.name))
        if found is None:
            continue
        line = Text().append(f"  {ROUTES.get(other.name, other.name):<15}", COLOURS.get(other.name, ""))
        line.append(f"{found.better:>5,}:{found.worse:<5,}{p_value(found.p):>9} ")
        if found.p >= CHANCE:
            line.append("≈" + " could be chance" * roomy, DIM)
        elif found.better > found.worse:
            line.append("▲" + " better" * roomy, GOOD)
        else:
            line.append("▼" + " worse" * roomy, BAD)
        lines.append(line)
    return lines if len(lines) > 1 else []


def _cell(column: Column, report: Report, best: bool) -> tuple[str, str]:
    width = column.width
    match column.title:
        case "accuracy":
            return f"{share(report.accuracy):>{width}}", f"bold {GOOD}" if best else "bold"
        case "95% interval":
            return f"{share(report.interval[0])}–{share(report.interval[1])}".rjust(width), ""
        case "n":
            return f"{report.rows:>{width},}", ""
        case "macro-F1":
            return f"{share(report.macro_f1):>{width}}", ""
        case "log loss":
            return f"{share(report.log_loss):>{width}}", ""
        case "calib.":
            return f"{share(report.calibration_error):>{width}}", ""
        case "seconds":
            return f"{_seconds(report.seconds):>{width}}", ""
        case "trained":
            trained = units.count(report.trained_parameters) if report.trained_parameters else "–"
            return f"{trained:>{width}}", ""
        case _:
            return f"{share(report.accuracy_without_leaks):>{width}}", ""


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 1000 else f"{seconds:,.0f}"


def _waiting(story: ClassifyStory, route: Route) -> str:
    """What stands where the figures will."""
    if story.finished is not None and route.last is not None:
        of = f" of {route.last.steps:,}" if route.last.steps else ""
        return f"   {safe(story.finished.reason, lines=False)} at step {route.last.step:,}{of}"
    if story.finished is not None:
        return "   not run"
    if story.doing != route.name or route.last is None:
        return "   waiting"
    last = route.last
    told = [last.note] if last.note else []
    if last.steps:
        told.append(f"step {last.step:,} of {last.steps:,}")
    told.append(f"loss {last.loss:.3f}")
    if last.held_out_score is not None:
        told.append(f"validation {last.held_out_score:.3f}")
    if last.seconds_left:
        told.append(f"{units.duration(last.seconds_left)} left")
    return "   " + ", ".join(told)


SPLIT = 76  # columns from which words and curves stand side by side
CURVE = 6  # lines below which a curve says nothing


def overview(story: ClassifyStory, findings: Findings | None, chosen: str, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and curves to the right, or what matters more now where it is narrow."""
    if not story.routes and not story.notices:
        return message("The process is starting and reads the data…", width, height)
    top = [strip(line, width) for line in table(story, chosen, width)] if story.routes else []
    top.append(Strip.blank(width))
    room = height - len(top)
    if room <= 0:
        return top[:height]
    curves = [route for route in story.routes.values() if route.curve.version]
    wanted = story.doing if story.doing in CURVED else chosen
    if not curves:
        return top + strips(_words(story, findings, chosen, width), width, room)
    if width >= SPLIT and room >= CURVE:
        left = max(38, min(width // 2, 64))
        words = strips(_words(story, findings, chosen, left - 2), left, room)
        plots = figures.losses(curves, wanted, width - left, min(room, 18))
        return top + side_by_side([(words, left), (plots, width - left)], room)
    words = strips(_words(story, findings, chosen, width), width, room)
    if story.finished is None and room >= CURVE:
        return top + figures.losses(curves, wanted, width, room)
    if room - len(words) > CURVE:
        words += [Strip.blank(width), *figures.losses(curves, wanted, width, room - len(words) - 1)]
    return top + words


def _words(story: ClassifyStory, findings: Findings | None, chosen: str, width: int) -> list[Text]:
    lines: list[Text] = []
    for said in story.notices:
        if said.level == "error":
            lines += [*wrap(Text(f"✗ {safe(said.text)}", f"bold {BAD}"), width), Text("")]
    if story.verdict:
        lines += wrap(Text(safe(story.verdict), "bold bright_white"), width)
        lines.append(Text(""))
    route = story.routes.get(chosen)
    if route is not None and route.report is not None and route.report.settings:
        what = "always says: " if chosen == "majority" else "chosen on validation: "
        lines += wrap(Text.assemble((what, DIM), safe(route.report.settings)), width)
    if told := differences(story, findings, chosen, width):
        lines += [*told, Text("")]
    if story.data is not None:
        lines += _data(story, width)
    for said in story.notices:
        if said.kind != "screen" and said.level != "error":
            colour = FAIR if said.level == "warning" else DIM
            lines += wrap(
                Text(f"{'!' if said.level == 'warning' else '·'} {safe(said.text, lines=False)}", colour), width
            )
    return lines


def _data(story: ClassifyStory, width: int) -> list[Text]:
    """Size, checks and repairs of the data set."""
    data = story.data
    assert data is not None
    sizes = (("train ", data.train), ("validation ", data.held_out), ("test ", data.judged))
    counts = Text.assemble(*(part for name, count in sizes for part in ((name, DIM), (f"{count:,}  ", "bold"))))
    lines = data_lines(data.data, data.source, data.checks, data.repairs, width)
    return [lines[0], counts, *lines[1:]]
