"""One long-lived thread that drives tasks, one at a time, with an explicit state, and the channel to the screen."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from enum import Enum
from typing import TypeAlias

from engine.runs.events import Continued, Event, Finished, Notice, Paused, Progress, SampleText, Step
from engine.runs.messages import Control, Stop


class Channel:
    """Events wait here until they are drained.

    With ``limit`` steps inside, the next one waits up to ``wait_seconds`` seconds for a drain, so that who reads a long
    journal loses nothing; after that the oldest is dropped (it is in the journal). Pieces of one sample are merged,
    never dropped. Of progress only the last of its kind is kept. Everything else is rare and kept.
    """

    def __init__(self, limit: int = 4096, wait_seconds: float = 0.0) -> None:
        self._drained = threading.Condition()
        self._limit, self._wait_seconds = limit, wait_seconds
        self._order = itertools.count()
        self._steps: deque[tuple[int, Event]] = deque(maxlen=limit)
        self._others: list[tuple[int, Event]] = []

    def put(self, event: Event) -> None:
        """Add an event. For the worker's thread, since it may wait."""
        with self._drained:
            if isinstance(event, Step) and len(self._steps) == self._limit:
                self._drained.wait(self._wait_seconds)
            number = next(self._order)
            if isinstance(event, Step):
                self._steps.append((number, event))
                return
            last = self._others[-1][1] if self._others else None
            if isinstance(event, SampleText) and isinstance(last, SampleText) and _continues(last, event):
                merged = dataclasses.replace(last, text=last.text + event.text, done=event.done)
                self._others[-1] = (self._others[-1][0], merged)
            elif isinstance(event, Progress) and isinstance(last, Progress) and last.what == event.what:
                self._others[-1] = (number, event)
            else:
                self._others.append((number, event))

    def drain(self) -> list[Event]:
        """Everything that waits, in order."""
        with self._drained:
            waiting = [*self._steps, *self._others]
            self._steps.clear()
            self._others = []
            self._drained.notify_all()
        waiting.sort(key=lambda entry: entry[0])
        return [event for _, event in waiting]


def _continues(last: SampleText, event: SampleText) -> bool:
    return not last.done and not event.prompt and (last.sample, last.step) == (event.sample, event.step)


Task: TypeAlias = Callable[[Control], Iterator[Event]]

WAIT_SECONDS = 5.0  # seconds that a task waits for a screen that is slow; what it follows is on the disk already


class State(Enum):
    """Of a job. Only the worker's thread leaves STOPPING."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"


class Busy(Exception):
    """The worker has a job; two tasks never run on one worker."""


class Job:
    """A task in the hands of a worker: its state, its mailbox and where its events arrive."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.control = Control()
        self.channel = Channel(wait_seconds=WAIT_SECONDS)
        self.error: BaseException | None = None
        self._state = State.STARTING
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @property
    def state(self) -> State:
        return self._state

    @property
    def active(self) -> bool:
        """Whether the thread still works on it."""
        return not self._ended.is_set()

    def stop(self) -> None:
        """Ask the task to end after its next step. Safe to call again."""
        with self._lock:
            if self.active:
                self._state = State.STOPPING
        self.control.send(Stop())

    def wait(self, seconds: float) -> bool:
        """Wait until the task has ended; not for the thread of a screen."""
        return self._ended.wait(seconds)

    def note(self, event: Event) -> None:
        """Follow the state that an event tells. For the worker."""
        with self._lock:
            if self._state is State.STOPPING:
                return
            if isinstance(event, Paused):
                self._state = State.PAUSED
            elif isinstance(event, Continued) or (
                self._state is State.STARTING and not isinstance(event, Progress | Notice)
            ):
                self._state = State.RUNNING

    def end(self, state: State) -> None:
        """Leave the last state. For the worker."""
        with self._lock:
            self._state = state
            self._ended.set()


class Worker:
    """Owns a daemon thread of its own, so that leaving the program never waits for a task."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.job: Job | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def start(self, task: Task) -> Job:
        """Hand a task to the thread. Raises :class:`Busy` while another one has not ended."""
        with self._lock:
            if self.job is not None and self.job.active:
                raise Busy(f"the {self._thread.name} is busy ({self.job.state.value})")
            self.job = Job(task)
        self._jobs.put(self.job)
        return self.job

    def close(self) -> None:
        """End the thread after its jobs. Does not wait."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            failed = False
            try:
                for event in job.task(job.control):
                    failed = isinstance(event, Finished) and event.reason in ("failed", "diverged", "died")
                    job.note(event)
                    job.channel.put(event)
            except BaseException as error:  # whatever it was, the user is told and the thread lives on
                job.error, failed = error, True
                job.channel.put(Notice(str(error) or type(error).__name__, "error", "failure"))
                job.channel.put(Finished("failed", 0, None, ""))
            job.end(State.FAILED if failed else State.DONE)


WORK = "work"  # name of the thread that runs the work of a run
POLL = 0.1  # seconds


def in_thread(work: Generator[Event, None, None], leave: Callable[[], bool]) -> Generator[Event, None, None]:
    """Run ``work`` in a worker's thread and yield its events. The next event is computed when it is asked for.

    After every ``POLL`` seconds without an event ``leave`` is called in the calling thread. When it returns True, this
    ends at once, and the thread closes ``work`` at its next event. Closing this closes ``work`` in its thread.
    Raises what ``work`` raises.
    """
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    turns: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def task(_: Control) -> Iterator[Event]:
        try:
            with contextlib.closing(work):
                for event in work:
                    events.put(event)
                    if not turns.get():
                        break
        finally:
            events.put(None)
        return iter(())

    worker = Worker(WORK)
    job = worker.start(task)
    left = False
    try:
        while not left:
            try:
                event = events.get(timeout=POLL)
            except queue.Empty:
                left = leave()
                continue
            if event is None:
                break
            yield event
            turns.put(True)
    finally:
        turns.put(False)
        worker.close()
        while job.active and not left:
            job.wait(POLL)
        if job.error is not None:
            raise job.error
