"""Deleted runs are moved aside whole, come back whole, and are removed for good after a week."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from checkpoints import run as runs
from checkpoints import trash
from checkpoints.lock import Locked
from checkpoints.run import NoSuchRun, Run


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def made(folder: Path, name: str = "a") -> Run:
    run = runs.create(folder, name, {"task": "train"}, {})
    (run.checkpoints / "step-000001").mkdir()
    (run.checkpoints / "step-000001" / "state.json").write_text(name)
    run.lock().release()
    return run


def age(run: Run, days: float) -> None:
    """Let a deleted run have been deleted longer ago."""
    record = json.loads((run.path / trash.RECORD).read_text())
    (run.path / trash.RECORD).write_text(json.dumps({**record, "time": record["time"] - days * 86400}))


def test_a_deleted_run_is_not_listed_and_comes_back_whole(tmp_path: Path) -> None:
    kept, gone = made(tmp_path, "kept"), made(tmp_path, "gone")
    before, begun = content(gone.path), time.time()
    trash.delete(gone)
    assert runs.every(tmp_path) == [kept]
    assert not gone.path.exists()
    (found,) = trash.deleted(tmp_path)
    assert found.name == gone.name
    assert begun <= found.time <= time.time()
    assert found.left == pytest.approx(7 * 86400, abs=60)
    assert trash.restore(tmp_path, "gone") == gone
    assert content(gone.path) == before
    assert (trash.deleted(tmp_path), len(runs.every(tmp_path))) == ([], 2)


def test_a_week_later_it_is_removed(tmp_path: Path) -> None:
    old, new, kept = made(tmp_path, "old"), made(tmp_path, "new"), made(tmp_path, "kept")
    for run in (old, new):
        trash.delete(run)
    age({one.name: one.run for one in trash.deleted(tmp_path)}[old.name], 7.01)
    age({one.name: one.run for one in trash.deleted(tmp_path)}[new.name], 6.99)
    assert trash.sweep(tmp_path) == 1
    assert [one.name for one in trash.deleted(tmp_path)] == [new.name]
    assert trash.sweep(tmp_path, everything=True) == 1
    assert trash.deleted(tmp_path) == []
    assert runs.every(tmp_path) == [kept]


def test_a_run_in_use_stays(tmp_path: Path) -> None:
    run = made(tmp_path)
    with run.lock(), pytest.raises(Locked):
        trash.delete(run)
    assert runs.every(tmp_path) == [run]
    assert not (run.path / trash.RECORD).exists()


def test_the_last_deleted_of_two_runs_of_one_name_comes_back_and_takes_no_place(tmp_path: Path) -> None:
    first = made(tmp_path)
    trash.delete(first)
    age(trash.deleted(tmp_path)[0].run, 1)
    second = Run(first.path)
    for folder in (second.path, second.inbox, second.checkpoints):
        folder.mkdir()
    second.write_json("spec.json", {"task": "choose"})
    trash.delete(second)
    assert [one.name for one in trash.deleted(tmp_path)] == [first.name] * 2
    assert trash.restore(tmp_path, "latest").spec()["task"] == "choose"
    with pytest.raises(FileExistsError, match="again"):
        trash.restore(tmp_path, first.name)
    assert len(trash.deleted(tmp_path)) == 1
    with pytest.raises(NoSuchRun, match=f"there are: {first.name}"):
        trash.restore(tmp_path, "nobody")


@pytest.mark.parametrize("record", ["{", "[]", '{"name": "../../else", "time": "x"}', '{"name": 3, "time": true}'])
def test_a_damaged_record_moves_no_run_elsewhere(record: str, tmp_path: Path) -> None:
    run = made(tmp_path / "runs")
    trash.delete(run)
    (one,) = trash.deleted(tmp_path / "runs")
    (one.run.path / trash.RECORD).write_text(record)
    (one,) = trash.deleted(tmp_path / "runs")
    assert one.name == run.name
    assert trash.restore(tmp_path / "runs", run.name) == run
    assert [entry.name for entry in tmp_path.iterdir()] == ["runs"]
