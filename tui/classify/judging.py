"""Trained routes that answer while a sentence is typed: tasks for a worker of the screen's own process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpoints.run import Run
from engine.control import Control
from engine.events import Event, Notice
from engine.heed import Stopped, heed
from engine.worker import Task
from tui.classify.sentence import Judgement

if TYPE_CHECKING:
    from engine.classifier import Classifier


@dataclass(frozen=True)
class Opened(Event):
    """The trained routes of a run are there."""

    run: Run
    classifier: Classifier


@dataclass(frozen=True)
class Judged(Event):
    """What they say of a text."""

    judgement: Judgement


def opening(run: Run) -> Task:
    """Read the trained routes, and let each answer once so that the first real answer does not wait for a model."""

    def task(control: Control) -> Iterator[Event]:
        from engine.classifier import Classifier

        classifier = Classifier(run)
        for name, why in classifier.unreadable.items():
            yield Notice(f"{name}: unreadable: {why}", "warning", "read")
        classifier.predict(["warm"])
        yield Opened(run, classifier)

    return task


def judging(classifier: Classifier, text: str, route: str) -> Task:
    """Probabilities from every route, and then what each word does to the answer of ``route``."""

    def task(control: Control) -> Iterator[Event]:
        try:
            found = {name: rows[0].tolist() for name, rows in classifier.predict([text]).items()}
            judgement = Judgement(text, classifier.classes, found)
            yield Judged(judgement)
            yield from heed(control, 0)
            asked = route if route in found else classifier.routes[-1]
            winner, words = classifier.attribute(text, asked)
            told = tuple((word.text, word.effect) for word in words)
            yield Judged(Judgement(text, classifier.classes, found, told, asked, winner))
        except Stopped:
            return

    return task
