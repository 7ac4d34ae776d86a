"""The real program on a real pseudo-terminal, its bytes kept and its picture held by a terminal emulator."""

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from fcntl import ioctl
from pathlib import Path
from types import TracebackType

import pyte

from engine.gpt.spec import TrainSpec
from tui.follow import last_values
from tui.follow.form import groups

PROJECT = Path(__file__).parent.parent.parent
FIELDS = [name for names in groups(TrainSpec).values() for name in names]  # of the form, but for the advanced ones
END, CLEAR, TAB = b"\x1b[F", b"\x15", b"\t"
F5, F6, F7, F12 = b"\x1b[15~", b"\x1b[17~", b"\x1b[18~", b"\x1b[24~"
# On one core, so that trainers take one thread and do not wait for each other where tests run side by side. With
# "1" the terminal becomes the controlling one, as a shell has it, and its end is told by a signal.
_LAUNCH = """
import fcntl, os, sys, termios
cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
if sys.argv[1] == "1":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Terminal:
    """The program in a terminal of ``size`` columns and rows; ``controlling`` says that a hang-up signals."""

    def __init__(
        self,
        *,
        size: tuple[int, int] = (120, 40),
        controlling: bool = True,
        term: str | None = "xterm-256color",
        program: Sequence[str] = (sys.executable, "-m", "llmlab_tui"),
        cwd: Path = PROJECT,
        more: Mapping[str, str] | None = None,
        first: bool = False,
    ) -> None:
        """``more`` are variables of its environment beside those of this process.

        Unless this is the ``first`` start, something was started before, and the screen opens with Train.
        """
        if not first:
            last_values.write("before.json", {})
        environment = {name: value for name, value in os.environ.items() if name not in ("TERM", "COLORTERM")}
        environment |= {"COLORTERM": "truecolor"} | ({"TERM": term} if term is not None else {}) | dict(more or {})
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-S", "-c", _LAUNCH, str(int(controlling)), *program],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment,
            cwd=cwd,
        )
        os.close(slave)
        self.raw = bytearray()
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.hang_up()

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(self._screen.display)

    def cells(self) -> Iterator[tuple[str, str, str, bool]]:
        """Character, colours of it and of its background, and whether they are swapped, of all that is visible."""
        for row in range(self._screen.lines):
            for column in range(self._screen.columns):
                cell = self._screen.buffer[row][column]
                if cell.data.strip():
                    yield cell.data, cell.fg, cell.bg, cell.reverse

    def resize(self, columns: int, rows: int) -> None:
        """Another size; the kernel tells the program."""
        ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def suspend(self) -> None:
        """As a shell does at Ctrl+Z: the program is asked to stop, and has stopped when this returns."""
        os.kill(self.process.pid, signal.SIGTSTP)
        status = Path(f"/proc/{self.process.pid}/stat")
        self.until(lambda: status.read_text().rpartition(")")[2].split()[0] in "TZX", "the program stops")

    def clear(self) -> None:
        """As another program leaves the terminal: nothing of what was drawn is there."""
        self._screen.reset()

    @property
    def cooked(self) -> bool:
        """Whether the terminal edits lines and echoes, as a shell finds it."""
        flags = termios.tcgetattr(self.master)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def read(self, seconds: float) -> int:
        """Take what arrives within ``seconds``, returning at the first piece; returns how many bytes came."""
        if not select.select([self.master], [], [], seconds)[0]:
            return 0
        try:
            block = os.read(self.master, 1 << 16)
        except OSError:
            return 0
        self.raw += block
        self._stream.feed(block)
        return len(block)

    def count(self, seconds: float) -> int:
        """Bytes that arrive within ``seconds``."""
        came, deadline = 0, time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            came += self.read(left)
        return came

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
        """Read until ``condition`` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n{self.text}\nexit code {self.process.poll()}")
            self.read(0.05)

    def shows(self, *texts: str, seconds: float = 40.0) -> None:
        """Read until all ``texts`` stand on the screen together."""
        self.until(lambda: all(text in self.text for text in texts), f"{texts} on the screen", seconds)

    def settle(self, quiet: float = 1.0, seconds: float = 30.0) -> None:
        """Read until nothing has come for ``quiet`` seconds."""
        deadline = time.monotonic() + seconds
        while self.count(quiet):
            assert time.monotonic() < deadline, "the screen never came to rest"

    def press(self, *keys: bytes) -> None:
        """Type."""
        for key in keys:
            os.write(self.master, key)
            self.read(0.01)

    def fill(self, **values: object) -> None:
        """Go through the form from its button and type ``values`` into their fields."""
        self.shows("Start training", "parameters")
        left = dict(values)
        for name in FIELDS:
            if left:
                self.press(TAB)
                self.until(lambda name=name: self._focused(name), f"{name} has the focus")
            if name in left:
                self._type(name, str(left.pop(name)))

    def _type(self, name: str, value: str) -> None:
        """Each key waits for what the one before it has done: a letter would overtake a key that is bound."""
        self.press(END, CLEAR)
        self.until(lambda: not self._field(name), f"{name} is empty")
        self.press(value.encode())
        self.until(lambda: self._field(name).endswith(value[-20:]), f"{name} is typed")

    def _focused(self, name: str) -> bool:
        """Whether this field has another background than all the others."""
        colours = []
        for y, line in enumerate(self._screen.display):
            for other in FIELDS:
                if line.startswith(_label(other)):
                    colours.append((other == name, self._screen.buffer[y][len(_label(other))].bg))
        wanted = [colour for here, colour in colours if here]
        return len(wanted) == 1 and [colour for _, colour in colours].count(wanted[0]) == 1

    def _field(self, name: str) -> str:
        label = _label(name)
        line = next((line for line in self._screen.display if line.startswith(label)), label)
        return line.removeprefix(label).split("│")[0].rstrip()

    def ended(self, seconds: float = 30.0) -> int:
        """Read to the end of the program; its exit code."""
        self.until(lambda: self.process.poll() is not None, "the program ends", seconds)
        while self.read(0.1):
            pass
        return int(self.process.wait())

    def hang_up(self) -> None:
        """Close the terminal."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


def _label(name: str) -> str:
    return f" {name.replace('_', ' '):<15} "


@contextlib.contextmanager
def no_trainer_left(home: Path) -> Iterator[None]:
    """End every process that works in ``home``, also those that nobody here has started directly."""
    try:
        yield
    finally:
        for pid in working_in(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def working_in(home: Path) -> list[int]:
    """Processes whose command line names a path under ``home``, which belongs to one test."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"{home}{os.sep}".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
