"""A sentence that is typed: what every method makes of it, which of its words matter, and the tasks that ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text
from textual.strip import Strip

from checkpoints.run import Run
from engine.runs.events import Event, Notice
from engine.runs.messages import Control, Stopped, handle_messages
from engine.runs.worker import Task
from tui.background import Opened
from tui.classify.views import NAMES
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.panel import Frame
from tui.widgets.styled import BRIGHT, GOOD, MUTED, SERIES, TITLE, bar, cut, message, wrap

if TYPE_CHECKING:
    from engine.classify.predict import Classifier


def opening(run: Run) -> Task:
    """Read the trained methods, and let each answer once so that the first real answer does not wait for a model."""

    def task(control: Control) -> Iterator[Event]:
        from engine.classify.predict import Classifier

        classifier = Classifier(run)
        for name, why in classifier.unreadable.items():
            yield Notice(f"{name}: unreadable: {why}", "warning", "read")
        classifier.predict(["warm"])
        yield Opened(run, classifier)

    return task


def judging(classifier: Classifier, text: str, method: str) -> Task:
    """Probabilities from every method, and then what each word does to the answer of ``method``."""

    def task(control: Control) -> Iterator[Event]:
        try:
            found = {name: rows[0].tolist() for name, rows in classifier.predict([text]).items()}
            yield Judgement(text, classifier.classes, found)
            yield from handle_messages(control, 0)
            asked = method if method in found else classifier.methods[-1]
            winner, words = classifier.attribute(text, asked)
            told = tuple((word.text, word.effect) for word in words)
            yield Judgement(text, classifier.classes, found, told, asked, winner)
        except Stopped:
            return

    return task


HINT = """Type a sentence: every trained method shows its probabilities as you type, and words are
coloured by their leave-one-out effect. Esc leaves the text field, e returns to it."""
NOTHING = """No trained method yet: run the comparison first (n form, F5 start),
or open an earlier classification (o)."""


@dataclass(frozen=True)
class Judgement(Event):
    """What the methods say of one text."""

    text: str
    classes: tuple[str, ...]
    probabilities: Mapping[str, Sequence[float]] = field(default_factory=dict)
    words: tuple[tuple[str, float], ...] = ()
    """each word, and how much the winner's probability falls without it"""
    method: str = ""
    """the method whose words these are"""
    winner: int = 0
    """the class that the words are for or against"""


def sentence(
    found: Judgement | None, text: str, chosen: str, able: bool, working: str, width: int, height: int
) -> list[Strip]:
    """Bars for every class and method, winners marked, and the words below."""
    if not able:
        return message(NOTHING, width, height)
    if not text.strip():
        return message(HINT if not working else f"{HINT}\n\n{working}", width, height)
    if found is None:
        return message(working or "…", width, height)
    frame = Frame(width)
    inside = width - frame.across
    words = _words(found, inside)
    waits = working or ("…" if found.text != text else "")
    below = frame.panel("words", words[: height // 2], width) if words else []
    table = _table(found, chosen, inside)
    order = sorted(
        range(len(found.classes)), key=lambda label: -max(float(p[label]) for p in found.probabilities.values())
    )
    room = max(2, height - len(below) - frame.down - 2)
    shown = order[:room] if len(order) > room else range(len(order))
    lines = [table.heading(), *(table.row(label) for label in shown)]
    if len(order) > room:
        lines.append(Text(f"  … {len(order) - room} more, less probable", MUTED))
    told = waits or "r next method · Esc leaves the text"
    return [*frame.panel("probability of each class", lines, width, subtitle=told), *below][:height]


def _table(found: Judgement, chosen: str, width: int) -> LineTable:
    """Rows are classes; a column for each method, with bars from 0 to 1."""
    methods = list(found.probabilities)
    name = min(22, max(9, *(len(one) + 2 for one in found.classes)))
    each = max(10, min(32, (width - name - 2) // max(1, len(methods))))

    def column(method: str) -> Column:
        def cell(label: int) -> Text:
            value, wins = float(found.probabilities[method][label]), _wins(found, method, label)
            style = BRIGHT if wins else MUTED
            line = Text(f"{value:5.0%} ", f"bold {style}" if wins else style)
            return line.append("✓ " if wins else "  ", GOOD).append(bar(value, each - 10), style)

        title = cut(NAMES.get(method, method), each - 4)
        return Column(
            f"{'▸' if method == chosen else ' '} {title}", each, cell, left=True, priority=int(method != chosen)
        )

    return LineTable([Column("", name, lambda label: found.classes[label], left=True), *map(column, methods)], width)


def _wins(found: Judgement, method: str, label: int) -> bool:
    row = found.probabilities.get(method)
    return row is not None and float(row[label]) == max(map(float, row))


def _words(found: Judgement, width: int) -> list[Text]:
    """The text with its words coloured, and the weightiest of them as figures."""
    if not found.words:
        return []
    winner, method = safe(found.classes[found.winner], lines=False), NAMES.get(found.method, found.method)
    head = Text.assemble(("leave-one-out effect on ", MUTED), (winner, TITLE), (f" in {method}: ", MUTED))
    head.append("for", _style(0.1)).append(" / ", MUTED).append("against", _style(-0.1))
    body = Text("")
    for word, change in found.words:
        body.append(safe(word, lines=False), _style(change)).append(" ")
    listed = Text("")
    for word, change in sorted(found.words, key=lambda one: -abs(one[1]))[:6]:
        if abs(change) >= 0.005:
            listed.append(f"{cut(safe(word, lines=False), 18)} ", _style(change)).append(f"{change:+.2f}  ", BRIGHT)
    return [*wrap(head, width), *wrap(body, width), *wrap(listed, width)]


def _style(change: float) -> str:
    """For: the first colour of a series; against: the second, and in italics."""
    if abs(change) < 0.01:
        return ""
    return ("bold " if abs(change) >= 0.05 else "") + (SERIES[0] if change > 0 else f"italic {SERIES[1]}")
