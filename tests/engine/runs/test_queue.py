"""A queue of runs, by real processes: it survives its starter, kills, damage and two starts at once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from workbench import command, forked_python, measured, spec, train

from checkpoints import home, store
from checkpoints import run as runs
from checkpoints.lock import Lock
from checkpoints.run import NoSuchRun, Run
from checkpoints.store import CheckpointError
from engine.gpt import runs as gpt_runs
from engine.gpt.branch import branch
from engine.gpt.spec import TrainSpec
from engine.runs import owner, queue
from engine.runs.events import Finished, Started
from engine.runs.listing import summarise
from engine.runs.messages import Control, Stop
from engine.runs.several import combinations
from engine.runs.spec import BadSpec

pytestmark = pytest.mark.usefixtures("known_peak")
LIMIT = 90.0  # seconds
LONG = {"steps": 400, "evaluate_every": 200, "save_every": 0.1, "sample_every": 0}


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    """No process outlives its test."""
    yield
    for entry in queue.read():
        if entry.pid not in (0, os.getpid()) and entry.live:
            os.kill(entry.pid, signal.SIGKILL)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Names and devices of runs in the order in which processes were started for them; these only sleep."""
    found = []

    class Process:
        pid = os.getpid()

        def poll(self) -> None:
            return None

    def spawn(run: Run) -> Process:
        found.append((run.name, run.spec()["device"]))
        return Process()

    monkeypatch.setattr(owner, "spawn", spawn)
    return found


def until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + LIMIT
    while not (found := holds()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def told(run: Run) -> list[Any]:
    return list(owner.follow(run, Control()))


def made(verse: Path, count: int, **changes: Any) -> list[Run]:
    base = spec(verse, **changes)
    return gpt_runs.create_each([replace(base, seed=number) for number in range(1, count + 1)])


def states(those: list[Run]) -> list[str]:
    return [summarise(run).state for run in those]


def undisturbed(run: Run) -> list[Any]:
    return measured(train(gpt_runs.spec_of(run)))


def test_four_runs_follow_each_other_after_their_starter_has_ended_and_a_kill_is_made_good(verse: Path) -> None:
    long = spec(verse, **LONG)
    four = gpt_runs.create_each([long, *(replace(long, seed=number, steps=20) for number in (2, 3, 4))])
    failing = four[2]
    failing.write_json("spec.json", {**failing.spec(), "corpus": str(verse.parent / "gone.txt")})
    code = "import sys; from engine.runs import queue; from checkpoints.run import Run; from pathlib import Path;"
    forked_python(code + "queue.add([Run(Path(path)) for path in sys.argv[1:]])", *(run.path for run in four))
    assert states(four)[1:] == ["queued"] * 3
    assert [summarise(run).place for run in four] == [0, 1, 2, 3]
    until(lambda: any(map(store.step_of, store.checkpoints(four[0].checkpoints))))
    victim = four[0].owner()
    assert victim is not None
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: four[0].owner() is None)
    assert states(four)[0] == "interrupted"
    done = command("queue")
    assert done.returncode == 0
    assert four[0].name in done.stderr
    assert len(done.stdout.splitlines()) == 4
    until(lambda: not queue.read())
    assert states(four) == ["finished", "finished", "failed", "finished"]
    resumed = [event for event in told(four[0]) if isinstance(event, Started)]
    assert len(resumed) == 2
    assert resumed[1].step > 0
    for run in (four[0], four[1]):
        assert measured(told(run)) == undisturbed(run)
    assert sorted(four, key=lambda run: run.events.stat().st_mtime) == four


def test_a_stop_ends_one_run_and_a_signal_holds_the_queue_until_the_next_start(verse: Path) -> None:
    a, b = made(verse, 2, **{**LONG, "steps": 100_000})
    queue.add([a, b])
    until(lambda: a.events.stat().st_size)
    assert owner.send(a, Stop())
    until(lambda: b.events.stat().st_size)
    assert states([a]) == ["stopped"]
    assert queue.names() == (b.name,)
    there = b.owner()
    assert there is not None
    os.kill(there.pid, signal.SIGTERM)
    until(lambda: b.owner() is None)
    assert states([b]) == ["stopped"]
    assert queue.advance() == [b]
    until(lambda: b.owner())
    assert states([b]) == ["running"] or until(lambda: states([b]) == ["running"])


