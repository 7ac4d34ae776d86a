"""A decoder-only transformer: the GPT of Karpathy's "Let's build GPT" and, by its switches, GPT-2's and nanochat's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.gpt.config import GPTConfig

Cache = list[tuple[Tensor, Tensor]]
Rotation = tuple[Tensor, Tensor]
"""cosines and sines of the angles of each position, ``(time, half a head)``"""
EPSILON = 1e-6  # of an RMS norm


class Block(nn.Module):
    """Pre-norm attention and MLP, each added to the residual stream. ``(batch, time, width)`` in and out."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        c = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.activation = _ACTIVATIONS[config.activation]
        self.qk_norm, self.scale = config.qk_norm, config.attention_scale or None
        self.norm_1 = _norm(config)
        self.qkv = nn.Linear(c, 3 * c, bias=config.qkv_bias)
        self.project = nn.Linear(c, c, bias=config.bias)
        self.norm_2 = _norm(config)
        self.widen = nn.Linear(c, 4 * c, bias=config.bias)
        self.narrow = nn.Linear(4 * c, c, bias=config.bias)

    def forward(
        self,
        x: Tensor,
        cache: tuple[Tensor, Tensor] | None,
        position: int | Tensor,
        mask: Tensor | None,
        rotation: Rotation | None,
    ) -> Tensor:
        batch, time, c = x.shape
        qkv = self.qkv(self.norm_1(x)).view(batch, time, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        if rotation is None and not self.qk_norm:
            q, k, v = qkv
        else:
            qk, (v,) = qkv.split((2, 1))
            if rotation is not None:
                qk = _rotated(qk, rotation)
            if self.qk_norm:
                qk = functional.rms_norm(qk, qk.shape[-1:], eps=EPSILON)
            q, k = qk.to(v.dtype)
        if cache is not None and isinstance(position, Tensor):
            keys, values = cache
            k, v = keys.index_copy_(2, position, k), values.index_copy_(2, position, v)
        elif cache is not None:
            keys, values = cache
            keys[:, :, position : position + time] = k
            values[:, :, position : position + time] = v
            k, v = keys[:, :, : position + time], values[:, :, : position + time]
        # Without a mask, a single new token sees everything before it, and a longer piece begins at position 0.
        mixed = _attend(q, k, v, mask, time > 1 and mask is None, self.dropout if self.training else 0.0, self.scale)
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
        if config.positions == "learned":
            self.positions = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = _norm(config)
        self.head = nn.Linear(config.width, config.vocabulary, bias=config.head_bias)
        if config.tied:
            self.head.weight = self.tokens.weight
        self.apply(self._initialise)
        if config.activation == "gelu":  # GPT-2 shrinks what is added to the residual stream; the video does not
            for name, parameter in self.named_parameters():
                if name.endswith(("project.weight", "narrow.weight")):
                    nn.init.normal_(parameter, std=0.02 / (2 * config.layers) ** 0.5)
        if config.zero_outputs:
            for name, parameter in self.named_parameters():
                if name.endswith(("project.weight", "narrow.weight", "head.weight")):
                    nn.init.zeros_(parameter)
                elif parameter.dim() == 2:
                    nn.init.uniform_(parameter, -(bound := 0.7 * (3 / config.width) ** 0.5), bound)

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
        rows = slice(-1, None) if last else slice(None)
        return self._logits(ids, slice(position, position + time), cache, position, mask, rows)

    def step(self, ids: Tensor, cache: Cache, position: Tensor) -> Tensor:
        """Logits ``(batch, 1, vocabulary)`` for one more id ``(batch, 1)`` at ``position`` ``(1,)``, kept as a tensor.

        The same as :meth:`forward`, with nothing in it that depends on where it is, so that a graph of it can be
        captured and replayed; the price is that it attends over the whole cache.
        """
        mask = torch.arange(cache[0][0].shape[2], device=ids.device)[None] <= position
        return self._logits(ids, position, cache, position, mask, slice(-1, None))

    def tree(self, ids: Tensor, positions: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
        """Logits ``(1, rows, vocabulary)`` at ``rows`` of the nodes of a tree, ``ids`` and ``positions`` ``(nodes,)``.

        ``mask`` ``(nodes, nodes)`` is true where a node attends to another.
        """
        return self._logits(ids[None], positions, None, 0, mask, rows)

    def _logits(
        self,
        ids: Tensor,
        where: slice | Tensor,
        cache: Cache | None,
        position: int | Tensor,
        mask: Tensor | None,
        rows: slice | Tensor,
    ) -> Tensor:
        x, rotation = self.tokens(ids), None
        if self.config.positions == "learned":
            x = x + self.positions.weight[where]
        else:
            rotation = self._rotation(where)
        if self.config.embedding_norm:
            x = functional.rms_norm(x, x.shape[-1:], eps=EPSILON)
        if self.config.activation == "gelu" and self.config.dropout and self.training:
            x = functional.dropout(x, self.config.dropout, True)
        for index, block in enumerate(self.blocks):
            x = block(x, cache[index] if cache is not None else None, position, mask, rotation)
        logits: Tensor = self.head(self.norm(x[:, rows]))
        if cap := self.config.soft_cap:
            exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
            logits = cap * torch.tanh(exact / cap)
        return logits

    def _rotation(self, where: slice | Tensor) -> Rotation:
        """How far queries and keys are turned at these positions, computed anew each time: no tensor to look after."""
        config, device = self.config, self.tokens.weight.device
        size = config.width // config.heads
        slowness = config.rotary_base ** (torch.arange(0, size, 2, device=device).float() / size)
        angles = torch.arange(config.context, device=device)[where, None] / slowness
        return angles.cos(), angles.sin()

    def loss(self, inputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy in nats; targets of -100 do not count. Logits are compared in float32."""
        logits = self(inputs).flatten(0, 1).float()
        return functional.cross_entropy(logits, targets.flatten(), ignore_index=-100, reduction=reduction)

    def new_cache(self, batch: int = 1, *, room: int = 0) -> Cache:
        """Space for the keys and values of ``room`` positions of each row; 0 is the whole context."""
        config = self.config
        shape = (batch, config.heads, room or config.context, config.width // config.heads)
        where: dict[str, Any] = {"device": self.tokens.weight.device, "dtype": self.tokens.weight.dtype}
        return [(torch.zeros(shape, **where), torch.zeros(shape, **where)) for _ in self.blocks]

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(config: GPTConfig) -> nn.Module:
    if config.norm == "layer":
        return nn.LayerNorm(config.width)
    return nn.RMSNorm(config.width, eps=EPSILON, elementwise_affine=False)


def _rotated(x: Tensor, rotation: Rotation) -> Tensor:
    """``x`` ``(..., time, head)``: the pair of number ``i`` in each half turned backwards by the ``i``-th angle."""
    cosines, sines = rotation
    one, other = x.chunk(2, -1)
    return torch.cat((one * cosines + other * sines, other * cosines - one * sines), -1)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, dropout: float, scale: float | None
) -> Tensor:
    """Attention ``(batch, heads, time, head)``; on a CPU always in float32, whose kernel is much the faster one."""
    if q.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return _attend(q.float(), k.float(), v.float(), mask, causal, dropout, scale)
    return functional.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, dropout_p=dropout, scale=scale)


def _relu2(x: Tensor) -> Tensor:
    positive = functional.relu(x)
    return positive * positive  # in the precision of x also under autocast, which a power is not


def _gelu(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": _gelu,
    "gelu_erf": functional.gelu,
    "relu": functional.relu,
    "relu2": _relu2,
}
