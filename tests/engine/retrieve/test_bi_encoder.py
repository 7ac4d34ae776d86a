"""The bi-encoder: batches without false negatives, parts without leaks, the loss, and what training comes to."""

from __future__ import annotations

import math
from dataclasses import replace
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
from engine.retrieve.spec import RetrieveSpec
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
    frozen = tiny.finish(rankers.Rankers(RetrieveSpec(device="cpu"), small).vectors(encoder, Control()))[1]
    names = list(small.qrels["train"])
    embed = rankers.Embedder(encoder, "cpu")
    asked = dict(zip(names, embed([small.queries[name] for name in names]), strict=True))
    return bi_encoder.train(TrainingInputs(small, encoder, frozen, asked, settings, "cpu"), Control(), **more)


@pytest.mark.parametrize("seed", range(20))
def test_in_a_batch_no_document_is_relevant_to_another_query_and_every_pair_comes_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    documents, rows = int(rng.integers(6, 400)), int(rng.integers(2, 9))
    relevant = {f"q{n}": frozenset(rng.integers(0, documents, rng.integers(1, 5)).tolist()) for n in range(60)}
    pairs = [(query, row) for query, found in relevant.items() for row in sorted(found)]
    made = training_data.batches(pairs, relevant, rows, str(seed))
    for place, batch in enumerate(made):
        merged = place == len(made) - 1 and len(batch) > 1  # the last pair may have been put to it
        for one in range(len(batch) - merged):
            for other in range(len(batch) - merged):
                assert one == other or batch[other][1] not in relevant[batch[one][0]]
        assert len(batch) <= rows + merged
    assert sorted(pair for batch in made for pair in batch) == sorted(pairs)
    assert len(made[-1]) > 1
    assert training_data.batches(pairs, relevant, rows, str(seed)) == made
    assert training_data.batches(pairs, relevant, rows, "other") != made


def test_batches_are_full_where_queries_share_little_and_each_pair_is_looked_at_a_few_times() -> None:
    class Counted(dict[str, frozenset[int]]):
        looked = 0

        def __getitem__(self, query: str) -> frozenset[int]:
            self.looked += 1
            return super().__getitem__(query)

    relevant = Counted({f"q{n}": frozenset({n, (7 * n) % 4001}) for n in range(4000)})
    pairs = [(query, row) for query, rows in relevant.items() for row in sorted(rows)]
    made = training_data.batches(pairs, relevant, 64, "seed")
    assert sum(len(batch) == 64 for batch in made) == len(pairs) // 64
    assert relevant.looked < 4 * len(pairs)
    alike = Counted({f"q{n}": frozenset({0, 1}) for n in range(1000)})  # nothing fits to anything
    pairs = [(query, row) for query in alike for row in (0, 1)]
    assert len(training_data.batches(pairs, alike, 4, "seed")) == len(pairs) - 1
    assert alike.looked < 2 * training_data.LOOKED * 4 * len(pairs)


def test_a_last_pair_of_its_own_is_trained_on_with_the_batch_before_it() -> None:
    relevant = {f"q{n}": frozenset({n}) for n in range(9)}
    made = training_data.batches([(query, min(rows)) for query, rows in relevant.items()], relevant, 4, "seed")
    assert [len(batch) for batch in made] == [4, 5]
    alike = judged({f"q{n}": [0, n + 1] for n in range(9)})
    every = tuple(alike.qrels["train"])
    data = training_data.TrainingData(inputs_of(alike), training_data.Split(every, every))
    for queries, rows in data.batches(0):
        passed = data.false_negatives((queries, rows))
        for own, query in enumerate(queries):
            for place, row in enumerate(rows):
                assert passed[own][place] == (place != own and row in alike.relevant("train", query))


def judged(relevant: dict[str, list[int]]) -> Collection:
    """A collection with these train qrels, without texts worth reading."""
    names = tuple(f"d{row}" for row in range(1 + max(row for rows in relevant.values() for row in rows)))
    qrels = {"train": {query: {names[row]: 1 for row in rows} for query, rows in relevant.items()}}
    queries = dict.fromkeys(relevant, "card")
    return Collection("made", "made", names, ("",) * len(names), ("card",) * len(names), queries, qrels)


def inputs_of(made: Collection, settings: BiSettings | None = None) -> TrainingInputs:
    return TrainingInputs(made, None, None, {}, settings or BiSettings(rows=4))  # type: ignore[arg-type]


