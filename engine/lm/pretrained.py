"""A model's folder as ``save_pretrained`` leaves it: what is refused, what our own GPT takes, and the rest."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from checkpoints import export, store
from engine import hub, limits
from engine.device import Placement, check_fit, fitting, place, size_of
from engine.errors import first_line
from engine.gpt.config import GPTConfig, from_transformers
from engine.gpt.model import GPT
from engine.hub import INDEX, WEIGHTS, shards
from engine.lm import chat, llama
from engine.lm.llama import Llama, LlamaConfig
from engine.lm.model import Facts, ForeignModel, LanguageModel, OwnModel, lay_out
from engine.lm.model_files import Folder, NoModel, look
from engine.runs.events import Event, Notice, Progress
from engine.runs.messages import Control
from engine.tokenization import find as tokenizers
from engine.tokenization.encoding import NoTokenizer

SMALLER = "Name a smaller model"
UNBOUNDED = 4096  # tokens that a model without a limit of its own is used for

_OTHER_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")
_STEP = 1 << 25  # bytes between two words about progress


def open_folder(folder: Folder, control: Control | None, device: str) -> Generator[Event, None, LanguageModel]:
    """Load the model of a folder; events and errors as in :func:`engine.lm.find.load`."""
    config = _read_json(folder.path / "config.json")
    files = _files(folder.path)
    _refuse_others(config, folder)
    try:
        spelled = tokenizers.load(folder.tokenizer)
    except NoTokenizer as error:
        raise NoModel(f"{folder.name} comes without a tokenizer that can be used ({error})") from None
    generation_config = folder.path / "generation_config.json"
    generation = _read_json(generation_config) if generation_config.exists() else {}
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    starts = generation.get("bos_token_id", config.get("bos_token_id"))
    eos = frozenset(ends if isinstance(ends, list) else [ends] if isinstance(ends, int) else [])
    start = next((one for one in (starts, *sorted(eos), spelled.eos) if isinstance(one, int)), None)
    if start is None and spelled.kind == "characters":
        start = spelled.id_of("\n")
    template = chat.find(folder.tokenizer)
    if template is not None and spelled.eos is not None:
        eos |= {spelled.eos}  # the end of an answer, which the settings of a base model do not name
    facts = Facts(folder.name, folder.source, spelled, eos, start, template)
    placement = place(device)
    shape = from_transformers(config) or llama.from_transformers(config)
    _check_memory(files, folder, config, shape, placement.device)
    if shape is None:
        yield Progress(f"loading {folder.name} with transformers", 0, 0)
        yield from look(control, folder.name)
        model, context = _by_transformers(folder, placement.device)
        yield from placement.notices()
        return ForeignModel(facts, model, context)
    tensors: dict[str, Tensor] = {}
    for progress in _read(files, tensors, folder, halves=placement.device.type == "cuda"):
        yield progress
        yield from look(control, folder.name)
    return (yield from own(facts, _built(shape, config, tensors, folder), placement))


def own(facts: Facts, gpt: GPT | Llama, placement: Placement) -> Generator[Event, None, LanguageModel]:
    """A model that the project computes itself, where it was placed."""
    yield from placement.notices()
    kind = placement.device.type
    needed = size_of(gpt) + gpt.config.cache_size(gpt.tokens.weight.element_size())
    with fitting(facts.name, needed, placement.device, SMALLER, NoModel):
        placed = lay_out(gpt.to(placement.device))
        plain = OwnModel(facts, placed)
    if kind == "cuda":
        try:
            plain.use_static_step()
        except Exception as error:  # whatever the driver says: decoding works without
            yield Notice(f"the decoding step runs without a CUDA graph ({first_line(error)})", "warning", "graph")
    return plain


def _read_json(path: Path) -> dict[str, Any]:
    """The object in one of the folder's files. Raises :class:`NoModel`."""
    try:
        return store.read_object(path)
    except FileNotFoundError:
        raise NoModel(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise NoModel(f"{path} cannot be read ({error})") from None


def _built(
    shape: GPTConfig | LlamaConfig, config: dict[str, Any], tensors: dict[str, Tensor], folder: Folder
) -> GPT | Llama:
    """A network of the project around the tensors of a checkpoint, taken as they are where they may stay."""
    with torch.device("meta"):
        model = GPT(shape) if isinstance(shape, GPTConfig) else llama.Llama(shape)
    try:
        named = export.renamed(tensors, config) if isinstance(shape, GPTConfig) else llama.renamed(tensors, shape)
        if shape.tied:
            named["head.weight"] = named["tokens.weight"]
        model.load_state_dict(named, assign=True)
    except (KeyError, RuntimeError) as error:
        text = str(error).splitlines()
        raise NoModel(
            f"{folder.name}: the weights do not fit config.json ({text[min(1, len(text) - 1)].strip()})"
        ) from None
    if shape.tied:
        model.head.weight = model.tokens.weight
    return model.eval().requires_grad_(False)


def _read(files: list[Path], tensors: dict[str, Tensor], folder: Folder, *, halves: bool) -> Iterator[Progress]:
    """Read safetensors into ``tensors`` and tell how far it is; in float32 unless the device computes in ``halves``."""
    total = sum(file.stat().st_size for file in files)
    yield Progress(f"loading {folder.name}", 0, total)
    done = told = 0
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a mapping
                    tensor = opened.get_tensor(name)
                    done += tensor.numel() * tensor.element_size()
                    if tensor.is_floating_point():
                        tensors[name] = tensor.to(tensor.dtype if halves else torch.float32, copy=True)
                    if done - told >= _STEP:
                        told = done
                        yield Progress(f"loading {folder.name}", done, total)
        except (SafetensorError, OSError) as error:
            raise NoModel(f"{file} cannot be read ({error}): copy or download it again") from None


def _by_transformers(folder: Folder, device: torch.device) -> tuple[Any, int]:
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder.path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype="auto" if device.type == "cuda" else torch.float32,
        )
    except Exception as error:  # whatever damaged or malicious files make it raise
        raise NoModel(f"transformers cannot load {folder.name}: {first_line(error)}") from None
    text = model.config.get_text_config()
    with fitting(folder.name, size_of(model), device, SMALLER, NoModel):
        ready: Any = cast(Any, model).to(device)
    ready.requires_grad_(False).eval()
    return ready, limits.positions(text.to_dict()) or UNBOUNDED


