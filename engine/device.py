"""Which device computes, in what precision and with how many threads; and how fast its arithmetic is."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from engine.machine import available_memory, cpu_name, physical_cores
from engine.runs.events import Notice
from engine.runs.spec import BadSpec, Problem

BUSY = 0.1  # share of a GPU's memory that others use above which it is named
_told: set[str] = set()
"""notices that this process has given"""


@dataclass(frozen=True)
class Placement:
    """Where and how a task computes."""

    device: torch.device
    dtype: torch.dtype
    """of matrix products; weights stay float32"""
    threads: int
    name: str
    """for the user: the GPU's name, or the CPU's"""
    remarks: tuple[str, ...] = ()
    """which of several GPUs was chosen, and which are in use by other processes"""

    @property
    def precision(self) -> str:
        """``float32`` or ``bfloat16``."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context in which matrix products are in ``dtype``."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def notices(self) -> Iterator[Notice]:
        """The remarks, each once in a process."""
        for remark in self.remarks:
            if remark not in _told:
                _told.add(remark)
                yield Notice(remark, "info", "device")


@dataclass(frozen=True)
class _Gpu:
    """Memory of a GPU in bytes."""

    number: int
    name: str
    total: int
    used: int
    """by other processes"""

    @property
    def free(self) -> int:
        return self.total - self.used

    @property
    def busy(self) -> bool:
        return self.used > BUSY * self.total

    def __str__(self) -> str:
        return f"cuda:{self.number} ({self.name}, {self.free / 2**30:.1f} of {self.total / 2**30:.1f} GiB free)"


def place(device: str = "auto", precision: str = "auto", threads: int = 0) -> Placement:
    """Choose device, precision and threads, each as a field of a spec, and set torch up for them in this thread.

    ``auto`` and ``cuda`` take the GPU with the most free memory, once for the whole process; under torchrun that of
    the local rank. Raises :class:`engine.runs.spec.BadSpec` when the device is not there.
    """
    where, remarks = _located(device)
    threads = threads or max(1, physical_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    torch.set_num_threads(threads)
    if where.type == "cuda":
        torch.cuda.set_device(where)  # of new streams and graphs
        torch.set_float32_matmul_precision("high")  # TF32
        name = torch.cuda.get_device_name(where)
    else:
        name = cpu_name() if where.type == "cpu" else "Apple GPU"
    chosen = precision if precision != "auto" else "bfloat16" if _has_bfloat16(where) else "float32"
    return Placement(where, torch.bfloat16 if chosen == "bfloat16" else torch.float32, threads, name, remarks)


def autocast(device: str) -> contextlib.AbstractContextManager[object]:
    """A context for a placed device in which matrix products are in bfloat16 on GPUs that have it."""
    where = torch.device(device)
    return torch.autocast("cuda", torch.bfloat16) if _has_bfloat16(where) else contextlib.nullcontext()


def fused(device: str) -> bool | None:
    """The argument ``fused`` of an optimizer that sums otherwise on a CPU: one kernel for all parameters on a GPU."""
    return True if kind_of(device) == "cuda" else None


def kind_of(device: str) -> str:
    """``cuda`` for ``cuda:1``."""
    return device.partition(":")[0]


def send(tensor: torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """A tensor of the host on ``device``, without waiting for what a GPU still has to do."""
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def read(scalars: Sequence[torch.Tensor]) -> list[float]:
    """The values of scalars of one device, which is waited for once."""
    values: list[float] = torch.stack(list(scalars)).tolist() if scalars else []
    return values


def has_float64(device: torch.device) -> bool:
    """Whether tensors of float64 can lie there; Apple's GPUs have none."""
    return device.type != "mps"


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Compute matrix products in whole float32, not in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def best_device() -> str:
    """``cuda``, ``mps`` or ``cpu``: the fastest kind that answers."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _located(device: str) -> tuple[torch.device, tuple[str, ...]]:
    """The device that a spec's field names, and remarks about it."""
    kind, _, number = (device if device != "auto" else best_device()).partition(":")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise BadSpec([Problem("device", "no Metal device answers here; use auto or cpu")])
    if kind != "cuda":
        return torch.device(kind), ()
    if not torch.cuda.is_available():
        raise BadSpec([Problem("device", "no CUDA device answers here; use auto or cpu")])
    count = torch.cuda.device_count()
    if (processes := int(os.environ.get("LOCAL_WORLD_SIZE", 1))) > 1:  # of torchrun
        if number:
            raise BadSpec([Problem("device", f"{device} is one GPU, and several processes train: use auto or cuda")])
        if processes > count:
            raise BadSpec([Problem("gpus", f"there are {count}, and {processes} processes want one each")])
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))), ()
    if number and int(number) >= count:
        there = ", ".join(f"cuda:{one}" for one in range(count))
        raise BadSpec([Problem("device", f"there is no {device} here; there are: {there}")])
    gpus = _gpus()
    chosen = gpus[int(number)] if number else max(gpus, key=lambda one: (one.free, -one.number))
    remarks = []
    if count > 1 and not number:
        remarks.append(f"{device} takes the GPU with the most free memory: {chosen}")
    remarks += [f"in use by other processes: {one}" for one in gpus if one.busy and (one is chosen or not number)]
    return torch.device("cuda", chosen.number), tuple(remarks)


@functools.cache
def _gpus() -> tuple[_Gpu, ...]:
    """Every GPU as it was when this process first asked, so that its own work never changes the choice."""
    found = []
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        try:
            used = int(torch.cuda.device_memory_used(number))  # by NVIDIA's library: needs no context on the GPU
        except Exception:  # no such library, no permission, a part of a GPU
            free, total = torch.cuda.mem_get_info(number)
            used = total - free
        own = torch.cuda.memory_reserved(number)
        found.append(_Gpu(number, facts.name, int(facts.total_memory), max(0, used - own)))
    return tuple(found)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


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
