"""The full-screen program on a pseudo-terminal, for those who measure what it sends and how soon it answers."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

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

    def settle(self, seconds: float) -> None:
        """Read for ``seconds``."""
        self.read(seconds)

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
