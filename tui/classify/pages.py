"""The confusion matrix with the texts of a cell, and lists: the classes, and rows whose labels are doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import ClassReport, Report
from tui.classify.runs import Findings
from tui.classify.views import ViewState
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.styled import BAD, CURSOR, DIM, FAIR, GOOD, TITLE, bar, fit, message, share, strips, window, wrap

if TYPE_CHECKING:
    from engine.classify.results import ClassifyResults

LABEL = 14
CELL, WIDE = 7, 12  # cells of a number at least, and at most
SIDE = 34  # cells that texts need beside the matrix
_SHADES = " ░▒▓█"


def matrix(
    report: Report, findings: Findings | None, method: str, state: ViewState, width: int, height: int
) -> list[Strip]:
    """The matrix and the texts, side by side where there is room, one above the other where there is not."""
    count = len(report.classes)
    state.true, state.predicted = min(state.true, count - 1), min(state.predicted, count - 1)
    label = min(LABEL, max([6, *(len(one.name) for one in report.classes)]) + 2)
    if width - label - count * CELL >= SIDE:
        cell = _cell(report, (width - label - SIDE) // count)
        wide = label + count * cell
        left = _grid(report, state, label, cell, wide, height)
        right = _texts(report, findings, method, state, width - wide - 3, height)
        blank = Text("")
        rows = []
        for row in range(min(height, max(len(left), len(right)))):
            line = (left[row] if row < len(left) else blank).copy()
            line.truncate(wide, pad=True)
            line.append(" │ ", DIM)
            rows.append(line.append_text(right[row] if row < len(right) else blank))
        return strips(rows, width, height)
    grid = _grid(
        report, state, label, _cell(report, (width - label) // count), width, max(4, min(count + 3, height - 6))
    )
    return strips([*grid, *_texts(report, findings, method, state, width, height - len(grid))], width, height)


def _cell(report: Report, room: int) -> int:
    """Cells of a column: enough for the longest name where there is ``room``."""
    return max(CELL, min(room, WIDE, max(len(one.name) for one in report.classes) + 1))


def _grid(report: Report, state: ViewState, label: int, cell: int, width: int, height: int) -> list[Text]:
    names = [one.name for one in report.classes]
    columns = window(len(names), state.predicted, max(1, (width - label) // cell))
    rows = window(len(names), state.true, max(1, height - 3))
    head = Text().append(f"{'true ↓':<{label}}", DIM).append("  predicted →", DIM)
    if len(columns) < len(names):
        head.append(f"  {columns[0] + 1}–{columns[-1] + 1} of {len(names)}", DIM)
    marks = Text(" " * label)
    for column in columns:
        here = column == state.predicted
        marks.append(" " + fit(names[column], cell - 1).rstrip().rjust(cell - 1), TITLE if here else DIM)
    lines = [head, marks]
    for row in rows:
        line = Text().append(fit(names[row], label - 1) + " ", TITLE if row == state.true else DIM)
        total = max(1, sum(report.confusion[row]))
        for column in columns:
            number = report.confusion[row][column]
            style = _style(number / total, row == column)
            text = f"{_SHADES[_level(number / total)]}{number:>{cell - 2},}" if number else f"{'·':>{cell - 1}}"
            if (row, column) == (state.true, state.predicted):
                line.append(" ")
                line.append(text, CURSOR if not state.reading else "underline " + style)
            else:
                line.append(f" {text}", style if number else DIM)
        lines.append(line)
    return lines


def _level(part: float) -> int:
    return 0 if part <= 0.02 else 1 if part < 0.1 else 2 if part < 0.3 else 3 if part < 0.7 else 4


def _style(part: float, right: bool) -> str:
    if right:
        return f"bold {GOOD}" if part >= 0.5 else GOOD
    return f"bold {BAD}" if part >= 0.2 else BAD if part >= 0.1 else FAIR


def _texts(
    report: Report, findings: Findings | None, method: str, state: ViewState, width: int, height: int
) -> list[Text]:
    """The rows of the chosen cell, one line each, the one under the cursor in full below them."""
    true, predicted = report.classes[state.true], report.classes[state.predicted]
    number = report.confusion[state.true][state.predicted]
    head = Text().append(f"{number:,} of {true.support:,} ", "bold")
    head.append(safe(true.name, lines=False), TITLE)
    if state.true == state.predicted:
        head.append(" classified correctly", DIM)
        order = ", least confident first"
    else:
        head.append(" taken for ", DIM).append(safe(predicted.name, lines=False), f"bold {FAIR}")
        order = ", most confident first"
    lines = [head.append(order if head.cell_len + len(order) <= width else "", DIM)]
    if findings is None or method not in findings.results.probabilities:
        return [*lines, Text("the texts are being read…" if number else "", DIM)]
    results = findings.results
    rows = results.cell(method, state.true, state.predicted)
    if not rows:
        return [*lines, Text("nothing here: arrows choose another cell", DIM)]
    chosen = rows[state.within(len(rows))]
    full = full_text(results, method, chosen, width, max(2, min(7, height // 2)))

    def sure(row: int) -> tuple[str, str]:
        return f"{results.probabilities[method][row][state.predicted]:.0%}", "bold" if row == chosen else DIM

    columns = (Column("", 5, sure), Column("", 0, lambda row: f" {results.texts[row][:300]}", left=True))
    table = LineTable(columns, width, painted=state.reading)
    lines += table.rows(rows, state.row, height - 2 - len(full))
    lines += [Text("")] * max(0, height - len(lines) - len(full))
    return lines + full


def full_text(results: ClassifyResults, method: str, row: int, width: int, height: int) -> list[Text]:
    """One test row as it is, and what the method gives the classes it hesitates between."""
    gold, shares = results.labels[row], results.probabilities[method][row]
    told = Text("")
    order = sorted(range(len(results.classes)), key=lambda label: -shares[label])
    for label in order[: 3 if gold in order[:3] else 2] + ([] if gold in order[:3] else [gold]):
        colour = GOOD if label == gold else FAIR
        told.append(f"{safe(results.classes[label], lines=False)} ", colour)
        told.append(f"{shares[label]:.0%}  ", "bold")
    if row in results.leaked:
        told.append("also in train", f"bold {BAD}")
    lines = wrap(Text(safe(results.texts[row][:2000], lines=False)), width)
    if len(lines) > height - 1:
        lines = lines[: max(1, height - 1)]
        lines[-1].truncate(max(1, width - 1))
        lines[-1].append("…")
    return [told, *lines]


EMPTY_SUSPECTS = """No suspicious labels yet.

