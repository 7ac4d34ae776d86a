"""The training of heads: the best epoch is what remains."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import tiny
import torch

from engine.comparison.head_training import FitSettings, fit_epochs
from engine.runs.messages import Control


@pytest.mark.parametrize("by_score", [False, True])
def test_the_weights_of_the_best_epoch_remain(by_score: bool) -> None:
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
    rows, labels = torch.randn(40, 4), torch.randint(0, 2, (40,))
    judged = [(0.9, 0.5), (0.5, 0.6), (0.7, 0.8), (0.6, 0.7), (0.8, 0.8), (0.9, 0.1)]  # loss and score of each epoch
    seen: list[dict[str, Any]] = []

    def judge() -> tuple[float, float]:
        assert not model.training
        seen.append(copy.deepcopy(model.state_dict()))
        return judged[len(seen) - 1]

    settings = FitSettings(epochs=len(judged), patience=9, rows=16, by_score=by_score)
    _, best = tiny.finish(
        fit_epochs(
            "margin",
            model,
            order=lambda: torch.randperm(40),
            loss=lambda some: torch.nn.functional.cross_entropy(model(rows[some]), labels[some]),
            judge=judge,
            control=Control(),
            settings=settings,
        )
    )
    expected = 3 if by_score else 2  # ties of the score go to the lower loss
    assert (best.epoch, best.epochs) == (expected, len(judged))
    assert best.score == judged[expected - 1][1]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, seen[expected - 1][name])
        assert not torch.equal(tensor, seen[-1][name])
    assert not model.training


def test_a_training_ends_when_it_gets_no_better() -> None:
    model = torch.nn.Linear(2, 2)
    losses = iter([0.5, 0.4, 0.6, 0.7, 0.8, 0.1])
    _, best = tiny.finish(
        fit_epochs(
            "",
            model,
            order=lambda: torch.arange(4),
            loss=lambda some: model(torch.ones(len(some), 2)).square().mean(),
            judge=lambda: (next(losses), 0.0),
            control=Control(),
            settings=FitSettings(epochs=6, patience=3),
        )
    )
    assert (best.epoch, best.epochs) == (2, 5)
