"""Which split every method of a classification is trained on, and on which its settings are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import spying
import tiny

from engine.classify import baselines, contenders
from engine.classify.baselines import TFIDF
from engine.classify.spec import LR, MLP, ClassifySpec
from engine.classify.task import classify
from engine.comparison import heads
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
    counted = spying.record(monkeypatch, baselines, "logistic")
    solved = spying.record(monkeypatch, heads, "logistic")
    trained = spying.record(monkeypatch, heads, "mlp")
    tuned = spying.record(monkeypatch, contenders, "finetune")
    list(classify(spec, Control()))
    given = [(method, train, held) for method, train, held, *_ in counted + solved + trained]
    assert [method for method, *_ in given] == [TFIDF, LR, MLP]
    given += [("finetune", train, held) for train, held, *_ in tuned]
    assert len(given) == 4
    for method, train, held in given:
        rows, labels = train
        assert (_count(rows), list(labels)) == (60, TRAIN[1]), method
        rows, labels = held
        assert (_count(rows), list(labels)) == (20, VALIDATION[1]), method
    (texts, _), (looked, _) = given[-1][1:]
    assert (list(texts), list(looked)) == (TRAIN[0], VALIDATION[0])


def _count(rows: Sequence[object]) -> int:
    return int(getattr(rows, "shape", (len(rows) if isinstance(rows, list | tuple) else 0,))[0])
