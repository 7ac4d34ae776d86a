"""Which queries the bi-encoder is trained on, and by which its training ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import spying
import tiny
from retrieving import collection

from data import beir
from engine.retrieve import bi_encoder, contenders
from engine.retrieve.spec import RetrieveSpec
from engine.retrieve.task import retrieve
from engine.retrieve.training_data import TrainingData
from engine.runs.messages import Control


@pytest.mark.parametrize("mode", ["projection", "whole"])
def test_the_bi_encoder_never_sees_a_judged_query_and_is_not_trained_on_held_out_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    encoder = tiny.bert(tmp_path / "bert")
    spec = RetrieveSpec(str(collection(tmp_path / "small")), str(encoder), mode=mode, epochs=1, device="cpu")
    trained = spying.record(monkeypatch, contenders, "train")
    made = spying.record(monkeypatch, bi_encoder, "TrainingData")
    list(retrieve(spec, Control()))
    found = beir.load(spec.data)
    ((given, _, _, asked, *_),) = trained
    assert set(asked) == set(found.qrels["train"])
    assert set(given.qrels) == {"train"}
    every = set(found.qrels["train"])
    parts = made
    if mode == "projection":  # every part of the queries is held out once; the best number of epochs trains on all
        *parts, (_, last, *_) = made
        assert set(last.train) == every
        assert sorted(query for _, part, *_ in parts for query in part.held) == sorted(every)
    assert parts
    for _, part, *rest in parts:
        assert part.held
        assert not set(part.train) & set(part.held)
        assert {*part.train, *part.held} == every
        assert {query for query, _ in TrainingData(given, part, *rest).pairs} == set(part.train)
