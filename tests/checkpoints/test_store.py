"""Checkpoints are whole or not there: every system call of a save fails once, and is the last one once."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workbench import FailAt, python, records

from checkpoints import store
from checkpoints.store import CheckpointError

OLD = {"model.safetensors": b"old model", "optimizer.safetensors": b"old optimizer"}
NEW = {"model.safetensors": b"new model!", "optimizer.safetensors": b"new optimizer!"}


class System:
    """The ``os`` module with some of its calls replaced, for the store alone."""

    def __init__(self, **calls: Callable[..., Any]) -> None:
        self.__dict__.update(calls)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def first_whole(folder: Path) -> tuple[int, dict[str, bytes]]:
    for path in store.checkpoints(folder):
        with contextlib.suppress(CheckpointError):
            return store.step_of(path), store.read(path)[1]
    raise AssertionError("no whole checkpoint")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_is_committed_is_read_back(tmp_path: Path) -> None:
    path = store.commit(tmp_path / "checkpoints", 7, OLD, {"spec": {"è": [1, None]}})
    assert path.name == "step-000007"
    state, contents = store.read(path)
    assert contents == OLD
    assert state["spec"] == {"è": [1, None]}
    assert state["step"] == 7
    assert names(path.parent) == ["step-000007"]
    assert names(path) == ["model.safetensors", "optimizer.safetensors", "state.json"]


def test_large_and_empty_files_and_short_writes_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BLOCK", 10)
    monkeypatch.setattr(store, "os", System(write=lambda file, content: os.write(file, bytes(content)[:3])))
    files = {"a": bytes(range(25)), "b": b"", "c": b"0123456789"}
    assert store.read(store.commit(tmp_path, 1, files, {}))[1] == files


def test_what_another_left_aside_never_takes_the_place_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(tmp_path, 5, OLD, {})
    (tmp_path / f"tmp-{os.getpid()}-old-step-000005").mkdir()

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "rmtree", lambda *_, **__: None)
        patch.setattr(Path, "mkdir", lambda path, **options: refuse(path) if "tmp-" in path.name else None)
        with pytest.raises(OSError, match="No space left"):
            store.commit(tmp_path, 5, NEW, {})
    assert store.read(tmp_path / "step-000005")[1] == OLD


def test_everything_is_on_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace: list[tuple[str, str]] = []

    def where(file: int) -> str:
        return str(Path(os.readlink(f"/proc/self/fd/{file}")).relative_to(tmp_path))

    def write(file: int, content: bytes) -> int:
        trace.append(("write", where(file)))
        return os.write(file, content)

    def fsync(file: int) -> None:
        trace.append(("fsync", where(file)))

    def rename(source: Path, target: Path) -> None:
        trace.append(("rename", target.name))
        os.rename(source, target)

    monkeypatch.setattr(store, "os", System(write=write, fsync=fsync, rename=rename))
    store.commit(tmp_path, 3, NEW, {})
    (renamed,) = [at for at, (call, _) in enumerate(trace) if call == "rename"]
    assert trace[renamed] == ("rename", "step-000003")
    temporary = os.path.dirname(trace[0][1])
    for name in (*NEW, "state.json"):
        calls = [call for call, path in trace[:renamed] if path == f"{temporary}/{name}"]
        assert calls[0] == "write"
        assert calls[-1] == "fsync"
    assert trace[renamed - 1] == ("fsync", temporary)
    assert trace[renamed + 1 :] == [("fsync", ".")]
    assert [path for call, path in trace if call == "write"][-1].endswith("state.json")


@pytest.mark.parametrize("step", [5, 6], ids=["replacing", "beside"])
def test_a_commit_that_fails_anywhere_leaves_what_was_there(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(1, 100):
        folder = tmp_path / str(k)
        store.commit(folder, 5, OLD, {"version": 1})
        fail = FailAt(errno.ENOSPC, k)
        calls = {name: fail.wrap(getattr(os, name)) for name in ("write", "fsync", "rename")}
        with monkeypatch.context() as patch:
            patch.setattr(store, "os", System(**calls))
            with contextlib.suppress(OSError):
                store.commit(folder, step, NEW, {"version": 2})
        if not fail.happened:
            assert first_whole(folder) == (step, NEW)
            assert k > 8  # three writes, five fsyncs, one or two renames
            return
        assert not [name for name in names(folder) if name.startswith("tmp-")], k
        state, contents = store.read(folder / "step-000005")
        assert (state["version"], contents) == (1, OLD)
        assert first_whole(folder)[1] in (OLD, NEW)
        store.commit(folder, step, NEW, {"version": 3})  # the next try is not in its own way
        assert first_whole(folder) == (step, NEW)
    raise AssertionError("the commit never succeeded")


def test_a_disk_that_fails_from_some_call_on_costs_nothing_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(1, 12):
        folder = tmp_path / str(k)
        store.commit(folder, 5, OLD, {})
        count = 0

        def dying(call: Callable[..., Any], k: int = k) -> Callable[..., Any]:
            def counted(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                if count >= k:
                    raise OSError(errno.EIO, "Input/output error")
                return call(*arguments)

            return counted

        with monkeypatch.context() as patch:
            patch.setattr(
                store, "os", System(**{name: dying(getattr(os, name)) for name in ("write", "fsync", "rename")})
            )
            if k <= 10:
                with pytest.raises(OSError, match="Input/output error"):
                    store.commit(folder, 5, NEW, {})
            else:
                store.commit(folder, 5, NEW, {})
        store.sweep(folder)
        assert names(folder) == ["step-000005"]
        assert first_whole(folder)[1] in (OLD, NEW)


KILL = """
import json, os, shutil, signal, sys
from pathlib import Path
from checkpoints import store

