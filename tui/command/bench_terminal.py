"""The full-screen program on a pseudo-terminal: what it sends while it works, and how soon it answers a key."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import pty
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from engine.bench.rows import Row, measured, spread
from engine.bench.setup import Setup
from tui.command import stalls
from tui.follow import last_values

SIZE = (120, 40)
WATCHED = """
import pathlib, sys
import llmlab_tui
from tui.command import stalls
from tui.start import open_screen
stalls.watch(pathlib.Path(sys.argv[1]))
open_screen()
"""


class Screen:
    """The full-screen program on a pseudo-terminal of 120×40 cells, read as a terminal would.

    Into the file ``watched`` it writes what holds up its event loop (:mod:`tui.command.stalls`).
    """

    def __init__(self, watched: Path | None = None) -> None:
        self._program = ["-m", "llmlab_tui"]
        if watched is not None:
            self._program = ["-c", WATCHED, str(watched)]

    def __enter__(self) -> Screen:
        last_values.write("before.json", {})  # the first start of all opens another pane
        self._begun = time.monotonic()
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", *self._program],
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

    def settled(self) -> None:
        """The first picture is there: what held up the event loop until now does not count."""
        os.kill(self._process.pid, signal.SIGUSR1)

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
KEYS = {
    "next_field": "\t",
    "focus_of_the_terminal": "\x1b[O\x1b[I",
    "leave_field": "\x1b",
    "pane_Runs": "7",
    "next_row": "\x1b[B",
    "help": "\x1bOP",
}
"""keys that are pressed one after the other, from the form of Train on, as a terminal sends them"""
LONGEST = 180.0  # seconds that a bundled example may take
PAIRS = 5
REST = 6.0  # seconds for which nothing happens, that idle bytes are counted over


def start(setup: Setup) -> Iterator[Row]:
    """From starting the process to the last byte of the first full picture, on a real pseudo-terminal."""
    times = []
    for number in range(PAIRS + 1):
        with Screen() as screen:
            painted = screen.wait_for("Start training", 30.0)
            if number:  # the first run fills the file cache
                times.append(painted)
    yield measured("the first complete picture", **spread("seconds", times))


def ui(setup: Setup) -> Iterator[Row]:
    """One run, watched and not watched in turn: steps per second, bytes to the terminal, key to paint; then idle.

    What holds up the event loop is counted in the screens that were watched, and in the last one, in which keys open
    panes and help.
    """
    from engine.gpt import runs as trainings
    from engine.runs import owner
    from engine.runs.messages import Stop

    run = trainings.create(setup.spec("nano", device="auto", steps=1_000_000, patience=0))
    process = owner.spawn(run)
    each = max(4.0, setup.seconds / PAIRS / 2)
    folder = Path(tempfile.mkdtemp(dir=home.home()))
    files = [folder / f"{number}.json" for number in range(PAIRS + 1)]
    try:
        _wait_for_steps(run.events, 20)
        with_screen, without, sent, keys = [], [], [], []
        for file in files[:-1]:
            without.append(_steps_per_second(run.events, each))
            with Screen(file) as screen:
                screen.wait_for("running", 30.0)
                screen.read(2.0)
                screen.settled()
                before, begun = screen.received, time.monotonic()
                with_screen.append(_steps_per_second(run.events, each, meanwhile=screen.read))
                sent.append((screen.received - before) / (time.monotonic() - begun))
                keys += [screen.key_to_paint("g") for _ in range(20)]
        owner.send(run, Stop())
        process.wait(60)
    finally:
        process.kill()
    answers: dict[str, float] = {}
    with Screen(files[-1]) as screen:
        screen.wait_for("Runs", 30.0)
        screen.read(3.0)
        screen.settled()
        screen.press("\x1b")  # the question about runs that have ended meanwhile
        screen.read(1.0)
        idle = screen.read(REST) / REST
        for what, key in KEYS.items():
            screen.press(key)
            answers[what] = screen.read(1.0)
    yield measured(
        "steps of a training with the screen open and without",
        **spread("times_as_fast", [one / other for one, other in zip(with_screen, without, strict=True)]),
        steps_per_s_with=statistics.median(with_screen),
        steps_per_s_without=statistics.median(without),
    )
    yield measured("the screen meanwhile", **spread("KiB_per_s", sent, 1 / 1024), **_of_keys(keys))
    yield measured("the screen when nothing happens", bytes_per_s=idle)
    yield measured("bytes to the terminal for a key", **answers)
    yield measured("the event loop during the training", **dataclasses.asdict(stalls.together(files[:-1])))
    yield measured("the event loop while keys open panes", **dataclasses.asdict(stalls.together(files[-1:])))


def panes(setup: Setup) -> Iterator[Row]:
    """Each pane runs its bundled example twice: bytes are counted in the first run, keys are timed in the second."""
    for name, (key, ready, views) in PANES.items():
        with Screen() as screen:
            run = _start(screen, key, ready)
            seconds = [screen.read(1.0) for _ in _until_finished(run)]
            screen.read(REST)  # the end of the run is shown some seconds after it is in the journal
            idle = screen.read(REST) / REST
        shutil.rmtree(home.cache(), ignore_errors=True)  # so that there is as much to do again
        with Screen() as screen:
            run = _start(screen, key, ready)
            keys = _keys(screen, run, views)
        busiest = max(sum(seconds[at : at + 5]) / len(seconds[at : at + 5]) for at in range(len(seconds)))
        yield measured(
            f"the screen while {name} runs its bundled example",
            KiB_per_s=statistics.mean(seconds) / 1024,
            KiB_per_s_in_the_busiest_5_s=busiest / 1024,
            seconds=len(seconds),
            bytes_per_s_afterwards=idle,
            **_of_keys(keys),
        )


def _of_keys(keys: list[float]) -> dict[str, float]:
    """Milliseconds from a key to its answer."""
    last = sorted(keys)[min(len(keys) - 1, int(len(keys) * 0.99))]
    return {**spread("key_to_paint_ms", keys, 1e3), "key_to_paint_ms_99th_percentile": last * 1e3, "keys": len(keys)}


def _start(screen: Screen, key: str, ready: str) -> Run:
    """Start the run of a pane's form. It is awaited on the disk: the screen sends changed cells, not whole words."""
    before = runs.every(home.runs())
    screen.wait_for("Start training", 30.0)
    screen.press(key)
    screen.wait_for(ready, 30.0)
    screen.read(1.0)
    screen.press(F5)
    deadline = time.monotonic() + 60
    while len(found := runs.every(home.runs())) == len(before):
        if time.monotonic() > deadline:
            raise TimeoutError("no run was started")
        screen.read(0.05)
    return found[0]


