"""The methods that rank choices: zero-shot, scorers on frozen features, a fine-tuned encoder."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from data.choices import Item
from engine.choose import report as choose_report
from engine.choose.fine_tune import save, scores
from engine.choose.judged_items import JudgedItems
from engine.choose.likelihood import LEADING, WAYS, Reader
from engine.choose.report import Controls
from engine.choose.scorer import GroupedHead, PairFeatures, Pairs, RankSettings, fit
from engine.choose.spec import MARGIN, ZERO_SHOT, ChooseSpec
from engine.choose.zero_shot import Judging
from engine.comparison.contender import Facts, Fitted, Inputs, Labelled
from engine.comparison.tuned_encoder import FittedEncoder
from engine.runs.events import ContenderStep, Event, Notice, Progress
from engine.runs.messages import Control, Stopped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.choose.results import RankingStore

    Scores: TypeAlias = NDArray[np.float64]

REORDERED = 100  # items that zero-shot scores again with their choices in another order


class FittedRanker(Fitted, Protocol):
    """A method that ranks choices."""

    def controls(self, inputs: Inputs, control: Control) -> Generator[Event, None, Controls]:
        """The same inputs under other conditions."""


@dataclass(frozen=True)
class ZeroShot:
    """A causal language model that says how probable each choice is after the question."""

    spec: ChooseSpec
    saved: JudgedItems | None = None
    """items that are judged already, and where the others are put"""
    name: str = ZERO_SHOT

    def fit(
        self, train: Labelled, held_out: Labelled, features: PairFeatures, control: Control
    ) -> Generator[Event, None, FittedZeroShot]:
        """Load the model; nothing is trained."""
        from engine.lm import find as lm

        try:
            model = yield from lm.load(self.spec.model, control, device=self.spec.device)
        except lm.LoadingStopped:
            raise Stopped from None
        if model.tokenizer.kind == "characters":
            yield Notice(
                f"{model.name} reads characters and was trained on one small corpus: expect chance on anything else",
                "warning",
                "model",
            )
        return FittedZeroShot(Reader(model, self.spec.uninformative), self.spec.seed, self.saved)


@dataclass
class FittedZeroShot:
    reader: Reader
    seed: int
    saved: JudgedItems | None = None
    judging: Judging | None = None

    @property
    def facts(self) -> Facts:
        model = self.reader.lm
        return Facts(f"{model.name} ({model.parameters:,} parameters), by {LEADING}")

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Scores]:
        self.judging = judging = Judging(self.reader, inputs.items, self.saved)
        with contextlib.suppress(Stopped):  # what was scored until then is judged
            yield from judging.run(control)
        name = self.reader.lm.name
        if left_out := self.reader.unspelled:
            yield Notice(f"{left_out:,} characters that {name} does not know were left out", "warning", "model")
        if judging.truncated:
            cut = f"{judging.truncated:,} of {len(judging.done):,} prompts were cut at their beginning"
            yield Notice(f"{cut} to the {self.reader.lm.context:,} tokens of {name}'s context", "warning", "model")
        for reason, count in judging.unscored.most_common():
            said = f"{count:,} of {len(judging.done):,} items could not be scored and are in none of its figures"
            yield Notice(f"{ZERO_SHOT}: {said}: {reason}", "warning", "model")
        if not judging.done:
            raise Stopped
        return judging.scores(LEADING)

    def controls(self, inputs: Inputs, control: Control) -> Generator[Event, None, Controls]:
        judging = self.judging
        assert judging is not None, "asked before its outputs"
        shuffled = None
        if len(judging.done) == len(inputs.items):
            shuffled = yield from judging.reordered(control, self.seed, REORDERED)
        ways = {way: judging.scores(way) for way in WAYS}
        return Controls(ways, hidden=(judging.alone(),), shuffled=shuffled, truncated=judging.truncated)

    def save(self, store: RankingStore, steps: Sequence[ContenderStep]) -> None:
        self.reader.lm.forget()


@dataclass(frozen=True)
class Scorer:
    """A small network on frozen features of question and choice, under one of two losses."""

    name: str
    """``margin`` or ``cross-entropy``"""
    spec: ChooseSpec

    def fit(
        self, train: Labelled, held_out: Labelled, features: PairFeatures, control: Control
    ) -> Generator[Event, None, FittedScorer]:
        parts = features.pairs(train.split), features.pairs(held_out.split)
        ranker = yield from self.trained(*parts, control, self.spec.seed, self.name)
        return FittedScorer(self, features, *parts, ranker)

    def trained(
        self, train: Pairs, held_out: Pairs, control: Control, seed: int, name: str = ""
    ) -> Generator[Event, None, GroupedHead]:
        """Train with a seed; steps are yielded under ``name``, if there is one."""
        from engine.device import place

        where = str(place(self.spec.device).device)
        return fit(name, train, held_out, replace(self.settings, seed=seed), control, device=where)

    @property
    def settings(self) -> RankSettings:
        return RankSettings(loss="margin" if self.name == MARGIN else "cross-entropy", margin=self.spec.margin)


@dataclass(frozen=True)
class FittedScorer:
    method: Scorer
    features: PairFeatures
    train: Pairs
    held_out: Pairs
    ranker: GroupedHead

    @property
    def facts(self) -> Facts:
        spec, ranker = self.method.spec, self.ranker
        settings = f"{spec.pooling} pooling, epoch {ranker.best_epoch} of {ranker.epochs}"
        settings += f", margin {spec.margin:g}" if self.method.name == MARGIN else ""
        return Facts(settings, ranker.parameters, held_out_score=ranker.held_out_accuracy)

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Scores]:
        yield from ()
        return self.ranker.scores(self.features.pairs(inputs.split))

    def controls(self, inputs: Inputs, control: Control) -> Generator[Event, None, Controls]:
        spec, pairs = self.method.spec, self.features.pairs(inputs.split)
        train, held_out = self.train, self.held_out
        seeds, hidden = [], []
        for number in range(spec.seeds):
            ranker, seed = self.ranker, spec.seed + number
            if number:
                ranker = yield from self.method.trained(train, held_out, control, seed)
            seeds.append(ranker.scores(pairs))
            blind = yield from self.method.trained(train.hidden(), held_out.hidden(), control, seed)
            hidden.append(blind.scores(pairs.hidden()))
            yield Progress(f"{self.method.name}: seeds trained", number + 1, spec.seeds)
        order = choose_report.orders(inputs.items, spec.seed)
        shuffled = order, self.ranker.scores(pairs.reordered(order))
        return Controls(seeds=seeds, hidden=hidden, shuffled=shuffled)

    def save(self, store: RankingStore, steps: Sequence[ContenderStep]) -> None:
        store.ranker(self.method.name, self.ranker)


@dataclass(frozen=True)
class TunedRanker(FittedEncoder):
    """The fine-tuned encoder."""

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Scores]:
        return scores(self.tuned, inputs.items, control)

    def controls(self, inputs: Inputs, control: Control) -> Generator[Event, None, Controls]:
        hidden = [replace(item, question="", context="") for item in inputs.items]
        # Not trained again without questions: what the choices alone can teach it may be more.
        return Controls(hidden=((yield from scores(self.tuned, hidden, control)),), retrained=False)

    def write(self, folder: Path) -> None:
        save(self.tuned, folder)


def without_answers(items: Sequence[Item]) -> list[Item]:
    """The same questions, the right choices not said."""
    return [replace(item, gold=-1) for item in items]
