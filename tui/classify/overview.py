"""All routes at once: the comparison, what it means in words, and the losses of what trains."""

from __future__ import annotations

from typing import cast

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import CHANCE
from tui import units
from tui.classify import figures
from tui.classify.laboratory import Findings
from tui.classify.story import CURVED, ClassifyStory, Route
from tui.classify.views import COLOURS, ROUTES
from tui.comparing import overview as overviews
from tui.comparing.overview import Column, arranged, seconds
from tui.comparing.story import Method
from tui.styled import (
    BAD,
    DIM,
    FAIR,
    GOOD,
    TITLE,
    data_lines,
    message,
    p_value,
    share,
    wrap,
)
from tui.text import safe

COLUMNS = (
    Column("accuracy", 9),
    Column("95% interval", 14),
    Column("n", 7, 92),
    Column("macro-F1", 9),
    Column("seconds", 9),
    Column("log loss", 9, 70),
    Column("calib.", 8, 78),
    Column("trained", 9, 87),
    Column("no leaks", 10, 97),
)


def overview(story: ClassifyStory, findings: Findings | None, chosen: str, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and curves to the right, or what matters more now where it is narrow."""
    if not story.methods and not story.notices:
        return message("The process is starting and reads the data…", width, height)
    curves = [route for route in story.methods.values() if route.curve.version]
    wanted = story.doing if story.doing in CURVED else chosen
    return arranged(
        table(story, chosen, width) if story.methods else [],
        lambda width: _words(story, findings, chosen, width),
        (lambda width, height: figures.losses(curves, wanted, width, height)) if curves else None,
        width,
        height,
        running=story.finished is None,
    )


def table(story: ClassifyStory, chosen: str, width: int) -> list[Text]:
    """Heading and one line for each route; the chosen one is marked."""
    leaks = any(route.report.accuracy_without_leaks is not None for route in story.done)
    columns = [column for column in COLUMNS if column.title != "no leaks" or leaks]
    return overviews.table(story, chosen, columns, _cell, ROUTES, COLOURS, width)


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


def _cell(title: str, route: Method, best: bool) -> tuple[str, str]:
    report = cast(Route, route).report
    assert report is not None
    match title:
        case "accuracy":
            return share(report.accuracy), f"bold {GOOD}" if best else "bold"
        case "95% interval":
            return f"{share(report.interval[0])}–{share(report.interval[1])}", ""
        case "n":
            return f"{report.rows:,}", ""
        case "macro-F1":
            return share(report.macro_f1), ""
        case "log loss":
            return share(report.log_loss), ""
        case "calib.":
            return share(report.calibration_error), ""
        case "seconds":
            return seconds(report.seconds), ""
        case "trained":
            return units.count(report.trained_parameters) if report.trained_parameters else "–", ""
        case _:
            return share(report.accuracy_without_leaks), ""


def _words(story: ClassifyStory, findings: Findings | None, chosen: str, width: int) -> list[Text]:
    lines: list[Text] = []
    for said in story.notices:
        if said.level == "error":
            lines += [*wrap(Text(f"✗ {safe(said.text)}", f"bold {BAD}"), width), Text("")]
    if story.verdict:
        lines += wrap(Text(safe(story.verdict), "bold bright_white"), width)
        lines.append(Text(""))
    route = story.methods.get(chosen)
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
