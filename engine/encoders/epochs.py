"""A whole encoder fine-tuned under a fresh head, epoch by epoch: the costly route, which starts again where one ended.

AdamW with decoupled decay (Loshchilov and Hutter, 2019), linear warm-up and decay, the best epoch by accuracy on what
was held out. What it is trained for is a :class:`Task`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from engine.encoders.epoch_checkpoints import Kept, weights_of
from engine.encoders.find import Encoder
from engine.machine import physical_cores
from engine.runs.events import ContenderStep, Event, Notice
from engine.runs.messages import Control, heed

if TYPE_CHECKING:
    from torch import Tensor

ROUTE = "finetune"
TELL = 0.5  # seconds between two losses
History: TypeAlias = Sequence[tuple[float, float]]
"""loss (nats a row) and accuracy on what was held out, after each epoch"""


@dataclass(frozen=True)
class Settings:
    """How an encoder is fine-tuned, whatever for."""

    epochs: int = 4
    """at most"""
    learning_rate: float = 0.0
    """peak; 0 for what suits the encoder's width"""
    rows: int = 32
    """of the data in a batch"""
    weight_decay: float = 0.01
    warmup: float = 0.06
    """share of all steps"""
    clip: float = 1.0
    patience: int = 2
    """epochs without a better accuracy on what was held out before it ends"""
    length: int = 128
    seed: int = 1337

    PEAKS: ClassVar[tuple[float, float]] = (5e-5, 1.5e-4)
    """what suits encoders 768 wide or wider, and smaller ones"""

    def peak(self, width: int) -> float:
        """The learning rate that is used."""
        wide, narrow = self.PEAKS
        return self.learning_rate or (wide if width >= 768 else narrow)


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned encoder under its head, in evaluation mode."""

    model: Any
    encoder: Encoder
    device: str
    best_epoch: int
    epochs: int
    history: History

    @property
    def parameters(self) -> int:
        """All of which were trained."""
        return sum(int(tensor.numel()) for tensor in self.model.parameters())


class Task(Protocol):
    """What an encoder is fine-tuned for."""

    def open(self) -> Any:
        """The encoder under a fresh head, on its device, all of it trainable."""

    def batches(self, epoch: int) -> list[list[int]]:
        """Rows of every batch of an epoch; every epoch has as many."""

    def loss(self, model: Any, rows: Sequence[int]) -> Tensor:
        """Mean cross-entropy of a batch, nats a row."""

    def judge(self, model: Any, control: Control) -> Generator[Event, None, tuple[float, float]]:
        """Loss and accuracy on what was held out, of a model in evaluation mode."""


def tune(
    task: Task, encoder: Encoder, settings: Settings, control: Control, *, device: str, kept: Kept
) -> Generator[Event, None, Tuned]:
    """Train until the epochs are done or get no better, and return the best of them.

    A new start goes on after the last epoch in ``kept`` and tells the earlier ones again. Whoever calls clears ``kept``
    once what came of the training is in safety. Yields :class:`ContenderStep`. Raises :class:`Stopped`,
    :class:`engine.encoders.find.NoEncoder`.
    """
    return (yield from _Work(task, encoder, settings, control, device, kept).run())


def best_of(history: History) -> int:
    """The best epoch, from 0: by accuracy, ties by loss."""
    return max(range(len(history)), key=lambda epoch: (history[epoch][1], -history[epoch][0]))


def share(step: int, steps: int, warm: int) -> float:
    """Of the peak learning rate: up over ``warm`` steps, then down to nothing."""
    if step < warm:
        return (step + 1) / warm
    return max(0.0, (steps - step) / max(1, steps - warm))


def cast(device: str) -> Any:
    """A context in which matrix products are in bfloat16 on GPUs that have it."""
    import torch

    half = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast("cuda", torch.bfloat16) if half else contextlib.nullcontext()


class _Work:
    """One fine-tuning under way."""

    def __init__(
        self, task: Task, encoder: Encoder, settings: Settings, control: Control, device: str, kept: Kept
    ) -> None:
        import torch

        self.task, self.encoder, self.settings, self.control = task, encoder, settings, control
        self.device, self.kept = device, kept
        torch.set_num_threads(physical_cores())
        torch.manual_seed(settings.seed)  # of the head's initial weights
        self.model = task.open()
        self.peak = settings.peak(encoder.width)
        groups: tuple[list[Any], list[Any]] = ([], [])
        for parameter in self.model.parameters():
            groups[parameter.dim() > 1].append(parameter)
        self.optimizer = torch.optim.AdamW(
            [{"params": groups[0], "weight_decay": 0.0}, {"params": groups[1], "weight_decay": settings.weight_decay}],
            lr=self.peak,
            fused=device in ("cpu", "cuda"),
        )
        self.per_epoch = len(task.batches(0))
        self.step, self.steps = 0, self.per_epoch * settings.epochs
        self.history: list[tuple[float, float]] = []
        self.best: dict[str, Tensor] = {}
        self.spent = 0.0
        """seconds in batches"""

    def run(self) -> Generator[Event, None, Tuned]:
        import torch

        yield from self._resume()
        while len(self.history) < self.settings.epochs and not self._enough():
            torch.manual_seed(self.settings.seed * 1000 + len(self.history))  # so that a later start drops the same
            yield from self._epoch(len(self.history))
            yield from self._judge()
        self.model.load_state_dict(self.best)
        self.model.eval().requires_grad_(False)
        history = tuple(self.history)
        return Tuned(self.model, self.encoder, self.device, best_of(history) + 1, len(history), history)

    def _epoch(self, epoch: int) -> Iterator[Event]:
        import torch

        self.model.train()
        total, rows, told = 0.0, 0, time.monotonic()
        warm = max(1, round(self.steps * self.settings.warmup))
        for batch in self.task.batches(epoch):
            begun = time.monotonic()
            for group in self.optimizer.param_groups:
                group["lr"] = self.peak * share(self.step, self.steps, warm)
            loss: Any = self.task.loss(self.model, batch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
            self.optimizer.step()
            self.step += 1
            total, rows = total + float(loss.detach()) * len(batch), rows + len(batch)
            self.spent += time.monotonic() - begun
            if time.monotonic() - told >= TELL:
                told = time.monotonic()
                yield ContenderStep(ROUTE, self.step, self.steps, total / rows, None, None, self._left())
                total, rows = 0.0, 0
            yield from heed(self.control, self.step)

    def _judge(self) -> Iterator[Event]:
        self.model.eval()
        self.history.append((yield from self.task.judge(self.model, self.control)))
        best = best_of(self.history) + 1
        if best == len(self.history):
            self.best = weights_of(self.model)
        state = {"history": self.history, "steps_done": self.step, "spent": self.spent}
        yield from self.kept.put(len(self.history), self.model, self.optimizer, state, best=best)
        yield self._told(self.history)

    def _resume(self) -> Iterator[Event]:
        found = yield from self.kept.resume(self.model, self.optimizer, lambda state: best_of(_history(state)) + 1)
        if found is None:
            return
        self.best, self.history = found.best, _history(found.state)
        self.step, self.spent = int(found.state["steps_done"]), float(found.state["spent"])
        done = len(self.history)
        yield Notice(f"fine-tuning goes on after epoch {done} of {self.settings.epochs}", "info", ROUTE)
        for epoch in range(done):
            yield self._told(self.history[: epoch + 1])

    def _told(self, history: History) -> ContenderStep:
        """How the last epoch of ``history`` ended."""
        done, (loss, accuracy) = len(history), history[-1]
        better = ", the best so far" if best_of(history) == done - 1 else ""
        note = f"epoch {done} of {self.settings.epochs}{better}"
        return ContenderStep(ROUTE, done * self.per_epoch, self.steps, loss, loss, accuracy, self._left(), note)

    def _enough(self) -> bool:
        return bool(self.history) and len(self.history) - 1 - best_of(self.history) >= self.settings.patience

    def _left(self) -> float:
        return round(self.spent / max(1, self.step) * (self.steps - self.step), 1)


def _history(state: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(float(loss), float(accuracy)) for loss, accuracy in state["history"]]
