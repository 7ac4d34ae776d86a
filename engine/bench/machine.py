"""The device of the check: its name, its versions, and what it can do at most."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.bench.rows import Row, measured
from engine.bench.setups import Setup, place

if TYPE_CHECKING:
    import torch


def machine(setup: Setup) -> Iterator[Row]:
    """One row; its figures head the report, and ``kind`` is the kind of device that ``auto`` found."""
    import torch
    import transformers

    from engine.device import measure_peak

    here = place(setup)
    kind = here.device.type
    yield measured(
        "the device",
        device=here.name,
        kind=kind,
        devices=torch.cuda.device_count() if kind == "cuda" else 1,
        driver=_driver() if kind == "cuda" else "none",
        torch=torch.__version__,
        transformers=transformers.__version__,
        python=platform.python_version(),
        precision=str(here.dtype).removeprefix("torch."),
        threads=here.threads,
        matrix_TFLOP_per_s=measure_peak(here, 0.5) / 1e12,
        memory_GB_per_s=bandwidth(setup) / 1e9,
    )


def bandwidth(setup: Setup) -> float:
    """Bytes per second at which the device's memory is read, the best of several large reads."""
    import torch

    device, size = place(setup).device, setup.of(1 << 26, 1 << 30)
    block = torch.ones(size // 4, device=device)
    return size / min(seconds_of(device, block.sum) for _ in range(8))


def seconds_of(device: torch.device, work: Callable[[], object]) -> float:
    """How long ``work`` takes until the device has done it."""
    from engine.device import synchronise

    synchronise(device)
    begun = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - begun


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.splitlines()[0].strip() if found.strip() else "unknown"
