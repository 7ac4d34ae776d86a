"""Facts about this machine that need no tensor library: cores, memory, GPUs and how busy they are."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class MemoryRanOut(Exception):
    """There is no memory to go on; the message says what takes how much of it, and what to do."""


def gib(size: int) -> str:
    """A number of bytes for the user."""
    return f"{size / 2**30:.2f} GiB"


def preset_for(device: str) -> tuple[str, str]:
    """The preset that ``auto`` means on a device, and why."""
    if device.startswith("cuda"):
        return "fast-karpathy", "GPU found"
    if device == "mps":
        return "small", "Laptop GPU found"
    return "fast", "No GPU found"


def physical_cores() -> int:
    """Physical cores this process may use; logical ones where the system does not tell."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:
        return os.cpu_count() or 1
    cores = set()
    for cpu in allowed:
        try:
            base = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
            cores.add(((base / "physical_package_id").read_text(), (base / "core_id").read_text()))
        except OSError:
            return len(allowed)
    return max(1, len(cores))


def cpu_name() -> str:
    """The processor's name and how many physical cores of it are ours."""
    name, cores = " ".join(_told("/proc/cpuinfo", "model name").split()) or "CPU", physical_cores()
    return f"{name}, {cores} core{'s' if cores > 1 else ''}"


def available_memory() -> int | None:
    """Bytes of main memory that can be had without swapping; None where the system does not tell."""
    found = _told("/proc/meminfo", "MemAvailable")
    return int(found.split()[0]) * 1024 if found else None


def _told(file: str, what: str) -> str:
    """What follows a name in a file of the kernel; empty where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(file).read_text().splitlines():
            if line.startswith(what):
                return line.partition(":")[2]
    return ""


def total_memory() -> int | None:
    """Bytes of main memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


@dataclass(frozen=True)
class GpuGauge:
    """One reading of a GPU. Memory in bytes, load from 0 to 1."""

    name: str
    load: float
    used: int
    total: int


class Gpus:
    """NVIDIA's management library, if there is one. Never touches CUDA, so it is safe beside any work."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._handles: list[Any] = []
        with contextlib.suppress(Exception):  # no library, no driver, no permission: there is nothing to show
            import pynvml

            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            self._nvml = pynvml

    def read(self) -> list[GpuGauge]:
        """A reading of every GPU; empty where there are none or the driver stopped answering."""
        gauges = []
        try:
            for handle in self._handles:
                memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
                load = self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
                name = self._nvml.nvmlDeviceGetName(handle)
                gauges.append(GpuGauge(str(name), load, int(memory.used), int(memory.total)))
        except Exception:
            return []
        return gauges

    def cuda(self) -> tuple[int, int] | None:
        """The newest CUDA version that the driver supports; None without a driver."""
        try:
            version = int(self._nvml.nvmlSystemGetCudaDriverVersion_v2())
        except Exception:
            return None
        return version // 1000, version % 1000 // 10


@functools.cache
def visible_gpus() -> int:
    """How many GPUs of NVIDIA a process of this one's environment may use, without asking CUDA."""
    if not has_driver():
        return 0
    there, shown = len(Gpus().read()), os.environ.get("CUDA_VISIBLE_DEVICES")
    return there if shown is None else min(there, sum(one.strip() not in ("", "-1") for one in shown.split(",")))


class CpuGauge:
    """How busy the processor was since the last reading, by the kernel's own count."""

    def __init__(self) -> None:
        self._last = self._times()

    def read(self) -> float | None:
        """Load from 0 to 1 over all cores; None where the system does not tell or no time has passed."""
        now = self._times()
        busy, total = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return busy / total if total > 0 else None

    @staticmethod
    def _times() -> tuple[int, int]:
        try:
            values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return 0, 0
        idle = values[3] + values[4]
        return sum(values) - idle, sum(values)


def has_driver() -> bool:
    """Whether a driver of NVIDIA is loaded, without asking it: it may be slow to answer."""
    return any(map(os.path.exists, ("/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")))


def likely_device(gpus: bool) -> str:
    """The kind of device that training will find, without asking torch (which takes seconds to load).

    ``gpus`` says whether there are any of NVIDIA.
    """
    if gpus and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1"):
        from importlib import metadata  # it reads mails: the first picture need not wait for that

        with contextlib.suppress(metadata.PackageNotFoundError):
            if not metadata.version("torch").endswith("+cpu"):
                return "cuda"
    return "mps" if platform.system() == "Darwin" and platform.machine() == "arm64" else "cpu"
