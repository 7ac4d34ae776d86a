"""A trained GPT as a folder that ``transformers`` loads: ``GPT2LMHeadModel`` and a character tokenizer.

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
from torch import Tensor

from checkpoints.store import CheckpointError

FOLD_TOLERANCE = 1e-4  # largest share of the head bias that may be lost


def write(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    layers: int,
    heads: int,
    activation: str,
    vocabulary: Sequence[str],
    about: Mapping[str, Any],
    half: bool = False,
) -> None:
    """Write the model and its tokenizer into ``folder``, see :func:`engine.model_folder.exported`.

    ``tensors`` are the parameters of :class:`GPT` by name; a missing ``head.weight`` means that it is tied.
    ``about`` goes into ``training.json`` (the spec and the losses that were reached). ``half`` stores float16.
    Raises :class:`checkpoints.store.CheckpointError` for a head bias that GPT-2 cannot express, and :class:`OSError`.
    """
    width = tensors["tokens.weight"].shape[1]
    context = tensors["positions.weight"].shape[0]
    converted = to_gpt2(tensors, layers)
    if half:
        converted = {name: tensor.half() for name, tensor in converted.items()}
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": len(vocabulary),
        "n_positions": context,
        "n_embd": width,
        "n_layer": layers,
        "n_head": heads,
        "activation_function": "relu" if activation == "relu" else "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": "lm_head.weight" not in converted,
        "bos_token_id": None,
        "eos_token_id": None,
        "dtype": "float16" if half else "float32",
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "model.safetensors").write_bytes(to_safetensors(converted, metadata={"format": "pt"}))
    for name, content in (
        ("tokenizer.json", tokenizer(vocabulary)),
        ("tokenizer_config.json", tokenizer_config),
        ("generation_config.json", {"do_sample": True, "top_k": 0}),
        ("training.json", dict(about)),
        ("config.json", config),
    ):
        (folder / name).write_bytes(
            json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
        )


def to_gpt2(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Parameters under GPT-2's names; its linear layers are stored transposed."""
    width = tensors["tokens.weight"].shape[1]
    # A bias that is not there becomes zeros of its own: safetensors refuses tensors that share memory.
    ours = {f"blocks.{index}.qkv.bias": torch.zeros(3 * width) for index in range(layers)} | dict(tensors)
    result = {}
    for our, their in _names(layers).items():
        result[f"transformer.{their}"] = ours[our].T if _is_transposed(our, ours[our]) else ours[our]
    if "head.bias" in tensors:
        head = tensors.get("head.weight", tensors["tokens.weight"])
        result["transformer.ln_f.bias"] = tensors["norm.bias"] + fold(head, tensors["head.bias"])
    if "head.weight" in tensors:
        result["lm_head.weight"] = tensors["head.weight"]
    return {name: tensor.contiguous() for name, tensor in result.items()}


def from_gpt2(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """Config, parameters under our names in float32, and vocabulary of a folder that :func:`write` made.

    Raises :class:`checkpoints.store.CheckpointError` when it is not one.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        ids = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
        held = from_safetensors((folder / "model.safetensors").read_bytes())
        theirs = {name: tensor.float() for name, tensor in held.items()}
        tensors = renamed(theirs, config["n_layer"])
        vocabulary = sorted(ids, key=ids.__getitem__)
        if vocabulary != sorted(vocabulary) or any(len(token) != 1 for token in vocabulary):
            raise ValueError("its tokens are not single characters in code point order")
        if missing := _NEEDED - set(config):
            raise ValueError(f"config.json lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is not an exported character GPT ({error})") from None
    return config, tensors, vocabulary


def renamed(theirs: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """GPT-2's parameters under our names, linear layers as transposed views. Raises :class:`KeyError`."""
    # Checkpoints of the bare GPT-2, as the original is stored, lack the prefix.
    prefix = "transformer." if "transformer.wte.weight" in theirs else ""
    tensors = {our: theirs[prefix + their] for our, their in _names(layers).items()}
    tensors = {our: tensor.T if _is_transposed(our, tensor) else tensor for our, tensor in tensors.items()}
    if "lm_head.weight" in theirs:
        tensors["head.weight"] = theirs["lm_head.weight"]
    return tensors


def _names(layers: int) -> dict[str, str]:
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
    from tokenizers import Tokenizer, decoders, models

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
