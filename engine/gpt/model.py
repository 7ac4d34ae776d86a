"""A decoder-only transformer: the GPT of Karpathy's "Let's build GPT" and, by its switches, GPT-2's architecture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.gpt.config import GPTConfig

Cache = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Pre-norm attention and MLP, each added to the residual stream. ``(batch, time, width)`` in and out."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        c = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.activation = functional.relu if config.activation == "relu" else _gelu
        self.norm_1 = nn.LayerNorm(c)
        self.qkv = nn.Linear(c, 3 * c, bias=config.qkv_bias)
        self.project = nn.Linear(c, c)
        self.norm_2 = nn.LayerNorm(c)
        self.widen = nn.Linear(c, 4 * c)
        self.narrow = nn.Linear(4 * c, c)

    def forward(
        self, x: Tensor, cache: tuple[Tensor, Tensor] | None, position: int | Tensor, mask: Tensor | None
    ) -> Tensor:
        batch, time, c = x.shape
        q, k, v = self.qkv(self.norm_1(x)).view(batch, time, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        if cache is not None and isinstance(position, Tensor):
            keys, values = cache
            k, v = keys.index_copy_(2, position, k), values.index_copy_(2, position, v)
        elif cache is not None:
            keys, values = cache
            keys[:, :, position : position + time] = k
            values[:, :, position : position + time] = v
            k, v = keys[:, :, : position + time], values[:, :, : position + time]
        # Without a mask, a single new token sees everything before it, and a longer piece begins at position 0.
        mixed = functional.scaled_dot_product_attention(
            q, k, v, mask, is_causal=time > 1 and mask is None, dropout_p=self.dropout if self.training else 0.0
        )
        mixed = mixed.transpose(1, 2).reshape(batch, time, c)
        x = x + self._drop(self.project(mixed))
        return x + self._drop(self.narrow(self.activation(self.widen(self.norm_2(x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x


class GPT(nn.Module):
    """Token ids ``(batch, time)`` to logits ``(batch, time, vocabulary)``."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary, bias=config.head_bias)
        if config.tied:
            self.head.weight = self.tokens.weight
        self.apply(self._initialise)
        if config.activation == "gelu":  # GPT-2 shrinks what is added to the residual stream; the video does not
            for name, parameter in self.named_parameters():
                if name.endswith(("project.weight", "narrow.weight")):
                    nn.init.normal_(parameter, std=0.02 / (2 * config.layers) ** 0.5)

    def forward(self, ids: Tensor, cache: Cache | None = None, position: int = 0, *, last: bool = False) -> Tensor:
        """Logits for ``ids`` that begin at ``position``. With a ``cache`` the keys and values before it are reused.

        ``last`` gives the logits of the last position alone: ``(batch, 1, vocabulary)``.
        """
        time = ids.shape[1]
        if position + time > self.config.context:
            raise ValueError(f"position {position + time} lies beyond the context of {self.config.context}")
        mask = None
        if time > 1 and position:  # a later piece sees all before it and, of itself, what is not ahead
            mask = torch.ones(time, position + time, dtype=torch.bool, device=ids.device).tril(position)
        return self._logits(ids, self.positions.weight[position : position + time], cache, position, mask, last)

    def step(self, ids: Tensor, cache: Cache, position: Tensor) -> Tensor:
        """Logits ``(batch, 1, vocabulary)`` for one more id ``(batch, 1)`` at ``position`` ``(1,)``, kept as a tensor.

        The same as :meth:`forward`, with nothing in it that depends on where it is, so that a graph of it can be
        captured and replayed; the price is that it attends over the whole cache.
        """
        mask = torch.arange(self.config.context, device=ids.device)[None] <= position
        return self._logits(ids, self.positions.weight[position], cache, position, mask, True)

    def _logits(
        self,
        ids: Tensor,
        places: Tensor,
        cache: Cache | None,
        position: int | Tensor,
        mask: Tensor | None,
        last: bool,
    ) -> Tensor:
        x = self.tokens(ids) + places
        if self.config.activation == "gelu" and self.config.dropout and self.training:
            x = functional.dropout(x, self.config.dropout, True)
        for index, block in enumerate(self.blocks):
            x = block(x, cache[index] if cache is not None else None, position, mask)
        logits: Tensor = self.head(self.norm(x[:, -1:] if last else x))
        return logits

    def loss(self, inputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy in nats; targets of -100 do not count. Logits are compared in float32."""
        logits = self(inputs).flatten(0, 1).float()
        return functional.cross_entropy(logits, targets.flatten(), ignore_index=-100, reduction=reduction)

    def new_cache(self, batch: int = 1) -> Cache:
        """Room for the keys and values of a whole context."""
        config = self.config
        shape = (batch, config.heads, config.context, config.width // config.heads)
        where: dict[str, Any] = {"device": self.tokens.weight.device, "dtype": self.tokens.weight.dtype}
        return [(torch.zeros(shape, **where), torch.zeros(shape, **where)) for _ in self.blocks]

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _gelu(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")
