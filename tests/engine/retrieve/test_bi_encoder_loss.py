"""The loss of the bi-encoder against a loop over pairs, and which documents count as negatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from retrieving import collection

from data import beir
from engine.retrieve.bi_encoder import SCALE, loss_of
from engine.retrieve.training_data import Split, TrainingData


@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_is_cross_entropy_over_the_documents_that_are_not_relevant_too(masked: bool) -> None:
    rng = np.random.default_rng(5)
    queries, documents = (rng.normal(size=(count, 6)) for count in (4, 7))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    false = np.zeros((4, 7), bool)
    if masked:
        false[0, [1, 5]] = false[2, 0] = True
    expected = 0.0
    for row in range(4):
        scores = [SCALE * float(queries[row] @ documents[place]) for place in range(7) if not false[row, place]]
        own = SCALE * float(queries[row] @ documents[row])
        expected += (math.log(sum(math.exp(score - own) for score in scores))) / 4
    tensors = torch.from_numpy(queries), torch.from_numpy(documents)
    found = loss_of(*tensors, torch.from_numpy(false) if masked else None)
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_documents_that_are_relevant_too_are_no_negatives(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = beir.load(str(collection(tmp_path_factory.mktemp("small"))))
    names = sorted(found.qrels["train"])
    # q0 finds the document of q1 relevant too.
    first, second = names[0], names[1]
    shared = next(iter(found.qrels["train"][second]))
    qrels = {**found.qrels["train"], first: {**found.qrels["train"][first], shared: 1}}
    data = TrainingData(
        beir.Collection(**{**vars(found), "qrels": {"train": qrels}}), Split(tuple(names), ()), 8, 1, 0, None
    )
    rows = {name: sorted(data.relevant[name]) for name in names}
    assert len(rows[first]) == 2
    own = next(row for row in rows[first] if row not in rows[second])
    batch = ([first, second, names[2]], [own, rows[second][0], rows[names[2]][0]])
    assert np.array(data.false_negatives(batch)).tolist() == [[False, True, False], [False] * 3, [False] * 3]
