"""Titles, tags and notes of runs: a small file beside the rest, which neither older nor newer versions trip over."""

from __future__ import annotations

import json
from pathlib import Path

import journals
import pytest

from checkpoints import home
from checkpoints.run import Run
from engine.runs import notes
from engine.runs.listing import summarise
from engine.runs.notes import Notes
from engine.runs.spec import BadSpec


@pytest.fixture
def run() -> Run:
    return journals.training("verse", [2.0], {1: 2.5})


def test_notes_are_written_and_listed(run: Run) -> None:
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    assert notes.read(run) == Notes()
    notes.change(run, title="Baseline, nano", pinned=True)
    notes.tag(run, ["good", "paper", "good"])
    notes.tag(run, ["late"], removed=["good"])
    notes.change(run, note="first line\nsecond \x1b[31m")
    assert notes.read(run) == Notes("Baseline, nano", ("paper", "late"), "first line\nsecond \x1b[31m", True)
    found = summarise(run)
    assert (found.name, found.title, found.tags, found.pinned) == ("verse", "Baseline, nano", ("paper", "late"), True)
    assert {file.name: file.read_bytes() for file in run.path.iterdir() if file.name != notes.FILE} == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "two\nlines"}, "title"),
        ({"title": "x" * 101}, "title"),
        *(({"tags": (tag,)}, "tag") for tag in ("a b", "", "a,b", "\x1b")),
        ({"tags": ("x" * 31,)}, "tags"),
        ({"note": "x" * 10_001}, "note"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_is_written(
    changes: dict[str, object], field: str, run: Run
) -> None:
    with pytest.raises(BadSpec) as error:
        notes.change(run, **changes)
    assert [problem.field for problem in error.value.problems] == [field]
    assert not (run.path / notes.FILE).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"title": 3}', '{"tags": "x"}'])
def test_damaged_notes_are_none(content: str, run: Run) -> None:
    (run.path / notes.FILE).write_text(content)
    assert notes.read(run) == Notes()
    assert summarise(run).state != "unreadable"
    assert notes.change(run, title="new").title == "new"


def test_fields_of_newer_versions_stay(run: Run) -> None:
    run.write_json(notes.FILE, {"title": "old", "colour": "red"})
    notes.change(run, title="new")
    record = json.loads((run.path / notes.FILE).read_text())
    assert (record["title"], record["colour"]) == ("new", "red")


@pytest.mark.usefixtures("older_runs")
def test_runs_of_earlier_versions_have_none(tmp_path: Path) -> None:
    for run in map(Run, home.runs().iterdir()):
        assert notes.read(run) == Notes()
        assert (summarise(run).title, summarise(run).parent, summarise(run).pinned) == ("", "", False)
