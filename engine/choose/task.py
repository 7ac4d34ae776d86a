"""From multiple-choice questions to a comparison of methods: zero-shot, frozen features, a fine-tuned encoder."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from data import choices as questions
from data.choices import ChoiceData, Item
from engine import hub
from engine.choose import report as choose_report
from engine.choose.spec import CROSS_ENTROPY, FINETUNE, MARGIN, METHODS, ZERO_SHOT, ChooseSpec
from engine.comparison import statistics
from engine.comparison.comparison import compare
from engine.encoders import find as encoders
from engine.encoders.epoch_checkpoints import Kept
from engine.encoders.find import Encoder
from engine.encoders.recorded_steps import noting
from engine.runs.events import ContenderDone, ContenderStep, Event, ItemJudged, Loaded, Notice, Progress
from engine.runs.messages import Control, Stopped, heed
from engine.runs.writes import Writes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.choose.results import ChoiceStore
    from engine.choose.scorer import Pairs, Ranker

REORDERED = 100  # items that zero-shot scores again with their choices in another order


def choose(spec: ChooseSpec, control: Control, run: Run | None = None) -> Iterator[Event]:
    """Rank the judged questions by every method that ``spec`` names, beside the controls.

    A stop keeps what zero-shot has judged until then; features, a fine-tuned encoder and epochs that were finished are
    found again by a new start. Raises :class:`data.choices.TableError`, :class:`engine.encoders.find.NoEncoder`,
    :class:`engine.lm.find.NoModel`, :class:`engine.encoders.encode.EncodeFailed`, and what
    :func:`engine.comparison.comparison.compare` raises.
    """

    def read() -> _Methods:
        data = questions.load(spec.data, limit=spec.limit, seed=spec.seed, unreachable=hub.unreachable)
        return _Methods(spec, data, control)

    yield from compare(spec, control, run, read)


class _Methods:
    """The methods of one comparison, in the order in which they cost."""

    def __init__(self, spec: ChooseSpec, data: ChoiceData, control: Control) -> None:
        self.spec, self.data, self.control = spec, data, control
        self.judged = data.judged
        self.gold = [item.gold for item in self.judged]
        self.store: ChoiceStore | None = None
        self.told: dict[str, dict[str, Any]] = {}
        """figures of each method"""

    def loaded(self) -> Loaded:
        spec, data = self.spec, self.data
        return Loaded(
            task=spec.task,
            data=data.name,
            source=data.source,
            train=len(data.train),
            held_out=len(data.held_out),
            judged=len(data.judged),
            judged_split=data.judged_split,
            fingerprint=data.fingerprint,
            contenders=(*choose_report.CONTROLS, *(method for method in METHODS if method in spec.methods)),
            checks=data.checks,
            repairs=data.repairs,
        )

    def keep(self, run: Run, writes: Writes) -> None:
        from engine.choose.results import ChoiceStore

        self.store = ChoiceStore(run, self.spec, self.data, writes)

    def results(self) -> dict[str, dict[str, Any]]:
        return self.told

    def verdict(self) -> str:
        return choose_report.verdict(self.told)

    def run(self) -> Generator[Event, None, None]:
        spec, judged = self.spec, self.judged
        chance = choose_report.guessing(judged)
        yield from self._result(
            choose_report.CHANCE,
            {"accuracy": round(chance, 6), "interval": [round(chance, 6)] * 2, "items": len(judged), "seconds": 0.0},
        )
        found = choose_report.longest(judged, spec.seed)
        yield from self._result(
            choose_report.LONGEST, choose_report.figures(found, judged, seed=spec.seed, seconds=0.0)
        )
        if ZERO_SHOT in spec.methods:
            yield from self._zero_shot()
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
        encoder = yield from encoders.find(spec.encoder, self.control)
        if self.store is not None:
            self.store.encoder(encoder)
        if MARGIN in wanted or CROSS_ENTROPY in wanted:
            yield from self._rankers(encoder, [method for method in wanted if method != FINETUNE])
        if FINETUNE in wanted:
            yield from self._finetune(encoder)

    # -- zero-shot ---------------------------------------------------------------------------------------------------

    def _zero_shot(self) -> Iterator[Event]:
        from engine.choose.zero_shot import LEADING, Judging, Reader
        from engine.lm import find as lm

        begun = time.monotonic()
        try:
            model = yield from lm.load(self.spec.model, self.control)
        except lm.LoadingStopped:
            raise Stopped from None
        if model.tokenizer.kind == "characters":
            yield Notice(
                f"{model.name} reads characters and was trained on one small corpus: expect chance on anything else",
                "warning",
                "model",
            )
        reader = Reader(model, self.spec.uninformative)
        judging = Judging(reader, self.judged)
        stopped = False
        try:
            yield from judging.run(self.control)
        except Stopped:
            stopped = True
        if reader.unspelled:
            yield Notice(
                f"{reader.unspelled:,} characters that {model.name} does not know were left out", "warning", "model"
            )
        if not judging.done:
            raise Stopped
        settings = f"{model.name} ({model.parameters:,} parameters), by {LEADING}"
        result, scores = judging.result(self.spec.seed, time.monotonic() - begun, settings)
        if not stopped:
            changed = yield from judging.reordered(self.control, self.spec.seed, REORDERED)
            result["choices_shuffled"] = changed
        if self.store is not None:
            self.store.scores(ZERO_SHOT, scores)
        model.forget()
        yield from self._result(ZERO_SHOT, result)
        if stopped:
            raise Stopped

    # -- trained -----------------------------------------------------------------------------------------------------

    def _rankers(self, encoder: Encoder, methods: Sequence[str]) -> Iterator[Event]:
        from engine.choose.scorer import featurise
        from engine.encoders.encode import placed

        spec, begun = self.spec, time.monotonic()
        parts: dict[str, Pairs] = {}
        for name in ("judged", "held_out", "train"):  # the short ones first: they show how long the last takes
            items: Sequence[Item] = getattr(self.data, name)
            parts[name] = yield from featurise(
                items, encoder, self.control, pooling=spec.pooling, length=spec.length, device=spec.device
            )
        encoding = time.monotonic() - begun
        where, _ = placed(spec.device)
        for method in methods:
            yield from self._ranker(method, parts, where, encoding)

    def _ranker(self, method: str, parts: Mapping[str, Pairs], device: str, encoding: float) -> Iterator[Event]:
        """One loss: several seeds, then the same without the questions, then with the choices in another order."""
        from engine.choose.scorer import RankSettings, fit

        spec, begun = self.spec, time.monotonic()
        settings = RankSettings(loss="margin" if method == MARGIN else "cross-entropy", margin=spec.margin)
        judged = parts["judged"]
        first: Ranker | None = None
        seeds: list[float] = []
        for number in range(spec.seeds):
            ranker = yield from fit(
                method if number == 0 else "",
                parts["train"],
                parts["held_out"],
                replace(settings, seed=spec.seed + number),
                self.control,
                device=device,
            )
            if first is None:
                first = ranker
                scores = ranker.scores(judged)
                yield from self._tell(method, scores)
                seconds = time.monotonic() - begun
            seeds.append(statistics.accuracy(ranker.scores(judged), self.gold))
            yield Progress(f"{method}: seeds trained", number + 1, spec.seeds)
        assert first is not None
        blind = yield from fit(
            "",
            parts["train"].hidden(),
            parts["held_out"].hidden(),
            replace(settings, seed=spec.seed),
            self.control,
            device=device,
        )
        told = f"{spec.pooling} pooling, epoch {first.best_epoch} of {first.epochs}"
        result = choose_report.figures(
            scores,
            self.judged,
            seed=spec.seed,
            seconds=seconds + encoding,
            settings=told + (f", margin {spec.margin:g}" if method == MARGIN else ""),
        )
        result |= {
            "held_out_accuracy": round(first.held_out_accuracy, 6),
            "trained_parameters": first.parameters,
            "seeds": [round(one, 6) for one in seeds],
            "question_hidden": choose_report.against(scores, blind.scores(judged.hidden()), self.gold, spec.seed),
            "choices_shuffled": _shuffled(first, judged, scores, self.judged, spec.seed),
        }
        if self.store is not None:
            self.store.scores(method, scores)
            self.store.ranker(method, first)
        yield from self._result(method, result)

    def _finetune(self, encoder: Encoder) -> Iterator[Event]:
        from engine.choose.fine_tune import TuneRankSettings, made_of, tune

        spec, begun = self.spec, time.monotonic()
        settings = TuneRankSettings(
            epochs=spec.epochs, learning_rate=spec.learning_rate, length=spec.length, seed=spec.seed
        )
        made = made_of(encoder, settings, self.data.fingerprint)
        steps: list[ContenderStep] = []
        with Kept(*made) as kept:
            if self.store is not None and (earlier := self.store.again(made, len(self.judged))) is not None:
                kept.clear()  # where an earlier start ended before it could
                yield from earlier.steps
                yield from self._tell(FINETUNE, earlier.scores)
                yield from self._result(FINETUNE, earlier.result)
                return
            training = tune(
                self.data.train, self.data.held_out, encoder, settings, self.control, kept=kept, device=spec.device
            )
            tuned = yield from kept.writes.watch(noting(training, steps))
            scores = yield from tuned.scores(self.judged, self.control)
            yield from self._tell(FINETUNE, scores)
            told = f"epoch {tuned.best_epoch} of {tuned.epochs}, learning rate {settings.peak(encoder.width):g}"
            result = choose_report.figures(
                scores, self.judged, seed=spec.seed, seconds=time.monotonic() - begun, settings=told
            )
            hidden = [replace(item, question="", context="") for item in self.judged]
            blind = yield from tuned.scores(hidden, self.control)
            result |= {
                "held_out_accuracy": round(tuned.history[tuned.best_epoch - 1][1], 6),
                "trained_parameters": tuned.parameters,
                # Not trained again without questions: what the choices alone can teach it may be more.
                "question_hidden": choose_report.against(scores, blind, self.gold, spec.seed) | {"retrained": False},
            }
            if self.store is not None:
                self.store.tuned(tuned)
                self.store.scores(FINETUNE, scores)
                self.store.results({**self.told, FINETUNE: result})
                self.store.settled(made, result, steps)
                yield from self.store.writes.settle(self.control)
            kept.clear()
        yield from self._result(FINETUNE, result)

    # -- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, method: str, scores: NDArray[np.float64]) -> Iterator[Event]:
        """A word about every judged item, with the accuracy so far."""
        right = 0
        total = len(self.judged)
        for place, item in enumerate(self.judged):
            row = tuple(float(score) for score in scores[place, : len(item.choices)])
            right += row.index(max(row)) == item.gold
            low, high = statistics.wilson(right, place + 1)
            yield ItemJudged(method, place, place + 1, total, item.gold, row, right / (place + 1), low, high)

    def _result(self, method: str, result: dict[str, Any]) -> Iterator[Event]:
        self.told[method] = result
        if self.store is not None:
            self.store.results(self.told)
        yield ContenderDone(method, result)
        yield from heed(self.control, len(self.told))


def _shuffled(
    ranker: Ranker, judged: Pairs, scores: NDArray[np.float64], items: Sequence[Item], seed: int
) -> dict[str, Any]:
    """The same ranker on the same items with their choices in another order: who looks at the choice itself, not at its
    place, chooses the same.
    """
    import numpy as np

    order = choose_report.orders(items, seed)
    moved = judged.reordered(order)
    again = ranker.scores(moved).argmax(1)
    rows = np.arange(len(again))
    return {
        "accuracy": round(float((again == moved.gold).mean()), 6),
        "changed": int((order[rows, again] != scores.argmax(1)).sum()),
        "items": len(items),
    }
