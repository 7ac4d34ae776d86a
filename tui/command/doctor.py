"""What one wants to know when something is wrong: versions, device, terminal, paths."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import sys
from pathlib import Path

from checkpoints import home
from data import packaged
from engine import machine
from engine.runs import owner
from tui import units

PACKAGES = ("llmlab-tui", "textual", "rich", "torch", "transformers", "tokenizers", "safetensors", "numpy")


def report(*, torch: bool = False) -> dict[str, dict[str, str]]:
    """Facts by section. ``torch`` asks torch itself about devices, which takes seconds."""
    return {
        "versions": {"python": platform.python_version(), **{name: owner.version(name) for name in PACKAGES}},
        "machine": _machine(torch),
        "terminal": {
            "TERM": os.environ.get("TERM", "not set"),
            "COLORTERM": os.environ.get("COLORTERM", "not set"),
            "NO_COLOR": os.environ.get("NO_COLOR", "not set"),
            "size": "{0.columns}×{0.lines}".format(shutil.get_terminal_size()),
            "remote": "yes (SSH)" if "SSH_CONNECTION" in os.environ else "no",
            "multiplexer": "tmux" if "TMUX" in os.environ else "screen" if "STY" in os.environ else "none",
            "encoding": locale.getencoding(),
        },
        "bundled": {file.name: _packaged(file) for file in packaged.EVERY},
        "paths": {
            "runs": str(home.runs()),
            "cache": str(home.cache()),
            "writable": _writable(home.home()),
            "free disk": _free(home.home()),
            "python": sys.executable,
        },
    }


def _machine(ask_torch: bool) -> dict[str, str]:
    facts = {
        "system": platform.platform(),
        "cpu": machine.cpu_name(),
        "memory": f"{units.size(machine.available_memory())} of {units.size(machine.total_memory())} free",
    }
    gpus = machine.Gpus()
    gauges = gpus.read()
    for number, gauge in enumerate(gauges):
        facts[f"gpu {number}"] = f"{gauge.name}, {units.size(gauge.used)} of {units.size(gauge.total)} used"
    if not gauges:
        facts["gpu"] = "none reported by NVIDIA's management library"
    kind = machine.likely_device(bool(gauges))
    if ask_torch:
        import torch

        from engine.device import best_device

        seen = "mps" if torch.backends.mps.is_available() else "no accelerator"
        facts["torch sees"] = f"cuda ({torch.cuda.get_device_name(0)})" if torch.cuda.is_available() else seen
        kind = best_device()
        if kind != "cuda" and (problem := _cuda_problem(torch.version.cuda, gpus.cuda())):
            facts["problem"] = problem
    facts["trains on"], facts["preset"] = kind, machine.preset_for(kind)[0]
    return facts


def _cuda_problem(built: str | None, driver: tuple[int, int] | None) -> str:
    """Why torch cannot use the GPUs of this driver, and what to install; empty when its CUDA version is not why."""
    if driver is None:
        return ""
    if built is None:
        return f"torch is built without CUDA: install a torch built for CUDA {driver[0]}"
    major, minor = (int(part) for part in built.split(".")[:2])
    if (major, minor) <= driver:
        return ""
    # A driver runs later minor versions of its own major version too, if it is not too old.
    older = f"{driver[0]}" if major > driver[0] else f"{driver[0]}.{driver[1]} or older"
    return (
        f"torch is built for CUDA {built}, but the driver supports CUDA {driver[0]}.{driver[1]}: "
        f"install a torch built for CUDA {older}, or a driver that supports CUDA {built}"
    )


def _packaged(file: packaged.PackagedFile) -> str:
    try:
        packaged.find(file)
    except packaged.NotPackaged as error:
        return str(error)
    return f"verified ({file.distribution})"


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _writable(folder: Path) -> str:
    there = _existing(folder)
    if not there.is_dir():
        return f"no: {there} is not a folder"
    return "yes" if os.access(there, os.W_OK) else f"no: {there} is not writable"


def _free(folder: Path) -> str:
    try:
        return units.size(shutil.disk_usage(_existing(folder)).free)
    except OSError as error:
        return str(error)
