"""What a benchmark is asked for, and the training that it means. No tensor library is loaded for it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.gpt.spec import TrainSpec

TINY: Mapping[str, Any] = {"layers": 2, "heads": 2, "width": 32, "context": 32, "batch": 8, "dropout": 0.1}
"""the shape of a GPT in a quick check"""


@dataclass(frozen=True)
class Setup:
    """What the check was asked for."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``"""
    quick: bool = False
    """small models and few steps"""
    corpus: str = "dantesque"
    model: str = ""
    """for ``decode``, ``zero-shot`` and ``encode``: in place of a random GPT-2 and of MiniLM"""
    nanogpt: str = ""
    """for ``peers``: the folder of a checkout of nanoGPT"""
    seconds: float = 20.0
    """for ``ui``"""
    data: str = ""
    """for ``zero-shot``: in place of the bundled questions"""

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def alone(self) -> Setup:
        """The same setup, in an environment that shows no other CUDA device than the one that was asked for.

        So whatever chooses a device by itself takes this one. Before torch looks for devices.
        """
        kind, _, number = self.device.partition(":")
        if kind == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        elif number:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            chosen = visible[int(number)] if int(number) < len(visible) and visible[0] else number
            os.environ["CUDA_VISIBLE_DEVICES"] = chosen
        return dataclasses.replace(self, device=kind)

    def of(self, quick: int, whole: int) -> int:
        """A number that depends on whether the check is a quick one."""
        return quick if self.quick else whole

    def named(self, recipe: str) -> str:
        """What a recipe is called in the table."""
        return f"a tiny {recipe}" if self.quick else recipe

    def spec(self, preset: str, **changes: Any) -> TrainSpec:
        """A training on the device of the check; in a quick one of a tiny model."""
        from engine.gpt.spec import build

        threads = self.of(1, 0)  # one for small models: several would wait for each other
        given = {"corpus": self.corpus, "preset": preset, "device": self.device, "threads": threads, "sample_every": 0}
        return build({**given, **(TINY if self.quick else {}), **changes}, preset_for_auto="nano")
