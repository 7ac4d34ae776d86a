"""What `doctor` reports about torch and the NVIDIA driver."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from tui.command import doctor


@pytest.mark.parametrize(
    ("built", "driver", "words"),
    [
        (
            "13.0",
            12020,
            "built for CUDA 13.0, but the driver supports CUDA 12.2: install a torch built for CUDA 12, or",
        ),
        ("12.8", 12020, "install a torch built for CUDA 12.2 or older, or a driver that supports CUDA 12.8"),
        (None, 12080, "torch is built without CUDA: install a torch built for CUDA 12"),
        ("12.6", 13000, ""),
        ("13.0", None, ""),
    ],
)
def test_a_torch_for_a_newer_cuda_than_the_drivers_is_reported_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, built: str | None, driver: int | None, words: str
) -> None:
    def version() -> int:
        if driver is None:
            raise RuntimeError("no driver")
        return driver

    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=1 << 30, total=1 << 34),
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=0),
        nvmlDeviceGetName=lambda handle: "GPU of a test",
        nvmlSystemGetCudaDriverVersion_v2=version,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = doctor.report(torch=True)["machine"]
    assert found["gpu 0"].startswith("GPU of a test")
    assert words in found.get("problem", "")
    assert bool(words) == ("problem" in found)
    assert (found["trains on"], found["preset"]) == ("cpu", "fast")
