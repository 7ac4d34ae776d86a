"""The methods of a classification: the most frequent class, TF-IDF, heads on frozen features, fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.classify import baselines
from engine.classify.results import Store
from engine.classify.spec import LR, MLP, ClassifySpec
from engine.comparison import heads
from engine.comparison.contender import Facts, Inputs, Labelled, LeftOut
from engine.comparison.features import SplitFeatures
from engine.comparison.heads import Head
from engine.comparison.tuned_encoder import FittedEncoder
from engine.encoders.fine_tune import probabilities, save
from engine.runs.events import ContenderStep, Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Shares = NDArray[np.float64]


def _saves_nothing(store: Store, steps: Sequence[ContenderStep]) -> None: ...


@dataclass(frozen=True)
class FittedClassifier:
    """A method that gives every text its shares of the classes at once."""

    facts: Facts
    shares: Callable[[Inputs], Shares]
    save: Callable[[Store, Sequence[ContenderStep]], None] = _saves_nothing

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Shares]:
        yield from ()
        return self.shares(inputs)


@dataclass(frozen=True)
class Majority:
    """The training shares of the classes, for every text."""

    classes: Sequence[str]
    majority: int
    """index of the most frequent class in train"""
    name: str = baselines.MAJORITY

    def fit(
        self, train: Labelled, held_out: Labelled, features: SplitFeatures, control: Control
    ) -> Generator[Event, None, FittedClassifier]:
        import numpy as np

        yield from ()
        shares = np.bincount(np.asarray(train.labels), minlength=len(self.classes)) / len(train.labels)
        facts = Facts(self.classes[self.majority])
        return FittedClassifier(facts, lambda inputs: np.tile(shares, (len(inputs.items), 1)))


@dataclass(frozen=True)
class TfIdf:
    """Words and pairs of words, or characters, counted by TF-IDF, under logistic regression; ``C`` by held-out loss."""

    classes: int
    class_weights: bool
    name: str = baselines.TFIDF

    def fit(
        self, train: Labelled, held_out: Labelled, features: SplitFeatures, control: Control
    ) -> Generator[Event, None, FittedClassifier]:
        try:
            words = baselines.count_words(train.items)
            head = yield from heads.logistic(
                self.name,
                (words.features(train.items), train.labels),
                (words.features(held_out.items), held_out.labels),
                control,
                classes=self.classes,
                class_weights=self.class_weights,
                standardise=False,
                grid=baselines.GRID,
                widen=True,
            )
        except ValueError as error:
            raise LeftOut(f"TF-IDF is left out: {error}") from None

        def save(store: Store, steps: Sequence[ContenderStep]) -> None:
            store.words(words)
            store.head(self.name, head)

        facts = Facts(f"{words}, {head.settings}", head.parameters, head.parameters, head.validation_accuracy)
        return FittedClassifier(facts, lambda inputs: head.probabilities(words.features(inputs.items)), save)


@dataclass(frozen=True)
class FrozenHead:
    """Logistic regression or an MLP on features of the encoder as it is."""

    name: str
    """``lr`` or ``mlp``"""
    classes: int
    spec: ClassifySpec

    def fit(
        self, train: Labelled, held_out: Labelled, features: SplitFeatures, control: Control
    ) -> Generator[Event, None, FittedClassifier]:
        learnt = features.rows(train.split), train.labels
        looked = features.rows(held_out.split), held_out.labels
        head = yield from self.learn(learnt, looked, control)

        def save(store: Store, steps: Sequence[ContenderStep]) -> None:
            store.head(self.name, head, steps if self.name == MLP else ())

        settings, every = f"{features.pooling} pooling, {head.settings}", head.parameters + features.encoder.parameters
        facts = Facts(settings, head.parameters, every, head.validation_accuracy)
        return FittedClassifier(facts, lambda inputs: head.probabilities(features.rows(inputs.split)), save)

    def reseeded(self, number: int) -> FrozenHead:
        return replace(self, spec=replace(self.spec, seed=self.spec.seed + number))

    def learn(self, learnt: Any, looked: Any, control: Control) -> Generator[Event, None, Head]:
        """Train on features and labels; ``looked`` are those that settings and epoch are chosen on."""
        common: dict[str, Any] = {"classes": self.classes, "class_weights": self.spec.class_weights}
        if self.name == LR:
            return (yield from heads.logistic(LR, learnt, looked, control, **common))
        from engine.device import place

        where = str(place(self.spec.device).device)
        return (yield from heads.mlp(MLP, learnt, looked, control, seed=self.spec.seed, device=where, **common))


@dataclass(frozen=True)
class TunedClassifier(FittedEncoder):
    """The fine-tuned encoder."""

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Shares]:
        return probabilities(self.tuned, inputs.items)

    def write(self, folder: Path) -> None:
        save(self.tuned, folder)
