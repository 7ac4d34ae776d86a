"""Llama and its relatives for decoding: rotary positions, RMS norms, SwiGLU, several queries to one key and value.

Computes what ``LlamaForCausalLM``, ``MistralForCausalLM`` without a window, ``Qwen2ForCausalLM`` and
``Qwen3ForCausalLM`` of ``transformers`` compute, with the interface of :class:`engine.gpt.model.GPT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.gpt.model import Cache

ROOM = 2048  # positions that a cache begins with, where the context is longer


@dataclass(frozen=True)
class LlamaConfig:
    """Shape of a model."""

    vocabulary: int
    layers: int
    heads: int
    """of queries"""
    groups: int
    """heads of keys and values, each of which serves ``heads / groups`` of queries"""
    head: int
    """width of one head"""
    width: int
    hidden: int
    """width of the MLP"""
    context: int
    tied: bool
    rotary_base: float
    epsilon: float
    qkv_bias: bool = False
    qk_norm: bool = False
    """RMS norm of queries and keys before they are turned"""

    def cache_size(self, each: int) -> int:
        """Bytes of the keys and values that a new cache has room for, of numbers of ``each`` bytes."""
        return 2 * self.layers * min(self.context, ROOM) * self.groups * self.head * each


def from_transformers(config: Mapping[str, Any]) -> LlamaConfig | None:
    """The shape that ``config.json`` describes; None where this network does not compute what it means."""
    kind = config.get("model_type")
    rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10000.0)}
    usual = {
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "use_sliding_window": False,
        "rope_scaling": None,
        "pretraining_tp": 1,
    }
    windowed = kind == "mistral" and config.get("sliding_window", 4096) is not None
    others = [layer for layer in config.get("layer_types") or () if layer != "full_attention"]
    if kind not in ("llama", "mistral", "qwen2", "qwen3") or windowed or others:
        return None
    if any(config.get(key, value) != value for key, value in usual.items()):
        return None
    if rope.get("rope_type", "default") != "default" or set(rope) - {"rope_type", "rope_theta"}:
        return None
    try:
        heads, width = config["num_attention_heads"], config["hidden_size"]
        return LlamaConfig(
            vocabulary=config["vocab_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            groups=config.get("num_key_value_heads") or heads,
            head=config.get("head_dim") or (128 if kind == "qwen3" else width // heads),
            width=width,
            hidden=config["intermediate_size"],
            context=config["max_position_embeddings"],
            tied=bool(config.get("tie_word_embeddings", False)),
            rotary_base=float(rope["rope_theta"]),
            epsilon=config.get("rms_norm_eps", 1e-6),
            qkv_bias=kind == "qwen2",
            qk_norm=kind == "qwen3",
        )
    except KeyError:  # a file that relies on the defaults of its class
        return None


class Block(nn.Module):
    """Attention and SwiGLU, each normed first and added to the residual stream. ``(batch, time, width)`` in and out."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        c, self.config = config.width, config
        self.norm_1 = nn.RMSNorm(c, config.epsilon)
        self.qkv = nn.Linear(c, (config.heads + 2 * config.groups) * config.head, bias=config.qkv_bias)
        if config.qk_norm:
            self.norm_q, self.norm_k = nn.RMSNorm(config.head, config.epsilon), nn.RMSNorm(config.head, config.epsilon)
        self.project = nn.Linear(config.heads * config.head, c, bias=False)
        self.norm_2 = nn.RMSNorm(c, config.epsilon)
        self.widen = nn.Linear(c, 2 * config.hidden, bias=False)
        self.narrow = nn.Linear(config.hidden, c, bias=False)

    def forward(
        self, x: Tensor, cache: tuple[Tensor, Tensor], position: int | Tensor, mask: Tensor | None, rotation: Tensor
    ) -> Tensor:
        config, (batch, time, _) = self.config, x.shape
        heads, groups = config.heads, config.groups
        qkv = self.qkv(self.norm_1(x)).view(batch, time, -1, config.head).transpose(1, 2)
        qk, v = torch.split(qkv, [heads + groups, groups], 1)
        if config.qk_norm:
            q, k = torch.split(qk, [heads, groups], 1)
            qk = torch.cat((self.norm_q(q), self.norm_k(k)), 1)
        q, k = torch.split(_rotated(qk, rotation), [heads, groups], 1)
        keys, values = cache
        if isinstance(position, Tensor):
            k, v = keys.index_copy_(2, position, k), values.index_copy_(2, position, v)
        else:
            end = position + time
            keys[:, :, position:end], values[:, :, position:end] = k, v
            k, v = keys[:, :, :end], values[:, :, :end]
        # The queries that share keys stand one after the other, as if they were later positions: nothing is copied.
        q = q.reshape(batch, groups, -1, config.head)
        mixed = functional.scaled_dot_product_attention(q, k, v, mask)
        mixed = mixed.reshape(batch, heads, time, config.head).transpose(1, 2).reshape(batch, time, -1)
        x = x + self.project(mixed)
        gate, up = self.widen(self.norm_2(x)).chunk(2, -1)
        out: Tensor = x + self.narrow(functional.silu(gate) * up)
        return out


