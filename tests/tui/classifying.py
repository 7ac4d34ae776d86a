"""Classifications that nothing trains: hand-made events, findings, and a process that is never started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run
from engine.classify.results import ClassifyResults
from engine.classify.spec import ClassifySpec
from engine.comparison import statistics
from engine.comparison.labels import Suspect
from engine.runs import codec
from engine.runs.events import (
    Classified,
    ContenderDone,
    ContenderStep,
    Continued,
    CurvePoint,
    Encoded,
    Event,
    Loaded,
    Paused,
)
from engine.runs.messages import Continue, Control, Detach, Message, Pause, Stop
from engine.runs.spec import to_dict
from engine.runs.worker import Task
from tui.background import Opened
from tui.classify import sentence
from tui.classify.pane import ClassifyPane
from tui.classify.runs import Classifications, Findings
from tui.classify.sentence import Judgement

CLASSES = ("billing", "delivery", "technical")
GOLD = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
TEXTS = tuple(f"row {number} of the test split" for number in range(len(GOLD)))
GUESSES = {
    "majority": [2] * 10,
    "tfidf": [0, 0, 0, 1, 1, 1, 2, 2, 2, 2],
    "lr": [0, 0, 1, 1, 1, 2, 2, 2, 2, 2],
    "mlp": [0, 0, 1, 1, 1, 2, 2, 2, 0, 2],
}


def probabilities(guesses: list[int], sure: float = 0.7) -> Any:
    """Rows whose largest entry is the guess, each a little surer than the one before."""
    made = np.full((len(guesses), len(CLASSES)), 0.0)
    for row, guess in enumerate(guesses):
        own = sure + row / 100
        made[row] = (1 - own) / (len(CLASSES) - 1)
        made[row, guess] = own
    return made


def report(method: str, classes: tuple[str, ...] = CLASSES, seconds: float = 1.5) -> dict[str, Any]:
    """The figures of a method, by the engine's own metrics, as a journal holds them."""
    from dataclasses import replace

    made = statistics.evaluate(probabilities(GUESSES[method]), GOLD, classes, leaked=(0,))
    return codec.encode(replace(made, seconds=seconds, trained_parameters=100, settings=f"settings of {method}"))


def loaded(classes: tuple[str, ...] = CLASSES, data: str = "helpdesk") -> Loaded:
    """The first thing that a classification says."""
    methods = tuple(GUESSES)
    told = (
        "3 classes, balanced in train",
        "test texts that are in train too: 1; results are given with and without them",
    )
    return Loaded(
        "classify", data, "bundled", 20, 5, 10, "test", "f" * 64, methods, told, ("2 rows left out",),
        classes, "text", "label", "auto",
    )  # fmt: skip


def begun() -> list[Event]:
    """Data read, features under way."""
    return [loaded(), Encoded("minilm", 40, 100, 10, 123.0, 2.0)]


def told(name: str = "run", classes: tuple[str, ...] = CLASSES) -> list[Event]:
    """A whole classification."""
    events: list[Event] = [loaded(classes), Encoded("minilm", 100, 100, 0, 250.0, 0.0)]
    for method in GUESSES:
        if method == "mlp":
            for epoch in range(1, 6):
                events.append(
                    ContenderStep("mlp", epoch, 100, 1.5 - epoch / 5, 1.6 - epoch / 6, 0.7, 3.0, f"epoch {epoch}")
                )
        events.append(ContenderDone(method, report(method, classes)))
    events += [CurvePoint("lr", 8 * 2**n, 24 * 2**n, 0.5 + n / 10, 0.4 + n / 10, 0.6 + n / 10, 3) for n in range(4)]
    events.append(Classified("done", 4, None, name, 12.0, {}, "Counting words (TF-IDF) beats the frozen encoder."))
    return events


def findings(classes: tuple[str, ...] = CLASSES, texts: tuple[str, ...] = TEXTS) -> Findings:
    """What the methods said of the test rows."""
    found = {method: probabilities(guesses) for method, guesses in GUESSES.items()}
    suspects = (
        (Suspect(7, 1, 0, 0.02, 0.93, "train.csv", 8), "my parcel was charged twice"),
        (Suspect(3, 2, 1, 0.1, 0.8, "train.csv", 4), texts[0]),
    )
    right = {method: np.equal(guesses, GOLD) for method, guesses in GUESSES.items()}
    checks = {"checks": {"leaked": [0]}}
    results = ClassifyResults(classes, texts, tuple(GOLD), {}, found, right, suspects, checks)
    return Findings(results, statistics.paired_tests(right))


class FakeClassifier:
    """Stands in for trained methods: a text with 'bill' is about billing."""

    methods = ["tfidf", "lr"]
    classes = CLASSES

    def __init__(self) -> None:
        self.asked: list[str] = []

    def judge(self, text: str) -> Judgement:
        self.asked.append(text)
        own = [0.8, 0.1, 0.1] if "bill" in text else [0.1, 0.1, 0.8]
        words = tuple((word, 0.4 if word == "bill" else 0.0) for word in text.split())
        return Judgement(text, CLASSES, {"tfidf": own, "lr": own}, words, "lr", own.index(max(own)))


class FakeRuns:
    """Counts starts, takes messages, plays hand-made events."""

    def __init__(self) -> None:
        self.asked: list[ClassifySpec] = []
        self.messages: list[Message] = []
        self.play: Callable[[str], list[Event]] = lambda run: begun()
        self.classifier = FakeClassifier()
        self.found = findings()

    def create(self, spec: ClassifySpec) -> Run:
        self.asked.append(spec)
        return runs.create(places.runs(), f"classify-{spec.data}", to_dict(spec), {})

    def begin(self, run: Run) -> Task:
        def task(control: Control) -> Iterator[Event]:
            events = self.play(run.name)
            yield from events
            while not isinstance(events[-1], Classified):
                for message in control.take():
                    self.messages.append(message)
                    match message:
                        case Detach():
                            return
                        case Pause():
                            yield Paused(1)
                        case Continue():
                            yield Continued(1)
                        case Stop():
                            yield Classified("stopped", 1, None, run.name, 1.0)
                            return
                control.wait(0.05)

        return task

    def opening(self, run: Run) -> Task:
        def task(control: Control) -> Iterator[Event]:
            yield Opened(run, self.classifier)  # type: ignore[arg-type]

        return task

    def judging(self, classifier: FakeClassifier, text: str, method: str) -> Task:
        def task(control: Control) -> Iterator[Event]:
            yield classifier.judge(text)

        return task


@pytest.fixture
def fake_runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    """No process is started by this test, and no encoder loaded."""
    fake = FakeRuns()
    monkeypatch.setattr(Classifications, "create", lambda _, spec: fake.create(spec))
    monkeypatch.setattr(Classifications, "begin", lambda _, run: fake.begin(run))
    monkeypatch.setattr(Classifications, "follow", lambda _, run: fake.begin(run))
    monkeypatch.setattr(Classifications, "findings", lambda _, run: fake.found)
    monkeypatch.setattr(ClassifyPane, "opening", staticmethod(fake.opening))
    monkeypatch.setattr(sentence, "judging", fake.judging)
    return fake
