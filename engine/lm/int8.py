"""Weights in eight bits: each row of a matrix as whole numbers from -127 to 127 and one scale.

Only weights are rounded; what flows between the layers goes into the product as bfloat16 and comes out the same. A
token then reads a quarter of the bytes. The embedding stays as it is: only one of its rows is read for a token.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import resources

import torch
from torch import Tensor, nn

from engine.gpt.model import GPT
from engine.lm.model import Facts, LanguageModel, OwnModel
from engine.tokenization.encoding import Tokenizer

SCORED = 128  # tokens of the fixed text whose log-probabilities are compared
WIDE = 32  # the product reads beyond a row whose length is no multiple of this: such a layer stays as it is
STEPS = 8  # tokens decoded to compare the speed


class Int8Linear(nn.Module):
    """A linear layer of rounded weights. ``(..., in)`` to ``(..., out)``, float32 in and out.

    ``in`` must be a multiple of ``WIDE``; :class:`ValueError` otherwise.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        if layer.in_features % WIDE:
            raise ValueError(f"{layer.in_features} is no multiple of {WIDE}")
        weight = layer.weight.detach().float()
        largest = weight.abs().amax(1, keepdim=True).clamp(min=1e-12)
        scale = (largest / 127).bfloat16()  # the rows are rounded by the scale as it is stored
        rounded = (weight / scale.float()).round().clamp(-127, 127).to(torch.int8)
        self.weight: Tensor
        self.scale: Tensor
        self.register_buffer("weight", rounded.contiguous())
        self.register_buffer("scale", scale[:, 0].contiguous())
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1]).bfloat16()
        product = torch._weight_int8pack_mm(flat, self.weight, self.scale).float()
        if self.bias is not None:
            product += self.bias
        return product.view(*x.shape[:-1], -1)


@dataclass(frozen=True)
class Effect:
    """What the rounding did, measured when the model was loaded."""

    difference: float
    """mean absolute difference of log-probabilities on a fixed text, nats a token"""
    tokens: int
    speed: float
    """tokens per second over those of float32"""
    bytes_before: int
    bytes_after: int

    def explain(self) -> str:
        """One line for the user."""
        return (
            f"int8 weights: {self.bytes_after / 2**20:,.0f} MiB instead of {self.bytes_before / 2**20:,.0f}, "
            f"{self.speed:.2f} times the tokens per second of float32 here; log-probabilities of {self.tokens} tokens "
            f"of a fixed text differ by {self.difference:.4f} nats on average"
        )


def quantised(facts: Facts, gpt: GPT) -> tuple[OwnModel, Effect]:
    """The model with the linear layers of ``gpt`` rounded, in place, and what that did. CPU and float32 only."""
    plain = OwnModel(facts, gpt)
    size = plain.bytes
    ids = fixed_text(plain.tokenizer, min(SCORED, plain.context - STEPS), plain.vocabulary)
    before, slow = _measure(plain, ids)
    _replace(gpt)
    model = OwnModel(facts, gpt)
    model.precision = "int8 weights"
    after, fast = _measure(model, ids)
    return model, Effect(float((before - after).abs().mean()), len(ids) - 1, slow / fast, size, model.bytes)


def fixed_text(tokenizer: Tokenizer, length: int, vocabulary: int) -> list[int]:
    """The first tokens of the bundled verse, those that the model has."""
    text = resources.files("data").joinpath("bundled", "dantesque.txt").read_text("utf-8")
    return [token for token in tokenizer.encode(text[: 8 * length]).ids if 0 <= token < vocabulary][:length]


def _measure(model: LanguageModel, ids: list[int]) -> tuple[Tensor, float]:
    """Log-probabilities of ``ids[1:]``, and the seconds of the fastest step after them."""
    logits = model.feed(ids, every=True)
    logprobs = logits[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    times = []
    for _ in range(STEPS):
        begun = time.perf_counter()
        model.feed(ids[:1])
        times.append(time.perf_counter() - begun)
    model.forget()
    return logprobs, min(times)


def _replace(module: nn.Module) -> None:
    for name, layer in list(module.named_children()):
        if isinstance(layer, nn.Linear):
            if layer.in_features % WIDE:
                continue
            setattr(module, name, Int8Linear(layer))
        else:
            _replace(layer)
