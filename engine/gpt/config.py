"""Shape of a GPT and what it costs, by arithmetic: no tensor library is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu"}


@dataclass(frozen=True)
class GPTConfig:
    """Shape of a model. The defaults of the switches are GPT-2's."""

    vocabulary: int
    layers: int
    heads: int
    width: int
    context: int
    dropout: float = 0.0
    activation: str = "gelu"
    """``gelu`` (GPT-2's tanh form) or ``relu``"""
    tied: bool = True
    """the head shares its matrix with the token embedding"""
    qkv_bias: bool = True
    head_bias: bool = False

    def parameters(self) -> int:
        """Number of trainable numbers, by counting; no model is built."""
        c = self.width
        attention = 3 * c * c + (3 * c if self.qkv_bias else 0) + c * c + c
        mlp = 4 * c * c + 4 * c + 4 * c * c + c
        block = attention + mlp + 4 * c
        head = (0 if self.tied else self.vocabulary * c) + (self.vocabulary if self.head_bias else 0)
        return (self.vocabulary + self.context) * c + self.layers * block + 2 * c + head

    def flops_per_token(self) -> float:
        """Floating point operations to train on one token, forward and backward.

        6 per parameter that multiplies (embedding look-ups do not) and 12 * layers * width * context for attention
        (Chowdhery et al. 2022, PaLM, appendix B).
        """
        c = self.width
        multiplied = self.layers * 12 * c * c + self.vocabulary * c
        return 6.0 * multiplied + 12.0 * self.layers * c * self.context

    def training_memory(self, batch: int, bytes_per_activation: int = 4) -> int:
        """Bytes that training needs, estimated: what is certain plus what a block keeps for the backward pass.

        Certain: float32 weights, gradients, two AdamW moments and the copy that samples are taken from (20 bytes a
        parameter). Kept for each token: about 18 widths and two rows of attention weights a block (GELU and dropout
        masks included; measured on this code), and three rows of logits.
        """
        c = self.width
        attention = 0 if self.dropout == 0 else 3 * self.heads * self.context
        per_token = self.layers * (18 * c + attention) + 3 * self.vocabulary
        return 20 * self.parameters() + batch * self.context * per_token * bytes_per_activation


def from_gpt2(config: Mapping[str, Any]) -> GPTConfig | None:
    """The shape that ``config.json`` of a GPT-2 describes; None where this GPT does not compute what it means."""
    usual: dict[str, Any] = {
        "model_type": "gpt2",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "add_cross_attention": False,
        "layer_norm_epsilon": 1e-5,
    }
    if any(config.get(key, value) != value for key, value in usual.items()):
        return None
    width = config.get("n_embd", 768)
    activation = _ACTIVATIONS.get(config.get("activation_function", "gelu_new"))
    if activation is None or config.get("n_inner") not in (None, 4 * width):
        return None
    return GPTConfig(
        vocabulary=config.get("vocab_size", 50257),
        layers=config.get("n_layer", 12),
        heads=config.get("n_head", 12),
        width=width,
        context=config.get("n_positions", 1024),
        activation=activation,
        tied=bool(config.get("tie_word_embeddings", True)),
    )
