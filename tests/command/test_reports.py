"""Commands that read runs: metrics in other formats, comparisons, reports."""

from __future__ import annotations

import json
from pathlib import Path

import journals
import pytest
from workbench import Command

from checkpoints import home
from checkpoints.run import Run
from engine.report.compare import compare, record


def test_the_command_prints_tables_and_json(run: Command) -> None:
    journals.training("a", [2.0] * 20, {10: 2.5, 20: 2.25}, note="\x1b[31mred\nline")
    journals.training("b", [2.0] * 10, {10: 1.5}, seed=5)
    done = run("compare", "a", "b")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["seed", "1", "5"] in lines
    assert ["10", "2.5000", "1.5000"] in lines
    assert ["20", "2.2500"] in lines
    assert "␛[31mred⏎line" in done.out
    told = json.loads(run("compare", "a", "b", "--json", "--axis", "epoch").out)
    assert told["differences"]["seed"] == [1, 5]
    assert told["curves"][0]["validation"] == [[1.0, 2.5], [2.0, 2.25]]
    assert told == json.loads(json.dumps(record(compare([Run(home.runs() / name) for name in "ab"], "epoch"))))
    assert run("compare", "a", "a").code == 2
    assert run("compare", "a", "b", "--smoothing", "1").code == 2


def test_metrics_are_exported_into_a_folder_for_each_run(run: Command, tmp_path: Path) -> None:
    for name in "ab":
        journals.training(name, [2.0], {1: 2.5})
    done = run("export-metrics", "a", "b", "--to", "csv", tmp_path / "out")
    assert (done.code, done.out.split()) == (0, [str(tmp_path / "out" / name) for name in "ab"])
    assert len((tmp_path / "out" / "b" / "steps.csv").read_text().splitlines()) == 2
    assert run("export-metrics", "a", "--to", "xlsx", tmp_path / "out").code == 2
    assert run("export-metrics", "nobody", "--to", "csv", tmp_path / "out").code == 2


def test_reports_of_several_runs_get_a_folder_each(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        journals.training(name, [2.0], {1: 2.5})
    done = run("report", "a", "b", "--out", tmp_path / "out")
    assert (done.code, done.out.split()) == (
        0,
        [str(tmp_path / "out" / f"{name}-report" / "report.md") for name in "ab"],
    )
    monkeypatch.chdir(tmp_path)
    done = run("report", "a", "--sample", "1")
    assert (done.code, done.out.split()) == (0, [str(tmp_path / "a-report" / "report.md")])
    (tmp_path / "a-report" / "report.md").write_text("mine")
    assert run("report", "a").code == 2


@pytest.mark.usefixtures("known_peak")
def test_a_branch_is_made_listed_and_equal_to_its_parent(run: Command, verse: Path) -> None:
    fields = ("--layers", 1, "--heads", 2, "--width", 16, "--context", 8, "--batch", 2, "--sample-every", 0)
    made = run("train", "--corpus", verse, "--steps", 10, "--evaluate-every", 5, *fields, "--device", "cpu", "--quiet")
    assert made.code == 0
    parent = json.loads(run("runs", "--json").out)
    done = run("train", "--from", "latest@last", "--steps", 20, "--learning-rate", "0.002", "--name", "longer")
    assert done.code == 0
    longer, first = run("runs").out.splitlines()
    assert longer.startswith(done.out.strip())
    assert longer.endswith(f"  from {parent['name']}@10")
    assert "  from " not in first
    assert json.loads(run("runs", "--json").out.splitlines()[0])["parent"] == f"{parent['name']}@10"
    steps = [json.loads(line) for line in (home.runs() / done.out.strip() / "events.jsonl").read_text().splitlines()]
    assert [one["step"] for one in steps if one["event"] == "step"] == list(range(11, 21))
    wrong = run("train", "--from", "latest@last", "--width", 32)
    assert (wrong.code, "width" in wrong.err, len(run("runs").out.splitlines())) == (2, True, 2)
    assert run("train", "--from", "nobody@5").code == 2
