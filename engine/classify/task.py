"""From texts with labels to a comparison of methods: baselines, heads on frozen features, the fine-tuned encoder."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from data import tables
from data.tables import TextData
from engine.classify import baselines
from engine.classify.contenders import FrozenHead, Majority, TfIdf, TunedClassifier
from engine.classify.results import Store, right_of
from engine.classify.spec import FINETUNE, HEADS, LR, MLP, ClassifySpec
from engine.comparison import statistics
from engine.comparison.comparison import Comparison, compare
from engine.comparison.contender import Contender, Facts, Inputs, Labelled
from engine.comparison.features import SplitFeatures
from engine.comparison.labels import efficiency, suspects
from engine.comparison.results import Earlier
from engine.comparison.seeds import by_seed, further, mean_of
from engine.comparison.statistics import Report
from engine.comparison.verdict import Judged, limits, pairs, sentences
from engine.encoders.fine_tune import Classifying, TuneSettings
from engine.encoders.pretraining import about_encoder
from engine.hub_data import Obey, fetch
from engine.runs import codec
from engine.runs.events import ContenderStep, Event, Loaded
from engine.runs.messages import Control
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.comparison.statistics import Values


NAMES = {
    baselines.MAJORITY: "the majority class",
    baselines.TFIDF: "TF-IDF",
    LR: "logistic regression",
    MLP: "MLP",
    FINETUNE: "fine-tuning",
}
"""of the methods in a sentence"""
SEEDED = (MLP, FINETUNE)
"""methods whose training draws random numbers"""
MEANS = ("accuracy", "macro_f1", "log_loss", "calibration_error", "accuracy_without_leaks")
"""figures that are averaged over seeds"""


def classify(spec: ClassifySpec, control: Control, run: Run | None = None) -> Iterator[Event]:
    """Train every method that ``spec`` names, baselines first, and judge each on the test split.

    Shards of features, methods and epochs of fine-tuning that were finished are found again by a new start. Raises
    :class:`data.formats.TableError`, :class:`engine.encoders.find.NoEncoder`,
    :class:`engine.encoders.encode.EncodeFailed`, and what :func:`engine.comparison.comparison.compare` raises.
    """

    def read(obey: Obey) -> Generator[Event, None, _Classification]:
        fetched = yield from fetch(spec.data, tables.bundled(spec.data), obey)
        data = tables.load(
            spec.data,
            test=spec.test,
            text_column=spec.text_column,
            label_column=spec.label_column,
            label_names=spec.names_of_labels,
            encoding=spec.encoding,
            limit=spec.limit,
            seed=spec.seed,
            fetched=fetched,
        )
        return _Classification(spec, data, control)

    yield from compare(spec, control, run, read)


class _Classification(Comparison):
    """The methods of one classification, in the order in which they cost."""

    spec: ClassifySpec
    data: TextData
    store: Store | None

    def __init__(self, spec: ClassifySpec, data: TextData, control: Control) -> None:
        train = Labelled("train", data.train.texts, data.train.labels)
        held_out = Labelled("validation", data.validation.texts, data.validation.labels)
        judged = Inputs("test", data.test.texts)
        splits = {one.split: one.items for one in (judged, held_out, train)}
        features = SplitFeatures(splits, spec.encoder, spec.pooling, length=spec.length, device=spec.device)
        super().__init__(spec, data, control, train, held_out, judged, features)
        self.reports: dict[str, Report] = {}
        self.right: dict[str, Values] = {}
        """of each method so far, for each test row the share of seeds that have it right"""

    def loaded(self) -> Loaded:
        spec, data = self.spec, self.data
        return replace(
            self.split_sizes(),
            judged_split="test",
            contenders=(baselines.MAJORITY, baselines.TFIDF, *(head for head in HEADS if head in spec.heads)),
            checks=data.checks.lines(),
            classes=data.classes,
            text_column=data.text_column,
            label_column=data.label_column,
            encoder=spec.encoder,
        )

    def keep(self, run: Run, writes: PendingWrites) -> None:
        self.store = Store(run, self.spec, self.data, writes)

    def results(self) -> dict[str, dict[str, Any]]:
        return {method: _figures(report) for method, report in self.reports.items()}

    def verdict(self) -> str:
        """Which methods are better, and what limits the comparison."""
        data = self.data
        judged = {name: Judged(NAMES[name], right) for name, right in self.right.items()}
        untrained, frozen, tuned = (
            [judged[name] for name in names if name in judged]
            for names in ((baselines.MAJORITY, baselines.TFIDF), (LR, MLP), (FINETUNE,))
        )
        steps = {NAMES[name]: count for name, count in self.steps.items() if name == FINETUNE and name in judged}
        said = sentences(pairs(untrained, frozen, tuned, self.spec.seed))
        said += about_encoder(self.features.encoder) if frozen else []
        return " ".join((*said, *limits(len(data.train), len(data.test), steps)))

    def run(self) -> Generator[Event, None, None]:
        spec, data, features = self.spec, self.data, self.features
        classes = len(data.classes)
        yield from self.contend(Majority(data.classes, data.checks.majority))
        yield from self.contend(TfIdf(classes, spec.class_weights))
        encoder = yield from features.open(self.control)
        if self.store is not None:
            self.store.encoder(encoder)
        if LR in spec.heads or MLP in spec.heads or spec.curve or spec.suspects:
            yield from self.encode()
        for name in (LR, MLP):
            if name in spec.heads:
                yield from self.contend(FrozenHead(name, classes, spec))
        if spec.curve:
            yield from self._curve()
        if spec.suspects:
            rows, labels = features.rows("train", "mean"), data.train.labels
            found = yield from suspects(rows, labels, classes, self.control, seed=spec.seed)
            if self.store is not None:
                self.store.suspects(found)
        if FINETUNE in spec.heads:
            yield from self._fine_tune()

    def _curve(self) -> Iterator[Event]:
        spec, gold, classes = self.spec, self.data.test.labels, len(self.data.classes)
        trained = [name for name in (LR, MLP) if name in spec.heads] or [LR]
        yield from efficiency(
            (self.features.rows("train"), self.data.train.labels),
            (self.features.rows("validation"), self.data.validation.labels),
            self.features.rows("test"),
            lambda found: statistics.accuracy(found, gold),
            {name: FrozenHead(name, classes, spec).learn for name in trained},
            self.control,
            classes=classes,
            seed=spec.seed,
        )

    def _fine_tune(self) -> Iterator[Event]:
        spec = self.spec
        settings = TuneSettings(
            epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            length=spec.length,
            class_weights=spec.class_weights,
            seed=spec.seed,
        )
        yield from self.fine_tune(settings, partial(Classifying, classes=self.data.classes), TunedClassifier)

    def judge(self, contender: Contender, fitted: Any, steps: list[ContenderStep], begun: float) -> Iterator[Event]:
        data = self.data
        found = [(yield from fitted.outputs(self.judged, self.control))]
        seconds = time.monotonic() - begun
        if contender.name in SEEDED:
            seeded: Any = contender
            found += yield from further(seeded, self.fit, self.judged, self.control, self.spec.seeds)
        if self.store is not None:
            fitted.save(self.store, steps)
        facts: Facts = fitted.facts
        reports = [statistics.evaluate(one, data.test.labels, data.classes, leaked=data.checks.leaked) for one in found]
        report = replace(
            self._mean(reports, right_of(found, data.test.labels)),
            seconds=round(seconds, 3),
            trained_parameters=facts.trained_parameters,
            parameters=facts.parameters,
            settings=facts.settings,
            validation_accuracy=facts.held_out_score,
            **(self.read if contender.name == FINETUNE else {}),
        )
        self._report(contender.name, report, found)
        if self.store is not None:
            self.store.report(contender.name, report, found)

    def _mean(self, reports: Sequence[Report], right: Sequence[Values]) -> Report:
        """The figures of all seeds as one."""
        if len(reports) == 1:
            return reports[0]
        means = {
            name: sum(getattr(one, name) for one in reports) / len(reports)
            for name in MEANS
            if getattr(reports[0], name) is not None
        }
        accuracies, spread = by_seed(right)
        interval = statistics.interval(mean_of(right), self.spec.seed)
        changes: dict[str, Any] = {**means, "interval": interval, "seeds": tuple(accuracies), "spread": spread}
        return replace(reports[0], **changes)

    def take_over(self, name: str, earlier: Earlier) -> Iterator[Event]:
        self._report(name, statistics.report_from(earlier.result), earlier.outputs)
        yield from ()

    def _report(self, name: str, report: Report, found: Sequence[NDArray[np.float64]]) -> None:
        self.reports[name], self.right[name] = report, mean_of(right_of(found, self.data.test.labels))
        self.figures[name] = codec.encode(report)


def _figures(report: Report) -> dict[str, Any]:
    return {
        "accuracy": round(report.accuracy, 6),
        "interval": [round(end, 6) for end in report.interval],
        "rows": report.rows,
        "accuracy_without_leaks": report.accuracy_without_leaks,
        "macro_f1": round(report.macro_f1, 6),
        "log_loss": round(report.log_loss, 6),
        "calibration_error": round(report.calibration_error, 6),
        "seconds": report.seconds,
        "trained_parameters": report.trained_parameters,
        "parameters": report.parameters,
        "settings": report.settings,
        "texts": report.texts,
        "truncated_texts": report.truncated_texts,
        "seeds": list(report.seeds),
        "spread": report.spread,
    }
