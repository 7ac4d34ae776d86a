"""What ``bench ui`` counts of the event loop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tui.command import stalls
from tui.command.stalls import Stalls


class Clocks:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0

    def hold(self, seconds: float, worked: float) -> None:
        self.now, self.worked = self.now + seconds, self.worked + worked


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    both = SimpleNamespace(perf_counter=lambda: made.now, thread_time=lambda: made.worked)
    monkeypatch.setattr(stalls, "time", both)
    return made


@pytest.fixture
def file(clocks: Clocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this process writes what holds up its event loops."""
    before = signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr(asyncio.Handle, "_run", asyncio.Handle._run)  # put back at the end
    stalls.watch(tmp_path / "stalls.json")
    yield tmp_path / "stalls.json"
    signal.signal(signal.SIGUSR1, before)


def test_callbacks_that_hold_up_the_loop_are_counted(file: Path, clocks: Clocks) -> None:
    async def work() -> None:
        for seconds, worked in ((0.03, 0.03), (0.05, 0.045), (0.25, 0.02), (0.05, 0.01)):
            clocks.hold(seconds, worked)
            await asyncio.sleep(0)

    asyncio.run(work())
    assert stalls.together([file]) == Stalls(pytest.approx(250), pytest.approx(45), 3, 1)
    assert stalls.together([file, file]) == Stalls(pytest.approx(250), pytest.approx(45), 6, 2)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert stalls.together([file]) == Stalls()
