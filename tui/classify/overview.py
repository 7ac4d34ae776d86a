"""All methods at once: the comparison, what it means in words, and the losses of what trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import CHANCE, Report
from engine.runs.events import Notice
from tui import units
from tui.classify.runs import Findings
from tui.classify.story import ClassifyStory
from tui.classify.views import COLOURS, NAMES
from tui.follow import overview as compare
from tui.follow.overview import ACCURACY, INTERVAL, seconds
from tui.text import safe
from tui.widgets.line_table import Column
from tui.widgets.styled import (
    BAD,
    DIM,
    GOOD,
    TITLE,
    data_lines,
    notice_text,
    p_value,
    share,
    wrap,
)


def _column(title: str, width: int, told: Callable[[Report], str], priority: int = 0) -> Column:
    """A figure of the report of a method."""
    return Column(title, width, lambda method: told(method.report), priority=priority)


COLUMNS = (
    ACCURACY,
    INTERVAL,
    _column("n", 7, lambda report: f"{report.rows:,}", 3),
    _column("macro-F1", 9, lambda report: share(report.macro_f1)),
    _column("seconds", 9, lambda report: seconds(report.seconds)),
    _column("log loss", 9, lambda report: share(report.log_loss), 1),
    _column("calib.", 8, lambda report: share(report.calibration_error), 1),
    _column(
        "trained", 9, lambda report: units.count(report.trained_parameters) if report.trained_parameters else "–", 2
    ),
)
SEEDS = _column("seeds", 13, lambda report: f"{len(report.seeds)}, ±{report.spread or 0:.3f}" if report.seeds else "–")
WITHOUT_LEAKS = _column("no leaks", 10, lambda report: share(report.accuracy_without_leaks), 4)


def overview(story: ClassifyStory, findings: Findings | None, chosen: str, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and curves to the right, or what matters more now where it is narrow."""
    leaks = any(method.report and method.report.accuracy_without_leaks is not None for method in story.done)
    seeds = any(method.report and method.report.seeds for method in story.done)
    columns = (*COLUMNS, *([SEEDS] if seeds else []), *([WITHOUT_LEAKS] if leaks else []))

    notices = list(story.notices)
    if notices and notices[-1].level != "error" and notice_text(notices[-1]).cell_len <= width:
        notices.pop()  # the last line of the pane says it

    def words(width: int) -> list[Text]:
        return _words(story, notices, findings, chosen, width)

    return compare.overview(story, chosen, columns, words, NAMES, COLOURS, width, height)


def differences(story: ClassifyStory, findings: Findings | None, chosen: str, width: int) -> list[Text]:
    """McNemar's test of the chosen method against every other one."""
    if findings is None or chosen not in findings.results.probabilities:
        return []
    name = NAMES.get(chosen, chosen).strip()
    roomy = width >= 52
    head, told = f"{name} against", "  rows only one has right, McNemar's p (Holm)"
    short = "  McNemar's p (Holm)"
    if any(other.report and other.report.seeds for other in story.done):
        told, short = "  rows one has right more often, p (Holm)", "  p (Holm)"
    lines = [Text.assemble((head, TITLE), (told if len(head + told) <= width else short, DIM))]
    for other in story.done:
        found = findings.pairs.get((chosen, other.name))
        if found is None:
            continue
        line = Text().append(f"  {NAMES.get(other.name, other.name):<15}", COLOURS.get(other.name, ""))
        line.append(f"{found.better:>5,}:{found.worse:<5,}{p_value(found.p):>9} ")
        if not found.better + found.worse:
            line.append("=" + " equal" * roomy, DIM)
        elif found.p >= CHANCE:
            line.append("≈" + " could be chance" * roomy, DIM)
        elif found.better > found.worse:
            line.append("▲" + " better" * roomy, GOOD)
        else:
            line.append("▼" + " worse" * roomy, BAD)
        lines.append(line)
    return lines if len(lines) > 1 else []


def _words(
    story: ClassifyStory, notices: Sequence[Notice], findings: Findings | None, chosen: str, width: int
) -> list[Text]:
    lines: list[Text] = []
    for said in notices:
        if said.level == "error":
            lines += [*wrap(Text(f"✗ {safe(said.text)}", f"bold {BAD}"), width), Text("")]
    if story.verdict:
        lines += wrap(Text(safe(story.verdict), "bold bright_white"), width)
        lines.append(Text(""))
    method = story.methods.get(chosen)
    if method is not None and method.report is not None and method.report.settings:
        what = "always predicts: " if chosen == "majority" else "chosen on validation: "
        lines += wrap(Text.assemble((what, DIM), safe(method.report.settings)), width)
    if told := differences(story, findings, chosen, width):
        lines += [*told, Text("")]
    if story.data is not None:
        lines += _data(story, width)
    for said in notices:
        if said.kind != "screen" and said.level != "error":
            lines += wrap(notice_text(said), width)
    return lines


def _data(story: ClassifyStory, width: int) -> list[Text]:
    """Size, checks and repairs of the data set."""
    data = story.data
    assert data is not None
    sizes = (("train ", data.train), ("validation ", data.held_out), ("test ", data.judged))
    counts = Text.assemble(*(part for name, count in sizes for part in ((name, DIM), (f"{count:,}  ", "bold"))))
    lines = data_lines(data.data, data.source, data.checks, data.repairs, width)
    return [lines[0], counts, *lines[1:]]