def _refuse_others(config: dict[str, Any], folder: Folder) -> None:
    """Raise for what is no causal language model."""
    kinds = [str(kind) for kind in config.get("architectures") or []]
    if "auto_map" in config:
        raise NoModel(f"{folder.name} needs code of its own to run (auto_map in config.json), and no such code is run")
    if kinds and not any(kind.endswith(("ForCausalLM", "LMHeadModel")) for kind in kinds):
        raise NoModel(f"{folder.name} is a {kinds[0]}, no causal language model: it does not predict the next token")
    if not kinds and config.get("model_type") != "gpt2":
        raise NoModel(f"{folder.name}: config.json names no architecture, so its kind is unknown")


def _files(path: Path) -> list[Path]:
    """The safetensors of a model's folder. Raises :class:`NoModel`."""
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if (path / INDEX).is_file():
        try:
            files = [path / name for name in shards(path / INDEX)]
        except hub.NotOnHub as error:
            raise NoModel(str(error)) from None
        if missing := [file.name for file in files if not file.is_file()]:
            raise NoModel(f"{path} lacks {', '.join(missing)}")
        return files
    if other := [name for name in _OTHER_WEIGHTS if (path / name).is_file()]:
        raise NoModel(
            f"{path} holds {other[0]} and no {WEIGHTS}. Only safetensors are loaded, since pickles can run code: "
            "convert it with save_pretrained"
        )
    raise NoModel(f"{path} holds no {WEIGHTS}")


def _check_memory(
    files: list[Path],
    folder: Folder,
    config: dict[str, Any],
    shape: GPTConfig | LlamaConfig | None,
    device: torch.device,
) -> None:
    """Raise before a model that cannot fit takes the machine down. ``shape``: of one that the project computes."""
    short = config.get("dtype", config.get("torch_dtype")) in ("float16", "bfloat16")
    size = sum(file.stat().st_size for file in files) * (2 if short and device.type != "cuda" else 1)
    if shape is not None:
        size += shape.cache_size(2 if short and device.type == "cuda" else 4)
    check_fit(folder.name, size, device, SMALLER, NoModel)
