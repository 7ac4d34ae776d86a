"""A trained GPT as a folder that ``transformers`` loads: GPT-2's or nanochat's class, and a character tokenizer.

GPT-2's head has no bias. A head bias ``b`` folds exactly into the last layer norm's bias when the head matrix ``W``
(vocabulary x width) has full row rank: ``W (n + d) = W n + b`` for ``d = W⁺ b``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from tokenizers import Tokenizer, decoders, models
from torch import Tensor

from checkpoints.store import CheckpointError

FOLD_TOLERANCE = 1e-4  # largest share of the head bias that may be lost


def write(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    vocabulary: Sequence[str],
    about: Mapping[str, Any],
    half: bool = False,
) -> None:
    """Write the model and its tokenizer into ``folder``, see :func:`engine.model_folder.exported`.

    ``tensors`` are the parameters of :class:`GPT` by name; a missing ``head.weight`` means that it is tied. ``config``
    is what ``config.json`` says of the model; its ``model_type`` decides how the parameters are called. ``about`` goes
    into ``training.json`` (the spec and the losses that were reached). ``half`` stores float16. Raises
    :class:`checkpoints.store.CheckpointError` for a head bias that GPT-2 cannot express, and :class:`OSError`.
    """
    converted = to_nanochat(tensors) if config["model_type"] == "nanochat" else to_gpt2(tensors, _layers(config))
    if half:
        converted = {name: tensor.half() for name, tensor in converted.items()}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.get("n_positions", config.get("max_position_embeddings")),
        "clean_up_tokenization_spaces": False,
    }
    (folder / "model.safetensors").write_bytes(to_safetensors(converted, metadata={"format": "pt"}))
    for name, content in (
        ("tokenizer.json", tokenizer(vocabulary)),
        ("tokenizer_config.json", tokenizer_config),
        ("generation_config.json", {"do_sample": True, "top_k": 0}),
        ("training.json", dict(about)),
        ("config.json", {**config, "dtype": "float16" if half else "float32"}),
    ):
        (folder / name).write_bytes(
            json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
        )


def to_gpt2(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Parameters under GPT-2's names; its linear layers are stored transposed."""
    result = {}
    for our, their in gpt2_names(layers).items():
        if our in tensors:
            tensor = tensors[our].T if _is_transposed(our, tensors[our]) else tensors[our]
        else:  # zeros of its own: safetensors refuses tensors that share memory
            tensor = torch.zeros(len(tensors[our.replace(".bias", ".weight")]))
        result[f"transformer.{their}"] = tensor
    if "head.bias" in tensors:
        head = tensors.get("head.weight", tensors["tokens.weight"])
        result["transformer.ln_f.bias"] = tensors["norm.bias"] + fold(head, tensors["head.bias"])
    if "head.weight" in tensors:
        result["lm_head.weight"] = tensors["head.weight"]
    return {name: tensor.contiguous() for name, tensor in result.items()}


