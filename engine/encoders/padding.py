"""Texts of different lengths side by side: token ids filled up to the longest, and batches that fill up little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from engine.encoders.encode import BUDGETS

if TYPE_CHECKING:
    from torch import Tensor


def padded(ids: Sequence[Sequence[int]], device: str, pad: int = 0) -> tuple[Tensor, Tensor]:
    """Token ids, filled up with ``pad``, and their mask, both ``(len(ids), longest)`` and int64."""
    import torch

    from engine.device import send

    longest = max(map(len, ids))
    filled = torch.full((len(ids), longest), pad, dtype=torch.long)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for row, one in enumerate(ids):
        filled[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    return send(filled, device), send(mask, device)


def by_length(ids: Sequence[Sequence[int]], device: str) -> Iterator[list[int]]:
    """Rows of one batch after another, the longest first, as many at once as the device takes without gradients."""
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    budget, start = BUDGETS[device.partition(":")[0]], 0
    while start < len(order):
        rows = order[start : start + max(1, budget // len(ids[order[start]]))]
        yield rows
        start += len(rows)
