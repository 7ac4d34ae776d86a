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
from tui.classify.views import COLOURS, NAMES
from tui.text import safe
from tui.widgets.styled import BAD, DIM, FAIR, GOOD, TITLE, bar, fit, message, strip, window, wrap

if TYPE_CHECKING:
    from engine.classify.predict import Classifier


@dataclass(frozen=True)
class Judged(Event):
    """What they say of a text."""

    judgement: Judgement


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
            judgement = Judgement(text, classifier.classes, found)
            yield Judged(judgement)
            yield from handle_messages(control, 0)
            asked = method if method in found else classifier.methods[-1]
            winner, words = classifier.attribute(text, asked)
            told = tuple((word.text, word.effect) for word in words)
            yield Judged(Judgement(text, classifier.classes, found, told, asked, winner))
        except Stopped:
            return

    return task


HINT = """Type a sentence: every trained method gives its probabilities while you type,
and the words are coloured by what they do. Esc leaves the line, e goes back into it."""
NOTHING = """No trained method can answer yet: run the methods first (n shows the form, F5 runs),
or open a classifier that was trained before with o."""


@dataclass(frozen=True)
class Judgement:
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
    lines: list[Text] = []
    stale = found.text != text
    methods = list(found.probabilities)
    each = max(10, min(24, (width - 16) // max(1, len(methods))))
    name = min(22, max(9, width - each * len(methods) - 1))
    head = Text(" " * name)
    for method in methods:
        style = f"{COLOURS.get(method, '')} {'reverse ' if method == chosen else ''}bold".strip()
        head.append(fit(NAMES.get(method, method), each - 2), style).append("  ")
    lines.append(head)
    order = sorted(
        range(len(found.classes)), key=lambda label: -max(float(p[label]) for p in found.probabilities.values())
    )
    room = max(2, height - 7)
    for label in order[:room] if len(order) > room else range(len(found.classes)):
        line = Text().append(fit(found.classes[label], name - 1) + " ", "bold" if _wins(found, chosen, label) else DIM)
        for method in methods:
            value = float(found.probabilities[method][label])
            wins = _wins(found, method, label)
            colour = COLOURS.get(method, "")
            line.append(f"{value:4.0%} ", f"bold {colour}" if wins else DIM)
            line.append(bar(value, each - 7), colour if wins else DIM).append("  ")
        lines.append(line)
    if len(order) > room:
        lines.append(Text(f"{len(order) - room} more, less probable", DIM))
    lines.append(Text(""))
    lines += _words(found, width)
    lines.append(
        Text(working or "…" if stale or working else "Esc: letters are keys again; r: another method's words", DIM)
    )
    return [strip(line, width) for line in lines[:height]]


def _wins(found: Judgement, method: str, label: int) -> bool:
    row = found.probabilities.get(method)
    return row is not None and float(row[label]) == max(map(float, row))


def _words(found: Judgement, width: int) -> list[Text]:
    """The text with its words coloured, and the weightiest of them as figures."""
    if not found.words:
        return []
    winner = safe(found.classes[found.winner], lines=False)
    head = Text.assemble(
        ("leave-one-out effect on ", DIM),
        (winner, TITLE),
        (" in ", DIM),
        (NAMES.get(found.method, found.method), COLOURS.get(found.method, "")),
        (": ", DIM),
        ("for", GOOD),
        (" / ", DIM),
        ("against", BAD),
    )
    body = Text("")
    for word, change in found.words:
        body.append(safe(word, lines=False), _style(change)).append(" ")
    lines = [*wrap(head, width), *wrap(body, width)]
    strong = sorted(found.words, key=lambda one: -abs(one[1]))
    listed = Text("")
    for place in window(len(strong), 0, 6):
        word, change = strong[place]
        if abs(change) >= 0.005:
            listed.append(f"{safe(word, lines=False)[:18]} ", _style(change)).append(f"{change:+.2f}  ", "bold")
    return [*lines, listed, Text("")]


def _style(change: float) -> str:
    if abs(change) < 0.01:
        return ""
    colour = GOOD if change > 0 else BAD
    if abs(change) >= 0.2:
        return f"bold underline {colour}"
    return f"bold {colour}" if abs(change) >= 0.05 else colour if change < 0 or abs(change) >= 0.02 else FAIR
