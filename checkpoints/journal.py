"""``events.jsonl``: everything that happened in a run, one JSON object a line, only ever appended to.

When a run resumes at an earlier step it appends a ``started`` event with that step; readers forget what the journal
said about later steps. So nothing is rewritten, and a follower never loses its place.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from checkpoints import store


class Journal:
    """Appends events. A failed write (full disk) is remembered in ``failure`` and tried again before the next one.

    What could not be written waits in memory up to ``PENDING`` bytes, so a disk that is full for a while costs
    nothing; the journal of a run whose disk stays full has a gap between its oldest and its newest events, and
    training goes on. Any thread may call.
    """

    PENDING = 1 << 22

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):  # a FIFO takes events but can never be synced
            os.close(self._descriptor)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        self._pending = bytearray()
        self._lock = threading.Lock()
        self.failure: OSError | None = None
        size = status.st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            self._pending += b"\n"  # the last owner was killed in the middle of a line

    def append(self, event: dict[str, Any]) -> None:
        """Add one event. Never raises :class:`OSError`; see ``failure``."""
        line = _line(event)
        with self._lock:
            self._pending += line
            with contextlib.suppress(OSError):
                self._write()
            if len(self._pending) > self.PENDING:
                size = len(self._pending)
                start = self._pending.index(b"\n", self.PENDING // 4) + 1
                stop = self._pending.index(b"\n", max(start, size // 2) - 1) + 1
                del self._pending[start : min(stop, size - len(line))]

    def sync(self) -> None:
        """Put everything that was appended on the disk itself. Raises :class:`OSError`."""
        with self._lock:
            self._write()
            if (descriptor := self._descriptor) < 0:
                raise OSError(errno.EBADF, "the journal is closed")
        os.fsync(descriptor)  # not under the lock: an append does not wait for the disk

    def close(self) -> None:
        """Sync as far as possible and close the file. Harmless when called twice."""
        if self._descriptor < 0:
            return
        try:
            self.sync()
        except OSError as error:
            self.failure = error
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def end(self, *events: dict[str, Any]) -> None:
        """Add the last events: what other threads append later is not written, and their syncs fail."""
        with self._lock:
            if self._descriptor >= 0:
                self._pending += b"".join(map(_line, events))
                with contextlib.suppress(OSError):
                    self._write()
                os.close(self._descriptor)
                self._descriptor = -1

    def _write(self) -> None:
        try:
            while self._pending:
                del self._pending[: os.write(self._descriptor, self._pending)]
            self.failure = None
        except OSError as error:
            self.failure = error
            raise


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The events of lines; damaged ones are skipped."""
    for line in lines:
        with contextlib.suppress(ValueError):
            if isinstance(event := store.decode(line), dict):
                yield event


class Reader:
    """Reads a journal from its beginning, then whatever was added since the last call."""

    LIMIT = 1 << 20  # bytes taken by one call, so a long journal arrives in pieces

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def lines(self) -> list[bytes]:
        """Lines that were appended since the last call, up to about a megabyte of them, without their ends.

        Raises :class:`OSError` when the journal is there and cannot be read.
        """
        if self._file is None:
            try:
                self._file = store.open_file(self._path)
            except FileNotFoundError:
                return []
        lines: list[bytes] = []
        while not lines and (added := self._file.read(self.LIMIT)):
            *lines, self._rest = (self._rest + added).split(b"\n")
        return lines

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
