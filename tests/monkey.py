"""Random keys, clicks, sizes and signals for the real program on a pseudo-terminal; a seed repeats them.

``make monkey MINUTES=10``, or ``python tests/monkey.py --minutes 10 --keys 20000 --seed 1``. The program has a home,
a working folder and runs that are made for it; what it does not write there it cannot write. A crash is an exit code
other than 0, a traceback on the terminal or in ``screen.log``, or a program that no longer answers: then the seed, the
last input and the traceback are printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# ruff: noqa: E402
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "tui")]

from classifying import told
from pseudoterminal import PROJECT, Terminal, no_trainer_left, working_in
from stage import recorded, step, story
from workbench import VERSE

from checkpoints import home as places
from checkpoints import run as runs
from engine.runs import owner
from tui.widgets.bar import PANES

# Started in place of ``-m llmlab_tui``: files are written under the first argument and nowhere else, whatever is typed.
GUARDED = """
import faulthandler, os, signal, sys
root = os.path.realpath(sys.argv.pop(1))
faulthandler.register(signal.SIGUSR1, open(root + "/stacks", "w"))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
def refuse(event, arguments):
    paths = arguments[:1] if event == "open" and (arguments[2] or 0) & WRITING else ()
    for path in arguments if event in CHANGING else paths:
        if isinstance(path, (str, bytes, os.PathLike)):
            path = os.fsdecode(path)
            if not (os.path.realpath(path) + os.sep).startswith((root + os.sep, "/dev/")):
                raise PermissionError(1, "outside the folder of this test", path)
