"""Runs of the tasks on data sets: named by their data, found from any folder, told when they are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from checkpoints import home
from checkpoints.lock import Lock
from checkpoints.store import CheckpointError
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.classify import runs as classify_runs
from engine.classify.spec import ClassifySpec
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.spec import RetrieveSpec
from engine.runs.events import Notice
from engine.runs.messages import Control, Stop, to_record
from engine.runs.spec import BadSpec

TASKS: list[tuple[Any, Any]] = [(classify_runs, ClassifySpec), (choose_runs, ChooseSpec), (retrieve_runs, RetrieveSpec)]


@pytest.mark.parametrize(("task", "spec"), TASKS)
def test_a_run_is_named_by_its_data_and_finds_it_from_elsewhere(
    task: Any, spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for bundled in (spec().data, "minilm"):  # no folder takes the place of what is bundled
        (tmp_path / bundled).mkdir()
    for data, ending in (("mine.jsonl", "mine"), ("folder.v2/", "folder.v2"), ("owner/set", "set")):
        run = task.create(spec(data=data, encoder="minilm"))
        assert run.name.endswith(f"-{task.RUNS.kind.task}-{ending}")
        assert task.spec_of(run) == spec(data=data, encoder="minilm")
    assert task.spec_of(task.create(spec(name="Own"))).data == spec().data
    (tmp_path / "mine.jsonl").touch()
    assert task.spec_of(task.create(spec(data="mine.jsonl"))).data == str(tmp_path / "mine.jsonl")


@pytest.mark.parametrize(("task", "spec"), TASKS)
def test_a_wrong_spec_makes_no_run_and_a_damaged_one_is_told(task: Any, spec: Any) -> None:
    with pytest.raises(BadSpec):
        task.create(spec(data=" "))
    assert not home.runs().exists()
    run = task.create(spec())
    many = "heads" if spec is ClassifySpec else "methods"
    for content in (
        "{",
        json.dumps({"task": "other"}),
        json.dumps({"task": task.RUNS.kind.task, many: 7}),
    ):
        (run.path / "spec.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"spec\.json is damaged|task 'other'|spec cannot be used"):
            task.spec_of(run)
        with pytest.raises(CheckpointError):
            list(task.drive(run, Control()))


def test_an_owner_takes_over_and_gets_its_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    run = retrieve_runs.create(RetrieveSpec())
    run.post(to_record(Stop()))  # for whoever owned it before
    (run.checkpoints / "tmp-1-step-000003").mkdir()  # and what it was writing
    taken = Lock(run.path / "lock")
    monkeypatch.setattr(taken, "_write", lambda content: None)
    taken.release()  # as the kernel does for a dead process: its name stays
    monkeypatch.setenv("LLMLAB_MESSAGES_SINCE", "0")
    told = list(retrieve_runs.drive(run, Control()))
    assert isinstance(told[0], Notice)
    assert "taken over" in told[0].text
    assert told[-1].reason == "stopped"  # type: ignore[attr-defined]
    assert not list(run.checkpoints.iterdir())
    assert run.owner() is None
