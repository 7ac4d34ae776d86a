"""How long the event loop of the screen is held up, for ``bench ui``."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT = 0.04  # seconds that a key may wait


@dataclass
class Stalls:
    """Callbacks of one event loop; the processor time is that of its thread, which other processes do not lengthen."""

    longest_ms: float = 0.0
    longest_processor_ms: float = 0.0
    over_limit: int = 0
    """callbacks that took more than ``LIMIT``"""
    over_limit_processor: int = 0

    def add(self, took: float, worked: float) -> bool:
        """Take a callback in, in seconds. Returns whether it is worth telling."""
        told = took > LIMIT or 1e3 * took > self.longest_ms or 1e3 * worked > self.longest_processor_ms
        self.longest_ms = max(self.longest_ms, 1e3 * took)
        self.longest_processor_ms = max(self.longest_processor_ms, 1e3 * worked)
        self.over_limit += took > LIMIT
        self.over_limit_processor += worked > LIMIT
        return told


def together(files: list[Path]) -> Stalls:
    """What several screens have written."""
    found = [Stalls(**json.loads(file.read_text())) for file in files]
    return Stalls(
        max(one.longest_ms for one in found),
        max(one.longest_processor_ms for one in found),
        sum(one.over_limit for one in found),
        sum(one.over_limit_processor for one in found),
    )


def watch(file: Path) -> None:
    """From now on ``file`` always holds what holds up the event loop of this process; SIGUSR1 counts from 0 again."""
    run, stalls = asyncio.Handle._run, Stalls()

    def write() -> None:
        file.write_text(json.dumps(dataclasses.asdict(stalls)))

    def begin(*_: object) -> None:
        nonlocal stalls
        stalls = Stalls()
        write()

    def timed(handle: asyncio.Handle) -> None:
        begun, worked = time.perf_counter(), time.thread_time()
        run(handle)
        took, worked = time.perf_counter() - begun, time.thread_time() - worked
        if stalls.add(took, worked):
            write()

    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
    signal.signal(signal.SIGUSR1, begin)