def test_a_process_of_torchrun_passes_on_nothing_of_it(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a", "GROUP_RANK": "0"}
    for name, value in {**given, "OMP_NUM_THREADS": "1", "TORCH_HOME": "/t"}.items():
        monkeypatch.setenv(name, value)
    seen: dict[str, str] = {}
    monkeypatch.setattr(
        owner.subprocess, "Popen", lambda *_, env, **__: seen.update(env) or SimpleNamespace(pid=os.getpid())
    )
    monkeypatch.setattr(owner.os, "setpriority", lambda *_: None)
    owner.spawn(made(verse, 1)[0])
    assert not seen.keys() & {*given, "OMP_NUM_THREADS"}
    assert {"PATH", "LLMLAB_HOME", "TORCH_HOME"} <= seen.keys()


def test_two_starts_at_once_start_a_run_once(verse: Path, started: list[tuple[str, Any]]) -> None:
    many = made(verse, 3)
    with queue._held():
        queue._write([queue.Entry(run.name) for run in many])
    threads = [threading.Thread(target=queue.advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [name for name, _ in started] == [many[0].name]
    assert states(many) == ["starting", "queued", "queued"]
    queue.advance(many[0].name)
    assert [name for name, _ in started] == [run.name for run in many[:2]]


def test_two_processes_at_once_start_a_run_once(verse: Path) -> None:
    many = made(verse, 2, **LONG)
    queue._write([queue.Entry(run.name) for run in many])
    code = "from engine.runs import queue; print(*(run.name for run in queue.advance()))"
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(forked_python(code).strip())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["", many[0].name]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"runs": {}}',
        b'{"runs": ["a"]}',
        b'{"runs": [{"name": "../../etc"}]}',
        b'{"runs": [{"name": ""}]}',
        b'{"runs": [{"name": "a\\u0000"}]}',
        b'{"runs": [{"name": 1}]}',
        b'{"runs": [{"name": "a", "pid": "1"}]}',
        b'{"runs": [{"name": "a", "mood": 1}]}',
        b'{"runs": [], "checksum": "0"}',
        b'{"schema": 99, "runs": []}',
        b"\xff\x00",
        b"[" * 100_000,
    ],
)
def test_a_damaged_queue_is_refused_and_loses_no_run(content: bytes, verse: Path) -> None:
    two = made(verse, 2)
    file = home.runs() / queue.FILE
    file.write_bytes(content)
    for act in (queue.advance, lambda: queue.add(two), lambda: queue.move(two[0].name, "up")):
        with pytest.raises(CheckpointError, match=r"cannot be used: .*No run is lost") as caught:
            act()
        assert "\n" not in str(caught.value)
    assert file.read_bytes() == content
    assert states(two) == ["interrupted"] * 2
    aside = queue.put_aside()
    assert aside.read_bytes() == content
    assert queue.read() == []


def test_runs_are_moved_and_cancelled(verse: Path, started: list[tuple[str, Any]]) -> None:
    a, b, c, d = made(verse, 4)
    assert queue.add([a, b, c, d]) == [a]
    queue.move(d.name, "first")
    assert queue.names() == (a.name, d.name, b.name, c.name)
    queue.move(b.name, "down")
    assert queue.names() == (a.name, d.name, c.name, b.name)
    queue.move(b.name, "down")
    queue.move(c.name, "up")
    queue.move(c.name, "up")
    assert queue.names() == (a.name, c.name, d.name, b.name)
    with pytest.raises(BadSpec, match="is running"):
        queue.move(a.name, "down")
    with pytest.raises(NoSuchRun, match="nobody is not in the queue"):
        queue.move("nobody", "up")
    with pytest.raises(NoSuchRun):
        queue.cancel([c.name, "nobody"])
    assert queue.cancel([a.name, c.name]) == {a.name: "stopping", c.name: "deleted"}
    assert [message["message"] for message in a.collect()] == ["Stop"]
    assert (home.runs() / ".trash" / c.name).is_dir()
    assert queue.names() == (d.name, b.name)
    d.events.write_text('{"event": "started", "step": 0}\n')
    assert queue.cancel([d.name]) == {d.name: "kept"}
    assert d.path.is_dir()


def test_runs_that_were_deleted_or_finished_elsewhere_leave_the_queue(
    verse: Path, started: list[tuple[str, Any]]
) -> None:
    a, b, c = made(verse, 3)
    queue._write([queue.Entry(run.name) for run in (a, b, c)])
    a.delete()
    list(gpt_runs.drive(b, Control(), resume=False))
    assert [event.reason for event in told(b) if isinstance(event, Finished)] == ["steps"]
    assert queue.advance() == [c]
    assert queue.names() == (c.name,)


