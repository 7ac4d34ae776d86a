"""Work off the event loop: one worker with one task at a time, and a thread that keeps what is to be kept, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from checkpoints.run import Run
from engine.runs.events import Event
from engine.runs.messages import Message
from engine.runs.worker import Job, State, Task, Worker

T = TypeVar("T")


@dataclass(frozen=True)
class News:
    """What a task said since the last look."""

    kind: str
    events: list[Event]
    ended: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Opened(Event, Generic[T]):
    """What answers questions about a run has been loaded."""

    run: Run
    model: T


class BackgroundTasks:
    """Hands tasks to a thread of its own. Nothing here waits."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._worker: Worker | None = None
        self._job: Job | None = None
        self._kind = ""
        self._wanted = True
        self._waiting: tuple[str, Task] | None = None

    @property
    def kind(self) -> str:
        """What is worked on, or will be next; empty when nothing is."""
        if self._waiting is not None:
            return self._waiting[0]
        return self._kind if self._job is not None and self._wanted else ""

    @property
    def active(self) -> bool:
        """Whether anything is under way or waits."""
        return self._job is not None or self._waiting is not None

    @property
    def state(self) -> State | None:
        """Of the task that is worked on."""
        return self._job.state if self._job is not None and self._wanted else None

    def ask(self, kind: str, task: Task) -> None:
        """Do ``task`` next, in place of what is under way."""
        self.drop()
        self._waiting = (kind, task)
        self._begin()

    def send(self, message: Message) -> None:
        """Tell the task that is worked on."""
        if self._job is not None and self._wanted:
            self._job.control.send(message)

    def stop(self) -> None:
        """Ask the task to end; what it still says is heard."""
        if self._job is not None:
            self._job.stop()

    def drop(self) -> None:
        """Forget what is under way and what waits: it ends, and what it still says is not heard."""
        self._waiting = None
        if self._job is not None:
            self._wanted = False
            self._job.stop()

    def look(self) -> News | None:
        """What has been said; None when there is nothing under way."""
        job, kind, wanted = self._job, self._kind, self._wanted
        if job is None:
            return None
        ended = not job.active  # before the last drain, so that nothing said before the end is missed
        events = job.channel.drain()
        if ended:
            self._job, self._wanted = None, True
            self._begin()
        if not wanted:
            return News("", [])
        return News(kind, events, ended, job.state is State.FAILED)

    def _begin(self) -> None:
        if self._job is None and self._waiting is not None:
            (self._kind, task), self._waiting = self._waiting, None
            self._worker = self._worker or Worker(self._name)
            self._job = self._worker.start(task)


class FileWriter:
    """Does what it is given in the order in which it is given, in a thread of its own.

    Two threads could overtake each other, and an older text would take the place of a newer one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "file-writer")

    def soon(self, write: Callable[[], object]) -> None:
        """Do this after everything that was given before. What it raises is lost, as when the screen is gone: it tells
        its errors itself.
        """
        self._thread.submit(write)

    async def close(self) -> None:
        """Wait until all of it is done; the event loop goes on meanwhile, since a write may want to tell an error."""
        await asyncio.to_thread(self._thread.shutdown)