root, what, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
OLD, NEW = {"m": b"old" * 9, "o": b"OLD"}, {"m": b"new" * 7, "o": b"NEW"}
real = {"write": os.write, "fsync": os.fsync, "rename": os.rename}

def die_at(k):
    count = 0
    def wrap(name, call):
        def counted(*arguments):
            nonlocal count
            count += 1
            if count == k:
                if moment == "after":
                    if name == "write":  # half of it is on the disk
                        arguments = arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2]
                    call(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)
        return counted
    for name, call in real.items():
        setattr(os, name, wrap(name, call))
    def rmtree(path, ignore_errors=False):  # file by file, so that it can be interrupted too
        if not Path(path).exists():
            return
        for entry in sorted(Path(path).iterdir()):
            unlink(entry)
        os.rmdir(path)
    unlink = wrap("unlink", os.unlink)
    shutil.rmtree = rmtree

def work(folder):
    if what == "replace":
        store.commit(folder, 5, NEW, {})
    elif what == "beside":
        store.commit(folder, 6, NEW, {})
    else:
        store.prune(folder, keep_last=1)

for k in range(1, 100):
    folder = root / str(k)
    store.commit(folder, 4, OLD, {})
    store.commit(folder, 5, OLD, {})
    child = os.fork()
    if child == 0:
        die_at(k)
        work(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    def read(path):
        try:
            return store.step_of(path), store.read(path)[1]["o"].decode()
        except store.CheckpointError as error:
            return str(error)
    def look():
        return [read(path) for path in store.checkpoints(folder)]
    before = look()
    store.sweep(folder)
    print(json.dumps({"killed": os.WIFSIGNALED(status) and os.WTERMSIG(status), "before": before, "after": look(),
                      "left": sorted(entry.name for entry in folder.iterdir())}))
    if not os.WIFSIGNALED(status):
        break
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("what", ["replace", "beside", "prune"])
def test_a_kill_at_any_call_leaves_a_whole_checkpoint(what: str, moment: str, tmp_path: Path) -> None:
    ran = python(KILL, tmp_path, what, moment)
    assert ran.returncode == 0, ran.stderr
    *killed, last = records(ran.stdout)
    assert len(killed) == {"replace": 13, "beside": 9, "prune": 4}[what]
    assert last["killed"] is False
    finished = {
        "replace": [[5, "NEW"], [4, "OLD"]],
        "beside": [[6, "NEW"], [5, "OLD"], [4, "OLD"]],
        "prune": [[5, "OLD"]],
    }
    assert last["after"] == finished[what]
    begun = [[5, "OLD"], [4, "OLD"]]
    for k, found in enumerate(killed, 1):
        assert found["killed"] == signal.SIGKILL
        assert not [name for name in found["left"] if name.startswith("tmp-")], (k, found)
        assert found["after"] in (begun, finished[what]), (k, found)
        assert found["before"], (k, found)
        assert all(isinstance(entry, list) for entry in found["before"]), (k, found)


def test_sweeping_restores_a_checkpoint_whose_replacement_never_came(tmp_path: Path) -> None:
    path = store.commit(tmp_path, 5, OLD, {})
    os.rename(path, tmp_path / "tmp-77-old-step-000005")
    (tmp_path / "tmp-77-step-000005").mkdir()
    store.sweep(tmp_path)
    assert names(tmp_path) == ["step-000005"]
    assert first_whole(tmp_path) == (5, OLD)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[:-1])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "longer":
        path.write_bytes(content + b"x")
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :])


