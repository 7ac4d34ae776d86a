"""Files of a run that are written while it works: one that cannot be written waits in memory and is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from checkpoints import store
from engine.runs.events import Event, Notice
from engine.runs.messages import WAIT, Control, handle_messages, passed

T = TypeVar("T")
BACK_OFF = (5.0, 15.0, 60.0)  # seconds to the next try after a failed write, the last one again and again
KIND = "save"  # of the notices


class PendingWrites:
    """A queue of writes, done in order, each at once if the disk takes it. Adding one never raises :class:`OSError`.

    While one fails, those after it wait too. A newer version of a file takes the place of the one that waits. A write
    is never done before those that it comes ``after``, so that a file does not refer to one that is not there.
    """

    def __init__(self, level: str = "error") -> None:
        self._level = level
        self._waiting: dict[str, tuple[Callable[[], object], frozenset[str]]] = {}
        """for each name its write, and the names of those that it refers to"""
        self._error: OSError | None = None
        """of the last try, when that failed"""
        self._untold = ""
        """a failure that no notice has been given of"""
        self._told = False
        self._failures, self._retry_at = 0, 0.0

    def put(self, name: str, write: Callable[[], object], *, after: Collection[object] | None = ()) -> None:
        """Add a write; ``name`` is the file, and how messages call it. ``after`` names others; None: all that wait."""
        self._waiting.pop(name, None)
        before = self._waiting.keys() if after is None else set(map(str, after)) & self._waiting.keys()
        self._waiting[name] = write, frozenset(before)
        self.flush()

    def file(self, path: Path, content: bytes, *, after: Collection[Path] = ()) -> None:
        """Add the atomic write of a file; its folder is made."""

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            store.replace_file(path, content)

        self.put(str(path), write, after=after)

    def json(self, path: Path, content: Mapping[str, Any], *, after: Collection[Path] = ()) -> None:
        """Add the atomic write of a JSON file."""
        self.file(path, store.encode(content), after=after)

    def flush(self, *, every: bool = False) -> None:
        """Try the writes that wait, up to the first that fails, or ``every`` one when there will be no other try."""
        self._error = None
        failed: set[str] = set()
        while (name := self._next(failed)) is not None:
            try:
                self._waiting[name][0]()
            except OSError as error:
                self._error = error
                wait = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
                self._failures, self._retry_at = self._failures + 1, time.monotonic() + wait
                if not self._told:
                    reason = error.strerror or error
                    self._untold = f"{Path(name).name} cannot be written ({reason}): it is tried again in {wait:.0f} s"
                if not every:
                    return
                failed.add(name)
            else:
                del self._waiting[name]
        self._failures = 0

    def _next(self, failed: Collection[str]) -> str | None:
        """The first write that has not failed and comes after none that waits."""
        ready = (name for name, (_, before) in self._waiting.items() if not before & self._waiting.keys())
        return next((name for name in ready if name not in failed), None)

    def report(self) -> Iterator[Event]:
        """Try again when it is time; give notice of a failure, and of its end."""
        if self._waiting and time.monotonic() >= self._retry_at:
            self.flush()
        if self._untold:
            yield Notice(f"{self._untold}; the work goes on", self._level, KIND)
            self._untold, self._told = "", True
        if self._told and not self._waiting:
            yield Notice("what could not be written is on the disk now", "info", KIND)
            self._told = False

    def watch(self, work: Generator[Event, None, T]) -> Generator[Event, None, T]:
        """What ``work`` yields and returns, with notices of failed writes; they are tried again in between."""

        def each(event: Event) -> Iterator[Event]:
            yield event
            yield from self.report()

        try:
            return (yield from passed(work, each))
        finally:
            self.flush(every=True)

    def settle(self, control: Control) -> Iterator[Event]:
        """Wait until everything is on the disk.

        Raises :class:`OSError` when that does not come within a few tries, and :class:`engine.runs.messages.Stopped`.
        """
        for wait in BACK_OFF:
            yield from self.report()
            until = time.monotonic() + wait
            while self._waiting and time.monotonic() < until:
                yield from handle_messages(control, 0)
                control.wait(WAIT)
            self.flush()
        yield from self.report()
        self.flush(every=True)
        if self._error is not None:
            raise self._error

    def abandon(self) -> Iterator[Event]:
        """After a stop: give notice of what still cannot be written."""
        yield from self.report()
        if self._waiting:
            names = ", ".join(Path(name).name for name in self._waiting)
            yield Notice(f"{names} could not be written: resuming the run computes them again", "error", KIND)
