"""Runs that are damaged, of another user or of a newer version: listed as unreadable, and no other run is concerned."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from workbench import NANO, new_run, spec, train

from checkpoints import home, store
from checkpoints import run as runs
from checkpoints.journal import Reader, records
from checkpoints.run import NoSuchRun, Run
from checkpoints.store import CheckpointError
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.classify import runs as classify_runs
from engine.classify.spec import ClassifySpec
from engine.gpt import runs as gpt_runs
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.search import newest_on
from engine.retrieve.spec import RetrieveSpec
from engine.runs import events as happened
from engine.runs.events import Event
from engine.runs.listing import summarise
from engine.runs.messages import Control
from engine.runs.spec import to_dict
from tui.classify.runs import Classifications
from tui.command import cli

NOBODY = 65534
DEEP = b"[" * 100_000
ODD_LINES = [
    b'{"event":"finished"}',
    b'{"event":"finished","reason":null,"step":3}',
    b'{"event":"finished","reason":["x"],"step":"ten","results":7}',
    b'{"event":"finished","reason":"done","step":1,"results":{"lr":3,"mlp":{"accuracy":"high","interval":[]}}}',
    b'{"event":"finished","reason":"done","step":1,"best_val_loss":null,"run":"r","results":{"lr":{"accuracy":1e999}}}',
    b'{"event":"finished","reason":"done","step":1,"best_val_loss":null,"run":"r","results":'
    + b'{"a":' * 900
    + b"0"
    + b"}" * 901,
    b'{"event":"step","step":"ten"}',
    b'{"event":"step","step":' + b"9" * 400 + b"}",
    b'{"event":"step","step":' + b"9" * 5000 + b"}",
    b'{"event":"step","step":-5,"loss":NaN}',
    b'{"event":"step","step":true,"loss":Infinity}',
    b'{"event":"step","step":1e400}',
    b'{"event":"evaluated","step":{},"best_val_loss":"low","best_step":[]}',
    b'{"event":"evaluated","step":3,"best_val_loss":NaN,"best_step":-Infinity}',
    b'{"event":"started","step":0,"steps":[],"corpus":7,"parameters":{}}',
    b'{"event":"started","step":0,"steps":1e308,"corpus":null,"parameters":-1}',
    b'{"event":"data_loaded","routes":7,"data":["x"]}',
    b'{"event":"items_loaded","methods":{"a":1},"data":{}}',
    b'{"event":"collection_loaded","methods":"bm25","data":3}',
    b'{"event":"paused"}',
    b'{"event":["step"]}',
    b'{"event":{}}',
    b'{"event":' * 50_000,
    b'{"event":"finished","reason":' + DEEP,
    DEEP,
    b"\xff\xfe\x00",
    b"\x00" * 5000,
    b"null",
    b"[]",
    b'"finished"',
    b"9" * 10_000,
    b"",
]
ODD_VALUES: list[Any] = [None, True, -1, 10**400, 1e308, "ten", "", [], ["train"], [["train"]], {}, {"a": 1}, [None, 3]]
TASKS = ("train", "classify", "choose", "retrieve")


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Reading from a FIFO would wait for ever."""

    def late(*_: object) -> None:
        raise TimeoutError("reading waits for something")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)


def made(task: str) -> Run:
    """A run directory of a task."""
    if task == "train":
        return runs.create(home.runs(), "bad", to_dict(spec("verse.txt")), {})
    kinds: dict[str, tuple[Any, Any]] = {
        "classify": (classify_runs, ClassifySpec(name="bad")),
        "choose": (choose_runs, ChooseSpec(name="bad")),
        "retrieve": (retrieve_runs, RetrieveSpec(name="bad")),
    }
    module, wanted = kinds[task]
    run: Run = module.create(wanted)
    run.write_json("results.json", {"lr": {"accuracy": 0.5, "trained_parameters": 3}})
    return run


@pytest.fixture
def healthy() -> Run:
    """A run that has nothing wrong."""
    run = runs.create(home.runs(), "healthy", to_dict(spec("verse.txt", steps=10)), {})
    run.events.write_text('{"event":"started","steps":10}\n{"event":"finished","reason":"steps","step":10}\n')
    return run


