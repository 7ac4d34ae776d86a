"""From texts with labels to a comparison of routes: baselines, heads on frozen features, the fine-tuned encoder."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from data import tables
from data.tables import TextData
from engine import hub
from engine.classify import baselines
from engine.classify.spec import FINETUNE, HEADS, LR, MLP, ClassifySpec
from engine.comparison import heads, statistics
from engine.comparison.comparison import compare
from engine.comparison.statistics import Report
from engine.encoders import find as encoders
from engine.encoders.encode import encode
from engine.encoders.epoch_checkpoints import Kept
from engine.encoders.features import Features, group_of
from engine.encoders.find import Encoder
from engine.encoders.fine_tune import TuneSettings, finetune, made_of, probabilities
from engine.encoders.recorded_steps import noting
from engine.runs.events import ContenderDone, ContenderStep, Event, Loaded, Notice
from engine.runs.messages import Control, heed
from engine.runs.writes import Writes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.classify.results import Store


def classify(spec: ClassifySpec, control: Control, run: Run | None = None) -> Iterator[Event]:
    """Train every route that ``spec`` names, baselines first, and judge each on the test split.

    Shards of features, routes and epochs of fine-tuning that were finished are found again by a new start. Raises
    :class:`data.tables.TableError`, :class:`engine.encoders.find.NoEncoder`,
    :class:`engine.encoders.encode.EncodeFailed`, and what :func:`engine.comparison.comparison.compare` raises.
    """

    def read() -> _Routes:
        data = tables.load(
            spec.data,
            test=spec.test,
            text_column=spec.text_column,
            label_column=spec.label_column,
            limit=spec.limit,
            seed=spec.seed,
            unreachable=hub.unreachable,
        )
        return _Routes(spec, data, control)

    yield from compare(spec, control, run, read)


class _Routes:
    """The routes of one classification, in the order in which they cost."""

    def __init__(self, spec: ClassifySpec, data: TextData, control: Control) -> None:
        self.spec, self.data, self.control = spec, data, control
        self.classes = len(data.classes)
        self.store: Store | None = None
        self.encoder: Encoder | None = None
        self.features: dict[str, Features] = {}
        self.encode_seconds = 0.0
        self.heads: dict[str, heads.Head] = {}
        self.reports: dict[str, Report] = {}
        self.probabilities: dict[str, NDArray[np.float64]] = {}
        """of the test rows"""

    def loaded(self) -> Loaded:
        spec, data = self.spec, self.data
        return Loaded(
            task=spec.task,
            data=data.name,
            source=data.source,
            classes=data.classes,
            train=len(data.train),
            held_out=len(data.validation),
            judged=len(data.test),
            judged_split="test",
            fingerprint=data.fingerprint,
            text_column=data.text_column,
            label_column=data.label_column,
            encoder=spec.encoder,
            contenders=(baselines.MAJORITY, baselines.TFIDF, *(head for head in HEADS if head in spec.heads)),
            checks=data.checks.lines(),
            repairs=data.repairs,
        )

    def keep(self, run: Run, writes: Writes) -> None:
        from engine.classify.results import Store

        self.store = Store(run, self.spec, self.data, writes)

    def results(self) -> dict[str, dict[str, Any]]:
        return {route: _figures(report) for route, report in self.reports.items()}

    def verdict(self) -> str:
        """What a learner should take home, in plain words."""
        reports, gold = self.reports, self.data.test.labels
        frozen = max(
            (route for route in (LR, MLP) if route in reports), key=lambda one: reports[one].accuracy, default=""
        )
        told: list[str] = []
        for route in (frozen, FINETUNE):
            if route not in reports or baselines.TFIDF not in reports:
                continue
            test = statistics.mcnemar(self.probabilities[route], self.probabilities[baselines.TFIDF], gold)
            ours, theirs = reports[route].accuracy, reports[baselines.TFIDF].accuracy
            sure = f"p = {test.p:.2g}" if test.p >= 0.001 else "p < 0.001"
            chance = f"a difference that chance explains ({sure})" if test.p >= 0.05 else f"more than chance ({sure})"
            name = "the frozen encoder" if route == frozen else "fine-tuning"
            ahead = "beats" if test.p < 0.05 else "is ahead of"
            if theirs > ours:
                told.append(f"Counting words (TF-IDF, {theirs:.3f}) {ahead} {name} ({ours:.3f}): {chance}.")
            elif theirs < ours:
                told.append(
                    f"{name[0].upper()}{name[1:]} ({ours:.3f}) {ahead} counting words (TF-IDF, {theirs:.3f}): {chance}."
                )
            else:
                told.append(f"{name[0].upper()}{name[1:]} and counting words (TF-IDF) are equally good ({ours:.3f}).")
        return " ".join(told)

    def run(self) -> Generator[Event, None, None]:
        spec, data = self.spec, self.data
        shares = baselines.majority(data.train.labels, self.classes, len(data.test))
        yield from self._done(baselines.MAJORITY, shares, 0.0, 0, 0, settings=data.classes[data.checks.majority])
        yield from self._tfidf()
        self.encoder = yield from encoders.find(spec.encoder, self.control)
        if self.store is not None:
            self.store.encoder(self.encoder)
        if LR in spec.heads or MLP in spec.heads or spec.curve or spec.suspects:
            yield from self._encode()
        for route in (LR, MLP):
            if route in spec.heads:
                yield from self._head(route)
        if spec.curve:
            from engine.comparison.labels import efficiency

            yield from efficiency(
                self._pooled("train"),
                data.train.labels,
                self._pooled("test"),
                data.test.labels,
                self.classes,
                self.control,
                penalty=self._penalty(),
                seed=spec.seed,
            )
        if spec.suspects:
            from engine.comparison.labels import suspects

            found = yield from suspects(
                self.features["train"].pooled("mean"), data.train.labels, self.classes, self.control, seed=spec.seed
            )
            if self.store is not None:
                self.store.suspects(found)
        if FINETUNE in spec.heads:
            yield from self._finetune()

    def _again(self, route: str, made: list[Any] | None = None) -> Generator[Event, None, bool]:
        """Take over what an earlier start of the run has trained, by what ``made`` says; False where there is none."""
        earlier = self.store.earlier.get(route) if self.store is not None else None
        if earlier is None or earlier.made != made:
            return False
        if earlier.head is not None:
            self.heads[route] = earlier.head
        self.reports[route], self.probabilities[route] = earlier.report, earlier.probabilities
        yield from earlier.steps
        yield from self._told(route, earlier.report)
        return True

    def _tfidf(self) -> Iterator[Event]:
        if (yield from self._again(baselines.TFIDF)):
            return
        begun = time.monotonic()
        data = self.data
        try:
            words, head = yield from baselines.tfidf(
                (data.train.texts, data.train.labels),
                (data.validation.texts, data.validation.labels),
                self.control,
                classes=self.classes,
                class_weights=self.spec.class_weights,
            )
        except ValueError as error:
            yield Notice(f"TF-IDF is left out: {error}", "warning", "tfidf")
            return
        found = head.probabilities(words.features(data.test.texts))
        self.heads[baselines.TFIDF] = head
        if self.store is not None:
            self.store.words(words)
            self.store.head(baselines.TFIDF, head)
        settings = f"{len(words.vocabulary):,} words and pairs, {head.settings}"
        yield from self._done(
            baselines.TFIDF,
            found,
            time.monotonic() - begun,
            head.parameters,
            head.parameters,
            settings=settings,
            validation=head.validation_accuracy,
        )

    def _encode(self) -> Iterator[Event]:
        assert self.encoder is not None
        begun = time.monotonic()
        for split in ("test", "validation", "train"):  # the short ones first: they show soon how long the last takes
            self.features[split] = yield from encode(
                getattr(self.data, split).texts,
                self.encoder,
                self.control,
                length=self.spec.length,
                group=group_of(self.spec.pooling),
                poolings=(self.spec.pooling, "mean"),
                device=self.spec.device,
            )
        self.encode_seconds = time.monotonic() - begun

    def _head(self, route: str) -> Iterator[Event]:
        assert self.encoder is not None
        if (yield from self._again(route)):
            return
        begun = time.monotonic()
        pairs = [(self._pooled(split), getattr(self.data, split).labels) for split in ("train", "validation")]
        steps: list[ContenderStep] = []
        common: dict[str, Any] = {"classes": self.classes, "class_weights": self.spec.class_weights}
        if route == LR:
            head = yield from heads.logistic(LR, pairs[0], pairs[1], self.control, **common)
        else:
            from engine.encoders.encode import placed

            where, _ = placed(self.spec.device)
            training = heads.mlp(MLP, pairs[0], pairs[1], self.control, seed=self.spec.seed, device=where, **common)
            head = yield from noting(training, steps)
        found = head.probabilities(self._pooled("test"))
        self.heads[route] = head
        if self.store is not None:
            self.store.head(route, head, steps)
        frozen = self.encoder.parameters
        seconds = time.monotonic() - begun + self.encode_seconds
        yield from self._done(
            route,
            found,
            seconds,
            head.parameters,
            head.parameters + frozen,
            settings=f"{self.spec.pooling} pooling, {head.settings}",
            validation=head.validation_accuracy,
        )

    def _finetune(self) -> Iterator[Event]:
        assert self.encoder is not None
        begun = time.monotonic()
        spec, data, encoder = self.spec, self.data, self.encoder
        settings = TuneSettings(
            epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            length=spec.length,
            class_weights=spec.class_weights,
            seed=spec.seed,
        )
        made = made_of(encoder, settings, data.fingerprint)
        steps: list[ContenderStep] = []
        with Kept(*made) as kept:
            if (yield from self._again(FINETUNE, made)):
                kept.clear()  # where an earlier start ended before it could
                return
            training = finetune(
                (data.train.texts, data.train.labels),
                (data.validation.texts, data.validation.labels),
                data.classes,
                encoder,
                settings,
                self.control,
                kept=kept,
                device=spec.device,
            )
            tuned = yield from kept.writes.watch(noting(training, steps))
            ids = encoder.ids(list(data.test.texts), min(spec.length, encoder.positions))
            found = yield from probabilities(tuned.model, ids, tuned.device)
            if self.store is not None:
                self.store.tuned(tuned)
            told = f"epoch {tuned.best_epoch} of {tuned.epochs}, learning rate {settings.peak(encoder.width):g}"
            best, count = tuned.history[tuned.best_epoch - 1][1], tuned.parameters
            seconds = time.monotonic() - begun
            report = self._judged(FINETUNE, found, seconds, count, count, settings=told, validation=best)
            if self.store is not None:
                self.store.settled(made, steps)
                yield from self.store.writes.settle(self.control)
            kept.clear()
        yield from self._told(FINETUNE, report)

    def _done(
        self, route: str, found: NDArray[np.float64], seconds: float, trained: int, parameters: int, **more: Any
    ) -> Iterator[Event]:
        yield from self._told(route, self._judged(route, found, seconds, trained, parameters, **more))

    def _judged(
        self,
        route: str,
        found: NDArray[np.float64],
        seconds: float,
        trained: int,
        parameters: int,
        *,
        settings: str = "",
        validation: float | None = None,
    ) -> Report:
        """The report of a route, which is put on the disk with what it said of the test rows."""
        data = self.data
        report = replace(
            statistics.evaluate(found, data.test.labels, data.classes, leaked=data.checks.leaked, seed=self.spec.seed),
            seconds=round(seconds, 3),
            trained_parameters=trained,
            parameters=parameters,
            settings=settings,
            validation_accuracy=validation,
        )
        self.reports[route], self.probabilities[route] = report, found
        if self.store is not None:
            self.store.report(route, report, found)
        return report

    def _told(self, route: str, report: Report) -> Iterator[Event]:
        yield ContenderDone(route, report.to_dict())
        yield from heed(self.control, len(self.reports))

    def _pooled(self, split: str) -> NDArray[np.float32]:
        return self.features[split].pooled(self.spec.pooling)

    def _penalty(self) -> float:
        head = self.heads.get(LR)
        return float(head.settings.removeprefix("C = ")) if head is not None else 0.01


def _figures(report: Report) -> dict[str, Any]:
    """A line of ``results``."""
    return {
        "accuracy": round(report.accuracy, 6),
        "interval": [round(end, 6) for end in report.interval],
        "accuracy_without_leaks": report.accuracy_without_leaks,
        "macro_f1": round(report.macro_f1, 6),
        "log_loss": round(report.log_loss, 6),
        "calibration_error": round(report.calibration_error, 6),
        "seconds": report.seconds,
        "trained_parameters": report.trained_parameters,
        "parameters": report.parameters,
        "settings": report.settings,
    }
