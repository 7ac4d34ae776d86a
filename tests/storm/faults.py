"""System calls that fail: a small library for ``LD_PRELOAD``, and the page of memory that steers it while it works."""

from __future__ import annotations

import ctypes
import errno
import mmap
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("preload.c")
CALLS = ("open to read", "open to write", "write", "fsync", "rename", "mkdir", "unlink")
READ_OPEN, WRITE_OPEN, WRITE, FSYNC, RENAME, MKDIR, UNLINK = range(len(CALLS))
FAIL, SHORT, SIGNAL_BEFORE, SIGNAL_AFTER = range(4)
RULES = 4
CHANGES = (WRITE_OPEN, WRITE, FSYNC, RENAME, MKDIR, UNLINK)


class _Rule(ctypes.Structure):
    _fields_ = (
        ("active", ctypes.c_uint32),
        ("kinds", ctypes.c_uint32),
        ("action", ctypes.c_uint32),
        ("value", ctypes.c_int32),
        ("after", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("probability", ctypes.c_uint32),
        ("seed", ctypes.c_uint32),
        ("matched", ctypes.c_uint64),
        ("hits", ctypes.c_uint64 * len(CALLS)),
        ("contains", ctypes.c_char * 64),
    )


class _Page(ctypes.Structure):
    _fields_ = (
        ("root", ctypes.c_char * 4096),
        ("calls", ctypes.c_uint64 * len(CALLS)),
        ("rules", _Rule * RULES),
    )


@dataclass(frozen=True)
class Rule:
    """Which calls are hit and how; of those that match, ``after`` pass first and then ``count`` are looked at (0: all).

    ``value`` is an errno or a signal. ``probability`` is the share of the calls looked at that is hit.
    """

    calls: tuple[int, ...]
    action: int
    value: int = 0
    after: int = 0
    count: int = 0
    probability: float = 1.0
    contains: str = ""

    def __str__(self) -> str:
        if self.action == FAIL:
            what = errno.errorcode[self.value]
        else:
            what = {SHORT: "short writes"}.get(self.action) or signal.Signals(self.value).name
        when = f"{self.after}+{self.count or 'all'} at {self.probability:.0%}"
        return f"{what} on {', '.join(CALLS[call] for call in self.calls)} {self.contains} ({when})"


class Faults:
    """The library, compiled, and its page; ``library`` is None where there is no compiler or no ``LD_PRELOAD``."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "page"
        self.file.write_bytes(bytes(ctypes.sizeof(_Page)))
        with self.file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._page = _Page.from_buffer(self._memory)
        self._rules: list[Rule] = []
        self.library = compiled(folder)

    def confine(self, root: Path) -> None:
        """Calls on files under ``root`` are hit, no others."""
        self._page.root = bytes(root.resolve())

    def arm(self, rules: list[Rule], rng: random.Random) -> None:
        """From now on these rules hold and no others."""
        self.disarm()
        for held, rule in zip(self._page.rules, rules, strict=False):
            held.kinds = sum(1 << call for call in rule.calls)
            held.action, held.value, held.after, held.count = rule.action, rule.value, rule.after, rule.count
            held.probability, held.seed = round(rule.probability * 1_000_000), rng.getrandbits(32)
            held.matched, held.contains = 0, rule.contains.encode()
            for call in range(len(CALLS)):
                held.hits[call] = 0
            held.active = 1
        self._rules = list(rules)

    def disarm(self) -> None:
        """Every call succeeds again."""
        for held in self._page.rules:
            held.active = 0

    def hits(self) -> dict[str, int]:
        """How many calls each kind of fault has hit since :meth:`arm`."""
        found: dict[str, int] = {}
        for held, rule in zip(self._page.rules, self._rules, strict=False):
            if rule.action == FAIL:
                what = errno.errorcode[rule.value]
            else:
                what = "short" if rule.action == SHORT else signal.Signals(rule.value).name
            for call, name in enumerate(CALLS):
                if held.hits[call]:
                    found[f"{name} {what}"] = found.get(f"{name} {what}", 0) + held.hits[call]
        return found

    def calls(self) -> dict[str, int]:
        """Calls under the root while rules were active."""
        return dict(zip(CALLS, self._page.calls, strict=True))

    def environment(self) -> dict[str, str]:
        """What a process needs to be reached."""
        if self.library is None:
            return {}
        return {"LD_PRELOAD": str(self.library), "STORM_PAGE": str(self.file)}


def compiler() -> str | None:
    """The C compiler; None where there is none or no ``LD_PRELOAD``."""
    if sys.platform != "linux":
        return None
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compiled(folder: Path) -> Path | None:
    """The library built into ``folder``; None where that cannot be done."""
    command, target = compiler(), folder / "preload.so"
    if command is None:
        return None
    built = subprocess.run([command, "-O2", "-shared", "-fPIC", "-o", target, SOURCE, "-ldl"], check=False)
    return target if built.returncode == 0 else None