When a frozen method has run, rows are listed here whose label a model doubts
that has not learned them: wrong labels, or texts that two classes fit."""


def classes(report: Report, state: ViewState, width: int, height: int) -> list[Strip]:
    """Precision, recall and F1 of every class; the weakest is red, the strongest green."""
    rows = report.classes
    f1 = [one.f1 for one in rows]
    name = min(22, max(10, *(len(one.name) for one in rows)) + 1)
    room = max(0, min(30, width - name - 42))

    def colour(one: ClassReport) -> str:
        return BAD if one.f1 == min(f1) < max(f1) else GOOD if one.f1 == max(f1) else "bright_cyan"

    columns = (
        Column("class", name, lambda one: one.name, left=True),
        Column("precision", 10, lambda one: share(one.precision)),
        Column("recall", 9, lambda one: share(one.recall)),
        Column("F1", 8, lambda one: (share(one.f1), f"bold {colour(one)}")),
        Column("", 3 + room, lambda one: (bar(one.f1, room), colour(one))),
        Column("rows", 8, lambda one: (f"{one.support:,}", DIM)),
    )
    table = LineTable(columns, width)
    lines = [table.heading(), *table.rows(rows, state.within(len(rows)), height - 3)]
    return strips([*lines, Text(""), _about(report, state.row)], width, height)


def _about(report: Report, row: int) -> Text:
    """What the class under the cursor is taken for most often."""
    counts = [(number, label) for label, number in enumerate(report.confusion[row]) if label != row and number]
    name = safe(report.classes[row].name, lines=False)
    if not counts:
        return Text.assemble("  ", (name, TITLE), (" is never misclassified", DIM))
    number, label = max(counts)
    return Text.assemble(
        "  ",
        (name, TITLE),
        (" is most often taken for ", DIM),
        (safe(report.classes[label].name, lines=False), f"bold {FAIR}"),
        (f": {number:,} of {report.classes[row].support:,} rows", DIM),
    )


def suspects(findings: Findings | None, state: ViewState, width: int, height: int) -> list[Strip]:
    """Rows whose label is doubted most, and the one under the cursor in full."""
    if findings is None or not findings.results.suspects:
        return message(EMPTY_SUSPECTS, width, height)
    found, names = findings.results.suspects, findings.results.classes
    name = min(16, max(9, *map(len, names)) + 1)
    columns = (
        Column("label", name, lambda one: (names[one[0].label], BAD), left=True),
        Column("suggested", name, lambda one: (names[one[0].suggested], GOOD), left=True),
        Column("probability", 11, lambda one: (f"{one[0].suggested_probability:.0%}", "bold")),
        Column("  text", 0, lambda one: f"  {one[1][:300]}", left=True),
    )
    chosen, text = found[state.within(len(found))]
    file, line = chosen.place
    told = Text.assemble(
        (f"{safe(file, lines=False)} row {line:,}: ", DIM),
        (f"labelled {safe(names[chosen.label], lines=False)}", BAD),
        (f" {chosen.probability:.0%}", "bold"),
        (", suggested ", DIM),
        (safe(names[chosen.suggested], lines=False), GOOD),
        (f" {chosen.suggested_probability:.0%}", "bold"),
    )
    below = [Text(""), told, *wrap(Text(safe(text[:2000], lines=False)), width)[: max(2, height // 3)]]
    head = Text(f"{len(found):,} labels ", "bold").append("doubted by a model that has not seen their rows", DIM)
    table = LineTable(columns, width)
    lines = [head, table.heading(), *table.rows(found, state.row, height - 2 - len(below))]
    lines += [Text("")] * max(0, height - len(lines) - len(below))
    return strips(lines + below, width, height)
