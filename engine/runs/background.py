"""Work that blocks while it reads or downloads, in a thread of its own, so that messages are obeyed meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import TypeVar

from engine.runs.events import Event, Progress
from engine.runs.messages import Stopped, finish

T = TypeVar("T")
LOOK = 0.25  # seconds between two looks at the work


def in_background(work: Callable[[], T], look: Callable[[], Iterator[Event]]) -> Generator[Event, None, T]:
    """What ``work`` returns, which runs in a daemon thread.

    Yields the events of ``look``, which is called every ``LOOK`` seconds and once more after the work. When it raises,
    the thread is left alone: whoever calls this makes it end. Raises what ``work`` raises.
    """
    result = Future[T]()

    def attempt() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=attempt, daemon=True, name="background")
    thread.start()
    working = True
    while working:
        thread.join(LOOK)
        working = thread.is_alive()
        yield from look()
    return result.result()


def with_progress(
    task: Generator[tuple[str, int, int], None, T], obey: Callable[[], Iterator[Event]]
) -> Generator[Event, None, T]:
    """What ``task`` returns, which yields what it does, the bytes done and the bytes in all.

    ``obey`` is called every ``LOOK`` seconds; when it raises, the task is closed as soon as it yields again. Raises
    what the task raises.
    """
    parts: deque[tuple[str, int, int]] = deque([("", 0, 0)], maxlen=1)
    over = threading.Event()
    told, began = parts[0], 0.0

    def tell(part: tuple[str, int, int]) -> None:
        if over.is_set():
            raise Stopped
        parts.append(part)

    def work() -> T:
        with contextlib.closing(task):
            return finish(task, tell)

    def look() -> Iterator[Event]:
        nonlocal told, began
        part = parts[0]
        if part != told:
            began = time.monotonic() - LOOK if part[0] != told[0] else began
            yield Progress(*part, bytes_per_second=part[1] / (time.monotonic() - began))
            told = part
        yield from obey()

    try:
        return (yield from in_background(work, look))
    finally:
        over.set()
