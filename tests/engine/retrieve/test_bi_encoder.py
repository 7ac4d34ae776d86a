"""The bi-encoder: batches without false negatives, parts without leaks, the loss, and what training comes to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from retrieving import collection

from data import beir
from data.beir import Collection
from engine.encoders import find as encoders
from engine.encoders import index
from engine.encoders.find import Encoder
from engine.retrieve import bi_encoder, rankers, training_data
from engine.retrieve.bi_encoder import BiState
from engine.retrieve.training_data import BiSettings, CannotTrain, TrainingInputs
from engine.runs.events import ContenderStep, Notice
from engine.runs.messages import Control, Stop, Stopped


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tiny.bert(tmp_path_factory.mktemp("tiny") / "bert")
    found: Encoder = tiny.finish(encoders.find(str(folder)))[1]
    return found


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    return beir.load(str(collection(tmp_path / "small", train=40)))


def trained(small: Collection, encoder: Encoder, settings: BiSettings, **more: Any) -> tuple[list[Any], BiState]:
    return tiny.finish(training(small, encoder, settings, **more))


def training(small: Collection, encoder: Encoder, settings: BiSettings, **more: Any) -> Any:
    frozen = tiny.finish(rankers.document_vectors(small, encoder, "mean", Control()))[1]
    names = list(small.qrels["train"])
    embed = rankers.Embedder(encoder, "cpu")
    asked = dict(zip(names, embed([small.queries[name] for name in names]), strict=True))
    return bi_encoder.train(TrainingInputs(small, encoder, frozen, asked, settings, "cpu"), Control(), **more)


def test_no_two_queries_of_a_batch_share_a_relevant_document_and_every_pair_comes_once() -> None:
    relevant = {f"q{n}": frozenset({n % 5, (n * 7) % 11}) for n in range(40)}
    pairs = [(query, row) for query, rows in relevant.items() for row in sorted(rows)]
    made = training_data.batches(pairs, relevant, 4, "seed")
    for batch in made:
        assert len(batch) <= 4
        rows = [row for query, _ in batch for row in relevant[query]]
        assert len(rows) == len(set(rows))
    came = [pair for batch in made for pair in batch]
    assert len(came) == len(set(came))
    assert len(pairs) - len(came) <= 1
    assert (
        training_data.batches(pairs, relevant, 4, "seed") == made != training_data.batches(pairs, relevant, 4, "other")
    )


def test_held_out_queries_share_no_document_with_those_trained_on(small: Collection) -> None:
    parts = training_data.folds(small, 5, seed=3)
    assert sorted(query for part in parts for query in part.held) == sorted(small.qrels["train"])
    for part in (*parts, training_data.split(small, 0.2, seed=3)):
        documents = [
            {row for query in queries for row in small.relevant("train", query)} for queries in (part.train, part.held)
        ]
        assert not documents[0] & documents[1]
        assert not set(part.train) & set(part.held)
        assert part.held


def test_too_few_queries_are_told(tmp_path: Path, encoder: Encoder) -> None:
    few = beir.load(str(collection(tmp_path / "few", train=5)))
    with pytest.raises(CannotTrain, match="at least 8 train queries"):
        trained(few, encoder, BiSettings())


def test_the_loss_is_cross_entropy_over_scaled_cosines_without_false_negatives() -> None:
    rng = np.random.default_rng(0)
    queries, documents = index.unit(rng.standard_normal((3, 5))), index.unit(rng.standard_normal((4, 5)))
    passed = np.array([[False, True, False, False], [False] * 4, [True, False, False, False]])
    found = float(bi_encoder.loss_of(torch.tensor(queries), torch.tensor(documents), torch.tensor(passed)))
    total = 0.0
    for row in range(3):
        scores = [20 * float(queries[row] @ documents[column]) for column in range(4) if not passed[row, column]]
        total -= 20 * float(queries[row] @ documents[row]) - math.log(sum(map(math.exp, scores)))
    assert found == pytest.approx(total / 3, abs=1e-4)


def test_a_projection_is_stopped_by_queries_it_has_not_seen_and_repeats_under_its_seed(
    small: Collection, encoder: Encoder
) -> None:
    kept: list[BiState] = []
    settings = BiSettings(epochs=8, learning_rate=3e-3, rows=12, hard_negatives=1)
    events, state = trained(small, encoder, settings, keep=kept.append)
    steps = [event for event in events if isinstance(event, ContenderStep)]
    looked = [event.held_out_score for event in steps if event.held_out_score is not None]
    assert state.ndcg == pytest.approx(max(looked))
    assert state.ndcg >= looked[0]
    assert [one.step for one in kept] == sorted(one.step for one in kept)
    assert kept[-1] is state
    rows = steps[-1].similarity
    assert all(-1.001 <= value <= 1.001 for row in rows for value in row)
    assert len(rows) == 12
    assert steps[-1].step <= steps[-1].steps
    again = trained(small, encoder, settings)[1]
    assert torch.equal(state.tensors["weight"], again.tensors["weight"])
    assert state.ndcg == again.ndcg


def test_the_judged_queries_have_no_part_in_training(small: Collection, encoder: Encoder, tmp_path: Path) -> None:
    other = Collection(
        small.name, "elsewhere", small.ids, small.titles, small.texts, small.queries,
        {"train": small.qrels["train"], "test": {"q1": {"d5": 1}}},
    )  # fmt: skip
    settings = BiSettings(epochs=3, learning_rate=3e-3)
    one, two = trained(small, encoder, settings)[1], trained(other, encoder, settings)[1]
    assert torch.equal(one.tensors["weight"], two.tensors["weight"])


def test_the_whole_encoder_is_trained_and_its_best_state_comes_back(small: Collection, encoder: Encoder) -> None:
    kept: list[BiState] = []
    events, state = trained(small, encoder, BiSettings(mode="whole", epochs=2, learning_rate=3e-3), keep=kept.append)
    looked = [event for event in events if isinstance(event, ContenderStep) and event.held_out_score is not None]
    assert len(looked) == len(kept) == 3
    assert looked[0].documents == len(small)
    assert state.ndcg == max(one.ndcg for one in kept)
    first, last = kept[0].tensors, kept[-1].tensors
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(first[name], last[name])
    assert np.allclose(np.linalg.norm(state.pool_vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_stopped_training_of_the_whole_encoder_goes_on_to_the_same(
    small: Collection, encoder: Encoder, before: int
) -> None:
    settings = BiSettings(mode="whole", epochs=4, learning_rate=3e-3, patience=9, hard_negatives=1)
    at_once: list[BiState] = []
    begun, whole = trained(small, encoder, settings, keep=at_once.append)

    def until(epoch: int | None) -> tuple[list[Any], list[BiState], Any]:
        events: list[Any] = []
        states: list[BiState] = []
        with bi_encoder.saved_epochs_of(small.fingerprint, encoder, settings) as kept:  # type: ignore[union-attr]
            work = training(small, encoder, settings, keep=states.append, saved_epochs=kept)
            try:
                while True:
                    events.append(next(work))
                    looked = isinstance(events[-1], ContenderStep) and events[-1].held_out_score is not None
                    if looked and epoch is not None and len(states) == epoch + 1:
                        next(work)  # into the next epoch, which is lost
                        return events, states, None
            except StopIteration as end:
                return events, states, end.value
            finally:
                work.close()

    until(before)
    torch.manual_seed(0)  # as another process
    events, states, result = until(None)
    assert [event.text for event in events if isinstance(event, Notice)] == [
        f"training goes on after epoch {before} of 4"
    ]
    assert (result.step, result.ndcg, result.loss) == (whole.step, whole.ndcg, whole.loss)
    assert all(torch.equal(result.tensors[name], part) for name, part in whole.tensors.items())
    assert np.array_equal(result.pool_vectors, whole.pool_vectors)
    looked = [
        [one for one in told if isinstance(one, ContenderStep) and one.held_out_score is not None]
        for told in (events, begun)
    ]
    looks = [
        [(one.step, one.steps, one.held_out_score, one.best_score, one.best_step, one.note) for one in told]
        for told in looked
    ]
    assert looks[0] == looks[1]
    assert [state.step for state in states[1:]] == [state.step for state in at_once[before + 1 :]]
    assert states[0].step == max(at_once[: before + 1], key=lambda state: (state.ndcg, -state.loss)).step
    losses = [one.loss for one in looked[0]][: before + 1]
    assert losses[0] == 0
    assert all(loss > 0 for loss in losses[1:])


def test_it_can_be_stopped(small: Collection, encoder: Encoder) -> None:
    control = Control()
    frozen = tiny.finish(rankers.document_vectors(small, encoder, "mean", Control()))[1]
    asked = dict.fromkeys(small.qrels["train"], frozen[0])
    work = bi_encoder.train(TrainingInputs(small, encoder, frozen, asked, BiSettings(), "cpu"), control)
    next(work)
    control.send(Stop())
    with pytest.raises(Stopped):
        list(work)