@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "longer", "bit-flipped"])
@pytest.mark.parametrize("name", OLD)
def test_a_damaged_file_is_found_and_the_older_checkpoint_taken(how: str, name: str, tmp_path: Path) -> None:
    store.commit(tmp_path, 4, OLD, {})
    path = store.commit(tmp_path, 5, NEW, {})
    damage(path / name, how)
    with pytest.raises(CheckpointError, match=rf"step-000005/{name}"):
        store.read(path)
    assert first_whole(tmp_path) == (4, OLD)


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b"null", b'{"files": 3}', b'{"files": {"model.safetensors": {}}}', b"\xff\xfe"]
)
def test_a_damaged_state_is_a_checkpoint_error(content: bytes | None, tmp_path: Path) -> None:
    path = store.commit(tmp_path, 5, OLD, {})
    if content is None:
        (path / "state.json").unlink()
    else:
        (path / "state.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"step-000005/state\.json"):
        store.read(path)


def test_a_folder_in_the_place_of_a_file_is_a_checkpoint_error(tmp_path: Path) -> None:
    path = store.commit(tmp_path, 5, OLD, {})
    (path / "model.safetensors").unlink()
    (path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="model"):
        store.read(path)


def test_checkpoints_are_ordered_by_number_and_other_folders_ignored(tmp_path: Path) -> None:
    for step in (2, 1_000_000, 999_999, 30):
        store.commit(tmp_path, step, {}, {})
    for other in ("tmp-1-step-000003", "step-12", "step-00000x", "notes"):
        (tmp_path / other).mkdir()
    assert [store.step_of(path) for path in store.checkpoints(tmp_path)] == [1_000_000, 999_999, 30, 2]
    assert store.checkpoints(tmp_path / "none") == []
    with pytest.raises(CheckpointError, match="not a checkpoint folder"):
        store.step_of(tmp_path / "notes")


def test_pruning_keeps_the_last_two_the_best_and_the_pinned(tmp_path: Path) -> None:
    for step in range(1, 8):
        store.commit(tmp_path, step, OLD, {})
    (tmp_path / "step-000002" / "pinned").touch()
    for _ in range(2):
        store.prune(tmp_path, keep=frozenset({4}))
        assert names(tmp_path) == ["step-000002", "step-000004", "step-000006", "step-000007"]


def test_pruning_neither_counts_nor_removes_what_is_newer_than_the_newest(tmp_path: Path) -> None:
    for step in (10, 20, 30, 80, 90):
        store.commit(tmp_path, step, OLD, {})
    store.prune(tmp_path, newest=30)
    assert names(tmp_path) == ["step-000020", "step-000030", "step-000080", "step-000090"]


def test_a_removed_run_is_not_made_again_by_a_commit(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.commit(tmp_path / "removed" / "checkpoints", 1, OLD, {})
    assert names(tmp_path) == []


def test_damaged_checkpoints_do_not_count_as_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        store.commit(tmp_path, step, OLD, {})
    for step in (3, 5):
        damage(tmp_path / store.name_of(step) / "model.safetensors", "truncated")
    store.prune(tmp_path)
    whole = [path for path in store.checkpoints(tmp_path) if (path / "model.safetensors").stat().st_size == 9]
    assert [path.name for path in whole] == ["step-000004", "step-000002"]


def test_a_file_in_place_of_a_checkpoint_is_pruned_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    (tmp_path / "step-000002").write_bytes(b"in the way")
    for step in (3, 4):
        store.commit(tmp_path, step, {}, {})
    store.prune(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["step-000003", "step-000004"]


def test_the_only_whole_checkpoint_is_never_pruned(tmp_path: Path) -> None:
    for step in range(1, 6):
        store.commit(tmp_path, step, OLD, {})
        if step > 1:
            damage(tmp_path / store.name_of(step) / "state.json", "truncated")
    store.prune(tmp_path, keep_last=1)
    assert first_whole(tmp_path) == (1, OLD)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "spec.json"
    for k in range(1, 10):
        target.write_bytes(b"old")
        fail = FailAt(errno.ENOSPC, k)
        calls = {name: fail.wrap(getattr(os, name)) for name in ("write", "fsync", "rename")}
        with monkeypatch.context() as patch:
            patch.setattr(store, "os", System(**calls))
            try:
                store.replace_file(target, b"new")
            except OSError:
                assert target.read_bytes() in (b"old", b"new")
        assert names(tmp_path) == ["spec.json"]
        if not fail.happened:
            assert target.read_bytes() == b"new"
            assert k == 5  # a write, an fsync, a rename, an fsync of the folder
            return
    raise AssertionError("the replacement never succeeded")


def test_what_a_killed_process_left_of_a_file_is_removed_when_it_is_written_again(tmp_path: Path) -> None:
    target, other = tmp_path / "results[1].json", tmp_path / "spec.json"
    for path in (target, other):
        code = (
            "import os, signal, sys; from pathlib import Path; from checkpoints import store;"
            "os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
            "store.replace_file(Path(sys.argv[1]), b'new')"
        )
        assert python(code, path).returncode == -signal.SIGKILL
    (left,) = tmp_path.glob("spec.json.*")
    at_work = tmp_path / f"{target.name}.{os.getppid()}.tmp"
    for path in (at_work, tmp_path / f"{target.name}.mine.tmp"):
        path.touch()
    store.replace_file(target, b"newer")
    assert names(tmp_path) == sorted([target.name, left.name, at_work.name, f"{target.name}.mine.tmp"])
    assert target.read_bytes() == b"newer"


def test_any_bit_of_state_json_that_flips_is_noticed(tmp_path: Path) -> None:
    state = {"position": {"step": 5, "rate": 1e-3, "best": float("inf"), "history": [(1, "é\udcff")]}, "more": None}
    path = store.commit(tmp_path, 5, OLD, state)
    whole, content = store.read_state(path), (path / "state.json").read_bytes()
    assert whole["position"] == {**state["position"], "history": [[1, "é\udcff"]]}
    for place in range(len(content)):
        for bit in range(8):
            changed = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
            (path / "state.json").write_bytes(changed)
            with contextlib.suppress(CheckpointError):
                assert {name: store.read_state(path).get(name, ...) for name in whole} == whole


def test_state_json_is_readable_by_others(tmp_path: Path) -> None:
    path = store.commit(tmp_path, 5, OLD, {"a": 1})
    listed = json.loads((path / "state.json").read_text())["files"]
    assert {name: facts["bytes"] for name, facts in listed.items()} == {name: len(raw) for name, raw in OLD.items()}


def test_a_file_in_place_of_a_checkpoint_is_swept_once_it_was_put_aside(tmp_path: Path) -> None:
    (tmp_path / "tmp-1-gone-step-000002").write_bytes(b"in the way")
    store.sweep(tmp_path)
    assert not list(tmp_path.iterdir())
