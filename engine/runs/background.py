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

T = TypeVar("T")
LOOK = 0.25  # seconds between two looks at the work


def in_background(
    task: Generator[tuple[str, int, int], None, T], obey: Callable[[], Iterator[Event]]
) -> Generator[Event, None, T]:
    """What ``task`` returns, which yields what it does, the bytes done and the bytes in all.

    ``obey`` is called every ``LOOK`` seconds until then; when it raises, the task is closed as soon as it yields again.
    Raises what the task raises.
    """
    parts: deque[tuple[str, int, int]] = deque(maxlen=1)
    result, over = Future[T](), threading.Event()

    def work() -> None:
        with contextlib.closing(task):
            try:
                while not over.is_set():
                    parts.append(next(task))
            except StopIteration as end:
                result.set_result(end.value)
            except BaseException as error:
                result.set_exception(error)

    thread = threading.Thread(target=work, daemon=True, name="background")
    thread.start()
    told, began = ("", 0, 0), 0.0
    try:
        while thread.is_alive():
            thread.join(LOOK)
            part = parts[-1] if parts else told
            if part != told:
                began = time.monotonic() - LOOK if part[0] != told[0] else began
                speed = part[1] / (time.monotonic() - began)
                yield Progress(*part, bytes_per_second=speed)
                told = part
            if thread.is_alive():
                yield from obey()
    finally:
        over.set()
    return result.result()
