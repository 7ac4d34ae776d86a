"""A run directory: everything there is to know about one training run, as files.

``spec.json`` what was asked for · ``env.json`` the machine and versions · ``corpus.txt`` the text (when it is small)
· ``events.jsonl`` everything that happened · ``inbox/`` messages to the owner · ``lock`` who owns it ·
``checkpoints/`` the states it can go on from · ``trainer.log`` stray output of a detached owner.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from checkpoints import store
from checkpoints.journal import records
from checkpoints.lock import Lock, Owner, owner

_serial = itertools.count()
_STAMP = re.compile(r"\A\d{8}-\d{6}-")
TAIL = 1 << 16  # bytes of the journal's end read at first for a summary
TAIL_LIMIT = 1 << 22
KINDS = 40  # of events that are passed over unread; a journal of more is damaged


class NoSuchRun(Exception):
    """No run answers to the name or path that was given."""


@dataclass(frozen=True)
class Run:
    """One run directory. Creating the object touches nothing."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def inbox(self) -> Path:
        return self.path / "inbox"

    def lock(self) -> Lock:
        """Own the run. Raises :class:`checkpoints.lock.Locked`."""
        return Lock(self.path / "lock")

    def owner(self) -> Owner | None:
        """The living process that owns the run, or None."""
        return owner(self.path / "lock")

    def size(self) -> int:
        """Bytes of its files on the disk. What vanishes meanwhile is not counted."""
        total = 0
        for folder, _, files in os.walk(self.path):
            for file in files:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, file)).st_size
        return total

    def read_json(self, name: str) -> dict[str, Any]:
        """Content of a JSON file of the run; empty when it is missing or damaged.

        Raises :class:`OSError` when it is there and cannot be read.
        """
        try:
            return store.read_object(self.path / name)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}

    def spec(self) -> dict[str, Any]:
        """What was asked for: ``spec.json``; where that is missing or damaged, the spec in the newest checkpoint.

        Raises :class:`OSError` when it cannot be read, :class:`checkpoints.store.CheckpointError` when there is none.
        """
        if record := self.read_json("spec.json"):
            return record
        for checkpoint in store.checkpoints(self.checkpoints):
            with contextlib.suppress(store.CheckpointError):
                if isinstance(kept := store.read_state(checkpoint).get("spec"), dict):
                    return kept
        raise store.CheckpointError(
            f"{self.name}: spec.json is damaged, missing or of another version, and no checkpoint holds the spec"
        )

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Replace a JSON file of the run atomically."""
        store.replace_file(self.path / name, store.encode(content))

    def post(self, message: dict[str, Any]) -> None:
        """Leave a message for the owner, who takes them in the order of posting. Raises :class:`OSError`."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_serial):06d}.json"
        temporary = self.inbox / f".{name}"
        try:
            temporary.write_text(json.dumps(message))
            temporary.rename(self.inbox / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def collect(self, since: int = 0) -> list[dict[str, Any]]:
        """Take every message out of the inbox, oldest first.

        Damaged ones are dropped, and so are those posted before ``since`` (nanoseconds of Unix time). What is no file
        (reading a FIFO would wait for its writer) stays where it is, and so does what cannot be removed: it would be
        taken again each time.
        """
        messages = []
        try:
            with os.scandir(self.inbox) as entries:
                found = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError:
            return []
        for name in sorted(name for name in found if not name.startswith(".")):
            content = self.read_json(f"inbox/{name}")
            try:
                (self.inbox / name).unlink()
            except OSError:
                continue
            if content and name >= f"{since:020d}":
                messages.append(content)
        return messages

    def delete(self) -> None:
        """Remove the run and everything in it. Raises :class:`checkpoints.lock.Locked` when it is in use."""
        with self.lock():
            doomed = self.path.with_name(f".deleted-{self.name}")
            self.path.rename(doomed)
            shutil.rmtree(doomed)


def create(runs: Path, name: str, spec: dict[str, Any], env: dict[str, Any]) -> Run:
    """Make the directory ``<utc-time>-<name>`` under ``runs``. Raises :class:`OSError`."""
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug(name)}"
    runs.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(mode=0o700)
            break
        except FileExistsError:
            continue
    run = Run(path)
    run.inbox.mkdir()
    run.checkpoints.mkdir()
    run.events.touch(mode=0o600)
    run.write_json("env.json", env)
    run.write_json("spec.json", spec)
    return run


