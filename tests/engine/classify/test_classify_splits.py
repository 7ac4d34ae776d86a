"""Which split every method of a classification is trained on, and on which its settings are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import spying
import tiny

from engine.classify.baselines import TFIDF
from engine.classify.spec import LR, MLP, ClassifySpec
from engine.classify.task import classify
from engine.comparison import heads
from engine.encoders import epochs
from engine.runs.messages import Control

TRAIN, VALIDATION, TEST = tiny.texts(60), tiny.texts(20, seed=4), tiny.texts(30, seed=9)


@pytest.fixture
def spec(tmp_path: Path) -> ClassifySpec:
    data = tmp_path / "messages"
    data.mkdir()
    for split, rows in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        tiny.write_csv(data / f"{split}.csv", rows)
    encoder = tiny.bert(tmp_path / "bert")
    heads = (LR, MLP, "finetune")
    return ClassifySpec(data=str(data), encoder=str(encoder), heads=heads, epochs=1, length=24, device="cpu")


def test_every_method_is_trained_on_train_and_chosen_on_validation(
    spec: ClassifySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved = spying.record(monkeypatch, heads, "logistic")
    trained = spying.record(monkeypatch, heads, "mlp")
    tuned = spying.record(monkeypatch, epochs, "tune")
    list(classify(spec, Control()))
    given = [(method, train, held) for method, train, held, *_ in solved + trained]
    assert [method for method, *_ in given] == [TFIDF, LR, MLP]
    assert len(given) == 3
    for method, train, held in given:
        rows, labels = train
        assert (_count(rows), list(labels)) == (60, TRAIN[1]), method
        rows, labels = held
        assert (_count(rows), list(labels)) == (20, VALIDATION[1]), method
    ((training, *_),) = tuned
    assert (training.labels, training.held_labels) == (TRAIN[1], VALIDATION[1])
    assert training.ids == training.encoder.ids(TRAIN[0], spec.length)
    assert training.held_ids == training.encoder.ids(VALIDATION[0], spec.length)


def _count(rows: Sequence[object]) -> int:
    return int(getattr(rows, "shape", (len(rows) if isinstance(rows, list | tuple) else 0,))[0])