def to_nanochat(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters under nanochat's names, which has queries, keys and values apart."""
    result: dict[str, Tensor] = {}
    for our, tensor in tensors.items():
        theirs = _nanochat_names(our)
        parts = tensor.chunk(len(theirs)) if len(theirs) > 1 else (tensor,)
        result |= {their: part.clone() for their, part in zip(theirs, parts, strict=True)}
    return result


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """Config, parameters under our names in float32, and vocabulary of a folder that :func:`write` made.

    Raises :class:`checkpoints.store.CheckpointError` when it is not one.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        ids = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
        held = from_safetensors((folder / "model.safetensors").read_bytes())
        tensors = renamed({name: tensor.float() for name, tensor in held.items()}, config)
        vocabulary = sorted(ids, key=ids.__getitem__)
        if vocabulary != sorted(vocabulary) or any(len(token) != 1 for token in vocabulary):
            raise ValueError("its tokens are not single characters in code point order")
        if config["model_type"] != "nanochat" and (missing := _NEEDED - set(config)):
            raise ValueError(f"config.json lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is not an exported character GPT ({error})") from None
    return config, tensors, vocabulary


def renamed(theirs: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Parameters of GPT-2 or nanochat under our names, GPT-2's linear layers as transposed views.

    Raises :class:`KeyError`.
    """
    layers = _layers(config)
    if config.get("model_type") == "nanochat":
        ours = ["tokens.weight", *(f"blocks.{n}.{our}.weight" for n in range(layers) for our in _NANOCHAT_PARTS)]
        ours += ["head.weight"] if "lm_head.weight" in theirs else []
        return {our: torch.cat([theirs[their] for their in _nanochat_names(our)]) for our in ours}
    # Checkpoints of the bare GPT-2, as the original is stored, lack the prefix.
    prefix = "transformer." if "transformer.wte.weight" in theirs else ""
    tensors = {our: theirs[prefix + their] for our, their in gpt2_names(layers).items()}
    tensors = {our: tensor.T if _is_transposed(our, tensor) else tensor for our, tensor in tensors.items()}
    if "lm_head.weight" in theirs:
        tensors["head.weight"] = theirs["lm_head.weight"]
    return tensors


def _layers(config: Mapping[str, Any]) -> int:
    return int(config["num_hidden_layers" if config.get("model_type") == "nanochat" else "n_layer"])


def _nanochat_names(our: str) -> list[str]:
    """What nanochat calls the parameter, or its parts."""
    outside = {"tokens.weight": "model.embed_tokens.weight", "head.weight": "lm_head.weight"}
    if our in outside:
        return [outside[our]]
    _, number, part, _ = our.split(".")
    return [f"model.layers.{number}.{their}.weight" for their in _NANOCHAT_PARTS[part]]


def gpt2_names(layers: int) -> dict[str, str]:
    """GPT-2's name, without its prefix, for each parameter but the head's."""
    names = {"tokens.weight": "wte.weight", "positions.weight": "wpe.weight"}
    parts = {"norm": "ln_f"} | {f"blocks.{n}.{our}": f"h.{n}.{their}" for n in range(layers) for our, their in _PARTS}
    return names | {f"{our}.{kind}": f"{their}.{kind}" for our, their in parts.items() for kind in ("weight", "bias")}


def _is_transposed(name: str, tensor: Tensor) -> bool:
    return name.startswith("blocks.") and tensor.dim() == 2


def fold(head: Tensor, bias: Tensor) -> Tensor:
    """The addition to the last norm's bias that does what a head bias does. Computed in float64."""
    wide, wanted = head.double(), bias.double()
    delta = torch.linalg.pinv(wide) @ wanted
    lost = (wide @ delta - wanted).abs().max()
    if lost > FOLD_TOLERANCE * (1e-3 + wanted.abs().max()):
        raise CheckpointError(
            f"the head bias cannot be expressed by GPT-2: {head.shape[0]} characters are more than the width of "
            f"{head.shape[1]} carries exactly. Train with head_bias = false or a larger width to export"
        )
    folded: Tensor = delta.to(bias.dtype)
    return folded


def tokenizer(vocabulary: Sequence[str]) -> dict[str, Any]:
    """``tokenizer.json`` of a character vocabulary: byte-pair encoding without a single merge."""
    model = models.BPE(vocab={character: index for index, character in enumerate(vocabulary)}, merges=[])
    result = Tokenizer(model)
    result.decoder = decoders.Fuse()
    content: dict[str, Any] = json.loads(result.to_str())
    return content


_NEEDED = {"n_layer", "n_head", "n_embd", "n_positions", "activation_function", "tie_word_embeddings"}
_PARTS = (
    ("norm_1", "ln_1"),
    ("qkv", "attn.c_attn"),
    ("project", "attn.c_proj"),
    ("norm_2", "ln_2"),
    ("widen", "mlp.c_fc"),
    ("narrow", "mlp.c_proj"),
)
_NANOCHAT_PARTS = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "project": ("self_attn.o_proj",),
    "widen": ("mlp.fc1",),
    "narrow": ("mlp.fc2",),
}
