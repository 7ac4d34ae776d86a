"""From multiple-choice questions to a comparison of methods: zero-shot, frozen features, a fine-tuned encoder."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from checkpoints.run import Run
from data import choices as questions
from data.choices import ChoiceData, Item
from engine import hub
from engine.choose import report as choose_report
from engine.choose.contenders import FittedRanker, Scorer, TunedRanker, ZeroShot, without_answers
from engine.choose.fine_tune import Ranking, TuneRankSettings
from engine.choose.results import ChoiceStore
from engine.choose.scorer import PairFeatures
from engine.choose.spec import CROSS_ENTROPY, FINETUNE, MARGIN, METHODS, ZERO_SHOT, ChooseSpec
from engine.comparison import statistics
from engine.comparison.comparison import Comparison, compare
from engine.comparison.contender import Contender, Inputs, Labelled
from engine.comparison.results import Earlier
from engine.runs.events import ContenderStep, Event, ItemJudged, Loaded, Notice
from engine.runs.messages import Control, Stopped, handle_messages, passed
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


def choose(spec: ChooseSpec, control: Control, run: Run | None = None) -> Iterator[Event]:
    """Rank the judged questions by every method that ``spec`` names, beside the controls.

    A stop keeps what zero-shot has judged until then; features, a fine-tuned encoder and epochs that were finished are
    found again by a new start. Raises :class:`data.choices.TableError`, :class:`engine.encoders.find.NoEncoder`,
    :class:`engine.lm.find.NoModel`, :class:`engine.encoders.encode.EncodeFailed`, and what
    :func:`engine.comparison.comparison.compare` raises.
    """

    def read() -> _Choosing:
        data = questions.load(spec.data, limit=spec.limit, seed=spec.seed, unreachable=hub.unreachable)
        return _Choosing(spec, data, control)

    yield from compare(spec, control, run, read)


class _Choosing(Comparison):
    """The methods of one comparison, in the order in which they cost."""

    spec: ChooseSpec
    data: ChoiceData
    store: ChoiceStore | None
    features: PairFeatures

    def __init__(self, spec: ChooseSpec, data: ChoiceData, control: Control) -> None:
        self.gold = [item.gold for item in data.judged]
        judged = Inputs("judged", without_answers(data.judged))
        held_out = Labelled("held_out", data.held_out, [item.gold for item in data.held_out])
        train = Labelled("train", data.train, [item.gold for item in data.train])
        splits = {one.split: one.items for one in (judged, held_out, train)}
        features = PairFeatures(splits, spec.encoder, spec.pooling, length=spec.length, device=spec.device)
        super().__init__(spec, data, control, train, held_out, judged, features)

    def loaded(self) -> Loaded:
        data, methods = self.data, (method for method in METHODS if method in self.spec.methods)
        return replace(
            self.split_sizes(),
            judged_split=data.judged_split,
            contenders=(*choose_report.CONTROLS, *methods),
            checks=data.checks,
        )

    def keep(self, run: Run, writes: PendingWrites) -> None:
        self.store = ChoiceStore(run, self.spec, self.data, writes)

    def verdict(self) -> str:
        return choose_report.verdict(self.figures)

    def run(self) -> Generator[Event, None, None]:
        spec, items = self.spec, self.data.judged
        chance = round(choose_report.guessing(items), 6)
        yield from self._control(
            choose_report.CHANCE,
            {"accuracy": chance, "interval": [chance] * 2, "items": len(items), "seconds": 0.0},
        )
        longest = choose_report.longest(self.judged.items, spec.seed)
        yield from self._control(
            choose_report.LONGEST, choose_report.figures(longest, items, seed=spec.seed, seconds=0.0)
        )
        if ZERO_SHOT in spec.methods:
            yield from self.contend(ZeroShot(spec))
            if self.figures[ZERO_SHOT]["items"] < len(items):
                raise Stopped
        wanted = [method for method in METHODS[1:] if method in spec.methods]
        if wanted and not (self.data.train and self.data.held_out):
            yield Notice(
                f"{', '.join(wanted)} left out: {self.data.name} has too few questions to train on "
                f"({len(self.data.train)} and {len(self.data.held_out)} to stop by)",
                "warning",
                "train",
            )
            return
        if not wanted:
            return
        encoder = yield from self.features.open(self.control)
        if self.store is not None:
            self.store.encoder(encoder)
        if MARGIN in wanted or CROSS_ENTROPY in wanted:
            yield from self.features.encode(self.control)
        for method in wanted:
            if method != FINETUNE:
                yield from self.contend(Scorer(method, spec))
        if FINETUNE in wanted:
            yield from self._fine_tune()

    def _control(self, name: str, result: dict[str, Any]) -> Iterator[Event]:
        """Figures of what needs no method."""
        self._record(name, result)
        yield self.done(name)
        yield from handle_messages(self.control, len(self.figures))

    def _fine_tune(self) -> Iterator[Event]:
        spec = self.spec
        settings = TuneRankSettings(
            epochs=spec.epochs, learning_rate=spec.learning_rate, length=spec.length, seed=spec.seed
        )
        yield from self.fine_tune(settings, Ranking, TunedRanker)

    def judge(
        self, contender: Contender, fitted: FittedRanker, steps: list[ContenderStep], begun: float
    ) -> Iterator[Event]:
        name, seed, items = contender.name, self.spec.seed, _JudgedItems(self.gold)
        scores = yield from items.count(fitted.outputs(self.judged, self.control))
        if not items.done:
            yield from items.count(_items(name, scores, self.data.judged))
        seconds = time.monotonic() - begun + (self.features.seconds if contender.frozen else 0.0)
        controls = yield from fitted.controls(self.judged, self.control)
        facts, done = fitted.facts, self.data.judged[: len(scores)]
        result = choose_report.figures(scores, done, seed=seed, seconds=seconds, settings=facts.settings)
        if facts.held_out_score is not None:
            result |= {
                "held_out_accuracy": round(facts.held_out_score, 6),
                "trained_parameters": facts.trained_parameters,
            }
        result |= choose_report.of_controls(controls, scores, self.gold[: len(scores)], seed)
        if self.store is not None:
            self.store.outputs(name, scores)
            fitted.save(self.store, steps)
        self._record(name, result)

    def take_over(self, name: str, earlier: Earlier) -> Iterator[Event]:
        yield from _JudgedItems(self.gold).count(_items(name, earlier.outputs, self.data.judged))
        self._record(name, earlier.result)

    def _record(self, name: str, result: dict[str, Any]) -> None:
        self.figures[name] = result
        if self.store is not None:
            self.store.results(self.figures)


class _JudgedItems:
    """Gives every item that a method has scored its right choice, and the accuracy so far."""

    def __init__(self, gold: Sequence[int]) -> None:
        self._gold, self.done, self._right = gold, 0, 0

    def count(self, events: Generator[Event, None, T]) -> Generator[Event, None, T]:
        """What ``events`` yields and returns."""
        return passed(events, lambda event: (self._counted(event) if isinstance(event, ItemJudged) else event,))

    def _counted(self, event: ItemJudged) -> ItemJudged:
        gold = self._gold[event.item]
        self.done += 1
        self._right += event.scores.index(max(event.scores)) == gold
        low, high = statistics.wilson(self._right, self.done)
        return replace(event, gold=gold, accuracy=self._right / self.done, low=low, high=high)


def _items(name: str, scores: NDArray[np.float64], items: Sequence[Item]) -> Generator[Event, None, None]:
    """The scores of a method, item by item."""
    for place, item in enumerate(items):
        row = tuple(float(score) for score in scores[place, : len(item.choices)])
        yield ItemJudged(name, place, place + 1, len(items), -1, row, 0.0, 0.0, 1.0)
