"""Losses and gradient norms gathered on the device and read in blocks, so that no step waits for the device."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

CAPACITY = 256  # steps that a block can hold
WINDOW = 0.1  # seconds that a block covers at most


@dataclass(frozen=True)
class StepLoss:
    """What one step measured."""

    step: int
    learning_rate: float
    loss: float
    gradient_norm: float
    seconds: float
    """mean time of a step in this block"""


@dataclass
class _Block:
    steps: list[tuple[int, float]]
    values: Tensor
    sampled: Tensor | None
    seconds: float
    ready: torch.cuda.Event | None


class LossBuffer:
    """On a GPU a block is copied to the host without waiting and read one block late; on a CPU it is read at once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffer = torch.zeros(CAPACITY, 2, device=device)
        self._steps: list[tuple[int, float]] = []
        self._sampled: list[Tensor] = []
        self._blocks: deque[_Block] = deque()
        self._begun = time.perf_counter()

    def restart(self) -> None:
        """Start the clock of the block anew, after something that was not a step."""
        self._begun = time.perf_counter()

    def add(self, step: int, learning_rate: float, loss: Tensor, norm: Tensor) -> None:
        """Note one step's loss and gradient norm, scalars on the device."""
        torch.stack((loss.detach().float(), norm.float()), out=self._buffer[len(self._steps)])
        self._steps.append((step, learning_rate))

    def add_sampled(self, ids: Tensor) -> None:
        """Note a sampled token ``(1, 1)``; it comes back with the block."""
        self._sampled.append(ids)

    def due(self) -> bool:
        """Whether the block should be read."""
        return len(self._steps) == CAPACITY or time.perf_counter() - self._begun >= WINDOW

    def take(self, *, everything: bool = False) -> tuple[list[StepLoss], list[int]]:
        """Readings and sampled ids that have arrived; with ``everything``, wait for all."""
        if self._steps or self._sampled:
            self._blocks.append(self._close())
        losses: list[StepLoss] = []
        ids: list[int] = []
        late = 0 if everything or self._device.type != "cuda" else 1
        while len(self._blocks) > late:
            block = self._blocks.popleft()
            if block.ready is not None:
                block.ready.synchronize()
            for (step, rate), (loss, norm) in zip(block.steps, block.values.tolist(), strict=True):
                losses.append(StepLoss(step, rate, loss, norm, block.seconds))
            if block.sampled is not None:
                ids.extend(block.sampled.tolist())
        return losses, ids

    def _close(self) -> _Block:
        now = time.perf_counter()
        count = len(self._steps)
        values = self._buffer[:count]
        sampled = torch.cat(self._sampled).flatten() if self._sampled else None
        ready = None
        if self._device.type == "cuda":
            values = torch.empty_like(values, device="cpu", pin_memory=True).copy_(values, non_blocking=True)
            if sampled is not None:
                pinned = torch.empty_like(sampled, device="cpu", pin_memory=True)
                sampled = pinned.copy_(sampled, non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        else:
            values = values.to("cpu", copy=True)
        block = _Block(self._steps, values, sampled, (now - self._begun) / max(1, count), ready)
        self._steps, self._sampled, self._begun = [], [], now
        return block
