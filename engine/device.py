"""Which device computes, in what precision and with how many threads; and how fast its arithmetic is."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.machine import available_memory, cpu_name, gib, physical_cores
from engine.runs.events import Notice
from engine.runs.spec import BadSpec, Problem

if os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in (":4096:8", ":16:8"):
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # with others matrix products on a GPU may vary
BUSY = 0.1  # share of a GPU's memory that others use above which it is named
_FULL = re.compile("out of memory|(not enough|can't allocate) memory|ALLOC_FAILED", re.IGNORECASE)
"""in the errors of drivers, libraries and allocators that raise nothing of their own"""
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
    units = precision == "native" or (precision == "auto" and where.type == "cuda")
    chosen = "bfloat16" if precision == "bfloat16" or (units and has_bfloat16(where)) else "float32"
    return Placement(where, torch.bfloat16 if chosen == "bfloat16" else torch.float32, threads, name, remarks)


@contextlib.contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """While it is entered, a GPU computes the same numbers each time, so that a training resumes exactly.

    Gradients of attention are sums in whatever order they come, unless torch is to raise for such sums: told to warn
    of them, it keeps to the order of arrival. So it is for models all of whose operations have an order, or one that
    torch can be asked for. Of the whole process.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # none of it is read
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def autocast(device: str) -> contextlib.AbstractContextManager[object]:
    """A context for a placed device in which matrix products are in bfloat16 on GPUs that have it."""
    where = torch.device(device)
    return (
        torch.autocast("cuda", torch.bfloat16)
        if where.type == "cuda" and has_bfloat16(where)
        else contextlib.nullcontext()
    )


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
        others = _memory_used(number, facts) - torch.cuda.memory_reserved(number)
        found.append(_Gpu(number, facts.name, int(facts.total_memory), max(0, others)))
    return tuple(found)


def _memory_used(number: int, facts: Any) -> int:
    """Bytes in use on a GPU; all of them where neither NVIDIA's library nor the driver tells."""
    with contextlib.suppress(Exception):  # no such library, no permission, a part of a GPU
        import pynvml  # needs no context on the GPU

        # By UUID: its own numbers follow the bus, those of CUDA the speed and CUDA_VISIBLE_DEVICES.
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{facts.uuid}")).used)
    with contextlib.suppress(RuntimeError):  # no memory for a context
        free, total = torch.cuda.mem_get_info(number)
        return int(total - free)
    return int(facts.total_memory)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has units for products in bfloat16."""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def free_memory(device: torch.device) -> int | None:
    """Bytes free on ``device``; None where the system does not tell."""
    if device.type != "cuda":
        return available_memory()
    try:
        return int(torch.cuda.mem_get_info(device)[0])
    except RuntimeError:
        return None


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on ``count`` CPU threads here; one for a single token, since waiting for more costs more than they do."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure_peak(placement: Placement) -> float:
    """Floating point operations per second of a large matrix product here, in the run's precision: the machine's limit.

    The best of several products within about a tenth of a second.
    """
    size = 4096 if placement.device.type == "cuda" else 768
    a = torch.ones(size, size, device=placement.device, dtype=placement.dtype)
    torch.mm(a, a)
    best = 0.0
    deadline = time.perf_counter() + 0.1
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


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _FULL.search(str(error)) is not None


def release(device: str | torch.device) -> None:
    """Give back to the driver what torch keeps of freed memory, after memory ran out."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()


def allocate_state(optimizer: torch.optim.Optimizer) -> None:
    """Allocate the state of AdamW for every parameter that has a gradient and no state yet: for all of them, or none.

    AdamW itself allocates it parameter by parameter and group by group in its first step: memory that runs out in
    between would leave half a state, and one group updated. Does nothing for other optimizers.
    """
    if not isinstance(optimizer, torch.optim.AdamW):
        return
    made: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
    for group in optimizer.param_groups:
        for one in group["params"]:
            if one.grad is not None and not optimizer.state.get(one):
                made[one] = {
                    "step": torch.zeros((), device=one.device if group["fused"] or group["capturable"] else "cpu"),
                    "exp_avg": torch.zeros_like(one, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(one, memory_format=torch.preserve_format),
                }
    optimizer.state.update(made)


def check_fit(what: str, needed: int, device: torch.device, advice: str, failure: type[Exception]) -> None:
    """Raise ``failure`` with a sentence for the user when ``needed`` bytes are more than are free on ``device``."""
    free = free_memory(device)
    if free is not None and needed > free:
        raise failure(_does_not_fit(what, needed, free, device, advice))


@contextlib.contextmanager
def fitting(what: str, needed: int, device: torch.device, advice: str, failure: type[Exception]) -> Iterator[None]:
    """A context in which memory that runs out raises ``failure``, as :func:`check_fit` does."""
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    release(device)
    raise failure(_does_not_fit(what, needed, free_memory(device), device, advice))


def size_of(module: torch.nn.Module) -> int:
    """Bytes of the parameters and buffers of a module."""
    tensors = {id(one): one for one in [*module.parameters(), *module.buffers()]}.values()
    return sum(one.numel() * one.element_size() for one in tensors)


def _does_not_fit(what: str, needed: int, free: int | None, device: torch.device, advice: str) -> str:
    where = "memory" if device.type == "cpu" else f"the memory of {device}"
    there = f" and {gib(free)} are free" if free is not None else ""
    return f"{what} does not fit into {where}: it needs {gib(needed)}{there}. {or_the_cpu(advice, device)}"


def or_the_cpu(advice: str, device: torch.device) -> str:
    """A sentence that says what to do where memory runs out on ``device``."""
    return f"{advice}." if device.type == "cpu" else f"{advice} or use --device cpu."
