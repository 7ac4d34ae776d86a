"""Small GGUF files, written as llama.cpp's converter writes them: its names, its order of rows, its norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tinylm import END, VOCABULARY

LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
AROUND = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
}
FOUR_NORMS = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def named(name: str, architecture: str) -> str:
    """llama.cpp's name of a tensor of ``transformers``."""
    stem, _, suffix = name.rpartition(".")
    if stem in AROUND:
        return f"{AROUND[stem]}.{suffix}"
    _, _, number, part = stem.split(".", 3)
    four = FOUR_NORMS if architecture in ("gemma2", "gemma3") else {}
    return f"blk.{number}.{four.get(part) or LAYER[part]}.{suffix}"


def permuted(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of Llama's queries or keys in llama.cpp's order: the halves of each head become pairs, one row at a time."""
    size = len(weight) // heads
    rows = []
    for head in range(heads):
        for place in range(size // 2):
            rows += [weight[head * size + place], weight[head * size + size // 2 + place]]
    return np.array(rows)


def write(
    file: Path,
    architecture: str,
    model: Any,
    fields: Mapping[str, Any],
    tokens: Mapping[str, Any] | None = None,
    quantised: Callable[[str], bool] = lambda name: False,
    parts: int = 1,
) -> None:
    """Write a model of ``transformers``; matrices for which ``quantised`` holds in Q4_1, the others as float32."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(file, architecture)
    for name, value in fields.items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        (writer.add_string if isinstance(value, str) else add)(f"{architecture}.{name}", value)
    writer.add_uint16("split.count", parts)
    write_tokens(writer, **(tokens or {}))
    tied = model.config.tie_word_embeddings
    for name, tensor in model.state_dict().items():
        weight, theirs = tensor.float().numpy(), named(name, architecture)
        if tied and name == "lm_head.weight":
            continue
        if architecture == "llama" and ".attn_q." in theirs:
            weight = permuted(weight, model.config.num_attention_heads)
        if architecture == "llama" and ".attn_k." in theirs:
            weight = permuted(weight, model.config.num_key_value_heads)
        if architecture.startswith("gemma") and theirs.endswith("norm.weight"):
            weight = weight + 1
        if architecture == "gpt2" and theirs.startswith("blk.") and weight.ndim == 2:
            weight = weight.T
        weight = np.ascontiguousarray(weight, np.float32)
        if quantised(theirs):
            kind = GGMLQuantizationType.Q4_1
            writer.add_tensor(theirs, quantize(weight, kind), raw_dtype=kind)
        else:
            writer.add_tensor(theirs, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tokens(writer: Any, pre: str = "gpt-2", bos: bool = False, template: str = "") -> None:
    """A byte-level vocabulary of ``VOCABULARY`` tokens, the last one the end of a text."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [f"Ġ {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + ["n e", "1 2"]
    tokens = [*letters, *(merge.replace(" ", "") for merge in merges)]
    tokens += [f"<{number}>" for number in range(VOCABULARY - 1 - len(tokens))] + [END]
    writer.add_string("tokenizer.ggml.model", "gpt2")
    writer.add_string("tokenizer.ggml.pre", pre)
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_array("tokenizer.ggml.token_type", [1] * (VOCABULARY - 1) + [3])
    writer.add_array("tokenizer.ggml.merges", merges)
    writer.add_uint32("tokenizer.ggml.bos_token_id", VOCABULARY - 1)
    writer.add_uint32("tokenizer.ggml.eos_token_id", VOCABULARY - 1)
    writer.add_bool("tokenizer.ggml.add_bos_token", bos)
    if template:
        writer.add_string("tokenizer.chat_template", template)
