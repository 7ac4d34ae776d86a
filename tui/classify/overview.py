"""All methods at once: the comparison, what it means in words, and the losses of what trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import CHANCE, PairedTest, Report
from engine.runs.events import Notice
from tui import units
from tui.classify.runs import Findings
from tui.classify.story import ClassifyMethod, ClassifyStory
from tui.classify.views import NAMES, ViewState
from tui.follow import overview as compare
from tui.follow.overview import ACCURACY, INTERVAL, seconds
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.styled import (
    BRIGHT,
    MUTED,
    TITLE,
    data_lines,
    flow,
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
    _column("macro-F1", 10, lambda report: share(report.macro_f1), 2),
    _column("log loss", 10, lambda report: share(report.log_loss), 3),
    _column("calibration", 13, lambda report: share(report.calibration_error), 4),
    _column("seconds", 9, lambda report: seconds(report.seconds), 5),
)
SEEDS = _column("seeds", 13, lambda report: f"{len(report.seeds)}, ±{report.spread or 0:.3f}" if report.seeds else "–")
WITHOUT_LEAKS = _column("no leaks", 10, lambda report: share(report.accuracy_without_leaks), 1)


def overview(
    story: ClassifyStory, findings: Findings | None, chosen: str, state: ViewState, width: int, height: int
) -> list[Strip]:
    """Table above; below it words to the left and curves to the right, or what matters more now where it is narrow."""
    leaks = any(method.report and method.report.accuracy_without_leaks is not None for method in story.done)
    seeds = any(method.report and method.report.seeds for method in story.done)
    columns = (*COLUMNS[:2], *([SEEDS] if seeds else []), *([WITHOUT_LEAKS] if leaks else []), *COLUMNS[2:])
    best = story.best
    if findings is not None and best is not None and best.name in findings.results.probabilities:
        columns = (*columns[:2], _against(best.name, findings), *columns[2:])

    notices = list(story.notices)
    if notices and notices[-1].level != "error" and notice_text(notices[-1]).cell_len <= width:
        notices.pop()  # the last line of the pane says it
    words = partial(_words, story, notices, findings, chosen)
    return compare.overview(story, chosen, columns, words, NAMES, state, width, height)


def _against(best: str, findings: Findings) -> Column:
    """The p of the best method against each other one."""

    def told(method: ClassifyMethod) -> tuple[str, str]:
        found = findings.pairs.get((best, method.name))
        return ("" if found is None else p_value(found.p).removeprefix("p ").removeprefix("= "), "")

    return Column("p, vs best", 12, told, priority=1)


def differences(story: ClassifyStory, findings: Findings | None, chosen: str, width: int) -> list[Text]:
    """McNemar's test of the chosen method against every other one."""
    if findings is None or chosen not in findings.results.probabilities:
        return []
    pairs = [
        (other, findings.pairs[chosen, other.name]) for other in story.done if (chosen, other.name) in findings.pairs
    ]
    seeds = any(other.report and other.report.seeds for other in story.done)
    told = (
        "rows classified correctly more often by one, p (Holm)"
        if seeds
        else "rows only one has correct, McNemar's p (Holm)"
    )
    head = Text.assemble((f"{NAMES.get(chosen, chosen)} against", TITLE), (f"  {told}", MUTED))
    columns = (
        Column("", 15, lambda pair: NAMES.get(pair[0].name, pair[0].name), left=True),
        Column("against", 8, lambda pair: f"{pair[1].better:,}:{pair[1].worse:,}"),
        Column("(Holm)", 11, lambda pair: p_value(pair[1].p)),
        Column("", 0, lambda pair: f" {_outcome(pair[1])}", left=True),
    )
    return [*wrap(head, width), *LineTable(columns, width).rows(pairs, -1, len(pairs))] if pairs else []


def _outcome(found: PairedTest) -> str:
    """What a paired test says of the first against the second."""
    if not found.better + found.worse:
        return "= equal"
    if found.p >= CHANCE:
        return "≈ could be chance"
    return "▲ better" if found.better > found.worse else "▼ worse"


def _words(
    story: ClassifyStory, notices: Sequence[Notice], findings: Findings | None, chosen: str, width: int
) -> list[Text]:
    lines: list[Text] = []
    for said in notices:
        if said.level == "error":
            lines += [*wrap(notice_text(said), width), Text("")]
    lines += compare.verdict(story.verdict, width)
    method = story.methods.get(chosen)
    if method is not None and method.report is not None:
        lines += [*_figures(method.report, chosen, width), Text("")]
    if told := differences(story, findings, chosen, width):
        lines += [*told, Text("")]
    if story.data is not None:
        lines += _data(story, width)
    for said in notices:
        if said.kind != "screen" and said.level != "error":
            lines += wrap(notice_text(said), width)
    return lines


def _figures(report: Report, chosen: str, width: int) -> list[Text]:
    """The figures of the chosen method that the table may have no room for."""
    told = [
        ("macro-F1", share(report.macro_f1)),
        ("log loss", f"{share(report.log_loss)} nats"),
        ("calibration error", share(report.calibration_error)),
        ("time", f"{seconds(report.seconds)} s"),
        ("parameters trained", units.count(report.trained_parameters) if report.trained_parameters else "none"),
    ]
    head = Text(NAMES.get(chosen, chosen), TITLE)
    if report.settings:
        what = "always predicts" if chosen == "majority" else ""
        head.append(f"  {what} {safe(report.settings, lines=False)}", MUTED)
    parts = [Text.assemble((f"{name} ", MUTED), (value, BRIGHT)) for name, value in told]
    return [*wrap(head, width), *flow(parts, width)]


def _data(story: ClassifyStory, width: int) -> list[Text]:
    """Size, checks and repairs of the data set."""
    data = story.data
    assert data is not None
    sizes = (("train ", data.train), ("validation ", data.held_out), ("test ", data.judged))
    counts = Text.assemble(*(part for name, count in sizes for part in ((name, MUTED), (f"{count:,}  ", "bold"))))
    lines = data_lines(data.data, data.source, data.checks, data.repairs, width)
    return [lines[0], counts, *lines[1:]]
