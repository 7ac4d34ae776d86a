"""Other programs' checkouts, played by one of a few lines, and the benchmarks that run by themselves."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints.run import Run
from data import dante
from engine.bench import gpu, rows
from engine.bench.rows import Row
from engine.bench.setup import TINY, Setup

TRAIN = """
import json, os, pickle, sys
import numpy as np
from beside import LOSS
given = dict(one.lstrip("-").split("=") for one in sys.argv[1:])
data = os.path.join("data", given["dataset"])
ids = [np.fromfile(os.path.join(data, name), np.uint16).tolist() for name in ("train.bin", "val.bin")]
with open(os.path.join(data, "meta.pkl"), "rb") as file:
    known = pickle.load(file)["vocab_size"]
with open(os.environ["SEEN"], "w") as file:
    json.dump({"given": given, "ids": ids, "known": known}, file)
os.mkdir(given["out_dir"])
print("number of parameters: 0.80M")
for number in range(int(given["max_iters"]) + 1):
    judged = number % int(given["eval_interval"]) == 0
    if judged:
        print(f"step {number}: train loss 9.0000, val loss {LOSS if number else 4.2:.4f}")
    print(f"iter {number}: loss 4.2000, time {900 if judged else 12.3 + number % 3:.2f}ms, mfu -100.00%")
"""


def checkout(folder: Path, loss: str, program: str = TRAIN) -> Path:
    folder.mkdir()
    (folder / "train.py").write_text(program)
    (folder / "beside.py").write_text(f"LOSS = {loss}\n")
    (folder / "data").mkdir()
    return folder


def first(count: int, path: Path | str) -> list[Row]:
    setup = Setup("cpu", quick=True, nanogpt=str(path))
    return list(islice(gpu.rows_of("peers", gpu.BENCHES["peers"], setup), count))


def test_nanogpt_trains_on_the_same_split_with_the_same_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.json"))
    folder = checkout(tmp_path / "nano GPT", "4.0")
    before = sorted(folder.rglob("*"))
    step, sooner = first(2, folder)
    assert step.figures["other ms per step"] == pytest.approx(13.3)  # iterations with an evaluation do not count
    seconds = sooner.figures["seconds"]
    assert isinstance(seconds, float)
    assert sooner.figures["times as soon"] == pytest.approx(20 * 0.0133 / seconds)
    assert sooner.figures["other loss"] == 4.0
    assert 0 < float(sooner.figures["loss"]) <= 4.0
    seen = json.loads((tmp_path / "seen.json").read_text())
    corpus = dante.dantesque()
    assert [*seen["ids"][0], *seen["ids"][1]] == np.asarray(corpus.ids).tolist()
    assert len(seen["ids"][0]) == len(corpus.split()[0])
    assert seen["known"] == len(corpus.vocabulary)
    given = {name: int(seen["given"][name]) for name in ("n_layer", "n_head", "n_embd", "block_size", "batch_size")}
    assert list(given.values()) == [TINY[name] for name in ("layers", "heads", "width", "context", "batch")]
    assert sorted(folder.rglob("*")) == before


def test_a_loss_that_is_not_reached_is_no_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.json"))
    missed, step = first(2, checkout(tmp_path / "checkout", "0.01"))
    assert (missed.result, missed.figures) == (rows.SKIPPED, {})
    assert "it ended at" in missed.reason
    assert step.figures["other ms per step"] == pytest.approx(13.3)


def test_a_peer_that_is_missing_or_fails_is_named(tmp_path: Path) -> None:
    (none,) = first(1, "")
    (empty,) = first(1, tmp_path)
    assert (none.result, empty.result) == (rows.SKIPPED, rows.SKIPPED)
    assert none.reason.startswith("not measured")
    assert str(tmp_path) in empty.reason
    (failed,) = first(1, checkout(tmp_path / "checkout", "1", "import sys\nsys.exit('no such option')"))
    assert (failed.result, failed.reason) == (rows.FAILED, "nanoGPT's train.py ended with 1: no such option")
    (silent,) = first(1, checkout(tmp_path / "silent", "1", "print('step 1')"))
    assert silent.result == rows.FAILED


@pytest.mark.parametrize("name", ["save", "search", "decode", "zero-shot", "encode", "train"])
def test_every_benchmark_has_figures(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path))
    found = list(gpu.rows_of(name, gpu.BENCHES[name], Setup("cpu", quick=True)))
    assert found
    assert {row.result for row in found} <= {rows.OK, rows.SKIPPED}, found
    assert any(row.figures for row in found)
    for row in found:
        assert all(value >= 0 for value in row.figures.values() if isinstance(value, float)), row
    if name == "train":
        check_parts(found)


def check_parts(found: list[Row]) -> None:
    """The parts of a step are all of it."""
    for recipe in ("nano", "fast"):
        (whole,) = (row for row in found if row.compared == f"a step of a tiny {recipe}")
        parts = {
            row.compared.rpartition(": ")[2]: row.figures
            for row in found
            if row.compared.startswith(f"{whole.compared}:")
        }
        assert list(parts) == ["batch", "forward", "backward", "optimizer", "bookkeeping"]
        shares: list[Any] = [figures["share of step"] for figures in parts.values()]
        assert sum(shares) == pytest.approx(1)
        assert all("share of matrix peak" in parts[name] for name in ("forward", "backward", "optimizer"))
    muon: Any = parts["optimizer"]["share of matrix peak"]
    assert muon > 0


def test_of_what_was_measured_several_times_median_and_both_ends_are_given() -> None:
    assert rows.spread("ms", [4.0, 1.0, 2.0], 10.0) == {"ms": 20.0, "ms_least": 10.0, "ms_most": 40.0}


@pytest.mark.parametrize("good", [True, False])
def test_a_benchmark_with_a_failed_row_ends_with_1(good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.command import bench

    found = [rows.measured("one", ms=1.0), rows.judged("other", good, "equal", "they differ")]
    monkeypatch.setenv("LLMLAB_HOME", "")
    monkeypatch.setattr(gpu, "rows_of", lambda name, part, setup: iter(found))
    assert bench.measure("search", Setup("cpu"), as_json=True) == (0 if good else 1)


def test_a_run_on_the_screen_is_awaited_until_its_journal_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.command import bench_terminal

    run = Run(tmp_path)
    run.events.write_text('{"event":"loaded"}\n')
    waiting = bench_terminal._until_finished(run)
    assert list(islice(waiting, 3)) == [0, 1, 2]
    run.events.write_text('{"event":"loaded"}\n{"event":"finished","reason":"done"}\n')
    assert list(waiting) == []
    monkeypatch.setattr(bench_terminal, "LONGEST", 0.0)
    run.events.write_text("")
    with pytest.raises(TimeoutError, match="has not finished"):
        next(bench_terminal._until_finished(run))
