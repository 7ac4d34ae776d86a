"""Views that are lists: the classes of one route, and the rows whose labels are doubted."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip

from engine.metrics import Report
from tui.classify.laboratory import Findings
from tui.classify.views import Sight
from tui.comparing.ink import BAD, CURSOR, DIM, FAIR, GOOD, TITLE, bar, fit, share, strip, window, wrap
from tui.text import safe

EMPTY_SUSPECTS = """No suspicious labels yet.

When a frozen route has run, rows are listed here whose label a model doubts
that has not learned them: wrong labels, or texts that two classes fit."""


def message(text: str, width: int, height: int) -> list[Strip]:
    """What an empty view says, in its middle."""
    lines = [part for line in text.split("\n") for part in (wrap(Text(line, DIM), width - 4) or [Text("")])]
    above = max(0, (height - len(lines)) // 2)
    widest = max((line.cell_len for line in lines), default=0)
    left = " " * max(0, (width - widest) // 2)
    return [Strip.blank(width)] * above + [strip(Text(left).append_text(line), width) for line in lines][:height]


def classes(report: Report, sight: Sight, width: int, height: int) -> list[Strip]:
    """Precision, recall and F1 of every class; the weakest is red, the strongest green."""
    rows = report.classes
    sight.row = max(0, min(sight.row, len(rows) - 1))
    f1 = [one.f1 for one in rows]
    name = min(24, max(10, *(len(one.name) for one in rows)) + 3)
    room = max(0, min(30, width - name - 40))
    head = Text().append(f"{'  class':<{name}}{'precision':>10}{'recall':>9}{'F1':>8}   {'':<{room}}{'rows':>8}", DIM)
    lines = [head]
    for place in window(len(rows), sight.row, height - 3):
        one = rows[place]
        here = place == sight.row
        colour = BAD if one.f1 == min(f1) < max(f1) else GOOD if one.f1 == max(f1) else "bright_cyan"
        line = Text().append(fit(("▸ " if here else "  ") + one.name, name), CURSOR if here else "")
        line.append(f"{share(one.precision):>10}{share(one.recall):>9}")
        line.append(f"{share(one.f1):>8}", f"bold {colour}")
        line.append(f"   {bar(one.f1, room)}", colour)
        line.append(f"{one.support:>8,}", DIM)
        lines.append(line)
    lines += [Text(""), _about(report, sight.row)]
    return [strip(line, width) for line in lines[:height]]


def _about(report: Report, row: int) -> Text:
    """What the class under the cursor is taken for most often."""
    counts = [(number, label) for label, number in enumerate(report.confusion[row]) if label != row and number]
    name = safe(report.classes[row].name, lines=False)
    if not counts:
        return Text.assemble("  ", (name, TITLE), (" is never taken for another class", DIM))
    number, label = max(counts)
    return Text.assemble(
        "  ",
        (name, TITLE),
        (" is most often taken for ", DIM),
        (safe(report.classes[label].name, lines=False), f"bold {FAIR}"),
        (f": {number:,} of {report.classes[row].support:,} rows", DIM),
    )


def suspects(findings: Findings | None, sight: Sight, width: int, height: int) -> list[Strip]:
    """Rows whose label is doubted most, and the one under the cursor in full."""
    if findings is None or not findings.suspects:
        return message(EMPTY_SUSPECTS, width, height)
    found = findings.suspects
    sight.row = max(0, min(sight.row, len(found) - 1))
    name = min(16, max(8, *(len(one) for one in findings.classes)) + 1)
    lines = [
        Text.assemble(
            (f"{len(found):,} labels ", "bold"),
            ("doubted by a model that has not seen their rows", DIM),
        ),
        Text(f"  {'label':<{name}}{'rather':<{name}}{'sure':>5}  text", DIM),
    ]
    chosen = found[sight.row]
    told = Text.assemble(
        (f"{chosen.split} row {chosen.row + 1:,}: ", DIM),
        (f"labelled {safe(findings.classes[chosen.label], lines=False)}", BAD),
        (f" {chosen.label_probability:.0%}", "bold"),
        (", rather ", DIM),
        (safe(findings.classes[chosen.proposed], lines=False), GOOD),
        (f" {chosen.doubt:.0%}", "bold"),
    )
    below = [Text(""), told, *wrap(Text(safe(chosen.text[:2000], lines=False)), width)[: max(2, height // 3)]]
    for place in window(len(found), sight.row, max(1, height - 2 - len(below))):
        one = found[place]
        here = place == sight.row
        line = Text("▸ " if here else "  ")
        line.append(fit(findings.classes[one.label], name - 1) + " ", BAD)
        line.append(fit(findings.classes[one.proposed], name - 1) + " ", GOOD)
        line.append(f"{one.doubt:5.0%}  ", "bold")
        line.append(safe(one.text[:300], lines=False), CURSOR if here else "")
        lines.append(line)
    lines += [Text("")] * max(0, height - len(lines) - len(below))
    return [strip(line, width) for line in (lines + below)[:height]]
