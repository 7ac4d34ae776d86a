"""``train`` with several values of a field, and ``llmlab-tui queue``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workbench import NANO, Command

from checkpoints import home, trash
from checkpoints import run as runs
from checkpoints.run import Run
from engine.runs import queue

FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in NANO.items()]


pytestmark = pytest.mark.usefixtures("spawned")


def specs() -> list[tuple[float, int, str]]:
    """Learning rate, seed and optimizer of every run, in the order of the queue."""
    found = [Run(home.runs() / name).spec() for name in queue.names()]
    return [(one["learning_rate"], one["seed"], one["optimizer"]) for one in found]


def test_several_values_make_a_queue_that_is_listed_moved_and_cancelled(
    run: Command, verse: Path, spawned: list[str]
) -> None:
    done = run("train", "--corpus", verse, *FLAGS, "--learning-rate", "1e-3,3e-3", "--seed", "1..2")
    assert done.code == 0
    assert "4 runs, one after the other; llmlab-tui queue" in done.err
    assert specs() == [(rate, seed, "adamw") for seed in (1, 2) for rate in (0.001, 0.003)]
    a, b, c, d = queue.names()
    assert spawned == [a]
    rows = [line.split()[:3] for line in run("queue").out.splitlines()]
    assert rows == [[a, "starting", "0"], ["1", b, "queued"], ["2", c, "queued"], ["3", d, "queued"]]
    moved = run("queue", "move", d, "first")
    assert [line.split()[-5:][1] for line in moved.out.splitlines()] == ["starting", "queued", "queued", "queued"]
    assert queue.names() == (a, d, b, c)
    assert run("queue", "move", runs.after_time(b), "up").code == 0
    assert queue.names() == (a, b, d, c)
    records = [json.loads(line) for line in run("queue", "--json").out.splitlines()]
    assert [(one["name"], one["state"], one["place"]) for one in records] == [
        (a, "starting", 0), (b, "queued", 1), (d, "queued", 2), (c, "queued", 3),
    ]  # fmt: skip
    listed = [json.loads(line) for line in run("runs", "--filter", "state:queued", "--json").out.splitlines()]
    assert {one["name"] for one in listed} == {b, c, d}
    gone = run("queue", "cancel", d)
    assert f"cancelled {d}: deleted; restore it within a week: llmlab-tui runs restore {d}" in gone.err
    assert run("queue", "cancel").code == 2
    assert run("queue", "cancel", b, "--all").code == 2
    done = run("queue", "cancel", "--all")
    assert done.code == 0
    assert done.err.splitlines()[0] == f"cancelled {a}: stopping"
    assert sorted(one.name for one in trash.deleted(home.runs())) == sorted([b, c, d])
    empty = run("queue")
    assert (empty.code, empty.out) == (0, "")
    assert "The queue is empty" in empty.err
    assert run("queue", "cancel", "--all").code == 0
    assert spawned == [a]


def test_a_toml_file_may_hold_lists(run: Command, verse: Path, tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text('optimizer = ["adamw", "muon"]\nseed = [3, 4]\nlearning_rate = 0.002\n')
    done = run("train", "--corpus", verse, *FLAGS, "--config", file, "--json")
    assert done.code == 0
    assert specs() == [(0.002, seed, optimizer) for optimizer in ("adamw", "muon") for seed in (3, 4)]
    assert [json.loads(line)["name"] for line in done.out.splitlines()] == list(queue.names())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--seed", "3..1"], "3..1: the range ends before it begins"),
        (["--seed", "1..2000"], "2,000 runs; the most is 200"),
        (["--seed", "1..40", "--batch", "1..40"], "1,600 runs are too many"),
        (["--width", "16,17"], "heads: 2 do not divide the width 17"),
        (["--seed", "1..2", "--corpus", "/nowhere/\x1b[31m"], "no such file"),
        (["--seed", "1,two"], "'two' is not a whole number"),
    ],
)
def test_wrong_values_make_no_run(run: Command, verse: Path, given: list[str], told: str) -> None:
    usual = [flag for flag in [f"--corpus={verse}", *FLAGS] if flag.partition("=")[0] not in given]
    done = run("train", *usual, *given)
    assert done.code == 2
    assert told in done.err
    assert "\x1b" not in done.err
    assert runs.every(home.runs()) == []


def test_a_damaged_queue_is_told_and_put_aside(run: Command, verse: Path) -> None:
    assert run("train", "--corpus", verse, *FLAGS, "--seed", "1..2").code == 0
    file = home.runs() / queue.FILE
    file.write_bytes(file.read_bytes().replace(b"queue", b"q").replace(b"seed1", b"seed\x1b"))
    for words in (["queue"], ["queue", "move", "latest", "up"], ["train", "--corpus", verse, *FLAGS, "--seed", "3..4"]):
        done = run(*words)
        assert done.code == 2
        assert "queue.json cannot be used" in done.err
        assert "No run is lost" in done.err
        assert len(runs.every(home.runs())) == 2
    done = run("queue", "cancel", "--all")
    assert done.code == 0
    assert "its runs are kept" in done.err
    assert len(runs.every(home.runs())) == 2
    assert run("queue").code == 0


def test_hostile_names_are_refused_or_shown_harmless(run: Command, verse: Path) -> None:
    assert run("queue", "cancel", "\x1b[31m").code == 2
    folder = runs.create(home.runs(), "x", {"task": "train"}, {}).path
    hostile = folder.rename(folder.with_name("20261101-100000-\x1b[2J\u202e"))
    queue.add([Run(hostile)])
    done = run("queue")
    assert "␛[2J" in done.out
    for text in (done.out, done.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
