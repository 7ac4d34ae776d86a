"""The full-screen program on a pseudo-terminal: what it sends while it works, and how soon it answers a key."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from typing import Any

from checkpoints import home

SIZE = (120, 40)


class Screen:
    """The full-screen program on a pseudo-terminal of 120×40 cells, read as a terminal would."""

    def __enter__(self) -> Screen:
        self._begun = time.monotonic()
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "llmlab_tui"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment,
            close_fds=True,
        )
        os.close(slave)
        self._master = master
        self._seen = b""
        self.received = 0
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while self._process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def read(self, seconds: float) -> int:
        """Take what arrives within ``seconds``; returns how many bytes came."""
        came = 0
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                try:
                    block = os.read(self._master, 1 << 16)
                except OSError:
                    break
                if not block:
                    break
                came += len(block)
                self._seen = (self._seen + block)[-200_000:]
        self.received += came
        return came

    def wait_for(self, text: str, seconds: float) -> float:
        """Seconds from the start of the process until ``text`` stood on the screen and nothing came for 30 ms."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self._seen:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the screen never showed {text!r}")
            self.read(0.002)
        found = time.monotonic()
        while self.read(0.03):
            found = time.monotonic() - 0.03
        return found - self._begun

    @property
    def recent(self) -> str:
        """The end of what was sent."""
        return self._seen.decode("utf-8", "replace")

    def press(self, key: str) -> None:
        """Send a key."""
        os.write(self._master, key.encode())

    def key_to_paint(self, key: str) -> float:
        """Seconds from a key to the first byte that answers it, taken when the screen is quiet."""
        for _ in range(200):
            if not self.read(0.02):
                break
        begun = time.monotonic()
        os.write(self._master, key.encode())
        select.select([self._master], [], [], 5.0)
        took = time.monotonic() - begun
        self.read(0.15)
        return took


PANES = {
    "classify": ("4", "Run comparison", "am"),
    "choose": ("5", "Run comparison", "ai"),
    "retrieve": ("6", "Run comparison", "ag"),
}
"""key, what the form says, and two keys that change the view"""
F5 = "\x1b[15~"
LONGEST = 180.0  # seconds that a bundled example may take
REST = 4.0  # seconds for which nothing happens, that idle bytes are counted over


def panes(note: Callable[[str], None]) -> dict[str, Any]:
    """Each pane runs its bundled example twice: bytes are counted in the first run, keys are timed in the second."""
    figures: dict[str, Any] = {}
    for name, (key, ready, views) in PANES.items():
        with Screen() as screen:
            _start(screen, key, ready)
            seconds = _bytes_a_second(screen)
            screen.read(1.0)
            idle = screen.read(REST) / REST
        shutil.rmtree(home.cache(), ignore_errors=True)  # so that there is as much to do again
        with Screen() as screen:
            _start(screen, key, ready)
            keys = _keys(screen, views)
        busiest = max(sum(seconds[at : at + 5]) / len(seconds[at : at + 5]) for at in range(len(seconds)))
        figures |= {
            f"{name}_kib_per_s_mean": round(statistics.mean(seconds) / 1024, 2),
            f"{name}_kib_per_s_busiest_5s": round(busiest / 1024, 2),
            f"{name}_seconds": len(seconds),
            f"{name}_idle_bytes_per_s": round(idle, 1),
            f"{name}_key_to_paint_ms_median": round(statistics.median(keys) * 1000, 1),
            f"{name}_key_to_paint_ms_max": round(max(keys) * 1000, 1),
            f"{name}_keys": len(keys),
        }
        note(f"{name}: {figures[f'{name}_kib_per_s_mean']} KiB/s, {len(keys)} keys")
    return figures


def _start(screen: Screen, key: str, ready: str) -> None:
    screen.wait_for("Start training", 30.0)
    screen.press(key)
    screen.wait_for(ready, 30.0)
    screen.read(1.0)
    screen.press(F5)
    screen.wait_for("starting", 60.0)


def _bytes_a_second(screen: Screen) -> list[int]:
    """Bytes of every second until the run has finished."""
    return [screen.read(1.0) for _ in _until_finished(screen)]


def _keys(screen: Screen, views: str) -> list[float]:
    """Seconds to the answer of keys that change the view, pressed until the run has finished."""
    found: list[float] = []
    for number in _until_finished(screen):
        found.append(screen.key_to_paint(views[(number + 1) % 2]))
        screen.read(0.2)
    return found


def _until_finished(screen: Screen) -> Iterator[int]:
    """0, 1, 2 and so on while the run goes on."""
    until = time.monotonic() + LONGEST
    for number in itertools.count():
        if "■ finished" in screen.recent or time.monotonic() >= until:
            return
        yield number
