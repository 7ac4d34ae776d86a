"""Shape of a GPT and what it costs, by arithmetic: no tensor library is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NANOCHAT: Mapping[str, Any] = {
    "activation": "relu2",
    "qkv_bias": False,
    "head_bias": False,
    "bias": False,
    "positions": "rotary",
    "norm": "rms",
    "qk_norm": True,
    "embedding_norm": True,
    "attention_scale": 0.0,
}
_ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu": "gelu_erf", "relu": "relu"}


@dataclass(frozen=True)
class GPTConfig:
    """Shape of a model. The defaults of the switches are GPT-2's.

    :data:`NANOCHAT` holds those of nanochat, which ``transformers`` knows as ``NanoChatForCausalLM``.
    """

    vocabulary: int
    layers: int
    heads: int
    width: int
    context: int
    dropout: float = 0.0
    activation: str = "gelu"
    """``gelu`` (GPT-2's tanh form), ``gelu_erf`` (the exact one), ``relu`` or ``relu2``, its square"""
    tied: bool = True
    """the head shares its matrix with the token embedding"""
    qkv_bias: bool = True
    head_bias: bool = False
    bias: bool = True
    """of the blocks' other linear layers: output projections and MLP"""
    positions: str = "learned"
    """``learned`` (an embedding) or ``rotary`` (queries and keys are turned by their position)"""
    rotary_base: float = 10000.0
    norm: str = "layer"
    """``layer`` or ``rms``, which has no weights"""
    qk_norm: bool = False
    """RMS norm of queries and keys, after they were turned"""
    embedding_norm: bool = False
    attention_scale: float = 0.0
    """factor of the products of queries and keys; 0 is 1/√(size of a head)"""
    soft_cap: float = 0.0
    """bound of the logits ``z``: ``cap * tanh(z / cap)``; 0 is none"""
    zero_outputs: bool = False
    """output projections and an untied head begin at zero, other matrices uniform"""

    def parameters(self) -> int:
        """Number of trainable numbers, by counting; no model is built."""
        c = self.width
        biases = (3 * c if self.qkv_bias else 0) + (6 * c if self.bias else 0)
        norm = 2 * c if self.norm == "layer" else 0
        head = (0 if self.tied else self.vocabulary * c) + (self.vocabulary if self.head_bias else 0)
        places = self.context * c if self.positions == "learned" else 0
        return self.vocabulary * c + places + self.layers * (12 * c * c + biases + 2 * norm) + norm + head

    def flops_per_token(self) -> float:
        """Floating point operations to train on one token, forward and backward.

        6 per parameter that multiplies (embedding look-ups do not) and 12 * layers * width * context for attention
        (Chowdhery et al. 2022, PaLM, appendix B).
        """
        c = self.width
        multiplied = self.layers * 12 * c * c + self.vocabulary * c
        return 6.0 * multiplied + 12.0 * self.layers * c * self.context

    def cache_size(self, each: int) -> int:
        """Bytes of the keys and values of a whole context, of numbers of ``each`` bytes."""
        return 2 * self.layers * self.context * self.width * each

    def training_memory(self, batch: int) -> int:
        """Bytes that training needs, estimated: what is certain plus what a block keeps for the backward pass.

        Certain: float32 weights, gradients, two AdamW moments and the copy that samples are taken from (20 bytes a
        parameter). Kept for each token: about 18 widths and two rows of attention weights a block (GELU and dropout
        masks included; measured on this code), and three rows of logits.
        """
        c = self.width
        attention = 0 if self.dropout == 0 else 3 * self.heads * self.context
        per_token = self.layers * (18 * c + attention) + 3 * self.vocabulary
        return 20 * self.parameters() + batch * self.context * per_token * 4


def to_transformers(shape: GPTConfig) -> dict[str, Any] | None:
    """What ``config.json`` of ``transformers`` says of a shape of GPT-2 or nanochat; None for another."""
    common: dict[str, Any] = {"vocab_size": shape.vocabulary, "tie_word_embeddings": shape.tied}
    common |= {"bos_token_id": None, "eos_token_id": None}
    if all(getattr(shape, name) == value for name, value in NANOCHAT.items()):
        return {
            "architectures": ["NanoChatForCausalLM"],
            "model_type": "nanochat",
            "hidden_size": shape.width,
            "intermediate_size": 4 * shape.width,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "max_position_embeddings": shape.context,
            "hidden_act": "relu2",
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": shape.rotary_base},
            "final_logit_softcapping": shape.soft_cap or None,
            "attention_bias": False,
            "pad_token_id": None,
            **common,
        }
    others = shape.qk_norm or shape.embedding_norm or shape.attention_scale or shape.soft_cap
    if others or (shape.positions, shape.norm) != ("learned", "layer") or shape.activation == "relu2":
        return None
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_positions": shape.context,
        "n_embd": shape.width,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "activation_function": {"gelu": "gelu_new", "gelu_erf": "gelu"}.get(shape.activation, shape.activation),
        "layer_norm_epsilon": 1e-5,
        **common,
    }


def from_transformers(config: Mapping[str, Any]) -> GPTConfig | None:
    """The shape that ``config.json`` describes; None where this GPT does not compute what it means."""
    return _from_nanochat(config) if config.get("model_type") == "nanochat" else _from_gpt2(config)


def _from_gpt2(config: Mapping[str, Any]) -> GPTConfig | None:
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


def _from_nanochat(config: Mapping[str, Any]) -> GPTConfig | None:
    width, heads = config.get("hidden_size", 768), config.get("num_attention_heads", 6)
    rotary = config.get("rope_parameters") or {}
    usual: dict[str, Any] = {
        "intermediate_size": 4 * width,
        "num_key_value_heads": heads,
        "hidden_act": "relu2",
        "rms_norm_eps": 1e-6,
        "attention_bias": False,
    }
    if any(config.get(key) != value for key, value in usual.items()):
        return None
    if rotary.get("rope_type") != "default" or set(rotary) - {"rope_type", "rope_theta"}:
        return None
    return GPTConfig(
        vocabulary=config.get("vocab_size", 50304),
        layers=config.get("num_hidden_layers", 12),
        heads=heads,
        width=width,
        context=config.get("max_position_embeddings", 2048),
        tied=bool(config.get("tie_word_embeddings", False)),
        rotary_base=float(rotary.get("rope_theta", 10000.0)),
        soft_cap=float(config.get("final_logit_softcapping", 15.0) or 0.0),
        **NANOCHAT,
    )
