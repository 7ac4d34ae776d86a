"""The methods of a classification: the most frequent class, TF-IDF, heads on frozen features, fine-tuning."""

from __future__ import annotations

from collections.abc import Generator, Sequence
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


@dataclass(frozen=True)
class Majority:
    """The training shares of the classes, for every text."""

    classes: Sequence[str]
    majority: int
    """index of the most frequent class in train"""
    name: str = baselines.MAJORITY

    def fit(
        self, train: Labelled, held_out: Labelled, features: SplitFeatures, control: Control
    ) -> Generator[Event, None, FittedMajority]:
        yield from ()
        return FittedMajority(train.labels, len(self.classes), Facts(self.classes[self.majority]))


@dataclass(frozen=True)
class FittedMajority:
    labels: Sequence[int]
    classes: int
    facts: Facts

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Shares]:
        import numpy as np

        yield from ()
        shares = np.bincount(np.asarray(self.labels), minlength=self.classes) / len(self.labels)
        return np.tile(shares, (len(inputs.items), 1))

    def save(self, store: Store, steps: Sequence[ContenderStep]) -> None: ...


@dataclass(frozen=True)
class TfIdf:
    """Words and pairs of words, or characters, counted by TF-IDF, under logistic regression; ``C`` by held-out loss."""

    classes: int
    class_weights: bool
    name: str = baselines.TFIDF

    def fit(
        self, train: Labelled, held_out: Labelled, features: SplitFeatures, control: Control
    ) -> Generator[Event, None, FittedTfIdf]:
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
        return FittedTfIdf(words, head)


@dataclass(frozen=True)
class FittedTfIdf:
    words: baselines.Words
    head: Head

    @property
    def facts(self) -> Facts:
        settings = f"{self.words}, {self.head.settings}"
        return Facts(settings, self.head.parameters, self.head.parameters, self.head.validation_accuracy)

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Shares]:
        yield from ()
        return self.head.probabilities(self.words.features(inputs.items))

    def save(self, store: Store, steps: Sequence[ContenderStep]) -> None:
        store.words(self.words)
        store.head(baselines.TFIDF, self.head)


@dataclass(frozen=True)
class FrozenHead:
    """Logistic regression or an MLP on features of the encoder as it is."""

    name: str
    """``lr`` or ``mlp``"""
    classes: int
    spec: ClassifySpec

    def fit(
        self, train: Labelled, held_out: Labelled, features: SplitFeatures, control: Control
    ) -> Generator[Event, None, FittedHead]:
        learnt = features.rows(train.split), train.labels
        looked = features.rows(held_out.split), held_out.labels
        return FittedHead(self.name, (yield from self.learn(learnt, looked, control)), features)

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
class FittedHead:
    name: str
    head: Head
    features: SplitFeatures

    @property
    def facts(self) -> Facts:
        trained = self.head.parameters
        settings = f"{self.features.pooling} pooling, {self.head.settings}"
        return Facts(settings, trained, trained + self.features.encoder.parameters, self.head.validation_accuracy)

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Shares]:
        yield from ()
        return self.head.probabilities(self.features.rows(inputs.split))

    def save(self, store: Store, steps: Sequence[ContenderStep]) -> None:
        store.head(self.name, self.head, steps if self.name == MLP else ())


@dataclass(frozen=True)
class TunedClassifier(FittedEncoder):
    """The fine-tuned encoder."""

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Shares]:
        return probabilities(self.tuned, inputs.items)

    def write(self, folder: Path) -> None:
        save(self.tuned, folder)