def test_a_run_that_somebody_owns_is_not_started_again(verse: Path, started: list[tuple[str, Any]]) -> None:
    a, b = made(verse, 2)
    queue._write([queue.Entry(run.name) for run in (a, b)])
    with Lock(a.path / "lock"):
        assert queue.advance() == []
    assert queue.advance() == [a]


def test_a_start_whose_process_has_ended_without_a_trace_is_made_again(
    verse: Path, started: list[tuple[str, Any]]
) -> None:
    (a,) = made(verse, 1)
    gone = forked_python("import os; print(os.getpid())").strip()
    queue._write([queue.Entry(a.name, int(gone), time.time())])
    assert queue.advance() == [a]
    queue._write([queue.Entry(a.name, os.getpid(), time.time() - owner.START_UP - 1)])
    assert queue.advance() == [a]  # another process has its number by now


def test_each_gpu_has_a_run_of_its_own(
    verse: Path, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "visible_gpus", lambda: 2)
    monkeypatch.setattr(owner, "processes", lambda gpus: int(gpus))
    devices = ["auto", "cuda:1", "cuda", "cpu", "cpu", "auto", "cpu"]
    several = ["1", "1", "1", "1", "1", "2", "1"]
    base = spec(verse)
    each = [
        gpt_runs.create(replace(base, device=device, gpus=gpus)) for device, gpus in zip(devices, several, strict=True)
    ]
    queue.add(each)
    assert started == [(each[0].name, "cuda:0"), (each[1].name, "cuda:1"), (each[3].name, "cpu")]
    queue.advance(each[0].name)
    assert started[3:] == [(each[2].name, "cuda:0")]
    for number in (1, 2):
        queue.advance(each[number].name)
    assert len(started) == 4  # the run on both GPUs waits for the CPU's
    queue.advance(each[3].name)
    assert started[4:] == [(each[4].name, "cpu")]
    queue.advance(each[4].name)
    assert started[5:] == [(each[5].name, "auto")]
    queue.advance(each[5].name)
    assert started[6:] == [(each[6].name, "cpu")]
    assert queue.manner() == "on 2 GPUs, one on each"
    assert queue.manner("cpu") == "one after the other"


def test_every_combination_is_a_run() -> None:
    given = {"learning-rate": "1e-3, 3e-3,", "seed": "1..3", "corpus": "a,b..c", "steps": "5,000", "preset": ["nano"]}
    found = combinations(TrainSpec, given)
    assert [(one["learning-rate"], one["seed"]) for one in found] == [
        (rate, seed) for rate in ("1e-3", "3e-3") for seed in ("1", "2", "3")
    ]
    assert {(one["corpus"], one["steps"], one["preset"]) for one in found} == {("a,b..c", "5,000", "nano")}
    assert combinations(TrainSpec, {"seed": "-1..1,7,7"}) == [{"seed": str(one)} for one in (-1, 0, 1, 7)]
    assert combinations(TrainSpec, {}) == [{}]
    for wrong in ({"seed": "3..1"}, {"seed": "1..999999999"}, {"seed": "1..100", "steps": "1..100"}):
        with pytest.raises(BadSpec):
            combinations(TrainSpec, wrong)


def test_names_tell_in_what_runs_differ_and_hostile_ones_are_harmless(verse: Path) -> None:
    two = made(verse, 2, name="../\x1b[31m;rm -rf\n")
    assert [run.name.partition("-")[2].partition("-")[2] for run in two] == [
        "31m-rm--rf--seed1",
        "31m-rm--rf--seed2",
    ]
    assert all(run.path.parent == home.runs() for run in two)


def test_branches_of_one_checkpoint_are_all_made_or_none(verse: Path) -> None:
    parent = gpt_runs.create(spec(verse))
    train(gpt_runs.spec_of(parent), run=parent)
    before = runs.every(home.runs())
    with pytest.raises(BadSpec):
        runs.all_or_none(partial(branch, parent.name, one) for one in ({"steps": "80"}, {"width": "32"}))
    assert runs.every(home.runs()) == before
    two = runs.all_or_none(partial(branch, parent.name, {"steps": steps}) for steps in ("80", "90"))
    assert [run.spec()["steps"] for run in two] == [80, 90]


def test_the_journal_of_the_queue_is_one_file_beside_the_runs(verse: Path, started: list[tuple[str, Any]]) -> None:
    (a,) = made(verse, 1)
    queue.add([a])
    content = json.loads((home.runs() / queue.FILE).read_text())
    assert [one["name"] for one in content["runs"]] == [a.name]
    assert [run.name for run in runs.every(home.runs())] == [a.name]
