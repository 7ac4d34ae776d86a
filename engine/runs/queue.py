"""Runs that wait for their turn: one after the other, or one per GPU.

``queue.json`` in the folder of the runs names them in order; each is an ordinary run directory. A process that owned a
run starts those whose turn it is when it ends. After a kill, the next start of the program does: a run that was
interrupted is resumed, the rest follows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import home, store, trash
from checkpoints.lock import Lock, Locked
from checkpoints.run import NoSuchRun, Run, is_run, read_tail
from checkpoints.store import CheckpointError
from engine.machine import visible_gpus
from engine.runs import owner
from engine.runs.events import names_of, state_after
from engine.runs.messages import Stop, to_record
from engine.runs.spec import BadSpec, Problem

FILE = "queue.json"
CPU, ALL = "cpu", "all"
"""places to compute, beside ``cuda:N``: anything but a GPU, and all GPUs together"""
TRIES = 30  # seconds that a change waits for another one
_LAST = names_of("loaded") | {"started", "finished"}
_children: list[subprocess.Popen[bytes]] = []
"""processes that this one has started: one that has ended is there until it is asked for"""


@dataclass(frozen=True)
class Entry:
    """A run of the queue, until its work is done, has failed, or was stopped by its user."""

    name: str
    pid: int = 0
    """of the process that was started for it; 0 when there was none yet"""
    since: float = 0.0
    """Unix time of that start"""
    place: str = ""
    """where it computes then"""

    @property
    def run(self) -> Run:
        return Run(home.runs() / self.name)

    @property
    def starting(self) -> bool:
        """Whether a process was started for it that has not taken its lock yet."""
        for child in _children:
            child.poll()
        if not self.pid or time.time() - self.since > owner.START_UP or not store.alive(str(self.pid)):
            return False
        try:  # a lock that was taken since then says more: a process that has ended is there until its parent asks
            return os.stat(self.run.path / "lock").st_mtime < self.since
        except OSError:
            return True

    @property
    def live(self) -> bool:
        """Whether a process works on it, or is about to."""
        return self.run.owner() is not None or self.starting

    @property
    def over(self) -> bool:
        """Whether there is nothing to start: it has finished or failed, or was deleted."""
        if self.live:
            return False
        if not is_run(self.run.path):
            return True
        last = next(iter(read_tail(self.run, _LAST).values()), {})
        return last.get("event") == "finished" and state_after(str(last.get("reason"))) in ("finished", "failed")


def add(runs: Sequence[Run]) -> list[Run]:
    """Put runs that have not begun at the end of the queue; returns those that were started at once.

    Raises :class:`OSError` and, for a damaged queue, :class:`checkpoints.store.CheckpointError`.
    """
    with _held():
        _write([*read(), *(Entry(run.name) for run in runs)])
    return advance()


def advance(ended: str = "") -> list[Run]:
    """Forget the runs that are over and start those whose turn it is; returns these.

    ``ended`` is the name of a run whose owner has done with it. Raises as :func:`add`.
    """
    if not _file().exists():
        return []
    started = []
    with _held():
        entries = [entry for entry in read() if entry.name != ended and not entry.over]
        gpus = visible_gpus()
        taken = {entry.place or _place(entry, gpus, ()) for entry in entries if entry.live}
        for number, entry in enumerate(entries):
            if entry.live or not (place := _place(entry, gpus, taken)):
                continue
            if place != ALL or not taken:
                with contextlib.suppress(OSError):  # this one stays where it is, the others go on
                    process = _start(entry.run, place)
                    entries[number] = dataclasses.replace(entry, pid=process.pid, since=time.time(), place=place)
                    started.append(entry.run)
            taken.add(place)
        _write(entries)
    return started


def read() -> list[Entry]:
    """The queue, in order. Raises :class:`OSError`, and :class:`checkpoints.store.CheckpointError` when damaged."""
    try:
        content = store.read_object(_file()).get("runs")
        entries = [Entry(**one) for one in content] if isinstance(content, list) else None
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise _damaged(str(error)) from None
    if entries is None or not all(map(_sound, entries)):
        raise _damaged("it holds no list of runs")
    return entries


def names() -> tuple[str, ...]:
    """The runs of the queue, in order; none when it cannot be read."""
    with contextlib.suppress(OSError, CheckpointError):
        return tuple(entry.name for entry in read())
    return ()


def changed() -> float:
    """Unix time at which the queue was changed last; 0 where there is none."""
    try:
        return _file().stat().st_mtime
    except OSError:
        return 0.0


def standing(run: Run) -> tuple[str, int]:
    """``queued`` and the place among those that wait, from 1; or ``starting`` and 0; or nothing and 0.

    Of a run that has begun and was interrupted, there is nothing to tell.
    """
    waits = 0
    with contextlib.suppress(OSError, CheckpointError):
        for entry in read():
            live = (entry.pid > 0 or entry.name == run.name) and entry.live
            waits += not live
            if entry.run.path == run.path:
                begun = owner.journal_size(run) > 0
                return ("starting", 0) if entry.starting else ("", 0) if live or begun else ("queued", waits)
    return "", 0


def move(name: str, to: str) -> None:
    """Move a run that waits, ``to`` the first place, ``up`` or ``down``.

    Raises as :func:`add`, :class:`engine.runs.spec.BadSpec` for one that is running and
    :class:`checkpoints.run.NoSuchRun` for one that is not in the queue.
    """
    with _held():
        live: list[Entry] = []
        waiting: list[Entry] = []
        for entry in read():
            (live if entry.live else waiting).append(entry)
        if name in [entry.name for entry in live]:
            raise BadSpec([Problem("", f"{name} is running: only runs that wait can be moved")])
        here = _at(waiting, name)
        there = {"first": 0, "up": max(0, here - 1), "down": here + 1}[to]
        waiting.insert(there, waiting.pop(here))
        _write([*live, *waiting])


def cancel(wanted: Sequence[str]) -> dict[str, str]:
    """Take runs out of the queue: by name what became of each.

    One that has not begun is deleted, into the trash; one that is running is asked to stop, which keeps it; one that
    was interrupted is kept. Raises as :func:`move`.
    """
    with _held():
        entries = read()
        chosen = [entries[_at(entries, name)] for name in dict.fromkeys(wanted)]
        _write([entry for entry in entries if entry not in chosen])
    became = {}
    for entry in chosen:
        if entry.live:
            entry.run.post(to_record(Stop()))
            became[entry.name] = "stopping"
        elif is_run(entry.run.path) and not owner.journal_size(entry.run):
            trash.delete(entry.run)
            became[entry.name] = "deleted"
        else:
            became[entry.name] = "kept"
    return became


def put_aside() -> Path:
    """Rename a queue that cannot be read, so that a new one can begin. Raises :class:`OSError`."""
    aside = _file().with_name(f"{FILE}.damaged")
    os.replace(_file(), aside)
    return aside


def manner(device: str = "auto", gpus: str = "1") -> str:
    """How many runs of such fields work at a time, in words."""
    count = visible_gpus() if device in ("auto", "cuda") and gpus == "1" else 1
    return f"on {count} GPUs, one on each" if count > 1 else "one after the other"


def _place(entry: Entry, gpus: int, taken: Collection[str]) -> str:
    """A free place for a run; empty when it must wait, or its spec cannot be read."""
    try:
        spec: Mapping[str, Any] = entry.run.spec()
    except (OSError, CheckpointError):
        return ""
    if ALL in taken:
        return ""
    if owner.processes(str(spec.get("gpus", "1"))) > 1:
        return ALL  # it waits for all others, and later ones wait for it
    device = str(spec.get("device", "auto"))
    able = [f"cuda:{number}" for number in range(gpus)] if device in ("auto", "cuda") and gpus else [CPU]
    return next((one for one in ([device] if ":" in device else able) if one not in taken), "")


def _start(run: Run, place: str) -> subprocess.Popen[bytes]:
    """Start a process that owns the run, on a GPU of its own where there are several. Raises :class:`OSError`."""
    if place.startswith("cuda:") and visible_gpus() > 1:
        with contextlib.suppress(CheckpointError):
            run.write_json("spec.json", {**run.spec(), "device": place})
    process = owner.spawn(run)
    _children.append(process)
    return process


def _at(entries: Sequence[Entry], name: str) -> int:
    for number, entry in enumerate(entries):
        if entry.name == name:
            return number
    raise NoSuchRun(f"{name} is not in the queue")


def _sound(entry: Entry) -> bool:
    """Whether the values are of their types, and the name is that of a folder beside the queue."""
    kinds = type(entry.name) is str and type(entry.pid) is int and type(entry.place) is str
    plain = kinds and Path(entry.name).name == entry.name != ""
    return plain and "\0" not in entry.name and type(entry.since) in (int, float)


def _file() -> Path:
    return home.runs() / FILE


def _damaged(why: str) -> CheckpointError:
    return CheckpointError(
        f"{_file()} cannot be used: {why}. No run is lost: llmlab-tui runs lists them, and llmlab-tui resume starts "
        "one. llmlab-tui queue cancel --all puts the file aside"
    )


def _write(entries: Sequence[Entry]) -> None:
    content = {"runs": [dataclasses.asdict(entry) for entry in entries]}
    store.replace_file(_file(), store.encode(store.with_checksum(content)))


@contextlib.contextmanager
def _held() -> Iterator[None]:
    """Keep other processes from changing the queue."""
    home.runs().mkdir(parents=True, exist_ok=True)
    for left in reversed(range(TRIES)):
        try:
            lock = Lock(home.runs() / "queue.lock")
            break
        except Locked as error:
            if not left:
                raise CheckpointError(f"the queue is being changed by {error.owner or 'another process'}") from None
    with lock:
        yield