def listed(capfd: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """What ``runs`` and ``runs --json`` list, by name."""
    assert cli.main(["runs"]) == 0
    plain = capfd.readouterr().out.splitlines()
    assert cli.main(["runs", "--json"]) == 0

    def no_number(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = [json.loads(line, parse_constant=no_number) for line in capfd.readouterr().out.splitlines()]
    assert [line.split()[0] for line in plain] == [entry["name"] for entry in found]
    for line, entry in zip(plain, found, strict=True):
        assert (f"unreadable: {entry['why']}" in line) == (entry["state"] == "unreadable") == bool(entry["why"])
    return {entry["name"]: entry for entry in found}


def still_there(healthy: Run, found: dict[str, dict[str, Any]]) -> None:
    """The healthy run is listed as ever and is found."""
    entry = found[healthy.name]
    assert (entry["state"], entry["steps"], entry["task"], entry["why"]) == ("finished", 10, "train", "")
    assert runs.find(home.runs(), "healthy") == healthy
    assert Classifications().living() is None
    assert newest_on("nothing") is None


def test_odd_records_hide_no_run(healthy: Run, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(8)
    for number in range(48):
        run = made(TASKS[number % 4])
        lines = [rng.choice(ODD_LINES) for _ in range(rng.randint(1, 8))]
        run.events.write_bytes(b"\n".join(lines) + rng.choice([b"\n", b""]))
        for name in ("spec.json", "results.json", "encoder.json", "classifier.json"):
            if rng.random() < 0.3 or not (run.path / name).exists():
                content: Any = {key: rng.choice(ODD_VALUES) for key in rng.sample(["task", "steps", "data", "lr"], 2)}
                content = content | run.read_json(name) if rng.random() < 0.5 else content
                (run.path / name).write_text(json.dumps(rng.choice([content, *ODD_VALUES, content, content])))
        found = listed(capfd)
        assert set(found) == {healthy.name, run.name}
        still_there(healthy, found)
        Classifications().offers()
        last = {"event": "notice", "text": "the last"}
        with run.events.open("ab") as file:
            file.write(b"\n" + json.dumps(last).encode() + b"\n")
        reader = Reader(run.events)
        found = list(records(reader.lines()))
        reader.close()
        assert found[-1] == last
        assert all(event is None or isinstance(event, Event) for event in map(happened.from_dict, found))
        shutil.rmtree(run.path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage": lambda path: path.write_bytes(random.Random(1).randbytes(path.stat().st_size or 9)),
    "deep": lambda path: path.write_bytes(DEEP),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.usefixtures("known_peak")
def test_whichever_file_is_damaged_no_run_is_hidden(
    damage: str, healthy: Run, verse: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = new_run(spec(verse, steps=2, evaluate_every=2))
    assert list(gpt_runs.drive(run, Control(), resume=False))
    shutil.copytree(run.path, run.path.parent.parent / "whole")
    files = [path.relative_to(run.path) for path in run.path.rglob("*") if path.is_file()]
    assert len(files) > 6
    for name in files:
        DAMAGE[damage](run.path / name)
        found = listed(capfd)
        assert set(found) == {healthy.name, run.name}, name
        still_there(healthy, found)
        if str(name) == "events.jsonl" and damage.startswith("a "):
            assert found[run.name]["why"] == "events.jsonl: not a regular file"
        elif str(name) == "spec.json" and damage.startswith("a "):
            assert found[run.name]["why"] == "spec.json: not a regular file"
        else:
            assert found[run.name]["state"] in ("finished", "interrupted"), name
        for folder in (home.runs() / "20990101-000000-folder", home.runs() / ".trash"):
            folder.mkdir(exist_ok=True)  # neither is a run
        shutil.rmtree(run.path)
        shutil.copytree(run.path.parent.parent / "whole", run.path)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that others may read."""
    folder = Path(tempfile.mkdtemp(prefix="llmlab-shared-"))
    folder.chmod(0o755)
    monkeypatch.setenv("LLMLAB_HOME", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_the_run_of_another_user_hides_no_run(
    shared: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    healthy: Run = request.getfixturevalue("healthy")
    for path in (healthy.path, *healthy.path.rglob("*")):
        path.chmod(0o755)
    foreign = runs.create(home.runs(), "zz-foreign", {"task": "classify"}, {})
    inside = runs.create(home.runs(), "zz-inside", {"task": "classify"}, {})
    foreign.path.chmod(0)
    inside.path.chmod(0o755)
    (inside.path / "spec.json").chmod(0)
    before = os.geteuid()
    if before == 0:  # who is root may read everything
        os.seteuid(NOBODY)
    try:
        found = listed(capfd)
        still_there(healthy, found)
        assert found[foreign.name]["why"] == found[inside.name]["why"] == "spec.json: Permission denied"
        assert runs.find(home.runs(), "latest") == inside
        assert cli.main(["resume", "latest"]) == 2
        assert "spec.json: Permission denied" in capfd.readouterr().err
        with pytest.raises(PermissionError):
            retrieve_runs.spec_of(foreign)
    finally:
        os.seteuid(before)
        foreign.path.chmod(0o755)
    shutil.rmtree(healthy.path)
    shutil.rmtree(inside.path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NoSuchRun, match="can be read"):
        runs.find(home.runs(), "latest")


def test_a_folder_of_runs_that_cannot_be_read_is_no_empty_one(
    healthy: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Path) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert cli.main(["runs"]) == 2
    assert "Input/output error" in capfd.readouterr().err


@pytest.mark.parametrize("record", [{"task": "rank", "data": "x"}, {"task": ["train"]}, {"task": None}, {"task": 3}])
def test_an_unknown_task_is_refused_by_name_and_never_trained_as_another(
    record: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    run = runs.create(home.runs(), "newer", {**to_dict(spec("verse.txt")), **record}, {})
    assert summarise(run).state == "unreadable"
    assert repr(str(record["task"])) in summarise(run).why
    assert cli.main(["resume", run.name]) == 2
    assert f"does not know the task {str(record['task'])!r}" in capfd.readouterr().err
    with pytest.raises(CheckpointError, match="does not know the task"):
        list(gpt_runs.drive(run, Control(), resume=False))
    for module in (classify_runs, choose_runs, retrieve_runs):
        with pytest.raises(CheckpointError, match="does not know the task"):
            module.spec_of(run)
    assert run.events.read_bytes() == b""


@pytest.mark.parametrize("error", [errno.EACCES, errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("task", TASKS)
def test_a_spec_that_cannot_be_read_at_this_moment_is_no_absent_one(
    task: str, error: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = made(task)
    store.commit(run.checkpoints, 3, {}, {"spec": dict(NANO)})  # from which an absent one would be taken

    def refusing(really: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, *given: Any, **named: Any) -> Any:
            if str(path).endswith("spec.json"):
                raise OSError(error, os.strerror(error), str(path))
            return really(path, *given, **named)

        return opened

    with monkeypatch.context() as patch:
        for module in (io, os):
            patch.setattr(module, "open", refusing(module.open))
        assert summarise(run).why == f"spec.json: {os.strerror(error)}"
        assert cli.main(["resume", run.name]) == 2
        assert os.strerror(error) in capfd.readouterr().err
        with pytest.raises(OSError, match=r"spec\.json"):
            list(gpt_runs.drive(run, Control(), resume=False))
    assert run.events.read_bytes() == b""
    assert summarise(run).state == "interrupted"


@pytest.mark.parametrize("task", TASKS)
def test_a_spec_with_values_of_another_type_is_refused(task: str, capfd: pytest.CaptureFixture[str]) -> None:
    run = made(task)
    for name in ("seed", "device", "learning_rate"):
        for value in ([3], {}, None, "ten" if name != "device" else 3):
            run.write_json("spec.json", {**run.read_json("spec.json"), name: value})
            assert cli.main(["resume", run.name]) == 2
            assert name in capfd.readouterr().err
    assert run.events.read_bytes() == b""


def test_no_odd_record_is_an_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(line for line in ODD_LINES if b'"paused"' not in line) + b"\n")
    reader = Reader(path)
    found = list(records(reader.lines()))
    reader.close()
    assert len(found) > 15
    assert [event for event in map(happened.from_dict, found) if event is not None] == []


def test_only_a_training_is_trained(verse: Path) -> None:
    run = made("retrieve")
    with pytest.raises(CheckpointError, match="its task is retrieve, not train"):
        list(gpt_runs.drive(run, Control(), resume=True))
    assert len(train(spec(verse, steps=1)))


def test_a_megabyte_of_damage_in_a_journal_is_not_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "LIMIT", 64)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"a"}\n' + bytes(1000) + b"\n" + b"x\n" * 1000 + b'{"event":"b"}\n')
    reader = Reader(path)
    found = []
    while lines := reader.lines():
        found += records(lines)
    reader.close()
    assert [event["event"] for event in found] == ["a", "b"]
