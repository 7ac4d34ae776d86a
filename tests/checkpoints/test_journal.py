"""A journal survives full disks and killed owners."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from checkpoints import journal as module
from checkpoints.journal import Journal, Reader, records


class Disk:
    """``os`` for the journal: while ``full`` a write takes ``room`` bytes and then fails."""

    def __init__(self) -> None:
        self.full = False
        self.room = 0

    def write(self, file: int, content: bytes) -> int:
        if not self.full:
            return os.write(file, content)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(file, bytes(content)[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(module, "os", made)
    return made


def every(path: Path) -> list[dict[str, Any]]:
    reader = Reader(path)
    found = []
    while lines := reader.lines():
        found += records(lines)
    reader.close()
    return found


def test_events_are_lines_of_json_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    given = [{"event": "step", "n": n, "text": "è\n[x]\x1b"} for n in range(5)]
    for event in given:
        journal.append(event)
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == given
    assert every(path) == given
    journal.close()


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_half_written_last_line_is_skipped_and_the_next_is_whole(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first = Journal(path)
    first.append({"n": 1})
    first.append({"n": 2, "text": "perché"})
    first.close()
    path.write_bytes(path.read_bytes()[:-cut])
    second = Journal(path)
    second.append({"n": 3})
    second.append({"n": 4})
    second.close()
    assert [event["n"] for event in every(path)] == ([1, 2, 3, 4] if cut == 1 else [1, 3, 4])


def test_a_journal_that_ended_well_gets_no_empty_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for n in range(2):
        journal = Journal(path)
        journal.append({"n": n})
        journal.close()
    assert path.read_text() == '{"n":0}\n{"n":1}\n'


@pytest.mark.parametrize("room", [0, 3])
def test_a_failed_write_is_remembered_and_tried_again(room: int, disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    journal.append({"n": 1})
    disk.full, disk.room = True, room
    journal.append({"n": 2})
    assert journal.failure is not None
    assert journal.failure.errno == errno.ENOSPC
    journal.append({"n": 3})
    assert every(path) == [{"n": 1}]
    disk.full = False
    journal.append({"n": 4})
    assert journal.failure is None
    journal.close()
    assert every(path) == [{"n": n} for n in (1, 2, 3, 4)]


def test_a_disk_that_stays_full_costs_bounded_memory_and_whole_lines(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "PENDING", 100)
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    disk.full = True
    for n in range(1000):
        journal.append({"n": n})
    disk.full = False
    journal.append({"last": True})
    journal.append({"n": -1})
    journal.close()
    found = every(path)
    assert len(path.read_bytes()) < 200
    assert [event["n"] for event in found[:3]] == [0, 1, 2]
    assert found[-3:] == [{"n": 999}, {"last": True}, {"n": -1}]


def test_a_line_longer_than_what_may_wait_does_not_let_the_rest_grow(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "PENDING", 100)
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    disk.full = True
    for n in range(1000):
        journal.append({"n": n, "text": "x" * (500 if n == 3 else 0)})
        assert len(journal._pending) < 1500
    disk.full = False
    journal.close()
    assert every(path)[-1] == {"n": 999, "text": ""}


def test_a_sync_writes_what_waits_and_puts_it_on_the_disk_or_fails(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    path = tmp_path / "events.jsonl"
    monkeypatch.setattr(disk, "fsync", lambda file: synced.append(os.fstat(file).st_size), raising=False)
    journal = Journal(path)
    disk.full, disk.room = True, 3
    journal.append({"n": 1})
    with pytest.raises(OSError, match="No space left on device"):
        journal.sync()
    assert synced == []
    disk.full = False
    journal.sync()
    assert every(path) == [{"n": 1}]
    assert synced == [path.stat().st_size]
    journal.close()
    journal.close()


def test_an_append_does_not_wait_for_a_slow_sync(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    syncing, appended = threading.Event(), threading.Event()

    def fsync(file: int) -> None:
        syncing.set()
        assert appended.wait(30)

    monkeypatch.setattr(disk, "fsync", fsync, raising=False)
    journal = Journal(path)
    thread = threading.Thread(target=journal.sync)
    thread.start()
    assert syncing.wait(30)
    journal.append({"n": 1})
    assert every(path) == [{"n": 1}]
    appended.set()
    thread.join(30)
    journal.close()


def test_a_name_that_is_not_utf_8_is_written_as_json_that_is(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    event = {"corpus": os.fsdecode(b"caf\xe9/\xff\\\xfe") + " è", "n": 1}
    journal = Journal(path)
    journal.append(event)
    journal.close()
    path.read_text("utf-8")
    assert every(path) == [event]


def test_a_reader_takes_up_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = Reader(path)
    assert list(records(reader.lines())) == []  # not even there yet
    path.write_bytes(b'{"n":1}\n{"n":')
    assert list(records(reader.lines())) == [{"n": 1}]
    assert list(records(reader.lines())) == []
    with path.open("ab") as file:
        file.write(b'2}\nnull\n[1]\nnot json\n\n\xff\xfe\n{"n":3}\n')
    assert list(records(reader.lines())) == [{"n": 2}, {"n": 3}]
    reader.close()


def test_a_long_journal_arrives_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "LIMIT", 64)
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f'{{"n":{n}}}\n' for n in range(100)))
    reader = Reader(path)
    first = list(records(reader.lines()))
    assert 1 < len(first) < 10
    rest = []
    while lines := reader.lines():
        rest += records(lines)
    assert [event["n"] for event in first + rest] == list(range(100))
    reader.close()


def test_a_journal_that_could_never_be_synced_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "events.jsonl")
    with pytest.raises(OSError, match="not a regular file"):
        Journal(tmp_path / "events.jsonl")
