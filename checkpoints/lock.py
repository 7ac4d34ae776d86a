"""Who owns a run. The kernel's advisory lock says whether the owner lives; the file's content says who it is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from checkpoints import store

LOCK_TIMEOUT = 1.0  # seconds; a reader that looks who owns the run holds the lock for microseconds


@dataclass(frozen=True)
class Owner:
    """The process that a lock file names."""

    pid: int
    host: str
    since: float
    """Unix time."""

    def __str__(self) -> str:
        here = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{here}"


class Locked(Exception):
    """The run is owned by a living process."""

    def __init__(self, owner: Owner | None) -> None:
        super().__init__(f"the run is in use by {owner or 'another process'}")
        self.owner = owner


class Lock:
    """Exclusive ownership of a run for the life of this object or of the process, whichever ends first.

    Raises :class:`Locked` when a living process owns it. ``inherited`` is the dead owner that this lock was taken
    over from, if its process ended without releasing.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_TIMEOUT
        while not _try(self._file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(self._file)
                raise Locked(_read(path))
            time.sleep(0.02)
        self.inherited = _read(path)
        self._write(json.dumps(asdict(Owner(os.getpid(), socket.gethostname(), time.time()))).encode())

    def release(self) -> None:
        """Give the run up. Harmless when called twice."""
        if self._file >= 0:
            self._write(b"")
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _write(self, content: bytes) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, content, 0)


def owner(path: Path) -> Owner | None:
    """The living process that holds the lock at ``path``, or None."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return None if _try(file, fcntl.LOCK_SH) else (_read(path) or Owner(0, "?", 0.0))
    finally:
        os.close(file)


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Owner | None:
    try:
        found = Owner(**store.read_object(path))
        return found if type(found.pid) is int and type(found.host) is str else None
    except (OSError, ValueError, TypeError):
        return None
