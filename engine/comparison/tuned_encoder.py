"""A whole encoder that is fine-tuned, as a method of a comparison."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.comparison.contender import Facts, Inputs, Labelled
from engine.encoders import epochs
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.epochs import METHOD, Rows, Settings, Training, Tuned
from engine.encoders.find import Encoder
from engine.runs.events import ContenderStep, Event
from engine.runs.messages import Control


@dataclass(frozen=True)
class FineTuned:
    """The whole encoder, trained under a fresh head; the caller clears ``saved_epochs``."""

    encoder: Encoder
    settings: Settings
    saved_epochs: EpochCheckpoints
    device: str
    training: Callable[[Rows, Rows, Encoder, Any, Control, str], Training]
    """from the rows to train on and those to stop by"""
    fitted: Callable[[Tuned], FittedEncoder]
    reseeded: Callable[[int], FineTuned]
    name: str = METHOD

    def fit(
        self, train: Labelled, held_out: Labelled, features: Any, control: Control
    ) -> Generator[Event, None, FittedEncoder]:
        from engine.device import place

        device = str(place(self.device).device)
        rows = (train.items, train.labels), (held_out.items, held_out.labels)
        training = self.training(*rows, self.encoder, self.settings, control, device)
        tuned = yield from self.saved_epochs.writes.watch(epochs.tune(training, self.saved_epochs))
        return self.fitted(tuned)


@dataclass(frozen=True)
class FittedEncoder(ABC):
    """A whole encoder that was fine-tuned."""

    tuned: Tuned

    @property
    def facts(self) -> Facts:
        tuned, rate = self.tuned, self.tuned.settings.peak(self.tuned.encoder.width)
        settings = f"epoch {tuned.best_epoch} of {tuned.epochs}, learning rate {rate:g}"
        return Facts(settings, tuned.parameters, tuned.parameters, tuned.history[tuned.best_epoch - 1][1])

    @abstractmethod
    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, Any]:
        """Scores of every possible answer ``(inputs, answers)``."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Replace ``folder`` by one that ``transformers`` loads."""

    def save(self, store: Any, steps: Sequence[ContenderStep]) -> None:
        store.tuned(self.write)
