"""Which device trains, in what precision, with how many threads, and how fast its arithmetic is."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from engine.machine import available_memory, cpu_name, physical_cores
from engine.runs.spec import BadSpec, Problem


@dataclass(frozen=True)
class Placement:
    """Where and how a task computes."""

    device: torch.device
    dtype: torch.dtype
    """of matrix products; weights stay float32"""
    threads: int
    name: str
    """for the user: the GPU's name, or the CPU's"""


def place(device: str, precision: str, threads: int) -> Placement:
    """Choose device, precision and threads, each as a field of a spec, and set torch up for them.

    Raises :class:`engine.runs.spec.BadSpec` when the device is not there.
    """
    kind = device if device != "auto" else best_device()
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadSpec([Problem("device", "no CUDA device answers here; use auto or cpu")])
    if kind == "mps" and not torch.backends.mps.is_available():
        raise BadSpec([Problem("device", "no Metal device answers here; use auto or cpu")])
    local = int(os.environ.get("LOCAL_RANK", 0))  # of torchrun
    if kind == "cuda" and local >= torch.cuda.device_count():
        raise BadSpec([Problem("gpus", f"there are {torch.cuda.device_count()} GPUs for rank {local}")])
    threads = threads or max(1, physical_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    if kind == "cuda":
        half = torch.cuda.is_bf16_supported(including_emulation=False)
        chosen = precision if precision != "auto" else "bfloat16" if half else "float32"
        chosen_device, name = torch.device("cuda", local), torch.cuda.get_device_name(local)
    else:
        chosen = "float32" if precision == "auto" else precision
        chosen_device, name = torch.device(kind), cpu_name() if kind == "cpu" else "Apple GPU"
    return Placement(chosen_device, torch.bfloat16 if chosen == "bfloat16" else torch.float32, threads, name)


def best_device() -> str:
    """``cuda``, ``mps`` or ``cpu``: the fastest kind that answers."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def free_memory(device: torch.device) -> int | None:
    """Bytes free on ``device``; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_memory()


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on ``count`` CPU threads here; one for a single token, since waiting for more costs more than they do."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure_peak(placement: Placement, seconds: float = 0.1) -> float:
    """Floating point operations per second of a large matrix product here, in the run's precision: the machine's limit.

    The best of several products within about ``seconds``.
    """
    size = 4096 if placement.device.type == "cuda" else 768
    a = torch.ones(size, size, device=placement.device, dtype=placement.dtype)
    torch.mm(a, a)
    best = 0.0
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        synchronise(placement.device)
        begin = time.perf_counter()
        torch.mm(a, a)
        synchronise(placement.device)
        best = max(best, 2.0 * size**3 / (time.perf_counter() - begin))
    return best


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that memory ran out, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
