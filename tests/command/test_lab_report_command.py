"""``llmlab-tui lab report``: where it is written, and of which lab."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import Command

from engine.lab import plan, record
from engine.lab.exercises import LAB
from engine.lab.results import Rung, Temperatures


def test_with_nothing_done_the_report_is_written_here(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("lab", "report")
    assert (done.code, done.out) == (0, f"{tmp_path / 'lab-report' / 'lab.md'}\n")
    page = (tmp_path / "lab-report" / "lab.md").read_text()
    assert "holds: 0, does not hold: 0, could be chance: 0, not tested: " in page.lower()
    assert "quick" not in page
    (tmp_path / "lab-report" / "lab.md").write_text("mine")
    refused = run("lab", "report")
    assert (refused.code, refused.out) == (2, "")
    assert "--out" in refused.err
    assert run("lab", "report", "--out", tmp_path / "other").out == f"{tmp_path / 'other' / 'lab.md'}\n"


def test_of_two_labs_it_is_the_one_with_more_done(run: Command, tmp_path: Path) -> None:
    record.save_answer("2.2", "Five *seeds*.")
    work = next(work for one in LAB for work in one.works if work.name == "temperatures")
    quick = plan.fields(work, record.Settings(), quick=True)
    n = quick["seeds"]
    rungs = tuple(
        Rung(f"temperature {at:g}", at, tuple(range(n)), ("x",) * n, (0.5,) * n, (-1.0,) * n, (0.5,) * n)
        for at in (0.0, 1.0)
    )
    record.save_measured("temperatures", Temperatures("bundled", "here", "Nel mezzo", quick["length"], rungs))
    assert run("lab", "report", "--out", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "lab.md").read_text()
    assert "It is of the quick lab" in page
    assert "`llmlab-tui lab run --exercise 1 --quick`" in page
    assert "> Five \\*seeds\\*." in page
    assert "Not finished" not in page
