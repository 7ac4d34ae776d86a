"""Run directories: who owns one, what it is called, what it is told, what a list says about it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import process, python

from checkpoints import lock as locks
from checkpoints import run as runs
from checkpoints import store
from checkpoints.journal import Journal
from checkpoints.lock import Lock, Locked, owner
from checkpoints.run import NoSuchRun, Run
from engine.runs.listing import summarise

HOLD = "import sys, time; from checkpoints.lock import Lock; from pathlib import Path\n"
HOLD += "lock = Lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def run(folder: Path) -> Run:
    return runs.create(folder, "first", {"steps": 10, "corpus": "verse.txt", "preset": "nano"}, {"python": "3"})


@pytest.fixture
def held(run: Run) -> Iterator[int]:
    """The run is owned by another process; its pid."""
    import subprocess

    with process([sys.executable, "-c", HOLD, str(run.path / "lock")], stdin=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child.pid


def test_a_second_owner_is_refused_and_told_who_the_first_is(
    run: Run, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", 0.0)
    found = run.owner()
    assert found is not None
    assert found.pid == held
    with pytest.raises(Locked, match=f"in use by process {held}$") as caught:
        run.lock()
    assert caught.value.owner == found
    with pytest.raises(Locked):
        run.delete()
    assert run.path.is_dir()


def test_a_killed_owner_leaves_its_name_and_nothing_else(run: Run, held: int) -> None:
    os.kill(held, signal.SIGKILL)
    with run.lock() as lock:  # waits as long as it takes the kernel to let go
        assert lock.inherited is not None
        assert lock.inherited.pid == held
        found = run.owner()
        assert found is not None
        assert found.pid == os.getpid()
    assert run.owner() is None


def test_an_owner_that_released_leaves_nothing_to_inherit(run: Run) -> None:
    first = run.lock()
    first.release()
    first.release()
    with run.lock() as lock:
        assert lock.inherited is None


def test_a_damaged_lock_file_is_no_obstacle(run: Run) -> None:
    for content in (b"", b"{", b'{"pid": 1}', b"[]", b"\xff"):
        (run.path / "lock").write_bytes(content)
        assert run.owner() is None
        with run.lock() as lock:
            assert lock.inherited is None


def test_somebody_who_looks_does_not_keep_an_owner_out(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "lock"
    Lock(path).release()
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks.time, "sleep", lambda seconds: os.close(looking))
        with Lock(path):
            found = owner(path)
            assert found is not None
            assert found.pid == os.getpid()


def test_nobody_owns_what_is_not_there(tmp_path: Path) -> None:
    assert owner(tmp_path / "lock") is None


def test_a_deleted_run_is_gone(run: Run, folder: Path) -> None:
    run.delete()
    assert list(folder.iterdir()) == []
    assert runs.every(folder) == []


def test_runs_are_found_by_name_by_what_they_were_called_by_path_and_by_age(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(runs.datetime):
        @classmethod
        def now(cls, tz: object = None) -> runs.datetime:  # type: ignore[override]
            return cls(2099, 1, 1, tzinfo=runs.UTC)

    monkeypatch.setattr(runs, "datetime", Later)
    second = runs.create(folder, "second-run", {}, {})
    third = runs.create(folder, "second-run", {}, {})
    assert second.name == "20990101-000000-second-run"
    assert third.name == "20990101-000000-second-run-2"
    assert runs.find(folder, run.name) == run
    assert runs.find(folder, "first") == run
    assert runs.find(folder, "second-run") == second
    assert runs.find(folder, str(run.path)) == run
    assert runs.find(folder, "latest") == third
    assert runs.every(folder) == [third, second, run]
    with pytest.raises(NoSuchRun, match=f"'zweiter'; there are: {third.name}"):
        runs.find(folder, "zweiter")


def test_without_runs_latest_says_so(folder: Path) -> None:
    with pytest.raises(NoSuchRun, match="no runs in"):
        runs.find(folder, "latest")
    with pytest.raises(NoSuchRun, match="none yet"):
        runs.find(folder, "first")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Dante nano", "dante-nano"),
        ("../../etc/passwd", "etc-passwd"),
        ("\x1b[31mred", "31mred"),
        ("perché", "perch"),
        ("...", "run"),
        ("", "run"),
        ("x" * 100, "x" * 40),
    ],
)
def test_names_become_safe_folders(name: str, slug: str, folder: Path) -> None:
    made = runs.create(folder, name, {}, {})
    assert made.path.parent == folder
    assert runs.after_time(made.name) == slug


def test_runs_of_one_second_are_listed_in_the_order_in_which_they_were_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still(runs.datetime):
        @classmethod
        def now(cls, tz: object = None) -> runs.datetime:  # type: ignore[override]
            return cls(2099, 1, 1, tzinfo=runs.UTC)

    monkeypatch.setattr(runs, "datetime", Still)
    made = [runs.create(folder, name, {}, {}) for name in ("b", "c", "a")]
    for order, one in enumerate(made):  # clocks of files are coarse
        os.utime(one.path / "env.json", ns=(10**18, 10**18 + order))
    assert runs.every(folder) == made[::-1]
    assert runs.find(folder, "latest") == made[-1]


def test_a_directory_of_another_name_is_found_by_all_of_it(run: Run, folder: Path) -> None:
    """One that was renamed, or copied from elsewhere: no part of its name is a time."""
    other = Run(run.path.rename(folder / "my-old-run"))
    assert runs.find(folder, "my-old-run") == other
    with pytest.raises(runs.NoSuchRun):
        runs.find(folder, "run")


def test_messages_are_taken_once_and_in_order(run: Run) -> None:
    given = [{"message": "Pause", "n": n} for n in range(20)]
    for message in given:
        run.post(message)
    (run.inbox / "0-damaged.json").write_text("{")
    (run.inbox / "1-list.json").write_text("[]")
    (run.inbox / ".half-written").write_text("{")
    assert run.collect() == given
    assert run.collect() == []
    assert [entry.name for entry in run.inbox.iterdir()] == [".half-written"]


def test_an_inbox_survives_whatever_lies_in_it(run: Run) -> None:
    os.mkfifo(run.inbox / "0-fifo.json")
    (run.inbox / "1-folder.json").mkdir()
    (run.inbox / "2-link.json").symlink_to(run.inbox / "0-fifo.json")
    (run.inbox / "3-deep.json").write_text('{"message":' * 100_000)
    (run.inbox / "4-latin.json").write_bytes(b'{"message": "\xff"}')
    run.post({"message": "Stop"})
    assert run.collect() == [{"message": "Stop"}]
    assert run.collect() == []


def test_a_message_that_cannot_be_posted_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space"):
        run.post({"message": "Stop"})
    assert list(run.inbox.iterdir()) == []


def test_a_missing_inbox_is_an_empty_one(run: Run) -> None:
    run.inbox.rmdir()
    assert run.collect() == []


def test_a_name_that_is_not_utf_8_comes_back_from_a_json_file(run: Run) -> None:
    content = {"corpus": "caf\udce9/\udcff è"}
    run.write_json("about.json", content)
    assert run.read_json("about.json") == content
    (run.path / "about.json").read_text("utf-8")


def test_a_damaged_json_file_is_an_empty_one(run: Run) -> None:
    assert run.read_json("spec.json")["steps"] == 10
    for content in ("{", "[]", "\x00"):
        (run.path / "spec.json").write_text(content)
        assert run.read_json("spec.json") == {}
    assert run.read_json("none.json") == {}


def test_a_record_says_its_schema_once_and_one_of_an_earlier_version_says_none(run: Run) -> None:
    write(run, STARTED, EVALUATED)
    store.commit(run.checkpoints, 3, {}, {"spec": {"steps": 10}})
    records = [run.path / "spec.json", run.path / "env.json", run.checkpoints / "step-000003" / "state.json"]
    for path in records:
        assert path.read_text().count('"schema"') == 1
        given = json.loads(path.read_bytes())
        known = store.read_object(path)
        assert given.pop("schema") == store.SCHEMA
        path.write_text(json.dumps(given))
        assert store.read_object(path) == known
        path.write_text(json.dumps({**given, "schema": store.SCHEMA + 1}))
        with pytest.raises(ValueError, match="its schema is 2, this version reads 1"):
            store.read_object(path)
    assert b"schema" not in run.events.read_bytes()
    assert "of another version" in summarise(run).why


def write(run: Run, *events: dict[str, object]) -> None:
    journal = Journal(run.events)
    for event in events:
        journal.append(event)
    journal.close()


STARTED = {"event": "started", "step": 0, "steps": 10, "corpus": "verse", "parameters": 123}
EVALUATED = {"event": "evaluated", "step": 4, "best_val_loss": 1.5, "best_step": 4}


def test_a_summary_is_the_end_of_the_journal(run: Run) -> None:
    assert summarise(run).state == "interrupted"
    write(run, STARTED, {"event": "step", "step": 4}, EVALUATED)
    found = summarise(run)
    assert (found.state, found.step, found.steps, found.corpus) == ("interrupted", 4, 10, "verse")
    assert (found.best_val_loss, found.best_step, found.parameters, found.owner) == (1.5, 4, 123, None)
    write(run, {"event": "step", "step": 10}, {"event": "finished", "reason": "steps", "step": 10})
    assert (summarise(run).state, summarise(run).reason, summarise(run).step) == ("finished", "steps", 10)
    write(run, {**STARTED, "step": 10})  # taken up again, and killed
    assert summarise(run).state == "interrupted"


def test_a_summary_tells_an_owned_run_from_a_dead_one(run: Run) -> None:
    with run.lock():
        assert summarise(run).state == "starting"
        write(run, STARTED)
        assert (summarise(run).state, summarise(run).owner) == ("running", os.getpid())
        write(run, {"event": "paused", "step": 3})
        assert summarise(run).state == "paused"
        write(run, {"event": "continued", "step": 3})
        assert summarise(run).state == "running"


def test_a_summary_reads_little_of_a_long_journal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "TAIL", 100)
    lines = [STARTED, EVALUATED, *({"event": "step", "step": n, "text": "è" * (n % 50)} for n in range(300))]
    write(run, *lines)
    assert [json.loads(line) for line in runs._backwards(run.events) if line] == lines[::-1]
    monkeypatch.setattr(runs, "TAIL_LIMIT", 1000)
    assert 0 < len(list(runs._backwards(run.events))) < 50
    assert summarise(run).step == 299


def test_a_summary_parses_a_line_of_each_kind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [{"event": "step", "step": n} for n in range(1000)]
    write(run, STARTED, *steps[:500], EVALUATED, *steps[500:])
    decode, parsed = store.decode, []
    monkeypatch.setattr(store, "decode", lambda content: parsed.append(content) or decode(content))
    found = runs.read_tail(run, frozenset({"started", "step", "evaluated", "paused"}))
    assert found == {"step": steps[-1], "evaluated": EVALUATED, "started": STARTED}
    assert len(parsed) < 10


def test_lines_that_begin_otherwise_are_read_for_a_summary_too(run: Run) -> None:
    many = [{"event": f"kind-{n}"} for n in range(2 * runs.KINDS)]
    write(run, {"step": 3, "event": "step"}, {"step": 4, "event": "paused"}, *many, {"step": 5, "event": "step"})
    assert runs.read_tail(run, frozenset({"step", "paused"})) == {
        "step": {"step": 5, "event": "step"},
        "paused": {"step": 4, "event": "paused"},
    }


def test_a_run_is_not_starting_because_its_start_is_far_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "TAIL", 500)
    monkeypatch.setattr(runs, "TAIL_LIMIT", 2000)
    many = [{"event": "step", "step": n} for n in range(200)]
    with run.lock():
        write(run, STARTED, *many)
        assert summarise(run).state == "running"
        write(run, *({"event": "sample_text", "text": "x" * 100} for _ in range(40)))  # not even a step is near the end
        assert summarise(run).state == "running"
        write(run, {"event": "paused", "step": 199})
        assert summarise(run).state == "paused"
        write(run, {**STARTED, "step": 100})  # killed in a pause, and resumed
        assert summarise(run).state == "running"
        write(run, *many, {"event": "finished", "reason": "steps", "step": 10})
        assert summarise(run).state == "starting"  # a finished run that is resumed and has not begun yet
    assert summarise(run).state == "finished"


def test_a_damaged_run_can_still_be_listed(run: Run) -> None:
    run.events.write_bytes(b'\xff{"event": 3}\n{"event": ["step"]}\nnull\n{"event":"step","step":2}\n{"event":"st')
    assert summarise(run).step == 2
    run.events.unlink()
    assert (summarise(run).step, summarise(run).steps) == (0, 10)
    (run.path / "spec.json").write_text("{")
    assert (summarise(run).state, summarise(run).why[:10]) == ("unreadable", "spec.json ")


def test_only_the_screen_knows_the_screen_and_the_store_no_tensors() -> None:
    code = (
        "import importlib, json, pkgutil, sys\n"
        "names = ('run', 'store', 'lock', 'journal', 'home')\n"
        "for name in names: importlib.import_module('checkpoints.' + name)\n"
        "heavy = [n for n in ('torch', 'numpy', 'safetensors') if n in sys.modules]\n"
        "count = 0\n"
        "for package in ('data', 'checkpoints', 'engine'):\n"
        "    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + '.'):\n"
        "        importlib.import_module(found.name); count += 1\n"
        "screen = [n for n in ('textual', 'rich', 'plotext', 'tui') if n in sys.modules]\n"
        "print(json.dumps([heavy, screen, count]))"
    )
    ran = python(code)
    assert ran.returncode == 0, ran.stderr
    import json

    heavy, screen, count = json.loads(ran.stdout)
    assert heavy == []
    assert screen == []
    assert count > 25


def test_the_size_of_a_run_is_that_of_its_files(run: Run) -> None:
    before = run.size()
    assert before == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    (run.checkpoints / "more").write_bytes(b"x" * 1000)
    (run.path / "link").symlink_to("/nowhere")
    assert run.size() == before + 1000 + len("/nowhere")