sys.addaudithook(refuse)
import runpy
runpy.run_module("llmlab_tui", run_name="__main__", alter_sys=True)
"""
SMALLEST, LARGEST = (60, 20), (220, 60)  # of the sizes that the program is started with
ANSWER = 60.0  # seconds within which the program must react
TRAINERS = 2  # processes that may train at the same time; more are killed
NAMED = {
    "escape": b"\x1b", "enter": b"\r", "tab": b"\t", "shift+tab": b"\x1b[Z", "backspace": b"\x7f", "space": b" ",
    "up": b"\x1b[A", "down": b"\x1b[B", "right": b"\x1b[C", "left": b"\x1b[D", "home": b"\x1b[H", "end": b"\x1b[F",
    "pageup": b"\x1b[5~", "pagedown": b"\x1b[6~", "delete": b"\x1b[3~", "insert": b"\x1b[2~",
    "shift+left": b"\x1b[1;2D", "shift+right": b"\x1b[1;2C", "ctrl+left": b"\x1b[1;5D", "ctrl+right": b"\x1b[1;5C",
    "ctrl+home": b"\x1b[1;5H", "ctrl+end": b"\x1b[1;5F", "shift+end": b"\x1b[1;2F",
    "f1": b"\x1bOP", "f2": b"\x1bOQ", "f3": b"\x1bOR", "f4": b"\x1bOS", "f5": b"\x1b[15~", "f6": b"\x1b[17~",
    "f7": b"\x1b[18~", "f8": b"\x1b[19~", "f9": b"\x1b[20~", "f10": b"\x1b[21~", "f11": b"\x1b[23~",
    "f12": b"\x1b[24~",
}  # fmt: skip
QUITTING = {"q": b"q", "ctrl+q": b"\x11", "ctrl+c": b"\x03"}
KEYS = {
    **NAMED,
    **{f"ctrl+{chr(96 + code)}": bytes([code]) for code in range(1, 27) if code not in (3, 8, 9, 10, 13, 17)},
    **{chr(code): bytes([code]) for code in range(33, 127) if chr(code) != "q"},
}
ODD = (  # what terminals send besides keys, whole and in pieces, and what none should
    b"\x1b[I", b"\x1b[O", b"\x1b[?2026;2$y", b"\x1b[?1;2c", b"\x1b[97;5u", b"\x1b[57344u", b"\x1b[", b"\x1b[<",
    b"\x1b[<0;5", b"\x1bO", b"\x1b\x1b\x1b", b"\x00", b"\xff\xfe", b"\xc3", "é漢👩‍👩‍👧\u202e".encode(), b"\x1b[201~",
    b"\x1b]52;c;aGk=\x07", b"\x1b[M !!", b"\x9b31m",
)  # fmt: skip
ENDED = (0, -signal.SIGINT, -signal.SIGTERM)  # by a signal where it comes when the screen is closed already
TRACEBACK = re.compile(r"Traceback \(most recent call last\):|the screen failed")


class Crash(Exception):
    """The program ended, reported an exception or stopped answering; the message says which."""


@dataclass
class Input:
    """Something that is done to the program; ``sent`` is typed, the others are None where they do not apply."""

    kind: str
    sent: bytes = b""
    mouse: tuple[tuple[int, int, int, str], ...] = ()
    """button, column, row, and M or m for down and up"""
    size: tuple[int, int] | None = None
    keys: int = 0
    pause: float = 0.0


def inputs(rng: random.Random) -> Iterator[Input]:
    """Endlessly, what to do next. Depends on ``rng`` alone, so a seed repeats it."""
    kinds = {"keys": 70, "pane": 8, "click": 14, "resize": 3, "odd": 2, "paste": 1, "palette": 2, "quit": 0.5}
    kinds |= {"suspend": 0.15, "stop": 0.1, "terminate": 0.05}
    columns, rows = 120, 40
    while True:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        made = Input(kind, pause=rng.choice((0.0, 0.0, 0.0, 0.01, 0.03, 0.1, 0.3)))
        if kind == "keys":
            made.sent, made.keys = _keys(rng)
        elif kind == "pane":
            made.keys = rng.choice((1, 1, 1, 2, 3))
            made.sent = b"".join(rng.choice((b"\x1bOQ", bytes([rng.choice(b"12345678")]))) for _ in range(made.keys))
        elif kind == "click":
            made.mouse = _clicks(rng, columns, rows)
        elif kind in ("resize", "suspend"):
            small = rng.random() < 0.3
            columns = rng.randint(1, 59) if small else rng.randint(SMALLEST[0], LARGEST[0])
            rows = rng.randint(1, 19) if small and rng.random() < 0.7 else rng.randint(SMALLEST[1], LARGEST[1])
            made.size = (columns, rows) if kind == "resize" or rng.random() < 0.5 else None
        elif kind == "odd":
            made.sent = b"".join(rng.choices(ODD, k=rng.choice((1, 1, 2, 5))))
        elif kind == "paste":
            text = "".join(rng.choice("a [/red]\n\t\x1bé漢") for _ in range(rng.choice((0, 1, 30, 3000))))
            made.sent = b"\x1b[200~" + text.encode() + b"\x1b[201~"
        elif kind == "palette":
            text, made.keys = _keys(rng)
            made.sent = b"\x10" + rng.choice((b"", text, b"\x1b[B\r", b"\x1b", b"the\r")) + rng.choice((b"", b"\r\r"))
        elif kind == "quit":
            key = rng.choice(list(QUITTING.values()))
            made.sent = key + rng.choice((b"", b"", key, b"\x1b[24~", b"k", b"kk", b"s", b"yy", b"\x1bOP"))
            made.keys = 1
        yield made


def _keys(rng: random.Random) -> tuple[bytes, int]:
    """One key, several, or the same one several times, in one packet."""
    names = list(KEYS)
    several = rng.random()
    if several < 0.5:
        return KEYS[rng.choice(names)], 1
    if several < 0.7:
        times = rng.choice((2, 2, 2, 3, 5, 20))
        return KEYS[rng.choice(names)] * times, times
    if several < 0.75:
        return b"\r" * 2, 2
    count = rng.choice((2, 2, 3, 4, 8, 40))
    return b"".join(KEYS[rng.choice(names)] for _ in range(count)), count


def _clicks(rng: random.Random, columns: int, rows: int) -> tuple[tuple[int, int, int, str], ...]:
    """A click, a double click, a drag, a move or the wheel, now and then beside the screen."""

    def place() -> tuple[int, int]:
        return rng.randint(1, columns + (rng.random() < 0.02) * 50), rng.randint(1, rows + (rng.random() < 0.02) * 50)

    x, y = place() if rng.random() < 0.8 else (rng.randint(1, columns), 1)  # the tabs are in the first row
    what = rng.random()
    if what < 0.1:
        return tuple((35, *place(), "M") for _ in range(rng.choice((1, 5))))
    if what < 0.25:
        return ((rng.choice((64, 65)), x, y, "M"),) * rng.choice((1, 3, 10))
    if what < 0.35:
        return ((0, x, y, "M"), *((32, *place(), "M") for _ in range(3)), (0, *place(), "m"))
    button = rng.choice((0, 0, 0, 0, 1, 2, 4, 8, 16))
    return ((button, x, y, "M"), (button, x, y, "m")) * rng.choice((1, 1, 2, 3))


@dataclass
class Monkey:
    """Runs the program in ``root`` again and again and does random things to it."""

    root: Path
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=40))

    def __post_init__(self) -> None:
        self.home, self.folder = self.root / "home", self.root / "folder"
        self.folder.mkdir(exist_ok=True)
        self.stop_typed = False
        self.terminal = self._start((120, 40), reports=False)

    def _start(self, size: tuple[int, int], *, reports: bool) -> Terminal:
        """``reports``: the terminal tells its size in escape sequences, and places of the mouse in pixels."""
        self.reports = reports
        program = (sys.executable, "-c", GUARDED, f"{self.root}{os.sep}")
        terminal = Terminal(size=size, program=program, cwd=self.folder)
        os.set_blocking(terminal.master, False)
        terminal.until(lambda: b"\x1b[?1049h" in terminal.raw, "the program draws", ANSWER)
        if reports:
            os.write(terminal.master, b"\x1b[?2048;2$y")
        return terminal

    def storm(self, *, until: float, keys: int | None) -> None:
        """Do random things until the time is over or that many keys are sent. Raises :class:`Crash`."""
        rng = random.Random(self.seed)
        for number, made in enumerate(inputs(rng)):
            if time.monotonic() >= until or (keys is not None and self.counts["keys"] >= keys):
                break
            self._do(made)
            if self.terminal.process.poll() is not None:
                self._restart(rng)
            if number % 200 == 199:
                self.answers()
                self._kill_trainers()
        if self.terminal.process.poll() is not None:
            self._restart(rng)
        self.answers()
        self._end()

    def _do(self, made: Input) -> None:
        self.last.append(f"{made.kind} {made.sent or made.mouse or made.size!r} {made.pause:g}")
        terminal, pid = self.terminal, self.terminal.process.pid
        self._continue()
        self.counts["keys"] += made.keys
        self.counts[made.kind] += made.kind not in ("keys", "pane")
        with contextlib.suppress(ProcessLookupError):
            if made.kind == "suspend":
                self._suspend()
            if made.size is not None:
                self._resize(*made.size)
            if made.kind == "stop":
                os.kill(pid, signal.SIGSTOP)
            if made.kind in ("suspend", "stop"):
                os.kill(pid, signal.SIGCONT)
            if made.kind == "terminate":
                os.kill(pid, signal.SIGTERM)
        wide, high = (10, 20) if self.reports else (1, 1)
        self._send(
            made.sent
            + b"".join(
                b"\x1b[<%d;%d;%d%s" % (button, x * wide, y * high, end.encode()) for button, x, y, end in made.mouse
            )
        )
        terminal.count(made.pause) if made.pause else terminal.read(0.0)
        del terminal.raw[:-200_000]

    def _continue(self) -> None:
        """As ``fg`` does, where Ctrl+Z came before the program had the terminal back: then the kernel acts on it."""
        try:
            stopped = Path(f"/proc/{self.terminal.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return
        if stopped and not self.stop_typed:
            raise Crash("the program has stopped by itself")
        if stopped:
            self.stop_typed = False
            os.kill(self.terminal.process.pid, signal.SIGCONT)

    def _suspend(self) -> None:
        try:
            self.terminal.suspend()
        except AssertionError as error:
            raise Crash("the program does not stop at SIGTSTP") from error

    def _resize(self, columns: int, rows: int) -> None:
        self.terminal.resize(columns, rows)
        if self.reports:
            self._send(f"\x1b[48;{rows};{columns};{rows * 20};{columns * 10}t".encode())

    def _send(self, text: bytes) -> None:
        """In one packet, as far as the kernel takes it; the program's output is read meanwhile."""
        deadline = time.monotonic() + ANSWER
        self.stop_typed = self.stop_typed or KEYS["ctrl+z"] in text
        while text and self.terminal.process.poll() is None:
            try:
                text = text[os.write(self.terminal.master, text) :]
            except BlockingIOError:
                self.terminal.read(0.05)
            except OSError:  # the program is ending
                return
            if time.monotonic() > deadline:
                raise Crash("the program does not read its input")

    def _restart(self, rng: random.Random) -> None:
        self._end()
        self.counts["restarts"] += 1
        size = rng.randint(SMALLEST[0], LARGEST[0]), rng.randint(SMALLEST[1], LARGEST[1])
        self.terminal = self._start(size, reports=rng.random() < 0.3)
        if rng.random() < 0.5:
            self.terminal.count(rng.random())

    def _end(self) -> None:
        """Leave the program if it still runs, and look whether it failed."""
        terminal = self.terminal
        if terminal.process.poll() is None:
            os.kill(terminal.process.pid, signal.SIGTERM)
        try:
            code = terminal.ended(ANSWER)
        except AssertionError as error:
            raise Crash("the program does not end") from error
        terminal.hang_up()
        log = self.home / "screen.log"
        said = bytes(terminal.raw).decode("utf-8", "replace"), log.read_text("utf-8", "replace") if log.exists() else ""
        if code not in ENDED or any(TRACEBACK.search(text) for text in said):
            raise Crash(f"exit code {code}")
        if terminal.raw.rfind(b"\x1b[?1049l") < terminal.raw.rfind(b"\x1b[?1049h"):
            raise Crash(f"the terminal is not left as it was found (exit code {code})")

    def answers(self) -> None:
        """Whether a known key changes the screen: F2 shows another pane, once everything above it is closed."""
        self._resize(70, 24)  # too narrow for all titles: that of the shown pane stands alone
        deadline = time.monotonic() + ANSWER
        shown: set[str] = set()  # also those that come late: a pane that is made for the first time takes a while
        wait = 0.3
        self._continue()
        while time.monotonic() < deadline and self.terminal.process.poll() is None:
            self._send(b"\x1b")  # closes what lies above the panes
            self.terminal.count(wait)
            shown.add(self._pane())
            self._send(NAMED["f2"])
            self.terminal.count(wait)
            wait *= 1.5  # on a busy machine Escape and F2 are read at once, and then mean another key
            shown.add(self._pane())
            if len(shown - {""}) > 1:
                return
        if self.terminal.process.poll() is None:
            raise Crash("the program does not answer")

    def _pane(self) -> str:
        found = [title for _, _, title in PANES if f" {title} " in self.terminal.text.partition("\n")[0]]
        return found[0] if len(found) == 1 else ""

    def _kill_trainers(self) -> None:
        for pid in sorted(working_in(self.home))[:-TRAINERS]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def report(self, error: Crash) -> str:
        """What a crash needs to be understood and repeated."""
        log = self.home / "screen.log"
        if self.terminal.process.poll() is None:
            print(Path(f"/proc/{self.terminal.process.pid}/status").read_text())
            for _ in range(3):
                os.kill(self.terminal.process.pid, signal.SIGUSR1)
                self.terminal.count(1.0)
        lines = ["the last input:", *(f"  {entry}" for entry in self.last), f"crash: {error}"]
        lines += ["the screen:", self.terminal.text, "the terminal:", _plain(bytes(self.terminal.raw))]
        lines += ["where it is:", (self.root / "stacks").read_text()]
        lines += ["screen.log:", _plain(log.read_bytes()) if log.exists() else "(none)"]
        return "\n".join(lines)


