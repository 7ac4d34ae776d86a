"""The scorer on frozen pairs: its losses are those of a loop, it learns what can be learned, and the seed decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from data.choices import Item
from engine.choose.scorer import (
    LOSSES,
    GroupedHead,
    Loss,
    PairFeatures,
    Pairs,
    RankSettings,
    arrays,
    fit,
    loss_of,
    pair_texts,
    ranker_from,
)
from engine.runs.events import ContenderStep
from engine.runs.messages import Control, Stop, Stopped

WIDTH = 12


def pairs(count: int, seed: int, most: int = 4) -> Pairs:
    """Items whose right choice resembles the question; some have fewer choices."""
    rng = np.random.default_rng(seed)
    question = rng.normal(size=(count, WIDTH)).astype(np.float32)
    choice = rng.normal(size=(count, most, WIDTH)).astype(np.float32)
    there = np.ones((count, most), bool)
    there[::5, most - 1] = False
    gold = np.array([rng.integers(0, most - 1) for _ in range(count)])
    choice[np.arange(count), gold] = question + 0.3 * rng.normal(size=(count, WIDTH)).astype(np.float32)
    choice[~there] = 0
    return Pairs(question, choice, choice.copy(), there, gold)


def trained(settings: RankSettings, seed: int = 0) -> GroupedHead:
    """A ranker on 300 items."""
    _, ranker = tiny.finish(fit("margin", pairs(300, seed), pairs(80, seed + 1), settings, Control()))
    assert isinstance(ranker, GroupedHead)
    return ranker


def test_losses_are_those_of_a_loop() -> None:
    torch.manual_seed(0)
    scores = torch.randn(6, 4)
    scores[0, 3] = scores[4, 2] = scores[4, 3] = -torch.inf
    gold = torch.tensor([1, 0, 3, 2, 1, 0])
    parts, items = [], []
    for row, right in zip(scores.tolist(), gold.tolist(), strict=True):
        others = [score for place, score in enumerate(row) if place != right and np.isfinite(score)]
        parts += [max(0.0, 0.2 - (row[right] - other)) for other in others]
        items.append(-row[right] + np.log(sum(np.exp(score) for score in row)))
    assert float(loss_of(scores, gold, RankSettings(margin=0.2))) == pytest.approx(np.mean(parts), abs=1e-6)
    entropy = loss_of(scores, gold, RankSettings(loss="cross-entropy"))
    assert float(entropy) == pytest.approx(np.mean(items), abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_it_learns_and_not_without_the_question(loss: Loss) -> None:
    settings = RankSettings(loss=loss, epochs=20, hidden=32, seed=1)
    ranker, judged = trained(settings), pairs(200, 9)
    scores = ranker.scores(judged)
    assert (scores.argmax(1) == judged.gold).mean() > 0.7
    assert np.isneginf(scores[~judged.there]).all()
    hidden = [part.hidden() for part in (pairs(300, 0), pairs(80, 1), judged)]
    _, blind = tiny.finish(fit("", hidden[0], hidden[1], settings, Control()))
    assert (blind.scores(hidden[2]).argmax(1) == judged.gold).mean() < 0.45


def test_the_seed_decides() -> None:
    settings, judged = RankSettings(epochs=3, hidden=16, seed=4), pairs(50, 9)
    one, two = trained(settings).scores(judged), trained(settings).scores(judged)
    assert np.array_equal(one, two)
    other = trained(RankSettings(epochs=3, hidden=16, seed=5)).scores(judged)
    assert not np.allclose(one[judged.there], other[judged.there])


def test_the_order_of_choices_does_not_matter_and_weights_come_back() -> None:
    ranker, judged = trained(RankSettings(epochs=2, hidden=16)), pairs(40, 9)
    scores = ranker.scores(judged)
    order = np.array([[1, 2, 0, 3] if there.all() else [1, 0, 2, 3] for there in judged.there])
    moved = judged.reordered(order)
    assert np.allclose(ranker.scores(moved), np.take_along_axis(scores, order, 1), atol=1e-6)
    rows = np.arange(len(judged))
    assert np.array_equal(order[rows, moved.gold], judged.gold)
    again = ranker_from(arrays(ranker), "margin")
    assert np.array_equal(again.scores(judged), scores)
    with pytest.raises(ValueError, match="not of a ranker"):
        ranker_from({**arrays(ranker), "out.bias": np.zeros(3, np.float32)}, "margin")


def test_steps_are_told_and_stopping_ends_it() -> None:
    control = Control()
    events, ranker = tiny.finish(fit("margin", pairs(60, 0), pairs(30, 1), RankSettings(epochs=4, hidden=8), control))
    assert [event.step for event in events if isinstance(event, ContenderStep)] == list(range(1, ranker.epochs + 1))
    control.send(Stop())
    with pytest.raises(Stopped):
        tiny.finish(fit("margin", pairs(60, 0), pairs(30, 1), RankSettings(), control))


def test_features_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = tiny.bert(tmp_path / "bert")
    items = [
        Item("where is the card", ("my app", "the late driver"), 1),
        Item("how was", ("a bill", "login", "not"), 0),
    ]
    features = PairFeatures({"judged": items}, str(folder), "mean", length=128, device="cpu")
    tiny.finish(features.open(Control()))
    tiny.finish(features.encode(Control()))
    found = features.pairs("judged")
    model, words = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def mean(text: str) -> Any:
        given = words(text, return_tensors="pt")
        with torch.no_grad():
            row = model(input_ids=given["input_ids"]).last_hidden_state[0].mean(0).numpy()
        return row / np.linalg.norm(row) * len(row) ** 0.5

    for row, item in enumerate(items):
        assert found.question[row] == pytest.approx(mean(item.question), abs=1e-4)
        for place, choice in enumerate(item.choices):
            assert found.choice[row, place] == pytest.approx(mean(choice), abs=1e-4)
            assert found.pair[row, place] == pytest.approx(mean(f"{item.question} {choice}"), abs=1e-4)
    assert found.there.tolist() == [[True, True, False], [True, True, True]]
    assert found.gold.tolist() == [1, 0]


def test_a_long_question_leaves_room_for_the_choice() -> None:
    _, _, texts = pair_texts([Item("word " * 500, ("the choice", "other"), 0)], 32)
    assert texts[0].endswith(" the choice")
    assert len(texts[0].split()) < 32
