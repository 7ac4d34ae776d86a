"""The confusion matrix with the texts of a cell, and lists: the classes, and rows whose labels are doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import ClassReport, Report
from tui.classify.runs import Findings
from tui.classify.views import NAMES, ViewState
from tui.hints import Hint
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.panel import Frame
from tui.widgets.styled import (
    BAD,
    BRIGHT,
    GOOD,
    MUTED,
    SELECTED,
    TITLE,
    bar,
    fit,
    message,
    share,
    side_by_side,
    window,
    wrap,
)

if TYPE_CHECKING:
    from engine.classify.results import ClassifyResults

LABEL = 14
CELL, WIDE = 7, 12  # cells of a number at least, and at most
SIDE = 34  # cells that texts need beside the matrix
TEXT = 8  # lines of a text in full at most, with its frame
MANY = 6  # classes whose counts are named by a hint
_SHADES = " ░▒▓█"


def matrix(
    report: Report, findings: Findings | None, method: str, state: ViewState, width: int, height: int
) -> list[Strip]:
    """The matrix and the texts of the chosen cell, side by side or one above the other."""
    frame, count = Frame(width), len(report.classes)
    if state.true < 0:
        state.true, state.predicted = largest_confusion(report)
    state.true, state.predicted = min(state.true, count - 1), min(state.predicted, count - 1)
    label = min(LABEL, max([6, *(len(one.name) for one in report.classes)]) + 2)
    beside = width - label - count * CELL - 2 * frame.across >= SIDE
    room = width - SIDE - frame.across if beside else width
    cell = max(
        CELL, min((room - label - frame.across) // count, WIDE, max(len(one.name) for one in report.classes) + 1)
    )
    wide = min(max(label + count * cell, 36) + frame.across if beside else width, width)
    high = height if beside else max(6, min(count + 3, height - 9))
    grid = _grid(report, state, label, cell, wide - frame.across, high - frame.down)
    title = f"confusion matrix, {NAMES.get(method, method)}"
    rows = f"{report.rows:,} rows"
    left = frame.panel(title, grid, wide, high, rows, active=not state.reading)
    if not beside:
        return [*left, *_texts(report, findings, method, state, frame, width, height - high)][:height]
    right = _texts(report, findings, method, state, frame, width - wide, height)
    return side_by_side([(left, wide), (right, width - wide)], height)


def largest_confusion(report: Report) -> tuple[int, int]:
    """The cell with the most rows outside the diagonal, the first of several; the first cell where there is none."""
    size = len(report.classes)
    cells = [(true, predicted) for true in range(size) for predicted in range(size) if true != predicted]
    return max(cells, key=lambda cell: report.confusion[cell[0]][cell[1]], default=(0, 0)) if cells else (0, 0)


def _grid(report: Report, state: ViewState, label: int, cell: int, width: int, height: int) -> list[Text]:
    names = [one.name for one in report.classes]
    columns = window(len(names), state.predicted, max(1, (width - label) // cell))
    rows = window(len(names), state.true, max(1, height - 2))
    head = Text().append(f"{'true ↓':<{label}}", MUTED).append(" predicted →", MUTED)
    if len(columns) < len(names):
        head.append(f"  {columns[0] + 1}–{columns[-1] + 1} of {len(names)}", MUTED)
    marks = Text(" " * label)
    for column in columns:
        marks.append(fit(names[column], cell - 1).rstrip().rjust(cell), TITLE if column == state.predicted else MUTED)
    lines = [head, marks]
    for row in rows:
        line = Text().append(fit(names[row], label - 1) + " ", TITLE if row == state.true else MUTED)
        total = max(1, sum(report.confusion[row]))
        for column in columns:
            number = report.confusion[row][column]
            text = f"{_SHADES[_level(number / total)]}{number:>{cell - 2},}" if number else f"{'·':>{cell - 1}}"
            here = (row, column) == (state.true, state.predicted)
            style = f"underline {BRIGHT}" if state.reading else SELECTED
            line.append(" ").append(text, style if here else MUTED if row == column or not number else BRIGHT)
        lines.append(line)
    return lines


def matrix_hint(report: Report, text: str) -> Hint:
    """Of the counts in the matrix that stand in ``text``."""
    right = [row[place] for place, row in enumerate(report.confusion)]
    counts = dict.fromkeys(f"{count:,}" for row in report.confusion for count in row if count)
    some = ", ".join(f"{count:,}" for count in right[:MANY]) + ", …" * (len(right) > MANY)
    told = f"On the diagonal are the rows predicted correctly ({some}), {sum(right):,} of {report.rows:,} in all."
    more = "Every other cell counts rows of the class to the left that are predicted as the class above."
    return Hint("true ↓", tuple(count for count in counts if count in text), f"{told} {more}", "confusion matrix")


def _level(part: float) -> int:
    return 0 if part <= 0.02 else 1 if part < 0.1 else 2 if part < 0.3 else 3 if part < 0.7 else 4


def _texts(
    report: Report,
    findings: Findings | None,
    method: str,
    state: ViewState,
    frame: Frame,
    width: int,
    height: int,
) -> list[Strip]:
    """The rows of the chosen cell, one line each, and the one under the cursor in full."""
    true, predicted = (safe(report.classes[label].name, lines=False) for label in (state.true, state.predicted))
    of = f"{report.confusion[state.true][state.predicted]:,} of {report.classes[state.true].support:,}"
    same, inside = state.true == state.predicted, width - frame.across
    title = f"{true} correct: {of}" if same else f"{true} as {predicted}: {of}"
    known = findings is not None and method in findings.results.probabilities
    rows = findings.cell(method, state.true, state.predicted) if findings is not None and known else []
    if findings is None or not rows:
        told = "no texts in this cell; arrows select another" if known else "reading the texts…"
        return frame.panel(title, wrap(Text(told, MUTED), inside), width, height)
    results = findings.results
    chosen = rows[state.within(len(rows))]
    full = full_text(results, method, chosen, inside)
    below = frame.panel(_place(chosen, results), full, width, min(len(full) + frame.down, TEXT, height // 2))

    def confidence(row: int) -> tuple[str, str]:
        return f"{results.probabilities[method][row][state.predicted]:.0%}", BRIGHT if row == chosen else MUTED

    columns = (Column("confident", 5, confidence), Column("", 0, lambda row: f" {results.texts[row][:300]}", left=True))
    table = LineTable(columns, inside, painted=state.reading)
    order = f"{'least' if same else 'most'} confident first"
    high = height - len(below)
    listed = table.rows(rows, state.row, high - frame.down)
    return [*frame.panel(title, listed, width, high, order, active=state.reading), *below]


def _place(row: int, results: ClassifyResults) -> str:
    return f"row {row + 1:,} of {len(results.texts):,}{', also in train' if row in results.leaked else ''}"


def full_text(results: ClassifyResults, method: str, row: int, width: int) -> list[Text]:
    """What the method gives the classes that it hesitates between for a test row, and its text in full."""
    gold, shares = results.labels[row], results.probabilities[method][row]
    order = sorted(range(len(results.classes)), key=lambda label: -shares[label])
    told = Text()
    for label in order[: 3 if gold in order[:3] else 2] + ([] if gold in order[:3] else [gold]):
        told.append("✓ " if label == gold else "✗ " if label == order[0] else "  ", GOOD if label == gold else BAD)
        told.append(f"{safe(results.classes[label], lines=False)} ").append(f"{shares[label]:.0%}  ", f"bold {BRIGHT}")
    return [told, *wrap(Text(safe(results.texts[row][:2000], lines=False)), width)]


EMPTY_SUSPECTS = """No suspicious labels yet.

