"""The arithmetic of training: one step, one evaluation, and everything the next step depends on as data.

Randomness is derived, not carried along: the batch and the dropout masks of a step are functions of the run's seed
and the step, so whatever else draws random numbers in the process cannot change a run, and there is no generator
state that a checkpoint could forget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from data.corpus import Corpus
from data.windows import Windows, derive_seed, sweep
from engine.device import Placement, out_of_memory, read, release, repeatable
from engine.gpt import optimizers
from engine.gpt.diagnose import Evaluation
from engine.gpt.model import GPT
from engine.gpt.spec import TrainSpec
from engine.ranks import Order, Ranks

EVALUATION_TOKENS = 2048  # tokens in one forward pass of an evaluation: what they leave behind stays in a CPU's cache
GPU_TOKENS = 4  # times as many on a GPU, which has no use for small pieces
ALONE = Ranks()
HISTORY = 256  # evaluations kept for the diagnosis


@dataclass
class Position:
    """Where a run stands: all that the next step depends on besides tensors, spec and seed."""

    step: int = 0
    learning_rate: float = 0.0
    """the schedule's peak, which the user may change"""
    micro_batch: int = 0
    """windows per forward pass; halved when memory ran out"""
    best_step: int = -1
    best_val_loss: float = math.inf
    without_progress: int = 0
    evaluated_step: int = -1
    sampled_step: int = -1
    train_sum: float = 0.0
    train_count: int = 0
    requests: int = 0
    """samples asked for so far"""
    seconds: float = 0.0
    """time spent training, over all processes"""
    said: str = ""
    """the last diagnosis"""
    history: list[Evaluation] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; an infinite best becomes null."""
        record = asdict(self)
        record["best_val_loss"] = self.best_val_loss if self.best_step >= 0 else None
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Position:
        """The position that ``to_dict`` wrote. Raises :class:`ValueError` when it has more or fewer fields."""
        if other := record.keys() ^ vars(cls()).keys():
            raise ValueError(f"more or fewer fields: {', '.join(sorted(other))}")
        history = [Evaluation(**point) for point in record["history"]]
        best = math.inf if record["best_val_loss"] is None else record["best_val_loss"]
        return cls(**{**record, "history": history, "best_val_loss": best})


class Trainer:
    """Model, optimizer and data of one run, and the operations on them."""

    def __init__(self, spec: TrainSpec, corpus: Corpus, placement: Placement, ranks: Ranks = ALONE) -> None:
        self.spec, self.corpus, self.placement, self.ranks = spec, corpus, placement, ranks
        torch.manual_seed(derive_seed(spec.seed, "weights"))
        self.model = GPT(spec.model(len(corpus.vocabulary))).to(placement.device)
        self.optimizer = optimizers.build(self.model, spec)
        train_ids, self.validation = corpus.split()
        self.windows = Windows(
            train_ids, spec.context, spec.batch, spec.seed, placement.device, shuffled=spec.order == "shuffled"
        )
        self.train_tokens = len(train_ids)
        self.evaluation_tokens = EVALUATION_TOKENS * (1 if placement.device.type == "cpu" else GPU_TOKENS)
        self.position = Position(learning_rate=spec.learning_rate, micro_batch=spec.batch)

    def rate(self, step: int) -> float:
        """Learning rate of ``step`` (0-based)."""
        return self.spec.rate(step, self.position.learning_rate)

    def meet(self) -> None:
        """Take weights and optimizer of rank 0, before the first step; of every rank."""
        if self.ranks.world > 1:
            optimizers.allocate(self.optimizer)
            self.ranks.share(self.model.state_dict().values())
            for parameter in self.model.parameters():
                held = self.optimizer.state[parameter]
                self.ranks.share(held[name] for name in sorted(held))

    def take_micro_batch(self, windows: int) -> None:
        """Take so many windows in a forward pass from here on, after memory ran out."""
        self.ranks.send_order(Order.MICRO_BATCH, windows)
        self.position.micro_batch = windows
        self.optimizer.zero_grad(set_to_none=True)
        release(self.placement.device)

    def step(
        self, rate: float | None = None, run: Callable[[], tuple[Tensor, Tensor]] | None = None
    ) -> tuple[Tensor, Tensor, float]:
        """One optimizer step. Returns loss and gradient norm as scalars on the device, and the learning rate.

        Of several ranks each takes its slice of the batch. ``rate``: what rank 0 tells the others. ``run``: does the
        work of :meth:`arithmetic` in another way. Does not wait for the device. Raises
        :class:`torch.OutOfMemoryError`, in every rank, with nothing changed.
        """
        position, ranks = self.position, self.ranks
        if rate is None:
            rate = self.rate(position.step)
            ranks.send_order(Order.STEP, rate)
        optimizers.set_rate(self.optimizer, rate)
        if self.spec.dropout:
            own = (ranks.rank,) if ranks.rank else ()
            torch.manual_seed(derive_seed(self.spec.seed, "dropout", position.step, *own))
        self.windows.load(position.step)
        loss, norm = (run or self.arithmetic)()
        position.step += 1
        return loss, norm, rate

    def arithmetic(self) -> tuple[Tensor, Tensor]:
        """Loss and gradient norm of the batch that is loaded; updates the weights.

        Whatever differs from step to step it reads from tensors that stay where they are and from torch's generator,
        so that it can be captured once and replayed for every step.
        """
        ranks, parameters = self.ranks, list(self.model.parameters())
        if not self.model.training:
            self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        failure: RuntimeError | None = None
        try:
            optimizers.allocate(self.optimizer)
            with repeatable(self.placement.device):
                total = self._backward()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            failure = error.with_traceback(None)  # its frames hold what was computed
        if ranks.agree(failure is not None):
            try:
                raise failure or torch.OutOfMemoryError("another rank ran out of memory")
            finally:
                del failure  # it refers to this frame and those that called it, whose graph holds memory
        total = ranks.sum_gradients(parameters, total)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.spec.clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.spec.clip, norm)
        self.optimizer.step()
        return total, norm

    def evaluate(self) -> Iterator[tuple[int, float]]:
        """The loss on the whole validation split, every token but the first once, summed in float64 on the host.

        Of several ranks each takes its share of the forward passes; whoever begins must go on to the end. No forward
        pass waits for the device. Yields ``(tokens done, nan)`` between two, and at the end all tokens and the loss,
        nats per character. Raises :class:`torch.OutOfMemoryError`, in every rank.
        """
        ranks = self.ranks
        ranks.send_order(Order.EVALUATE, self.evaluation_tokens)
        self.model.eval()
        sums: list[Tensor] = []
        done, every = 0, len(self.validation) - 1
        rows = max(1, self.evaluation_tokens // self.spec.context)
        failure: RuntimeError | None = None
        for number, (inputs, targets) in enumerate(
            sweep(self.validation, self.spec.context, rows, self.placement.device)
        ):
            if number:
                yield done, math.nan
            if number % ranks.world == ranks.rank and not failure:
                try:
                    with torch.inference_mode(), self.placement.autocast():
                        sums.append(self.model.loss(inputs, targets, reduction="sum"))
                except RuntimeError as error:
                    if not out_of_memory(error):
                        raise
                    failure = error.with_traceback(None)  # its frames hold what was computed
            done = min(done + inputs.numel(), every)
        if ranks.agree(failure is not None):
            raise failure or torch.OutOfMemoryError("another rank ran out of memory")
        total = 0.0
        for one in read(sums):
            total += one
        yield done, float(ranks.sum(torch.tensor(total, dtype=torch.float64))) / done

    def _backward(self) -> Tensor:
        """Gradients of this rank's slice of the batch; returns its part of the mean loss."""
        inputs, targets = self.windows.gather()
        own, micro = self.ranks.slice(len(inputs)), self.position.micro_batch
        total: Tensor | None = None
        for x, y in zip(torch.split(inputs[own], micro), torch.split(targets[own], micro), strict=True):
            with self.placement.autocast():
                loss = self.model.loss(x, y) * (len(x) / len(inputs))
            loss.backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total
