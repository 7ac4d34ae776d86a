"""nanoGPT's ``ckpt.pt``, read with ``weights_only`` and computed by the project's own GPT.

Its characters are those of the text that it was trained on: nanoGPT keeps them in ``meta.pkl``, a pickle, which is not
read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from checkpoints import export
from data.vocabulary import Vocabulary
from engine.errors import first_line
from engine.gpt.config import GPTConfig
from engine.gpt.model import GPT
from engine.lm.model import Facts
from engine.lm.model_files import NoModel
from engine.tokenization import find as tokenizers
from engine.tokenization.encoding import CharacterTokenizer, NoTokenizer, Tokenizer

GPT2_SIZE = 50257  # tokens of GPT-2's vocabulary, which nanoGPT fills up to 50,304


def read(path: Path, name: str) -> tuple[Facts, GPT]:
    """The model in a checkpoint of nanoGPT. Raises :class:`engine.lm.model_files.NoModel`."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or malicious file makes it raise
        raise NoModel(
            f"{path} cannot be read without running code from it ({first_line(error)}): give a folder with "
            "safetensors, or nanoGPT's own ckpt.pt"
        ) from None
    try:
        args, tensors = dict(content["model_args"]), dict(content["model"])
        shape = _shape(args)
        named = _named(tensors, shape)
        dataset = str(dict(content.get("config") or {}).get("dataset", ""))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise NoModel(
            f"{path} is no checkpoint of nanoGPT ({first_line(error)} is missing or wrong): of other programs give "
            "a folder that save_pretrained wrote"
        ) from None
    tokenizer = _tokenizer(path, name, dataset, shape.vocabulary)
    try:
        with torch.device("meta"):
            gpt = GPT(shape)
        gpt.load_state_dict(named, assign=True)
        gpt.head.weight = gpt.tokens.weight
    except RuntimeError as error:
        raise NoModel(f"{path}: the weights do not fit its model_args ({first_line(error)})") from None
    start = tokenizer.id_of("\n") if tokenizer.kind == "characters" else tokenizer.eos
    eos = frozenset() if tokenizer.kind == "characters" or tokenizer.eos is None else frozenset({tokenizer.eos})
    facts = Facts(name, f"nanoGPT's {path}", tokenizer, eos, start or 0)
    return facts, gpt.eval().requires_grad_(False)


def _shape(args: dict[str, Any]) -> GPTConfig:
    return GPTConfig(
        vocabulary=min(int(args["vocab_size"]), GPT2_SIZE),
        layers=int(args["n_layer"]),
        heads=int(args["n_head"]),
        width=int(args["n_embd"]),
        context=int(args["block_size"]),
        activation="gelu_erf",
        qkv_bias=bool(args["bias"]),
        bias=bool(args["bias"]),
    )


def _named(tensors: dict[str, Any], shape: GPTConfig) -> dict[str, Tensor]:
    """The tensors under our names in float32; a norm without a bias gets one of zeros.

    Raises :class:`KeyError` for one that nanoGPT does not have.
    """
    ours = {f"transformer.{their}": our for our, their in export.gpt2_names(shape.layers).items()}
    ours["lm_head.weight"] = "head.weight"
    named: dict[str, Tensor] = {}
    for given, tensor in tensors.items():
        name = given.removeprefix("_orig_mod.")  # of torch.compile
        if not name.endswith(".attn.bias"):  # the causal mask of older checkpoints
            named[ours[name]] = tensor.float()
    for name in [name for name in named if "norm" in name and name.endswith("weight")]:
        named.setdefault(name.replace("weight", "bias"), torch.zeros(shape.width))
    named["tokens.weight"] = named["head.weight"] = named["tokens.weight"][: shape.vocabulary].contiguous()
    return named


def _tokenizer(path: Path, name: str, dataset: str, vocabulary: int) -> Tokenizer:
    """GPT-2's, or the characters of the text beside the checkpoint or where nanoGPT has it."""
    if vocabulary == GPT2_SIZE:
        try:
            return tokenizers.bundled("gpt2")
        except NoTokenizer as error:
            raise NoModel(str(error)) from None

    places = [path.parent / "input.txt"]
    if dataset and Path(dataset).name == dataset:
        places.append(path.absolute().parent.parent / "data" / dataset / "input.txt")
    for place in places:
        try:
            characters = sorted(set(place.read_text("utf-8")))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise NoModel(f"{place} cannot be read ({error})") from None
        if len(characters) != vocabulary:
            raise NoModel(
                f"{place} has {len(characters)} distinct characters and {path.name} has {vocabulary}: put the text "
                "that it was trained on there"
            )
        return CharacterTokenizer(Vocabulary(characters), name, str(place))
    raise NoModel(
        f"{path} has a vocabulary of {vocabulary} characters, which only its text gives: put that as input.txt beside "
        "it (meta.pkl is not read, since pickles can run code)"
    )