class Llama(nn.Module):
    """Token ids ``(batch, time)`` to logits ``(batch, time, vocabulary)``."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, config.epsilon)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        if config.tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor, cache: Cache, position: int = 0, *, last: bool = False) -> Tensor:
        """Logits for ``ids`` that begin at ``position``; the cache must have room for them.

        ``last`` gives the logits of the last position alone: ``(batch, 1, vocabulary)``.
        """
        time, mask = ids.shape[1], None
        if time > 1:
            mask = torch.ones(time, position + time, dtype=torch.bool, device=ids.device).tril(position)
            mask = mask.repeat(self.config.heads // self.config.groups, 1)
        where = torch.arange(position, position + time, device=ids.device)
        return self._logits(ids, where, cache, position, mask, slice(-1, None) if last else slice(None))

    def step(self, ids: Tensor, cache: Cache, position: Tensor) -> Tensor:
        """As :meth:`engine.gpt.model.GPT.step`: over the whole cache, so that a graph of it can be replayed."""
        mask = torch.arange(cache[0][0].shape[2], device=ids.device)[None] <= position
        return self._logits(ids, position, cache, position, mask, slice(-1, None))

    def tree(self, ids: Tensor, positions: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
        """As :meth:`engine.gpt.model.GPT.tree`."""
        config, weight = self.config, self.tokens.weight
        keys, values = weight.new_empty(2, 1, config.groups, len(ids), config.head)
        mask = mask.repeat(config.heads // config.groups, 1)
        # No later forward needs them, so the blocks write their keys and values into the same place.
        return self._logits(ids[None], positions, [(keys, values)] * config.layers, 0, mask, rows)

    def _logits(
        self,
        ids: Tensor,
        where: Tensor,
        cache: Cache,
        position: int | Tensor,
        mask: Tensor | None,
        rows: slice | Tensor,
    ) -> Tensor:
        x, rotation = self.tokens(ids), self._rotation(where)
        for block, kept in zip(self.blocks, cache, strict=True):
            x = block(x, kept, position, mask, rotation)
        logits: Tensor = self.head(self.norm(x[:, rows]))
        return logits

    def _rotation(self, where: Tensor) -> Tensor:
        """Cosines and sines ``(2, time, half a head)`` of the angles at these positions."""
        config, weight = self.config, self.tokens.weight
        powers = torch.arange(0, config.head, 2, device=weight.device).float() / config.head
        angles = where[:, None].float() * config.rotary_base**-powers
        return torch.stack((angles.cos(), angles.sin())).to(weight.dtype)

    def new_cache(self, batch: int = 1, *, room: int = ROOM) -> Cache:
        """Space for the keys and values of ``room`` positions of each row, or of the context where that is shorter."""
        config, weight = self.config, self.tokens.weight
        shape = (batch, config.groups, min(room, config.context), config.head)
        return [(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks]


def renamed(theirs: Mapping[str, Tensor], config: LlamaConfig) -> dict[str, Tensor]:
    """Parameters of ``transformers`` under our names; what is computed from the same input stands in one matrix.

    Raises :class:`KeyError`.
    """
    ours = {"tokens.weight": theirs["model.embed_tokens.weight"], "norm.weight": theirs["model.norm.weight"]}
    ours["head.weight"] = ours["tokens.weight"] if config.tied else theirs["lm_head.weight"]
    parts = {
        "norm_1": ("input_layernorm",),
        "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "project": ("self_attn.o_proj",),
        "norm_2": ("post_attention_layernorm",),
        "widen": ("mlp.gate_proj", "mlp.up_proj"),
        "narrow": ("mlp.down_proj",),
    }
    if config.qk_norm:
        parts |= {"norm_q": ("self_attn.q_norm",), "norm_k": ("self_attn.k_norm",)}
    for number in range(config.layers):
        for name, their in parts.items():
            for kind in ("weight", "bias") if name == "qkv" and config.qkv_bias else ("weight",):
                found = [theirs[f"model.layers.{number}.{one}.{kind}"] for one in their]
                ours[f"blocks.{number}.{name}.{kind}"] = torch.cat(found) if len(found) > 1 else found[0]
    return ours


def _rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """``x`` ``(..., time, head)``: the ``i``-th number of each half, as a pair, turned by the ``i``-th angle."""
    cosines, sines = rotation
    one, other = x.chunk(2, -1)
    return torch.cat((one * cosines - other * sines, other * cosines + one * sines), -1)