def _keys(screen: Screen, run: Run, views: str) -> list[float]:
    """Seconds to the answer of keys that change the view, pressed until the run has finished."""
    found: list[float] = []
    for number in _until_finished(run):
        found.append(screen.key_to_paint(views[(number + 1) % 2]))
        screen.read(0.2)
    return found


def _until_finished(run: Run) -> Iterator[int]:
    """0, 1, 2 and so on while the run goes on. Raises :class:`TimeoutError` after ``LONGEST`` seconds."""
    until = time.monotonic() + LONGEST
    for number in itertools.count():
        if runs.read_tail(run, frozenset({"finished"})):
            return
        if time.monotonic() >= until:
            raise TimeoutError(f"{run.name} has not finished in {LONGEST:.0f} seconds")
        yield number


def _wait_for_steps(journal: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while _last_step(journal) < step:
        if time.monotonic() > deadline:
            raise TimeoutError("the trainer did not get going")
        time.sleep(0.2)


def _steps_per_second(journal: Path, seconds: float, meanwhile: Callable[[float], object] | None = None) -> float:
    """Steps that the journal gains, over the time between the two lines that were seen."""
    first, begun = _next_step(journal, meanwhile)
    deadline = begun + seconds
    while time.monotonic() < deadline:
        (meanwhile or time.sleep)(0.05)
    last, ended = _next_step(journal, meanwhile)
    return (last - first) / (ended - begun)


def _next_step(journal: Path, meanwhile: Callable[[float], object] | None) -> tuple[int, float]:
    """Wait until the journal tells a new step, so that the moment is the step's and not ours."""
    here = _last_step(journal)
    while (now := _last_step(journal)) == here:
        (meanwhile or time.sleep)(0.005)
    return now, time.monotonic()


def _last_step(journal: Path) -> int:
    with journal.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
        found = re.findall(rb'"event":"step","step":(\d+)', file.read())
    return int(found[-1]) if found else 0
