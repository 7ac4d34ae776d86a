"""Texts of different lengths through a model: token ids filled up to the longest, and batches that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

from engine.encoders.encode import BUDGETS, EncodeFailed
from engine.runs.events import Event, Notice
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    from torch import Tensor

_LOWERED: dict[str, int] = {}
"""tokens in a batch that the memory of a device took, until this process ends"""


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


class MicroBatches:
    """The texts of a training's batch through an encoder: all at once, or in as many passes as the memory asks for.

    Of a pass only its ids are kept: it is computed again for its gradient (Chen et al., 2016). So the loss is that of
    the whole batch, also where it compares the texts with each other; the dropout masks are others.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.texts = 0
        """at once; 0 for all of them"""
        self._most = 0

    def forward(self, model: Callable[[Tensor, Tensor], Tensor], ids: Sequence[Sequence[int]], pad: int = 0) -> Tensor:
        """What ``model`` makes of token ids and mask ``(texts, tokens)``: ``(len(ids), …)``, with its gradient."""
        import torch
        from torch.utils.checkpoint import checkpoint

        texts = min(self.texts or len(ids), len(ids))
        self._most = max(self._most, texts)
        filled, mask = padded(ids, self.device, pad)
        if texts == len(ids):
            return model(filled, mask)
        parts = zip(torch.split(filled, texts), torch.split(mask, texts), strict=True)
        return torch.cat([checkpoint(model, *part, use_reentrant=False) for part in parts])

    def halve(self) -> bool:
        """Take half of the texts at once from here on. False where there were none.

        Raises :class:`EncodeFailed` where it was one text already.
        """
        if self._most == 1:
            raise EncodeFailed(
                "there is not enough memory to train on a single text at a time: lower the length, name a smaller "
                "encoder or use --device cpu"
            )
        had_texts, self.texts, self._most = self._most > 0, -(-self._most // 2), 0
        return had_texts


def in_batches(
    model: Callable[[Tensor, Tensor], Tensor],
    ids: Sequence[Sequence[int]],
    device: str,
    control: Control | None,
    pad: int = 0,
) -> Generator[Event, None, Tensor]:
    """What ``model`` makes of token ids and mask ``(texts, tokens)``, without gradients: ``(len(ids), …)``, float32.

    As many texts at once as the device takes; where memory runs out, half of them, and so ever after in this process.
    Yields a :class:`Notice` then. Raises :class:`EncodeFailed` where there is no memory for a single text, and
    :class:`engine.runs.messages.Stopped`.
    """
    import torch

    from engine.device import autocast, kind_of, out_of_memory, release, send

    texts = ids or [[pad]]  # where there are none, for the shape
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    found: Tensor | None = None
    done = 0
    while done < len(order):
        longest = len(texts[order[done]])
        rows = order[done : done + max(1, _LOWERED.get(device, BUDGETS[kind_of(device)]) // longest)]
        try:
            with torch.inference_mode(), autocast(device):
                some = model(*padded([texts[row] for row in rows], device, pad)).float()
                if found is None:
                    found = torch.empty(len(texts), *some.shape[1:], device=device)
                found[send(torch.tensor(rows), device)] = some
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if len(rows) == 1:
                raise EncodeFailed("there is not enough memory for a single text: cut the texts shorter") from None
        else:
            done += len(rows)
            if control is not None:
                yield from handle_messages(control, done)
            continue
        release(device)
        _LOWERED[device] = len(rows) * longest // 2
        yield Notice(f"out of memory: going on with {_LOWERED[device]:,} tokens in a batch", "warning", "memory")
    assert found is not None
    return found[: len(ids)]
