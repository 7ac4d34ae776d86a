"""Which runs are the work of the lab: found by what their specs say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_lab import SETTINGS, SORT, TRAIN, ended, made, table

from checkpoints import trash
from engine.classify import runs as classify_runs
from engine.classify.spec import ClassifySpec
from engine.lab import plan
from engine.lab.exercise import Work
from engine.runs.listing import summarise

WORKS = (TRAIN, SORT)


def found(*, quick: bool = False) -> dict[str, str]:
    return {name: run.name for name, run in plan.find(WORKS, SETTINGS, quick=quick).items()}


def test_the_spec_has_the_settings_and_what_the_quick_lab_and_a_gpu_replace() -> None:
    work = replace(TRAIN, gpu={"preset": "fast-karpathy"})
    full = plan.spec(work, SETTINGS, gpu=False)
    assert (full.corpus, full.preset, full.steps, full.width) == ("dantesque", "fast", 40, 16)
    quick = plan.spec(work, SETTINGS, quick=True, gpu=True)
    assert (quick.preset, quick.steps, quick.order) == ("fast-karpathy", 20, "shuffled")
    assert plan.spec(SORT, SETTINGS, quick=True).limit == 60
    assert plan.spec(SORT, SETTINGS).heads == ("lr",)


def test_a_run_of_other_settings_does_not_count() -> None:
    made(TRAIN, reason="steps", settings=replace(SETTINGS, corpus="dante"))
    made(SORT, reason="done", settings=replace(SETTINGS, encoder="auto"))
    made(replace(SORT, fields={**SORT.fields, "heads": ("mlp",)}), reason="done")
    classify_runs.create(ClassifySpec())
    assert found() == {}
    run = made(TRAIN, reason="steps")
    assert found() == {"inferno": run.name}


def test_the_newest_finished_one_counts_else_one_to_go_on_with() -> None:
    failed = made(TRAIN, reason="failed")
    assert found() == {"inferno": failed.name}
    stopped = made(TRAIN, reason="stopped")
    made(TRAIN, reason="failed")
    assert found() == {"inferno": stopped.name}
    going = made(TRAIN)
    with going.lock():
        assert found() == {"inferno": going.name}
        first, second = made(TRAIN, reason="steps"), made(TRAIN, reason="steps")
        made(TRAIN)
        assert found() == {"inferno": second.name}
    trash.delete(second)
    assert found() == {"inferno": first.name}
    assert plan.state(failed) == "failed"
    assert plan.state(stopped) == plan.state(going) == "not started"


def test_a_finished_run_of_the_full_lab_counts_for_the_quick_one_alone() -> None:
    full = made(TRAIN, reason="stopped")
    assert found(quick=True) == {}
    quick = made(TRAIN, quick=True, reason="stopped")
    assert found(quick=True) == {"inferno": quick.name}
    full = made(TRAIN, reason="steps")
    assert found(quick=True) == {"inferno": full.name}
    newest = made(TRAIN, quick=True, reason="steps")
    assert found(quick=True) == {"inferno": newest.name}
    assert found() == {"inferno": full.name}


def test_a_run_that_a_pane_made_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "own.csv")
    asked = ClassifySpec(data="own.csv", encoder="minilm", heads=("lr",), length=16, device="cpu", seed=3, epochs=9)
    run = classify_runs.create(asked)  # its path is from the root
    for name in ("own.csv", str(tmp_path / "own.csv")):
        assert plan.find(WORKS, replace(SETTINGS, emotion=name)) == {"emotion": run}


def test_specs_that_cannot_be_read_and_fields_that_are_missing_do_no_harm() -> None:
    kept, damaged, lost = (made(SORT, reason="done") for _ in range(3))
    (damaged.path / "spec.json").write_text("{")
    (lost.path / "spec.json").unlink()
    assert found() == {"emotion": kept.name}
    content = json.loads((kept.path / "spec.json").read_text())
    del content["limit"]  # as an earlier version wrote it, which had no limit
    (kept.path / "spec.json").write_text(json.dumps(content))
    assert found() == {"emotion": kept.name}
    del content["length"]  # then it had the default, not 16
    (kept.path / "spec.json").write_text(json.dumps(content))
    assert found() == {}


def test_a_spec_and_the_end_of_a_journal_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run, other = made(TRAIN, reason="steps"), made(SORT, reason="failed")
    ends: list[str] = []
    monkeypatch.setattr(plan, "summarise", lambda run: ends.append(run.name) or summarise(run))
    before = plan._read_spec.cache_info().misses
    for _ in range(3):
        assert len(found()) == 2
    assert plan._read_spec.cache_info().misses == before + 2
    assert sorted(ends) == [other.name, run.name]
    ended(run, "stopped")
    assert plan.state(run) == "not started"


@pytest.mark.parametrize("task", ["tokens", "verse", "temperatures", "ladder"])
def test_a_measurement_is_no_run(task: str) -> None:
    assert plan.find([Work("it", task, "tokens", "")], SETTINGS) == {}
