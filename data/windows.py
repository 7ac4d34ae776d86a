"""Batches of windows over a corpus, gathered where the corpus lives.

Which windows make up the batch of a step is a function of the seed and the step alone, so the cursor is the step:
nothing else has to be saved to continue exactly, and two devices see the same batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from data.corpus import Ids

BLOCK = 64  # steps whose positions are drawn and uploaded together


def derive_seed(seed: int, *labels: object) -> int:
    """A 63-bit seed for one purpose, from the run's seed and what tells this purpose from the others."""
    text = ":".join(map(str, (seed, *labels)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


class Windows:
    """Windows of ``context + 1`` consecutive tokens: from anywhere, or ``shuffled``.

    Shuffled ones lie end to end, so that an epoch takes every token once but for some at both ends: where the first
    begins, and in which order they come, is drawn for each epoch. A batch may take the last of one epoch and the first
    of the next.

    An in-memory corpus is put on ``device`` once (as its small integer type) and indexed there. A memory-mapped
    one is gathered on the host and sent batch by batch. ``load`` writes what tells the batch of a step into a tensor
    on the device that stays where it is, and ``gather`` reads it there: a captured ``gather`` serves every step.
    """

    def __init__(
        self, ids: Ids, context: int, batch: int, seed: int, device: torch.device, *, shuffled: bool = False
    ) -> None:
        if len(ids) < context + 1:
            raise ValueError(f"{len(ids):,} characters are too few for a context of {context}")
        self._ids = ids
        self._data = None if hasattr(ids, "filename") else torch.from_numpy(ids.copy()).to(device)
        where = torch.device("cpu") if self._data is None else device  # of what tells where the windows are
        self._reach = torch.arange(context + 1, device=where)
        self._starts = torch.empty(BLOCK, batch, 1, dtype=torch.int64, device=where)
        self._block = -1
        kind = torch.from_numpy(ids[:0].copy()).dtype
        shape, dtype = ((batch, context + 1), kind) if self._data is None else ((batch, 1), torch.int64)
        self._loaded = torch.zeros(shape, dtype=dtype, device=device)
        self._epochs: dict[int, Tensor] = {}
        self.context, self.batch, self.seed, self.device, self.shuffled = context, batch, seed, device, shuffled

    def load(self, step: int) -> None:
        """Make the batch of ``step`` (0-based) the one that is gathered. Allocates nothing on the device."""
        block, row = divmod(step, BLOCK)
        if block != self._block:
            starts = self._shuffled(block) if self.shuffled else self._anywhere(block)
            _send(starts.view(BLOCK, self.batch, 1), self._starts)
            self._block = block
        starts = self._starts[row]
        if self._data is None:
            _send(torch.from_numpy(self._ids[(starts + self._reach).numpy()]), self._loaded)
        else:
            self._loaded.copy_(starts)

    def gather(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the step that is loaded, each ``(batch, context)`` of int64 on the device."""
        tokens = self._loaded if self._data is None else self._data[self._loaded + self._reach]
        tokens = tokens.long()
        return tokens[:, :-1], tokens[:, 1:]

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of ``step`` (0-based)."""
        self.load(step)
        return self.gather()

    def _anywhere(self, block: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "windows", block))
        return torch.randint(len(self._ids) - self.context, (BLOCK, self.batch, 1), generator=generator)

    def _shuffled(self, block: int) -> Tensor:
        """Starts ``(BLOCK * batch,)``: a piece of all epochs one after the other."""
        each = max(1, len(self._ids) // self.context - 1)  # as many in every epoch, wherever the first begins
        begin = block * BLOCK * self.batch
        epochs = range(begin // each, (begin + BLOCK * self.batch - 1) // each + 1)
        self._epochs = {
            epoch: self._epochs[epoch] if epoch in self._epochs else self._epoch(epoch, each) for epoch in epochs
        }
        row = torch.cat([*self._epochs.values()])
        return row[begin - epochs[0] * each :][: BLOCK * self.batch]

    def _epoch(self, epoch: int, each: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
        room = min(self.context, len(self._ids) - each * self.context)
        offset = torch.randint(room, (1,), generator=generator)
        return offset + self.context * torch.randperm(each, generator=generator)


def _send(tensor: Tensor, to: Tensor) -> None:
    """Copy into a tensor without waiting for a GPU, which reads memory that is not written again before it has."""
    if to.device.type == "cuda":
        tensor = tensor.pin_memory()  # torch reuses it after the copy
    to.copy_(tensor, non_blocking=True)


def sweep(ids: Ids, context: int, rows: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Every token of ``ids`` but the first exactly once as a target, in windows of at most ``context``.

    Yields inputs and targets ``(rows or fewer, context)``; the last window is filled with target -100, which
    cross-entropy ignores.
    """
    span = rows * context
    for begin in range(0, len(ids) - 1, span):
        piece = torch.from_numpy(ids[begin : begin + span + 1].copy()).to(device).long()
        inputs, targets = piece[:-1], piece[1:]
        missing = -len(inputs) % context
        if missing:
            inputs = torch.nn.functional.pad(inputs, (0, missing), value=0)
            targets = torch.nn.functional.pad(targets, (0, missing), value=-100)
        yield inputs.view(-1, context), targets.view(-1, context)
