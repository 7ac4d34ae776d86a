"""From multiple-choice questions to a comparison of methods: zero-shot, frozen features, a fine-tuned encoder."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from checkpoints.run import Run
from data import choices as questions
from data.choices import ChoiceData, Item
from engine.choose import report as choose_report
from engine.choose.contenders import FittedRanker, Scorer, TunedRanker, ZeroShot, without_answers
from engine.choose.fine_tune import Ranking, TuneRankSettings
from engine.choose.results import RankingStore
from engine.choose.scorer import PairFeatures, pair_texts, truncated_questions
from engine.choose.spec import CROSS_ENTROPY, FINETUNE, MARGIN, METHODS, ZERO_SHOT, ChooseSpec
from engine.comparison import statistics
from engine.comparison.comparison import Comparison, compare
from engine.comparison.contender import Contender, Inputs, Labelled, LeftOut
from engine.comparison.results import Earlier
from engine.comparison.statistics import PairedTest
from engine.comparison.verdict import Judged, Pair, limits, pair, sentences
from engine.encoders.pretraining import about_encoder
from engine.hub_data import Obey, fetch
from engine.lm.find import AUTO, candidates
from engine.runs.events import ContenderStep, Event, ItemJudged, Loaded, Notice
from engine.runs.messages import Control, Stopped, handle_messages, passed
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.comparison.statistics import Values

T = TypeVar("T")
FROZEN = (MARGIN, CROSS_ENTROPY)
NAMES = {
    choose_report.LONGEST: "the longest choice",
    ZERO_SHOT: "zero-shot",
    MARGIN: "the scorer with margin loss",
    CROSS_ENTROPY: "the scorer with cross-entropy",
    FINETUNE: "fine-tuning",
}
"""of the methods in a sentence"""


def choose(spec: ChooseSpec, control: Control, run: Run | None = None) -> Iterator[Event]:
    """Rank the judged questions by every method that ``spec`` names, beside the controls.

    A new start goes on after the last item that zero-shot has judged, and finds features, a fine-tuned encoder and
    epochs that were finished. Raises :class:`data.formats.TableError`, :class:`engine.encoders.find.NoEncoder`,
    :class:`engine.lm.find.NoModel`, :class:`engine.encoders.encode.EncodeFailed`, and what
    :func:`engine.comparison.comparison.compare` raises. ``auto`` as the model is chosen at the first start.
    """
    if spec.model == AUTO and ZERO_SHOT in spec.methods:
        earlier = run.read_json(RankingStore.ABOUT).get("model") if run is not None else None
        named, why = candidates()[0] if not isinstance(earlier, str) else (earlier, "as at the first start")
        yield Notice(f"the language model is {named}: {why}", "info", "model")
        spec = replace(spec, model=named)

    def read(obey: Obey) -> Generator[Event, None, _Choosing]:
        fetched = yield from fetch(spec.data, questions.BUNDLED, obey)
        data = questions.load(
            spec.data,
            answer_base=spec.answer_base,
            context_column=spec.context_column,
            encoding=spec.encoding,
            limit=spec.limit,
            seed=spec.seed,
            fetched=fetched,
        )
        return _Choosing(spec, data, control)

    yield from compare(spec, control, run, read)


class _Choosing(Comparison):
    """The methods of one comparison, in the order in which they cost."""

    spec: ChooseSpec
    data: ChoiceData
    store: RankingStore | None
    features: PairFeatures

    def __init__(self, spec: ChooseSpec, data: ChoiceData, control: Control) -> None:
        self.gold = [item.gold for item in data.judged]
        judged = Inputs("judged", without_answers(data.judged))
        held_out = Labelled("held_out", data.held_out, [item.gold for item in data.held_out])
        train = Labelled("train", data.train, [item.gold for item in data.train])
        splits = {one.split: one.items for one in (judged, held_out, train)}
        features = PairFeatures(splits, spec.encoder, spec.pooling, length=spec.length, device=spec.device)
        super().__init__(spec, data, control, train, held_out, judged, features)
        self.right: dict[str, Values] = {}
        """of each method so far, 1 or 0 for each judged item"""
        self.hidden: dict[str, Values] = {}
        """the same with the question hidden"""

    def loaded(self) -> Loaded:
        data, methods = self.data, (method for method in METHODS if method in self.spec.methods)
        return replace(
            self.split_sizes(),
            judged_split=data.judged_split,
            contenders=(*choose_report.CONTROLS, *methods),
            checks=(*data.checks, *data.read, *questions.examples(data.judged)),
        )

    def keep(self, run: Run, writes: PendingWrites) -> None:
        self.store = RankingStore(run, self.spec, self.data, writes)

    def verdict(self) -> str:
        """Which methods are better, whether they use the question, and what limits the comparison."""
        judged = {name: Judged(NAMES[name], right) for name, right in self.right.items()}
        compared: list[Pair] = []
        for name in (one for one in METHODS if one in judged):
            compared.append(self._against_chance(judged[name], self.figures[name]["chance"]))
            untrained = () if name == ZERO_SHOT else (ZERO_SHOT,)
            others = (choose_report.LONGEST, *untrained, *(FROZEN if name == FINETUNE else ()))
            compared += [pair(judged[name], judged[other], self.spec.seed) for other in others if other in judged]
            if name in self.hidden:
                hidden = Judged("itself with the question hidden", self.hidden[name])
                compared.append(pair(judged[name], hidden, self.spec.seed))
        steps = {NAMES[name]: count for name, count in self.steps.items() if name == FINETUNE and name in judged}
        rows = len(self.data.train) if judged.keys() & {*FROZEN, FINETUNE} else None
        partial = {
            NAMES[name]: (found["judged"], found["of"])
            for name, found in self.figures.items()
            if found.get("judged", 0) < found.get("of", 0)
        }
        said = sentences(compared)
        said += about_encoder(self.features.encoder) if judged.keys() & {*FROZEN} else []
        return " ".join((*said, *limits(rows, len(self.gold), steps, partial)))

    def _against_chance(self, method: Judged, chance: float) -> Pair:
        """A method and guessing, by the binomial test."""
        right, total = round(statistics.scored(method.values).sum()), method.items
        p = statistics.above(right, total, chance, "two-sided")
        gap = method.mean - chance
        test = PairedTest(gap, gap, gap, right, total - right, p, total)
        return Pair(method, "chance", chance, test)

    def run(self) -> Generator[Event, None, None]:
        spec, items = self.spec, self.data.judged
        chance = round(choose_report.guessing(items), 6)
        yield from self._control(
            choose_report.CHANCE,
            {"accuracy": chance, "interval": [chance] * 2, "items": len(items), "seconds": 0.0},
        )
        longest = choose_report.longest(self.judged.items, spec.seed)
        yield from self._control(
            choose_report.LONGEST,
            choose_report.figures(longest, items, seconds=0.0),
            choose_report.correct(longest, items),
        )
        if ZERO_SHOT in spec.methods:
            saved = self.store.judged_items() if self.store is not None else None
            yield from self.contend(ZeroShot(spec, saved))
            if ZERO_SHOT in self.figures and self.figures[ZERO_SHOT]["judged"] < len(items):
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
        every = [*self.data.train, *self.data.held_out, *items]
        if cut := truncated_questions(every, spec.length):
            yield Notice(f"{cut:,} of {len(every):,} questions were cut at their beginning", "warning", "length")
        if MARGIN in wanted or CROSS_ENTROPY in wanted:
            yield from self.encode()
        for method in wanted:
            if method != FINETUNE:
                yield from self.contend(Scorer(method, spec))
        if FINETUNE in wanted:
            yield from self._fine_tune()

    def _control(self, name: str, result: dict[str, Any], right: Values | None = None) -> Iterator[Event]:
        """Figures of what needs no method."""
        self._record(name, result)
        if right is not None:
            self.right[name] = right
        yield self.done(name)
        yield from handle_messages(self.control, len(self.figures))

    def texts(self) -> list[str]:
        items = [item for split in (self.train, self.held_out, self.judged) for item in split.items]
        return pair_texts(items, self.spec.length)[2]

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
        seconds = time.monotonic() - begun
        data, facts = self.data.judged, fitted.facts
        try:
            result = choose_report.figures(scores, data, seconds=seconds, settings=facts.settings)
        except ValueError as error:
            raise LeftOut(f"{name} is left out: {error}") from None
        controls = yield from fitted.controls(self.judged, self.control)
        if facts.held_out_score is not None:
            result |= {
                "held_out_accuracy": round(facts.held_out_score, 6),
                "trained_parameters": facts.trained_parameters,
            }
        if name != ZERO_SHOT and (cut := truncated_questions(data, self.spec.length)):
            result["truncated"] = cut
        result |= choose_report.of_controls(controls, scores, data, seed)
        result |= self.read if name == FINETUNE else {}
        self.right[name] = choose_report.over_seeds(controls.seeds or (scores,), data)
        if controls.hidden:
            self.hidden[name] = choose_report.over_seeds(controls.hidden, data)
        if self.store is not None:
            self.store.outputs(name, [scores])
            fitted.save(self.store, steps)
        self._record(name, result)

    def take_over(self, name: str, earlier: Earlier) -> Iterator[Event]:
        (scores,) = earlier.outputs
        yield from _JudgedItems(self.gold).count(_items(name, scores, self.data.judged))
        self.right[name] = choose_report.correct(scores, self.data.judged)
        self._record(name, earlier.result)

    def _record(self, name: str, result: dict[str, Any]) -> None:
        self.figures[name] = result
        if self.store is not None:
            self.store.results(self.figures)


class _JudgedItems:
    """Gives every item that a method has judged its right choice, and the accuracy so far, of those it could score."""

    def __init__(self, gold: Sequence[int]) -> None:
        self._gold, self.done, self._scored, self._right = gold, 0, 0, 0

    def count(self, events: Generator[Event, None, T]) -> Generator[Event, None, T]:
        """What ``events`` yields and returns."""
        return passed(events, lambda event: (self._counted(event) if isinstance(event, ItemJudged) else event,))

    def _counted(self, event: ItemJudged) -> ItemJudged:
        gold = self._gold[event.item]
        self.done += 1
        if all(map(math.isfinite, event.scores)):
            self._scored += 1
            self._right += event.scores.index(max(event.scores)) == gold
        low, high = statistics.wilson(self._right, self._scored)
        return replace(event, gold=gold, accuracy=self._right / max(1, self._scored), low=low, high=high)


def _items(name: str, scores: NDArray[np.float64], items: Sequence[Item]) -> Generator[Event, None, None]:
    for place, item in enumerate(items):
        row = tuple(float(score) for score in scores[place, : len(item.choices)])
        yield ItemJudged(name, place, place + 1, len(items), -1, row, 0.0, 0.0, 1.0)