When a method on frozen features has finished, training rows are listed here whose label
is probably wrong: a model trained without them predicts another class."""


def classes(report: Report, method: str, state: ViewState, width: int, height: int) -> list[Strip]:
    """Precision, recall and F1 of every class, and as what the one under the cursor is predicted."""
    frame, rows = Frame(width), report.classes
    inside, here = width - frame.across, rows[state.within(len(rows))]
    name = min(22, max(10, *(len(one.name) for one in rows)) + 1)
    room = max(0, min(40, inside - name - 42))

    def drawn(one: ClassReport) -> tuple[str, str]:
        return "  " + bar(one.f1, room), BRIGHT if one is here else MUTED

    columns = (
        Column("class", name, lambda one: one.name, left=True),
        Column("precision", 10, lambda one: share(one.precision)),
        Column("recall", 9, lambda one: share(one.recall)),
        Column("F1", 8, lambda one: (share(one.f1), f"bold {BRIGHT}")),
        Column("", 2 + room, drawn),
        Column("rows", 8, lambda one: (f"{one.support:,}", MUTED)),
    )
    table = LineTable(columns, inside)
    below = frame.panel(safe(here.name, lines=False), _about(report, state.row, inside)[:3], width)
    high = height - len(below)
    lines = [table.heading(), *table.rows(rows, state.row, min(len(rows), high - frame.down - 1))]
    title, high = f"classes, {NAMES.get(method, method)}", min(high, len(lines) + frame.down)
    return [*frame.panel(title, lines, width, high, "bars: F1 from 0 to 1", active=True), *below][:height]


def _about(report: Report, row: int, width: int) -> list[Text]:
    """As what the class under the cursor is predicted, most frequent first."""
    counts = [(number, label) for label, number in enumerate(report.confusion[row]) if label != row and number]
    if not counts:
        return [Text("never misclassified", MUTED)]
    told = Text("predicted as", MUTED)
    for number, label in sorted(counts, reverse=True):
        told.append(f"   {safe(report.classes[label].name, lines=False)} ").append(f"{number:,}", f"bold {BRIGHT}")
    return wrap(told.append(f"   of {report.classes[row].support:,} rows", MUTED), width)


def suspects(findings: Findings | None, state: ViewState, width: int, height: int) -> list[Strip]:
    """Rows with the most suspicious labels, and the one under the cursor in full."""
    if findings is None or not findings.results.suspects:
        return message(EMPTY_SUSPECTS, width, height)
    frame, found, names = Frame(width), findings.results.suspects, findings.results.classes
    inside = width - frame.across
    name = min(16, max(9, *map(len, names)) + 2)
    columns = (
        Column("label", name, lambda one: names[one[0].label], left=True),
        Column("suggested", name, lambda one: names[one[0].suggested], left=True),
        Column("lead", 6, lambda one: (f"{one[0].suggested_probability - one[0].probability:.2f}", BRIGHT)),
        Column("  text", 0, lambda one: f"  {one[1][:300]}", left=True),
    )
    chosen, text = found[state.within(len(found))]
    told = Text("label ", MUTED).append(safe(names[chosen.label], lines=False))
    told.append(f" {chosen.probability:.0%}", BRIGHT).append("   suggested ", MUTED)
    told.append(safe(names[chosen.suggested], lines=False)).append(f" {chosen.suggested_probability:.0%}", BRIGHT)
    full = [told, *wrap(Text(safe(text[:2000], lines=False)), inside)]
    file, line = chosen.place
    title = f"{safe(file, lines=False)} row {line:,}"
    below = frame.panel(title, full, width, min(len(full) + frame.down, TEXT, height // 2))
    high, table = height - len(below), LineTable(columns, inside)
    lines = [table.heading(), *table.rows(found, state.row, high - frame.down - 1)]
    title = f"{len(found):,} suspicious labels, most suspicious first"
    return [*frame.panel(title, lines, width, high, "x exports CSV", active=True), *below][:height]
