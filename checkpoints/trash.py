"""Deleted runs: moved into the folder ``.trash`` beside the others, from where they can be restored for a week."""

from __future__ import annotations

import contextlib
import errno
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from checkpoints import run as runs
from checkpoints import store
from checkpoints.run import NoSuchRun, Run

FOLDER = ".trash"
RECORD = "deleted.json"
"""in a deleted run, when that was"""
KEPT = 7 * 86400.0  # seconds


@dataclass(frozen=True)
class Deleted:
    """A run in the trash."""

    run: Run
    name: str
    """that it had, and gets again"""
    time: float
    """Unix time at which it was deleted"""

    @property
    def left(self) -> float:
        """Seconds until it is removed for good."""
        return self.time + KEPT - time.time()


def delete(run: Run) -> None:
    """Move a run into the trash of its folder. Raises :class:`checkpoints.lock.Locked` when it is in use, OSError."""
    folder = run.path.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with run.lock():
        run.write_json(RECORD, {"name": run.name, "time": time.time()})
        for number in itertools.count(1):
            target = folder / (run.name if number == 1 else f"{run.name}.{number}")
            if not target.exists():
                break
        run.path.rename(target)
        store.sync(folder)
        store.sync(run.path.parent)


def deleted(folder: Path) -> list[Deleted]:
    """The runs in the trash of ``folder``, last deleted first. Raises :class:`OSError`."""
    found = []
    for run in runs.every(folder / FOLDER):
        about = {}
        with contextlib.suppress(OSError):
            about = run.read_json(RECORD)
        name, at = about.get("name"), about.get("time")
        known = isinstance(name, str) and name and Path(name).name == name
        when = float(at) if isinstance(at, int | float) else run.path.stat().st_mtime
        found.append(Deleted(run, str(name) if known else run.name, when))
    return sorted(found, key=lambda one: one.time, reverse=True)


def restore(folder: Path, wanted: str) -> Run:
    """Put the run called ``wanted`` back into ``folder``: a full name, the name after the time, or ``latest``.

    Raises :class:`checkpoints.run.NoSuchRun` and :class:`OSError`, also where there is a run of that name again.
    """
    there = deleted(folder)
    chosen = [one for one in there if wanted in ("latest", one.run.name, one.name, runs.after_time(one.name))]
    if not chosen:
        names = ", ".join(one.name for one in there[:5]) or "none"
        raise NoSuchRun(f"no deleted run is called {wanted!r}; there are: {names}")
    target = folder / chosen[0].name
    if target.exists():
        raise FileExistsError(errno.EEXIST, "there is a run of this name again", str(target))
    chosen[0].run.path.rename(target)
    store.sync(folder)
    (target / RECORD).unlink(missing_ok=True)
    return Run(target)


def sweep(folder: Path, *, everything: bool = False) -> int:
    """Remove the runs that were deleted more than a week ago, or all; returns how many. Raises :class:`OSError`."""
    doomed = [one for one in deleted(folder) if everything or one.left <= 0]
    for one in doomed:
        store.remove(one.run.path)
    return len(doomed)
