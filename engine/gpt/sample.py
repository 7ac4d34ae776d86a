"""Sampling from the project's own GPT, token by token with a key-value cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.gpt.model import GPT


def sample(
    model: GPT,
    prompt: list[int],
    length: int,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int = 0,
) -> Iterator[Tensor]:
    """Yield ``length`` token ids as tensors of shape ``(1, 1)`` on the model's device, without waiting for it.

    ``prompt`` must not be empty; its last ``context`` tokens count. When the context is full the last half is fed
    again at the beginning, since learned positions cannot slide. ``temperature`` 0 is greedy, ``top_k`` 0 keeps all.
    ``generator`` lives on the model's device.
    """
    context = model.config.context
    device = model.tokens.weight.device
    kept: list[Tensor] = [torch.tensor([prompt[-context:]], device=device)]
    cache = model.new_cache()
    position = 0
    feed = kept[0]
    for _ in range(length):
        with torch.inference_mode():
            if position + feed.shape[1] > context:
                feed = torch.cat(kept, 1)[:, -max(1, context // 2) :]
                kept, position = [feed], 0
            logits = model(feed, cache, position)[:, -1].float()
            position += feed.shape[1]
            feed = choose(logits, generator, temperature, top_k)
            kept.append(feed)
        yield feed


def choose(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int) -> Tensor:
    """One token id ``(1, 1)`` from ``logits`` ``(1, vocabulary)``."""
    if temperature <= 0:
        return logits.argmax(-1, keepdim=True)
    logits = logits / temperature
    if 0 < top_k < logits.shape[-1]:
        values, ids = logits.topk(top_k)
        picked = torch.multinomial(values.softmax(-1), 1, generator=generator)
        return ids.gather(-1, picked)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)
