"""Several processes that work on one run: those of a training sum gradients, those of a comparison encode texts.

The processes are started by torchrun. Rank 0 owns the run: it alone reads messages, saves, samples and decides, and
tells the others before every collective operation what comes next. So nothing that depends on the time is decided
twice. Orders and sums of the host go over gloo; gradients over NCCL on GPUs and gloo on CPUs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import enum
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT = datetime.timedelta(days=30)  # a paused run tells the others nothing; a process that ends is noticed at once

LOST = "another process of this run ended, or its connection broke"


class Order(enum.IntEnum):
    """What rank 0 tells the others to do; each comes with a number."""

    END = 0
    STEP = 1  # at a learning rate
    EVALUATE = 2  # with so many tokens in a forward pass
    MICRO_BATCH = 3  # windows at a time from here on
    TRAIN = 4  # what is trained is sent next
    ENCODE = 5  # what is encoded is sent next


class RankLost(RuntimeError):
    """Another process of the run does not answer any more."""


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among those that work on a run together; alone unless :func:`join` found others."""

    rank: int = 0
    world: int = 1

    def slice(self, rows: int) -> slice:
        """The rows of a batch that are this process's."""
        return slice(rows * self.rank // self.world, rows * (self.rank + 1) // self.world)

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place."""
        if self.world > 1:
            with _lost():
                dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Sum the gradients in place, in one operation, and return the sum of the losses."""
        if self.world == 1:
            return loss
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.sum(torch.cat([*(gradient.flatten() for gradient in gradients), loss.reshape(1)]))
        for gradient, part in zip(gradients, torch.split(flat, [one.numel() for one in gradients] + [1]), strict=False):
            gradient.copy_(part.view_as(gradient))
        return flat[-1]

    def agree(self, failed: bool) -> bool:
        """Whether something failed in any process."""
        return bool(self.sum(torch.tensor(int(failed))).item()) if self.world > 1 else failed

    def send_order(self, order: Order, value: float = 0.0) -> None:
        """Send the others what comes next; of rank 0."""
        if self.world > 1 and self.rank == 0:
            with _lost():
                dist.broadcast(torch.tensor([float(order), value], dtype=torch.float64), 0)

    def receive_order(self) -> tuple[Order, float]:
        """Wait for the next order of rank 0."""
        received = torch.zeros(2, dtype=torch.float64)
        with _lost():
            dist.broadcast(received, 0)
        order, value = received.tolist()
        return Order(int(order)), value

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the tensors of rank 0, in place."""
        if self.world > 1:
            with _lost():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def close(self) -> bool:
        """Leave the others and, of rank 0, let them end. Whether they were still there; True when closed already."""
        if self.world == 1 or not dist.is_initialized():
            return True
        try:
            self.send_order(Order.END)
        except RankLost:
            return False
        finally:
            dist.destroy_process_group()
        return True

    def send(self, record: Mapping[str, Any], ids: np.ndarray[Any, Any]) -> None:
        """Give the others a record and an array of integers; of rank 0."""
        head = {**record, "dtype": str(ids.dtype)}
        for content in (json.dumps(head).encode(), ids.tobytes()):
            self.share([torch.tensor(len(content)), torch.frombuffer(bytearray(content), dtype=torch.uint8)])

    def receive(self) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
        """What rank 0 sends."""
        contents = []
        for _ in range(2):
            size = torch.tensor(0)
            self.share([size])
            content = torch.empty(int(size), dtype=torch.uint8)
            self.share([content])
            contents.append(content.numpy())
        head = json.loads(contents[0].tobytes())
        return head, contents[1].view(head.pop("dtype"))


def join() -> Ranks:
    """Meet the other processes that torchrun started, if there are any. Raises :class:`RankLost`."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        return Ranks()
    if not dist.is_initialized():
        with _lost():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT)
    return Ranks(dist.get_rank(), world)


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RankLost(LOST) from error
