"""How long the work of the lab takes on this machine, before it has been done: reference times, scaled by a probe."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from checkpoints import home, store
from data import sources
from engine.machine import cpu_name, physical_cores
from engine.runs.listing import figure

SIDE, PROBE = 64, 0.05
"""rows of the square matrices that are multiplied, so few that one core does it, and for how many seconds"""
CORES = 4
"""of a machine with more, the rest brings the lab little"""
REFERENCE = 2.45e11
"""float32 operations per second of that product on the reference machine, two cores of a Xeon (Sapphire Rapids)"""
UNKNOWN = 2.0
"""megabytes of a data set whose size is not known before it is loaded"""
LARGEST = 1 << 26
"""bytes of a file whose rows are counted"""


@dataclass(frozen=True)
class Cost:
    """Seconds of a task on the reference machine."""

    fixed: float
    each: float = 0.0
    """for each megabyte of data, 1,000 steps of a training, or 1,000 characters or tokens times seeds"""
    epoch: float = 0.0
    """for each megabyte in an epoch of fine-tuning"""


CPU: Mapping[str, Cost] = {
    "train": Cost(5, 34),
    "classify": Cost(4, 50, 115),
    "choose": Cost(5, 300),
    "retrieve": Cost(4, 32),
    "tokens": Cost(2),
    "verse": Cost(2, 2.5),
    "ladder": Cost(8),
    "temperatures": Cost(8, 25),
}
GPU: Mapping[str, Cost] = {
    "train": Cost(10, 8),
    "classify": Cost(6, 12, 6),
    "choose": Cost(5, 20),
    "retrieve": Cost(5, 8),
    "tokens": Cost(2),
    "verse": Cost(4, 1),
    "ladder": Cost(6),
    "temperatures": Cost(6, 5),
}


def seconds(task: str, fields: Mapping[str, Any], *, gpu: bool) -> float:
    """Seconds that a task takes. ``fields`` has those of its spec, or the arguments of a measurement."""
    cost, size = (GPU if gpu else CPU)[task], 0.0
    tuned: int = fields["epochs"] if task == "classify" and "finetune" in fields["heads"] else 0
    if task == "train":
        size = fields["steps"] / 1000
    elif "data" in fields:
        size = megabytes(fields["data"], fields.get("limit", 0))
    else:
        size = fields.get("length", 0) * fields.get("seeds", 1) / 1000
    return (cost.fixed + (cost.each + cost.epoch * tuned) * size) / (1.0 if gpu else speed())


def megabytes(name: str, limit: int = 0) -> float:
    """Size of a data set, of each file with at most ``limit`` rows; :data:`UNKNOWN` where it is not a file here."""
    found = sources.existing(name)
    if found is None:
        bundled = Path(str(resources.files("data").joinpath("bundled")))
        found = next(iter(sorted(bundled.glob(f"{name}*"))), None) if name.isidentifier() else None
    if found is None:
        return UNKNOWN
    files = [found] if found.is_file() else [file for file in found.rglob("*") if file.is_file()]
    total = 0.0
    for file in files:
        with contextlib.suppress(OSError):
            size = file.stat().st_size
            rows = store.read_file(file).count(b"\n") if limit and size < LARGEST else 0
            total += size * min(1.0, limit / rows if rows else 1.0)
    return total / 1e6


def speed() -> float:
    """How fast this machine multiplies matrices, as a multiple of the reference machine; measured once by a process.

    The fastest ever is what counts, since others may have been at work beside it. Under 0.2 s the first time.
    """
    return _rate(home.home() / "lab" / "machine.json", cpu_name()) / REFERENCE


@functools.lru_cache(4)
def _rate(path: Path, cpu: str) -> float:
    known, rate = 0.0, _probe()
    with contextlib.suppress(OSError, ValueError):
        stored = store.read_object(path)
        known = (figure(stored.get("rate")) or 0.0) if stored.get("cpu") == cpu else 0.0
    if rate <= known:
        return known
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(path, store.encode({"cpu": cpu, "rate": rate}))
    return rate


def _probe() -> float:
    """Float32 operations per second of the fastest of several products, times the cores."""
    import numpy as np

    matrix = np.ones((SIDE, SIDE), np.float32)
    fastest, end = float("inf"), time.perf_counter() + PROBE
    while time.perf_counter() < end or fastest == float("inf"):
        begun = time.perf_counter()
        matrix @ matrix
        fastest = min(fastest, time.perf_counter() - begun)
    return 2.0 * SIDE**3 / fastest * min(physical_cores(), CORES)
