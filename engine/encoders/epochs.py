"""The training of a whole encoder, epoch by epoch: to classify, to rank choices, or as a bi-encoder.

AdamW with decoupled decay (Loshchilov and Hutter, 2019), linear warm-up and decay, the best epoch by its score on what
was held out. What is trained is a subclass of :class:`Training`.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

from engine.encoders.encode import EncodeFailed
from engine.encoders.epoch_checkpoints import EpochCheckpoints, weights_of
from engine.encoders.find import Encoder
from engine.encoders.padding import MicroBatches
from engine.runs.events import ContenderStep, Event, Notice
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

METHOD = "finetune"
INTERVAL = 0.5  # seconds between two events within an epoch
History: TypeAlias = Sequence[tuple[float, float]]
"""loss (nats a row) and accuracy on what was held out, after each epoch"""
Rows: TypeAlias = tuple[Sequence[Any], Sequence[int]]
"""what a model is trained on, or stopped by, and the right answer to each"""


@dataclass(frozen=True)
class Settings:
    """How an encoder is trained, whatever for."""

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
    """epochs without a better score on what was held out before it ends"""
    length: int = 128
    seed: int = 1337

    CODE: ClassVar[tuple[Any, ...]] = (1,)
    """begins :func:`made_of`; raise the number when the same settings would train otherwise"""
    PEAKS: ClassVar[tuple[float, float]] = (5e-5, 1.5e-4)
    """what suits encoders 768 wide or wider, and smaller ones"""

    def peak(self, width: int) -> float:
        """The learning rate that is used."""
        wide, narrow = self.PEAKS
        return self.learning_rate or (wide if width >= 768 else narrow)


@dataclass(frozen=True)
class Epoch:
    """What was measured after an epoch, or before training, which is epoch 0."""

    step: int
    score: float
    """on what was held out: accuracy, in a retrieval nDCG@10"""
    loss: float
    """on what was held out"""
    trained_loss: float = 0.0
    """mean of the epoch's batches; 0 before training"""


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned encoder under its head, in evaluation mode."""

    model: Any
    encoder: Encoder
    device: str
    settings: Settings
    best_epoch: int = 0
    epochs: int = 0
    history: History = ()

    @property
    def parameters(self) -> int:
        """All of which were trained."""
        return sum(int(tensor.numel()) for tensor in self.model.parameters())


def made_of(encoder: Encoder, settings: Settings, fingerprint: str) -> list[Any]:
    """All that decides a fine-tuning, as JSON can hold it; ``fingerprint`` names the data."""
    return [*settings.CODE, encoder.identity, asdict(settings), fingerprint]


def best_of(history: Sequence[Epoch]) -> int:
    """Index of the best: by score, ties by loss."""
    return max(range(len(history)), key=lambda index: (history[index].score, -history[index].loss))


def share(step: int, steps: int, warm: int) -> float:
    """Of the peak learning rate: up over ``warm`` steps, then down to nothing."""
    if step < warm:
        return (step + 1) / warm
    return max(0.0, (steps - step) / max(1, steps - warm))


class Training(ABC):
    """One training. A subclass prepares its data and then calls ``__init__``; the defaults are those of fine-tuning."""

    FIRST: ClassVar[int] = 1
    """the first epoch that is measured; with 0 that is before training, and the first step is shown too"""
    TITLE: ClassVar[str] = "fine-tuning"
    SOURCE: ClassVar[str] = METHOD
    """of notices"""

    def __init__(self, encoder: Encoder, settings: Settings, control: Control, device: str) -> None:
        import torch

        self.encoder, self.settings, self.control, self.device = encoder, settings, control, device
        self.micro_batches = MicroBatches(device)
        torch.manual_seed(settings.seed)  # of the head's initial weights
        self.model = self.open()
        self.peak = settings.peak(encoder.width)
        self.optimizer = self.new_optimizer()
        self.per_epoch = len(self.batches(0))
        self.step, self.steps = 0, self.per_epoch * settings.epochs
        self.history: list[Epoch] = []
        self.best_weights: Mapping[str, Tensor] = {}
        self.best_files: Mapping[str, bytes] = {}
        self.trained_loss = 0.0
        """mean of the last epoch's batches"""
        self.spent = 0.0
        """seconds in batches"""
        self._losses, self._weight = 0.0, 0
        """sum of the weighted losses since the last event, and of their weights"""
        self._unread: list[tuple[Tensor, int]] = []
        """losses that lie on the device, with their weights"""
        self._epoch_losses: list[float] = []

    @abstractmethod
    def open(self) -> Any:
        """The model, on its device, all of it trainable."""

    @abstractmethod
    def batches(self, epoch: int) -> Sequence[Any]:
        """The batches of an epoch, which is numbered from 0."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Mean cross-entropy of a batch, nats a row."""

    @abstractmethod
    def judge(self) -> Generator[Event, None, tuple[float, float]]:
        """Loss and score on what was held out, of the model in evaluation mode."""

    def new_optimizer(self) -> Optimizer:
        """AdamW without decay of biases and norms."""
        import torch

        from engine.device import kind_of

        others: dict[str, Any] = {"params": [], "weight_decay": 0.0}
        matrices: dict[str, Any] = {"params": [], "weight_decay": self.settings.weight_decay}
        for parameter in self.model.parameters():
            (matrices if parameter.dim() > 1 else others)["params"].append(parameter)
        return torch.optim.AdamW([others, matrices], lr=self.peak, fused=kind_of(self.device) in ("cpu", "cuda"))

    def warmup(self) -> int:
        """Steps until the peak of the learning rate."""
        return max(1, round(self.steps * self.settings.warmup))

    def weight(self, batch: Any) -> int:
        """How much a batch counts in the mean loss of an event."""
        return len(batch)

    def step_event(self, epoch: int) -> ContenderStep:
        """Progress within an epoch, which is numbered from 0."""
        return ContenderStep(METHOD, self.step, self.steps, self.recent_loss(), None, None, self.seconds_left())

    def epoch_event(self) -> ContenderStep:
        """Progress after a measurement, the last in ``history``."""
        last, note = self.history[-1], f"epoch {len(self.history)} of {self.settings.epochs}"
        if self.is_best():
            note += ", the best so far"
        return ContenderStep(METHOD, self.step, self.steps, last.loss, last.loss, last.score, self.seconds_left(), note)

    def files(self) -> Mapping[str, bytes]:
        """What is kept with a measurement beside weights and optimizer."""
        return {}

    def run(self, saved_epochs: EpochCheckpoints | None) -> Iterator[Event]:
        """Train until the epochs are done or get no better; after the last epoch in ``saved_epochs``, from there on."""
        import torch

        if saved_epochs is not None:
            yield from self.resume(saved_epochs)
        while (epoch := len(self.history) + self.FIRST) <= self.settings.epochs and not self.stops_early():
            if epoch:
                torch.manual_seed(self.settings.seed * 1000 + epoch - 1)  # so that dropout is the same after a resume
                self.recent_loss()  # of the last steps before, which no event shows
                yield from self.epoch(epoch - 1)
            yield from self.measure()
            if saved_epochs is not None:
                # The key is the one that earlier versions wrote for a bi-encoder.
                state = {"looks": [astuple(one) for one in self.history], "spent": self.spent}
                best = best_of(self.history) + self.FIRST
                more = self.best_files if self.is_best() else None  # read with the best epoch only
                yield from saved_epochs.put(epoch, self.model, self.optimizer, state, best=best, more=more)
            yield self.epoch_event()

    def resume(self, saved_epochs: EpochCheckpoints) -> Iterator[Event]:
        """Go on after the last epoch in ``saved_epochs``; its events and those of the earlier ones come again."""
        found = yield from saved_epochs.resume(
            self.model, self.optimizer, lambda state: best_of(_history(state)) + self.FIRST
        )
        if found is None:
            return
        history = _history(found.state)
        self.best_weights, self.best_files = found.best, found.best_files
        self.step, self.spent = history[-1].step, float(found.state["spent"])
        done = len(history) - 1 + self.FIRST
        yield Notice(f"{self.TITLE} goes on after epoch {done} of {self.settings.epochs}", "info", self.SOURCE)
        for one in history:
            self.history.append(one)
            self._losses, self._weight = one.trained_loss, 1
            yield replace(self.epoch_event(), step=one.step)

    def measure(self) -> Iterator[Event]:
        """Judge the model as it is, and keep its weights if it is the best."""
        self.model.eval()
        loss, score = yield from self.judge()
        self._finite(loss, f"held-out loss after step {self.step}")
        self.history.append(Epoch(self.step, score, loss, self.trained_loss))
        if self.is_best():
            self.best_weights, self.best_files = weights_of(self.model), self.files()

    def epoch(self, epoch: int) -> Iterator[Event]:
        """Train on every batch of an epoch, which is numbered from 0."""
        self.model.train()
        self._epoch_losses, shown = [], time.monotonic()
        for batch in self.batches(epoch):
            begun, texts = time.monotonic(), self.micro_batches.texts
            for group in self.optimizer.param_groups:
                group["lr"] = self.peak * share(self.step, self.steps, self.warmup())
            self._unread.append((self._step(batch), self.weight(batch)))
            self.step += 1
            self.spent += time.monotonic() - begun
            if (fewer := self.micro_batches.texts) != texts:
                told = f"out of memory: {self.TITLE} takes {fewer:,} texts at a time from now on"
                yield Notice(f"{told}; a step still learns from the whole batch", "warning", "memory")
            if time.monotonic() - shown >= INTERVAL or (self.step == 1 and self.FIRST == 0):
                shown = time.monotonic()
                yield self.step_event(epoch)
            yield from handle_messages(self.control, self.step)
        self._read_losses()
        self.trained_loss = sum(self._epoch_losses) / len(self._epoch_losses)

    def _step(self, batch: Any) -> Tensor:
        """One step of the optimizer; returns the loss, on the device. Where memory runs out, with fewer texts at once.

        Raises :class:`engine.encoders.encode.EncodeFailed` where there is no memory for a single one, and the error
        itself where no texts go through the model.
        """
        import torch

        from engine.device import allocate_state, out_of_memory, release

        while True:
            try:
                loss: Any = self.loss(batch)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                allocate_state(self.optimizer)
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
                self.optimizer.step()
                return cast("Tensor", loss.detach())
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or not self.micro_batches.halve():
                    raise
            # Here, since the error held what was being computed.
            loss = None
            self.optimizer.zero_grad(set_to_none=True)
            release(self.device)

    def _finite(self, loss: float, what: str) -> float:
        """``loss``, if it is finite. Raises :class:`engine.encoders.encode.EncodeFailed`."""
        if not math.isfinite(loss):
            raise EncodeFailed(
                f"{self.TITLE}: the {what} is not finite: the weights are damaged or too large for this precision, "
                "or the learning rate is too high"
            )
        return loss

    def is_best(self) -> bool:
        """Whether the last measurement is the best."""
        return best_of(self.history) == len(self.history) - 1

    def stops_early(self) -> bool:
        """Whether as many epochs as ``patience`` have passed since the best."""
        return bool(self.history) and len(self.history) - 1 - best_of(self.history) >= self.settings.patience

    def recent_loss(self) -> float:
        """Mean loss of the batches since the last call; waits for the device."""
        self._read_losses()
        mean = self._losses / self._weight if self._weight else 0.0
        self._losses, self._weight = 0.0, 0
        return mean

    def _read_losses(self) -> None:
        """Take what the device has measured; no batch waits for it, so that its queue never runs empty."""
        from engine.device import read

        begun = time.monotonic()
        first = self.step - len(self._unread) + 1
        values = read([loss for loss, _ in self._unread])
        for step, (value, (_, weight)) in enumerate(zip(values, self._unread, strict=True), first):
            self._epoch_losses.append(self._finite(value, f"loss of step {step}"))
            self._losses += value * weight
            self._weight += weight
        self._unread.clear()
        self.spent += time.monotonic() - begun

    def seconds_left(self) -> float:
        """For the remaining steps, without the time of measurements."""
        return round(self.spent / max(1, self.step) * (self.steps - self.step), 1)


def tune(training: Training, saved_epochs: EpochCheckpoints) -> Generator[Event, None, Tuned]:
    """Train until the epochs are done or get no better, and return the best of them.

    A new start resumes after the last epoch in ``saved_epochs``; the caller clears them when it has saved the result.
    Yields :class:`ContenderStep`. Raises :class:`Stopped`.
    """
    yield from training.run(saved_epochs)
    model, history = training.model, training.history
    model.load_state_dict(training.best_weights)
    model.eval().requires_grad_(False)
    pairs = tuple((one.loss, one.score) for one in history)
    return Tuned(model, training.encoder, training.device, training.settings, best_of(history) + 1, len(history), pairs)


def _history(state: Mapping[str, Any]) -> list[Epoch]:
    if "history" in state:  # of a fine-tuning, as earlier versions wrote it
        pairs = state["history"]
        each = int(state["steps_done"]) // max(1, len(pairs))
        return [Epoch(each * (done + 1), float(score), float(loss)) for done, (loss, score) in enumerate(pairs)]
    return [Epoch(int(step), *map(float, rest)) for step, *rest in state["looks"]]