def components(relevant: dict[str, list[int]]) -> list[set[str]]:
    """Queries connected through documents, by merging sets until nothing changes."""
    found = [({query}, set(rows)) for query, rows in relevant.items()]
    merged = True
    while merged:
        merged = False
        for one in found:
            for other in found:
                if one is not other and one[1] & other[1]:
                    one[0].update(other[0])
                    one[1].update(other[1])
                    found.remove(other)
                    merged = True
                    break
            if merged:
                break
    return [queries for queries, _ in found]


@pytest.mark.parametrize("seed", range(30))
def test_folds_hold_out_every_query_once_and_no_document_of_a_held_out_query_is_trained_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, documents = int(rng.integers(8, 60)), int(rng.integers(20, 200))
    relevant = {f"q{query}": rng.integers(0, documents, rng.integers(1, 4)).tolist() for query in range(count)}
    groups = components(relevant)
    largest = max(map(len, groups))
    made = judged(relevant)
    parts = training_data.folds(made, 5, seed)
    assert sorted(query for part in parts for query in part.held) == sorted(relevant)
    for part in parts:
        assert sorted((*part.train, *part.held)) == sorted(relevant)
        data = training_data.TrainingData(inputs_of(made), part)
        trained_on, held = {row for _, row in data.pairs}, {row for query in part.held for row in relevant[query]}
        assert not trained_on & held
        assert trained_on == {row for query in part.train for row in relevant[query]} - held
        if largest <= count / 2:
            assert all(group <= set(part.held) or not group & set(part.held) for group in groups)
        else:
            assert len(part.held) in (count // 5, -(-count // 5))
        assert len(part.held) < count / 5 + (largest if largest <= count / 2 else 1)
    assert training_data.split(made, 5, seed) in parts
    assert training_data.folds(made, 5, seed) == parts


@pytest.mark.parametrize("mode", ["projection", "whole"])
def test_queries_in_a_chain_of_shared_documents_can_be_trained_on(
    mode: training_data.Mode, small: Collection, encoder: Encoder
) -> None:
    chained = {f"q{query}": {f"d{query % 36}": 1, f"d{(query + 1) % 36}": 1} for query in range(40)}
    linked = replace(small, qrels={"train": chained})
    events, state = trained(linked, encoder, BiSettings(mode=mode, epochs=1))
    assert state.loss > 0
    assert any(isinstance(event, ContenderStep) and event.loss > 0 for event in events)


def test_queries_that_all_share_one_document_cannot_be_trained_on(small: Collection, encoder: Encoder) -> None:
    alike = replace(small, qrels={"train": {f"q{query}": {"d0": 1} for query in range(40)}})
    with pytest.raises(CannotTrain, match="all share their documents"):
        trained(alike, encoder, BiSettings())


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


def test_each_step_passes_over_false_negatives_and_follows_the_schedule(
    small: Collection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = index.unit(np.random.default_rng(0).standard_normal((76, 16)).astype(np.float32))
    asked = dict(zip(small.qrels["train"], vectors[36:], strict=True))
    settings = BiSettings(epochs=7, rows=8, learning_rate=1e-3).chosen()
    inputs = TrainingInputs(small, encoder, vectors[:36], asked, settings, "cpu")
    every = tuple(sorted(small.qrels["train"]))
    made = bi_encoder._BiTraining(inputs, training_data.Split(every, every), Control(), lambda _: None)
    same = {query: row for query, row in made.data.pairs if row == 0}
    assert len(same) == 2
    assert float(made.loss((list(same), list(same.values()))).detach()) == 0  # log 2 with each other's document
    assert float(made.loss((["q1", "q2"], [1, 2])).detach()) > 0

    rates: list[float] = []
    step = made.optimizer.step
    monkeypatch.setattr(made.optimizer, "step", lambda: (rates.append(made.optimizer.param_groups[0]["lr"]), step()))
    for epoch in range(settings.epochs):
        list(made.epoch(epoch))
    steps, warm = 5 * 7, 3
    assert len(rates) == steps
    assert rates[:warm] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[warm:] == pytest.approx([1e-3 * (steps - one) / (steps - warm) for one in range(warm, steps)])


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
    frozen = tiny.finish(rankers.Rankers(RetrieveSpec(device="cpu"), small).vectors(encoder, Control()))[1]
    asked = dict.fromkeys(small.qrels["train"], frozen[0])
    work = bi_encoder.train(TrainingInputs(small, encoder, frozen, asked, BiSettings(), "cpu"), control)
    next(work)
    control.send(Stop())
    with pytest.raises(Stopped):
        list(work)
