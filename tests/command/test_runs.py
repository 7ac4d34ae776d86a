"""``llmlab-tui runs`` and its commands."""

from __future__ import annotations

import json

import journals
import pytest
from workbench import Command

from checkpoints import home


@pytest.fixture(autouse=True)
def two() -> None:
    for name in ("20261101-100000-a", "20261102-100000-b"):
        journals.training(name, [2.0], {1: 2.5})


def test_what_was_written_is_listed_and_pinned_runs_come_first(run: Command) -> None:
    assert [line.split()[0][-1] for line in run("runs").out.splitlines()] == ["b", "a"]
    assert run("runs", "tag", "a", "good", "paper").out == "good paper\n"
    assert run("runs", "tag", "a", "good", "--remove").out == "paper\n"
    assert run("runs", "rename", "a", " The baseline ").code == 0
    assert run("runs", "pin", "a").code == 0
    assert run("runs", "note", "a", "line \x1b[31m\nline").code == 0
    first, second = run("runs").out.splitlines()
    assert first.startswith("20261101-100000-a ")
    assert first.endswith('  "The baseline"  #paper  pinned')
    assert second.startswith("20261102-100000-b ")
    record = json.loads(run("runs", "--json").out.splitlines()[0])
    assert (record["title"], record["tags"], record["pinned"]) == ("The baseline", ["paper"], True)
    for asked in ("tag:paper", "paper", "baseline", "title:base", "parent: tag:paper"):
        assert [line.split()[0][-1] for line in run("runs", "--filter", asked).out.splitlines()] == ["a"]
    assert run("runs", "--filter", "tag:other").out == ""
    assert run("runs", "note", "a").out == "line ␛[31m\nline\n"
    assert run("runs", "pin", "a", "--off").code == 0
    assert [line.split()[0][-1] for line in run("runs").out.splitlines()] == ["b", "a"]
    assert "must be a word" in run("runs", "tag", "a", "two words").err


def test_deleted_runs_are_in_the_trash_and_come_back(run: Command) -> None:
    done = run("runs", "delete", "a", "b")
    assert (done.code, run("runs").out) == (0, "")
    assert "llmlab-tui runs restore 20261101-100000-a" in done.err
    assert [line.split()[0][-1] for line in run("runs", "trash").out.splitlines()] == ["b", "a"]
    assert [json.loads(line)["name"][-1] for line in run("runs", "trash", "--json").out.splitlines()] == ["b", "a"]
    assert run("runs", "restore", "a").out == "20261101-100000-a\n"
    assert [line.split()[0][-1] for line in run("runs").out.splitlines()] == ["a"]
    done = run("runs", "trash", "--empty")
    assert (done.out, done.err) == ("", "removed 1 run for good\n")
    assert run("runs", "restore", "b").code == 2
    assert [entry.name for entry in (home.runs() / ".trash").iterdir()] == []


def test_a_name_that_no_run_has_deletes_none(run: Command) -> None:
    assert run("runs", "delete", "a", "nobody").code == 2
    assert len(run("runs").out.splitlines()) == 2