def _plain(raw: bytes) -> str:
    """Text without escape sequences, from the traceback on."""
    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|.)", "", raw.decode("utf-8", "replace"))
    found = TRACEBACK.search(text)
    if not found:
        return "(no traceback)"
    text = text[max(0, found.start() - 200) :]
    return text if len(text) <= 20_000 else f"{text[:16_000]}\n[...]\n{text[-4_000:]}"  # the error is at the end


def furnish(home: Path, corpus: Path, *, trained: bool) -> None:
    """Runs to be found: a finished training, a running one if ``trained``, damaged ones, and a comparison."""
    recorded("finished", lambda name: [*story(name), step(101, 1e308)])
    comparison = runs.create(places.runs(), "comparison", {"task": "classify", "data": "helpdesk"}, {})
    assert list(owner.record(comparison, iter(told(comparison.name))))
    odd = recorded("odd")
    odd.path.joinpath("spec.json").write_text('{"task": ["train"], "steps": "many"}')
    damaged = recorded("damaged")
    journal = [b'{"event": "started"}', b'{"event": "finished"}', b"[" * 5000, b"\xff\x00", b"{"]
    damaged.events.write_bytes(b"\n".join(journal))
    if trained:
        tiny = ["--layers=1", "--width=16", "--heads=1", "--context=16", "--threads=1", "--quiet"]
        command = [sys.executable, "-m", "llmlab_tui", "train", f"--corpus={corpus}", *tiny]
        subprocess.run([*command, "--steps=20", "--name=tiny"], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        subprocess.Popen(
            [*command, "--steps=100000000", "--name=running"],
            cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


@contextlib.contextmanager
def own_environment(root: Path) -> Iterator[None]:
    """Home, caches and temporary files of the program under ``root``, and no network."""
    before = dict(os.environ)
    places = {"LLMLAB_HOME": "home", "HOME": "user", "HF_HOME": "hub", "TMPDIR": "tmp", "XDG_CACHE_HOME": "xdg"}
    for name, folder in places.items():
        (root / folder).mkdir(exist_ok=True)
        os.environ[name] = str(root / folder)
    os.environ |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def main(arguments: list[str] | None = None) -> int:
    """Run the monkey; 1 when it found a crash."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long at most")
    parser.add_argument("--keys", type=int, help="end after so many keys")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--untrained", action="store_true", help="hand-made runs only: starts at once")
    given = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="llmlab-monkey-"))
    crash, monkey = None, None
    begun = time.monotonic()
    print(f"seed {given.seed}", flush=True)
    with own_environment(root), no_trainer_left(root):
        (root / "folder").mkdir()
        corpus = root / "folder" / "verse.txt"
        corpus.write_text(VERSE, "utf-8")
        furnish(root / "home", corpus, trained=not given.untrained)
        monkey = Monkey(root, given.seed)
        try:
            monkey.storm(until=time.monotonic() + given.minutes * 60, keys=given.keys)
        except Crash as error:
            crash = error
            print(monkey.report(crash))
        finally:
            with monkey.terminal:
                pass  # it is killed, if it still runs
    shutil.rmtree(root, ignore_errors=True)
    figures = {"seed": given.seed, "minutes": round((time.monotonic() - begun) / 60, 1)}
    names = ("keys", "click", "resize", "suspend", "restarts")
    print(json.dumps({**figures, **{name: monkey.counts[name] for name in names}, "crashes": int(crash is not None)}))
    return int(crash is not None)


if __name__ == "__main__":
    sys.exit(main())
