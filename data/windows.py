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
    """Random windows of ``context + 1`` consecutive tokens.

    An in-memory corpus is put on ``device`` once (as its small integer type) and indexed there. A memory-mapped
    one is gathered on the host and sent batch by batch.
    """

    def __init__(self, ids: Ids, context: int, batch: int, seed: int, device: torch.device) -> None:
        if len(ids) < context + 1:
            raise ValueError(f"{len(ids):,} characters are too few for a context of {context}")
        self._mapped = hasattr(ids, "filename")
        self._ids = ids
        self._data = None if self._mapped else torch.from_numpy(ids.copy()).to(device)
        self._reach = torch.arange(context + 1, device="cpu" if self._mapped else device)
        self._starts = torch.empty(0)
        self._block = -1
        self.context, self.batch, self.seed, self.device = context, batch, seed, device

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of ``step`` (0-based), each ``(batch, context)`` of int64 on the device."""
        block, row = divmod(step, BLOCK)
        if block != self._block:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "windows", block))
            starts = torch.randint(len(self._ids) - self.context, (BLOCK, self.batch, 1), generator=generator)
            self._starts = starts if self._mapped else starts.to(self.device, non_blocking=True)
            self._block = block
        where = self._starts[row] + self._reach
        if self._data is not None:
            tokens = self._data[where].long()
        else:
            tokens = torch.from_numpy(self._ids[where.numpy()]).long().to(self.device, non_blocking=True)
        return tokens[:, :-1], tokens[:, 1:]


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