def all_or_none(makers: Iterable[Callable[[], Run]]) -> list[Run]:
    """Make several runs; when one of the makers raises, those that were made before it are removed."""
    made: list[Run] = []
    try:
        for make in makers:
            made.append(make())
    except Exception:
        for run in made:
            run.delete()
        raise
    return made


def slug(name: str) -> str:
    """A name that is safe as part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:40].lower() or "run"


def is_run(path: Path) -> bool:
    """Whether the folder is a run: it has a spec, or a checkpoint that holds one; also where that cannot be read."""
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (path / "spec.json").lstat()
            return True
        folder = path / "checkpoints"
        return folder.is_dir() and bool(store.checkpoints(folder))
    except OSError as error:  # it may be one, unless no file has such a name: whoever reads it finds out why
        return error.errno != errno.ENAMETOOLONG
    except ValueError:  # a null character
        return False


def every(runs: Path) -> list[Run]:
    """All runs under ``runs``, newest first, also those that cannot be read. Raises :class:`OSError`."""
    try:
        found = [Run(entry) for entry in runs.iterdir() if is_run(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=_age, reverse=True)


def _age(run: Run) -> tuple[str, int, str]:
    """Later for newer runs: the time in the name; of one second, that of a file that is written once."""
    made = 0
    with contextlib.suppress(OSError):
        made = (run.path / "env.json").stat().st_mtime_ns
    stamp = _STAMP.match(run.name)
    return stamp[0] if stamp else run.name, made, run.name


def find(runs: Path, wanted: str) -> Run:
    """The run called ``wanted``: a path, a full name, the name after the time, or ``latest``.

    ``latest`` is the newest whose folder this user may read. Raises :class:`NoSuchRun`, which names what there is, and
    :class:`OSError`.
    """
    known = every(runs)
    if wanted == "latest":
        for run in known:
            if os.access(run.path, os.R_OK | os.X_OK):
                return run
        raise NoSuchRun(f"no run in {runs} can be read" if known else f"there are no runs in {runs} yet")
    with contextlib.suppress(ValueError):  # a null character
        path = Path(os.path.expanduser(wanted))
        if is_run(path):
            return Run(path.resolve())
    for run in known:
        if wanted in (run.name, after_time(run.name)):
            return run
    names = ", ".join(run.name for run in known[:5]) or "none yet"
    raise NoSuchRun(f"no run is called {wanted!r}; there are: {names}")


def after_time(name: str) -> str:
    """The name of a run without the time that :func:`create` puts before it; the name itself where it has none."""
    return _STAMP.sub("", name)


def mark(path: Path) -> tuple[int, int] | None:
    """Time and size of a file, which differ once it was written; None where there is none."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None


def read_tail(run: Run, wanted: frozenset[str]) -> dict[str, dict[str, Any]]:
    """The last event of each wanted kind, newest first, within the last ``TAIL_LIMIT`` bytes of the journal.

    Raises :class:`OSError` when the journal is there and cannot be read.
    """
    last: dict[str, dict[str, Any]] = {}
    passed: tuple[bytes, ...] = ()  # how lines begin whose kind was met before; parsing all takes most of a second
    for line in _backwards(run.events):
        if line.startswith(passed):
            continue
        for event in records([line]):
            kind = event.get("event")
            if not isinstance(kind, str):
                continue
            if len(passed) < KINDS:
                passed += (f'{{"event":"{kind}",'.encode("utf-8", "backslashreplace"),)
            if kind in wanted and kind not in last:
                last[kind] = event
                if len(last) == len(wanted):
                    return last
    return last


def _backwards(path: Path) -> Iterator[bytes]:
    """Lines of a journal from its end, without their ends."""
    try:
        file = store.open_file(path)
    except FileNotFoundError:
        return
    with file:
        position = file.seek(0, os.SEEK_END)
        limit = max(0, position - TAIL_LIMIT)
        rest = b""
        span = TAIL
        while position > limit:
            start = max(0, position - span)
            file.seek(start)
            lines = (file.read(position - start) + rest).split(b"\n")
            rest = lines.pop(0) if start else b""
            yield from reversed(lines)
            position, span = start, span * 4
