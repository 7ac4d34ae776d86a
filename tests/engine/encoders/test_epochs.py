"""The training of a whole encoder: schedule, decay, clipping, and which epoch remains, on a model of a few numbers."""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from engine.encoders import find as encoders
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.epochs import Settings, Training, tune
from engine.runs.messages import Control

SETTINGS = Settings(epochs=4, learning_rate=0.1, rows=4, warmup=0.25, clip=0.5, patience=9, seed=7)
JUDGED = [(0.9, 0.5), (0.5, 0.8), (0.7, 0.8), (0.4, 0.7)]  # loss and score after each epoch


class Small(Training):
    """A linear layer and a norm; notes the rate and the weights of every step."""

    def __init__(self, encoder: encoders.Encoder, settings: Settings, *, plain: bool = False) -> None:
        self.plain = plain
        self.rates: list[float] = []
        self.weights: list[dict[str, Any]] = []
        self.judged: list[dict[str, Any]] = []
        super().__init__(encoder, settings, Control(), "cpu")

    def open(self) -> Any:
        return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))

    def new_optimizer(self) -> Any:
        return torch.optim.SGD(self.model.parameters(), lr=1.0) if self.plain else super().new_optimizer()

    def batches(self, epoch: int) -> Sequence[Any]:
        return [range(4)] * 4

    def loss(self, batch: Any) -> torch.Tensor:
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        self.weights.append(copy.deepcopy(self.model.state_dict()))
        rows = torch.arange(12.0).reshape(4, 3)
        loss: torch.Tensor = 1e4 * (self.model(rows) - torch.tensor([1.0, -3.0])).square().mean()
        return loss

    def judge(self) -> Generator[Any, None, tuple[float, float]]:
        yield from ()
        self.judged.append(copy.deepcopy(self.model.state_dict()))
        return JUDGED[len(self.judged) - 1]


@pytest.fixture
def encoder(tmp_path: Path) -> encoders.Encoder:
    found: encoders.Encoder = tiny.finish(encoders.find(str(tiny.bert(tmp_path / "bert"))))[1]
    return found


def run(training: Small) -> Any:
    with EpochCheckpoints("test", repr(training.settings), training.plain) as saved_epochs:
        return tiny.finish(tune(training, saved_epochs))[1]


def test_the_best_epoch_by_score_remains_and_ties_go_to_the_lower_loss(encoder: encoders.Encoder) -> None:
    training = Small(encoder, SETTINGS)
    tuned = run(training)
    assert (tuned.best_epoch, tuned.epochs) == (2, 4)
    for name, tensor in tuned.model.state_dict().items():
        assert torch.equal(tensor, training.judged[1][name])
        assert not torch.equal(tensor, training.judged[3][name])
    assert list(tuned.history) == JUDGED


def test_it_ends_after_as_many_worse_epochs_as_its_patience(encoder: encoders.Encoder) -> None:
    assert run(Small(encoder, replace(SETTINGS, patience=1))).epochs == 3


def test_the_rate_rises_to_its_peak_and_falls_to_nothing_in_straight_lines(encoder: encoders.Encoder) -> None:
    training = Small(encoder, SETTINGS)
    run(training)
    rising = [0.1 * step / 4 for step in (1, 2, 3, 4)]  # a quarter of 16 steps
    falling = [0.1 * (16 - step) / 12 for step in range(4, 16)]
    assert training.rates == pytest.approx(rising + falling)


def test_matrices_decay_and_biases_and_norms_do_not(encoder: encoders.Encoder) -> None:
    training = Small(encoder, replace(SETTINGS, weight_decay=0.3))
    names = {id(parameter): name for name, parameter in training.model.named_parameters()}
    decay = {
        names[id(parameter)]: group["weight_decay"]
        for group in training.optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay == {"0.weight": 0.3, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0}


def test_gradients_are_clipped_to_a_norm(encoder: encoders.Encoder) -> None:
    training = Small(encoder, SETTINGS, plain=True)
    run(training)
    for before, after, rate in zip(training.weights, training.weights[1:], training.rates, strict=False):
        moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
        assert float(moved.norm()) == pytest.approx(rate * SETTINGS.clip, rel=1e-3)
