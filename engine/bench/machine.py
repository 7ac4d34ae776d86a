"""The device of the check: its name, its versions, and what it can do at most."""

from __future__ import annotations

import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from engine.bench.rows import Row, measured, spread
from engine.bench.setup import Setup
from engine.bench.setups import place
from engine.device import Placement, synchronise


def machine(setup: Setup) -> Iterator[Row]:
    """One row; its figures head the report, and ``kind`` is the kind of device that ``auto`` found."""
    import transformers

    here = place(setup)
    kind = here.device.type
    facts = {"memory_GB": torch.cuda.get_device_properties(here.device).total_memory / 1e9} if kind == "cuda" else {}
    yield measured(
        "the device",
        device=here.name,
        kind=kind,
        devices=torch.cuda.device_count() if kind == "cuda" else 1,
        driver=_driver() if kind == "cuda" else "none",
        torch=torch.__version__,
        transformers=transformers.__version__,
        python=platform.python_version(),
        precision=here.precision,
        threads=here.threads,
        matrix_TFLOP_per_s=matrix_peak(here) / 1e12,
        memory_GB_per_s=bandwidth(here.device) / 1e9,
        **facts,
    )


def matrix_peak(here: Placement) -> float:
    """Floating point operations per second of a large product of random matrices, in the precision of ``here``."""
    size, count = (8192, 10) if here.device.type == "cuda" else (768, 1)
    a, b = (torch.randn(size, size, device=here.device).to(here.dtype) for _ in range(2))
    out = torch.empty_like(a)

    def series() -> None:
        for _ in range(count):
            torch.mm(a, b, out=out)

    return 2.0 * size**3 * count / _fastest(here.device, series)


def bandwidth(device: torch.device) -> float:
    """Bytes per second read and written in a large copy within the device's memory."""
    size = 1 << 31 if device.type == "cuda" else 1 << 26
    block = torch.rand(size // 4, device=device)
    there = torch.empty_like(block)
    return 2 * size / _fastest(device, lambda: there.copy_(block))


def clock(device: torch.device) -> float:
    """Seconds, when the device has done its work; on a CPU those of this thread, whatever other processes take."""
    synchronise(device)
    return time.thread_time() if device.type == "cpu" else time.perf_counter()


def _fastest(device: torch.device, work: Callable[[], object]) -> float:
    """Least seconds of ``work``, repeated for half a second after a warm-up as long: an idle GPU needs it."""
    times: list[float] = []
    for _ in range(2):
        times, until = [], time.monotonic() + 0.5
        while not times or time.monotonic() < until:
            begun = clock(device)
            work()
            times.append(clock(device) - begun)
    return min(times)


def seconds_of(device: torch.device, work: Callable[[], object]) -> float:
    """How long ``work`` takes until the device has done it."""
    synchronise(device)
    begun = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - begun


Timed = tuple[Any, float, float]
"""what some work returned, its seconds, and its seconds of processor time"""


def timed(device: torch.device, work: Callable[[], Any]) -> Timed:
    """Do some work once, until the device has done it."""
    found: list[Any] = []
    before = time.process_time()
    seconds = seconds_of(device, lambda: found.append(work()))
    return found[0], seconds, time.process_time() - before


def of_pairs(pairs: Sequence[tuple[Timed, Timed]], what: str, count: int) -> dict[str, float]:
    """Figures of our work and another's on ``count`` of ``what``, timed in turn."""
    return {
        **spread("times_as_fast", [other[1] / one[1] for one, other in pairs]),
        "by_processor_time": statistics.median(other[2] / one[2] for one, other in pairs),
        f"ours_{what}_per_s": count / statistics.median(one[1] for one, _ in pairs),
        f"other_{what}_per_s": count / statistics.median(other[1] for _, other in pairs),
    }


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.splitlines()[0].strip() if found.strip() else "unknown"
