"""What people give as a model: which folder holds it, which holds its tokenizer, and what is refused with advice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checkpoints import store
from engine.hub import WEIGHTS
from engine.runs.events import Event
from engine.runs.messages import Control, Stop

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
"""the folders that the Trainer of ``transformers`` writes while it trains"""
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")
_SAFE = (
    "Only safetensors are loaded, since pickles can run code: load it where you trust it with from_pretrained, write "
    "it with save_pretrained, and give that folder"
)


class NoModel(Exception):
    """No language model can be had by this name; the message says what was looked for, where, and what to do."""


class LoadingStopped(NoModel):
    """Loading ended because a :class:`engine.runs.messages.Stop` asked for it."""


@dataclass(frozen=True)
class Folder:
    """Where a model's files lie, and what to call it."""

    path: Path
    name: str
    source: str
    tokenizer: str
    """the name to load its tokenizer by"""


def folder_in(path: Path) -> Path | None:
    """The folder with ``config.json``: ``path`` itself or, of a Trainer's output, its newest checkpoint."""
    if (path / "config.json").is_file():
        return path
    numbered = [(int(found[1]), one) for one in _folders(path) if (found := _CHECKPOINT.fullmatch(one.name))]
    complete = [pair for pair in numbered if (pair[1] / "config.json").is_file()]
    return max(complete)[1] if complete else None


def tokenizer_of(folder: Path) -> str:
    """The name to load the tokenizer of a model's folder by.

    A checkpoint of a Trainer that was given no tokenizer has none: then the folder around it or, named in
    ``config.json``, the model that the training began from.
    """
    places = [folder, *([folder.parent] if _CHECKPOINT.fullmatch(folder.name) else [])]
    for place in places:
        if any((place / name).is_file() for name in _TOKENIZERS):
            return str(place)
    try:
        begun = store.read_object(folder / "config.json").get("_name_or_path")
    except (OSError, ValueError):
        begun = None
    return begun if isinstance(begun, str) and begun else str(folder)


def look(control: Control | None, name: str) -> Iterator[Event]:
    """Raise :class:`LoadingStopped` when a stop has come; nothing is told."""
    if control is not None and any(isinstance(message, Stop) for message in control.take()):
        raise LoadingStopped(f"loading {name} was stopped")
    yield from ()


def refused_file(path: Path) -> str:
    """Why a single file that is neither GGUF nor nanoGPT's is no model, and what to do."""
    kind = path.suffix.lower()
    if kind in (".bin", ".ckpt", ".pkl", ".pickle"):
        return f"{path} is a pickle. {_SAFE}"
    if kind == ".safetensors":
        return f"{path} holds weights alone: give the folder with config.json, {path.name} and tokenizer.json"
    if kind in (".onnx", ".h5", ".msgpack", ".tflite", ".ggml"):
        return f"{path}: {kind} files are not loaded: give a folder with safetensors, a .gguf file or a name on the Hub"
    return f"{path} is a file: give the folder with config.json, {WEIGHTS} and tokenizer.json, or a .gguf file"


def refused_folder(path: Path) -> str:
    """Why a folder without ``config.json`` is no model, and what to do."""
    if (path / "adapter_config.json").is_file():
        return (
            f"{path} holds a LoRA adapter, not a whole model: merge it into its base model with peft's "
            "merge_and_unload, save that with save_pretrained, and give its folder"
        )
    if (path / "ckpt.pt").is_file():
        return f"{path} is a folder of nanoGPT: give the file {path / 'ckpt.pt'}"
    if ggufs := sorted(path.glob("*.gguf")):
        return f"{path} holds {len(ggufs)} GGUF files and no config.json: give one, such as {ggufs[0]}"
    if any(path.glob("*.safetensors")):
        return f"{path} holds no config.json beside its safetensors: copy the model's config.json there"
    return f"the folder {path} holds no config.json, so it was not saved by transformers"


def _folders(path: Path) -> list[Path]:
    try:
        return [one for one in path.iterdir() if one.is_dir()]
    except (OSError, ValueError):  # a name that no folder can have
        return []
