"""Batches against plain slicing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data.windows import BLOCK, Windows, derive_seed, sweep

CPU = torch.device("cpu")
IDS = np.random.default_rng(3).integers(0, 200, 500).astype(np.uint8)


def starts(inputs: torch.Tensor, ids: np.ndarray) -> list[int]:
    """Where in ``ids`` each row stands."""
    found = []
    for row in inputs.tolist():
        (place,) = [i for i in range(len(ids) - len(row)) if ids[i : i + len(row)].tolist() == row]
        found.append(place)
    return found


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("step", [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 7])
def test_rows_are_slices_and_targets_are_the_next_characters(step: int, shuffled: bool) -> None:
    inputs, targets = Windows(IDS, 8, 5, 1, CPU, shuffled=shuffled).at(step)
    assert inputs.shape == targets.shape == (5, 8)
    assert inputs.dtype == torch.int64
    for row, place in enumerate(starts(inputs, IDS)):
        assert inputs[row].tolist() == IDS[place : place + 8].tolist()
        assert targets[row].tolist() == IDS[place + 1 : place + 9].tolist()


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_batch_depends_on_seed_and_step_alone(shuffled: bool) -> None:
    straight = Windows(IDS, 8, 5, 1, CPU, shuffled=shuffled)
    in_order = [straight.at(step)[0] for step in range(2 * BLOCK)]
    jumping = Windows(IDS, 8, 5, 1, CPU, shuffled=shuffled)
    for step in (2 * BLOCK - 1, 0, BLOCK, 3, BLOCK - 1):
        torch.manual_seed(step)
        torch.rand(17)
        assert torch.equal(jumping.at(step)[0], in_order[step])
    assert not torch.equal(Windows(IDS, 8, 5, 2, CPU, shuffled=shuffled).at(0)[0], in_order[0])
    assert not torch.equal(in_order[0], in_order[1])
    assert not torch.equal(in_order[0], in_order[BLOCK])


def test_the_first_and_the_last_window_are_drawn() -> None:
    ids = np.arange(12, dtype=np.uint8)
    seen = {int(row[0]) for step in range(20) for row in Windows(ids, 8, 5, 1, CPU).at(step)[0]}
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("length", "batch"), [(500, 1), (500, 2), (500, 5), (500, 61), (500, 200), (17, 2), (16, 3), (9, 4)]
)
def test_an_epoch_of_shuffled_windows_has_each_once_end_to_end(length: int, batch: int) -> None:
    """Ids are places in a text, so a row tells where it stands."""
    ids = np.arange(length, dtype=np.uint16)
    windows = Windows(ids, 8, batch, 1, CPU, shuffled=True)
    each = max(1, length // 8 - 1)
    rows = [int(row[0]) for step in range(3 * each // batch + 2) for row in windows.at(step)[0]]
    epochs = [rows[begin : begin + each] for begin in range(0, 3 * each, each)]
    for epoch in epochs:
        first = min(epoch)
        assert sorted(epoch) == list(range(first, first + 8 * each, 8))
        assert first < 8
        assert max(epoch) + 8 < length
    if each > 8:
        assert len({min(epoch) for epoch in epochs}) > 1
        assert len({tuple(np.subtract(epoch, min(epoch))) for epoch in epochs}) == 3
        assert epochs[0] != sorted(epochs[0])


def test_a_mapped_corpus_gives_the_same_batches(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "ids", np.uint8, "w+", shape=IDS.shape)
    mapped[:] = IDS
    training = mapped[:450]
    held, streamed = Windows(IDS[:450], 8, 5, 1, CPU), Windows(training, 8, 5, 1, CPU)
    for step in (0, 1, BLOCK):
        assert all(map(torch.equal, held.at(step), streamed.at(step)))
    for one, other in zip(sweep(IDS[450:], 8, 2, CPU), sweep(mapped[450:], 8, 2, CPU), strict=True):
        assert torch.equal(one[0], other[0])


@pytest.mark.parametrize("mapped", [False, True])
def test_batches_are_loaded_into_the_same_memory(mapped: bool, tmp_path: Path) -> None:
    ids: np.ndarray = np.memmap(tmp_path / "ids", np.uint8, "w+", shape=IDS.shape) if mapped else IDS.copy()
    ids[:] = IDS
    windows = Windows(ids, 8, 5, 1, CPU)
    read = [windows._loaded, windows._starts]
    given = []
    for step in (0, 1, BLOCK):
        windows.load(step)
        given.append(windows.gather())
    assert windows._loaded is read[0]
    assert windows._starts is read[1]
    for step, batch in zip((0, 1, BLOCK), given, strict=True):  # what was gathered is not written over
        assert all(map(torch.equal, batch, Windows(IDS, 8, 5, 1, CPU).at(step)))


def test_too_short_a_text_is_refused() -> None:
    with pytest.raises(ValueError, match="too few for a context of 8"):
        Windows(IDS[:8], 8, 1, 1, CPU)
    assert Windows(IDS[:9], 8, 1, 1, CPU).at(0)[0].tolist() == [IDS[:8].tolist()]


@pytest.mark.parametrize("length", [2, 8, 9, 10, 16, 17, 33, 100, 129, 130])
def test_a_sweep_has_every_target_once_in_order(length: int) -> None:
    ids = np.arange(length, dtype=np.uint8)
    targets, pairs = [], []
    for inputs, wanted in sweep(ids, 8, 4, CPU):
        assert inputs.shape[1] == 8
        assert inputs.shape[0] <= 4
        counts = wanted >= 0
        targets += wanted[counts].tolist()
        pairs += [wanted[counts] - inputs[counts]]
    assert targets == list(range(1, length))
    assert all((step == 1).all() for step in pairs)


def test_seeds_for_different_purposes_differ() -> None:
    seeds = {derive_seed(seed, label, step) for seed in (1, 2) for label in ("a", "b") for step in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 1 << 63 for seed in seeds)
