"""Sampling from the project's own GPT, token by token, and samples during training within a share of its time."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from data.windows import derive_seed
from engine.device import threads
from engine.gpt.model import GPT

SHARE = 0.03  # of the training time, for scheduled samples
SHARE_ASKED = 0.15  # for requested samples


def sample(
    model: GPT,
    prompt: list[int],
    length: int,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
) -> Iterator[Tensor]:
    """Yield ``length`` token ids as tensors of shape ``(1, 1)`` on the model's device, without waiting for it.

    ``prompt`` must not be empty; its last ``context`` tokens count. When the context is full the last half is fed
    again at the beginning, since learned positions cannot slide. ``temperature`` 0 is greedy.
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
            feed = choose(logits, generator, temperature)
            kept.append(feed)
        yield feed


def choose(logits: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
    """One token id ``(1, 1)`` from ``logits`` ``(1, vocabulary)``."""
    if temperature <= 0:
        return logits.argmax(-1, keepdim=True)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)


@dataclass(frozen=True)
class Request:
    """A sample to be taken from the weights of ``step``. ``ident`` names it, ``asked`` says that a user waits."""

    step: int
    ident: str
    prompt: str
    ids: list[int]
    length: int
    asked: bool


class Sampler:
    """Takes one sample after the other. What it draws depends on seed and sample alone, not on when it is called."""

    def __init__(self, model: GPT, seed: int, temperature: float) -> None:
        self._source, self._seed, self._temperature = model, seed, temperature
        self._copy: GPT | None = None
        self._stream: Iterator[Tensor] | None = None
        self._left = 0
        self._credit = 0.0
        self.current: Request | None = None

    def begin(self, request: Request) -> None:
        """Start a sample from the weights as they are; none may be under way."""
        self.current, self._left, self._credit = request, request.length, 0.0
        if self._copy is None:
            self._copy = copy.deepcopy(self._source).eval()
        with torch.no_grad():
            torch._foreach_copy_(list(self._copy.parameters()), list(self._source.parameters()))
        device = self._copy.tokens.weight.device
        generator = torch.Generator(device).manual_seed(derive_seed(self._seed, "sample", request.ident))
        self._stream = sample(
            self._copy, request.ids, request.length, generator=generator, temperature=self._temperature
        )

    def spend(self, seconds: float) -> Iterator[Tensor]:
        """Decode for the sample's share of ``seconds`` of training; yields ids ``(1, 1)`` on the device."""
        if self.current is None:
            return
        self._credit += seconds * (SHARE_ASKED if self.current.asked else SHARE)
        while self._credit > 0 and self._left:
            begun = time.perf_counter()
            yield self._next()
            self._credit -= time.perf_counter() - begun

    def drain(self) -> Iterator[Tensor]:
        """Decode the sample under way to its end."""
        while self._left:
            yield self._next()

    def finished(self) -> bool:
        """Whether every token of the sample under way has been decoded."""
        return self.current is not None and self._left == 0

    def close(self) -> None:
        """Let go of the sample under way."""
        self.current, self._stream, self._left = None, None, 0

    def drop(self) -> None:
        """Let go of the sample under way and of the copy of the weights, after memory ran out."""
        self.close()
        self._copy = None

    def _next(self) -> Tensor:
        assert self._stream is not None
        self._left -= 1
        with threads(1):
            return next(self._stream)
