"""Language models by name: from a path, a run, the Hugging Face cache, the Hub, or what is bundled."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from checkpoints import home, store
from checkpoints import run as runs
from engine import hub, tokenizer
from engine.control import Control, Stop
from engine.events import Event, Notice, Progress
from engine.shape import GPTConfig
from engine.tokenizer import NoTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from engine.causal import Facts, LanguageModel
    from engine.gpt import GPT

_GPT2 = ("openai-community/gpt2", "gpt2")
_ALIASES = {"gpt2": _GPT2, _GPT2[0]: _GPT2}
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_OTHER_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")
_STEP = 1 << 25  # bytes between two words about progress
_ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu"}
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
UNBOUNDED = 4096  # tokens that a model without a limit of its own is used for


class NoModel(Exception):
    """No language model can be had by this name; the message says what was looked for, where, and what to do."""


class LoadingStopped(NoModel):
    """Loading ended because a :class:`engine.control.Stop` asked for it."""


@dataclass(frozen=True)
class _Folder:
    """Where a model's files lie."""

    path: Path
    name: str
    source: str
    tokenizer: str
    """the name to load its tokenizer by"""


def load(name: str, control: Control | None = None, *, int8: bool = False) -> Generator[Event, None, LanguageModel]:
    """Load the model that ``name`` names, from the first place that has it, and return it.

    ``gpt2`` (openai-community/gpt2), ``bundled`` (the Dante GPT), a folder, a run (name, path or ``latest``), or a
    name on the Hugging Face Hub. Places in order: the path, a run, the Hugging Face cache, the Hub if it answers
    within seconds. Nothing else is put in a missing model's place. ``int8`` rounds the weights of a model that the
    project's own GPT computes, on a CPU, and tells what that did. Yields ``Progress`` and ``Notice``. Raises
    :class:`NoModel`.
    """
    if not name.strip():
        raise NoModel("no model named: give gpt2, bundled, a run, a folder or a name on the Hub")
    yield Progress(f"loading {name}", 0, 0)
    if name == "bundled":
        return (yield from _of_run(name, int8))
    path = Path(name).expanduser()
    with contextlib.suppress(OSError):  # a name that no file can have
        if (path / "config.json").is_file():
            return (yield from _of_folder(_Folder(path, name, str(path), str(path)), control, int8))
        if path.is_file():
            raise NoModel(f"{path} is a file: give the folder with config.json, {_WEIGHTS} and tokenizer.json")
        if path.is_dir() and not (path / "spec.json").is_file() and "/" in name:
            raise NoModel(f"the folder {path} holds no config.json, so it is no model that transformers saved")
    if name not in _ALIASES and _is_run(name):
        return (yield from _of_run(name, int8))
    reasons: list[str] = []
    for repository in _ALIASES.get(name, (name,)):
        try:
            folder = yield from _of_hub(repository, name, control)
        except hub.NotOnHub as error:
            reasons.append(str(error))
            continue
        return (yield from _of_folder(folder, control, int8))
    raise NoModel(
        f"no model {name[:80]!r}: no folder or run is called so, the Hugging Face cache does not hold it, and "
        f"{reasons[0]}. The bundled Dante GPT is always there: bundled"
    )


def _is_run(name: str) -> bool:
    try:
        runs.find(home.runs(), name)
    except runs.NoSuchRun as error:
        if name == "latest":
            raise NoModel(str(error)) from None
        return False
    except (OSError, RuntimeError):
        return False
    return True


def _of_run(name: str, int8: bool) -> Generator[Event, None, LanguageModel]:
    """A character model of this project: a run's best checkpoint, or the bundled one."""
    from engine import load as loading
    from engine.causal import Facts

    try:
        trained = loading.load(name)
    except (store.CheckpointError, runs.NoSuchRun) as error:
        raise NoModel(str(error)) from None
    source = "bundled Dante GPT" if name == "bundled" else f"run {trained.source}"
    vocabulary = trained.vocabulary
    start = vocabulary.encode("\n").ids[0] if "\n" in vocabulary.characters else 0
    facts = Facts(name, source, tokenizer.from_vocabulary(vocabulary, name, source), start=start)
    return (yield from _own(facts, trained.model, int8))


def _of_hub(repository: str, name: str, control: Control | None) -> Generator[Event, None, _Folder]:
    """The folder of a repository's files, downloaded where needed. Raises :class:`engine.hub.NotOnHub`."""
    known = hub.cached(repository, "config.json") is not None
    config = hub.fetch(repository, "config.json")
    with contextlib.suppress(hub.NotOnHub):
        (hub.cached if known else hub.fetch)(repository, "generation_config.json")
    try:
        yield from _download(repository, _WEIGHTS, control)
    except hub.NoSuchFile:
        try:
            index = yield from _download(repository, _INDEX, control)
        except hub.NoSuchFile:
            raise hub.NotOnHub(f"{repository} holds no safetensors, and no other weights are loaded") from None
        for shard in sorted(set(_json(index)["weight_map"].values())):
            yield from _download(repository, shard, control)
    source = f"{'Hugging Face cache' if known else 'the Hub'} ({repository})"
    return _Folder(config.parent, name, source, repository)


def _download(repository: str, name: str, control: Control | None) -> Generator[Event, None, Path]:
    """One file, in a thread of its own so that the task can tell how far it is and be stopped."""
    if (found := hub.cached(repository, name)) is not None:
        return found
    done: list[Path | hub.NotOnHub] = []

    def fetch() -> None:
        try:
            done.append(hub.fetch(repository, name))
        except hub.NotOnHub as error:
            done.append(error)
        except Exception as error:
            done.append(hub.NotOnHub(f"the Hub failed ({error})"))

    thread = threading.Thread(target=fetch, daemon=True, name="download")
    thread.start()
    blobs = hub.cache() / f"models--{repository.replace('/', '--')}" / "blobs"
    while thread.is_alive():
        thread.join(0.5)
        with contextlib.suppress(OSError):
            arrived = sum(part.stat().st_size for part in blobs.glob("*.incomplete"))
            yield Progress(f"downloading {name}", arrived, 0)
        _look(control, repository)
    if isinstance(done[0], hub.NotOnHub):
        raise done[0]
    return done[0]


def _of_folder(folder: _Folder, control: Control | None, int8: bool) -> Generator[Event, None, LanguageModel]:
    config = _json(folder.path / "config.json")
    files = _files(folder.path)
    _refuse_others(config, folder)
    try:
        spelled = tokenizer.load(folder.tokenizer)
    except NoTokenizer as error:
        raise NoModel(f"{folder.name} comes without a tokenizer that can be used ({error})") from None
    generation = _json(folder.path / "generation_config.json", missing_is_empty=True)
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    starts = generation.get("bos_token_id", config.get("bos_token_id"))
    from engine.causal import Facts, ForeignModel

    eos = frozenset(ends if isinstance(ends, list) else [ends] if isinstance(ends, int) else [])
    start = next((one for one in (starts, *sorted(eos), spelled.eos) if isinstance(one, int)), None)
    if start is None and spelled.kind == "characters":
        start = spelled.id_of("\n")
    facts = Facts(folder.name, folder.source, spelled, eos, start)
    _check_memory(files, folder)
    shape = _own_shape(config)
    if shape is None:
        yield Progress(f"loading {folder.name} with transformers", 0, 0)
        _look(control, folder.name)
        model, context = _by_transformers(folder)
        if int8:
            yield Notice(f"int8 weights are for GPT-2's architecture: {folder.name} stays as it is", "warning", "int8")
        return ForeignModel(facts, model, context)
    tensors: dict[str, Tensor] = {}
    for progress in _read(files, tensors, folder):
        yield progress
        _look(control, folder.name)
    return (yield from _own(facts, _built(shape, tensors, folder), int8))


def _own(facts: Facts, gpt: GPT, int8: bool) -> Generator[Event, None, LanguageModel]:
    """A model of the project's own GPT, on the fastest device."""
    from engine.causal import OwnModel, lay_out
    from engine.device import best_device

    placed = lay_out(gpt.to(best_device()))
    if not int8:
        return OwnModel(facts, placed)
    if best_device() != "cpu":
        yield Notice(f"int8 weights are for a CPU: {facts.name} stays as it is on the GPU", "warning", "int8")
        return OwnModel(facts, placed)
    from engine.int8 import quantised

    yield Progress(f"rounding the weights of {facts.name}", 0, 0)
    model, effect = quantised(facts, placed)
    yield Notice(effect.explain(), "info" if effect.speed > 1 else "warning", "int8")
    return model


def _own_shape(config: dict[str, Any]) -> GPTConfig | None:
    """The shape for the project's own GPT if it computes what this config means; None if it does not."""
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


def _built(shape: GPTConfig, tensors: dict[str, Tensor], folder: _Folder) -> Any:
    """The project's GPT around the tensors of a GPT-2 checkpoint, which it takes as they are."""
    import torch

    from checkpoints import export
    from engine.gpt import GPT

    with torch.device("meta"):
        model = GPT(shape)
    try:
        named = export.renamed(tensors, shape.layers)
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


def _read(files: list[Path], tensors: dict[str, Tensor], folder: _Folder) -> Iterator[Progress]:
    """Read safetensors into ``tensors``, in float32 where nothing computes with less, and tell how far it is."""
    from safetensors import SafetensorError, safe_open

    from engine.device import best_device

    halves = best_device() == "cuda"
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
                        tensors[name] = tensor.clone() if halves else tensor.float().clone()
                    if done - told >= _STEP:
                        told = done
                        yield Progress(f"loading {folder.name}", done, total)
        except (SafetensorError, OSError) as error:
            raise NoModel(f"{file} cannot be read ({error}): copy or download it again") from None


def _by_transformers(folder: _Folder) -> tuple[Any, int]:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from engine.device import best_device

    device = best_device()
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder.path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype="auto" if device == "cuda" else torch.float32,
        )
    except Exception as error:  # whatever a stranger's files make it raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise NoModel(f"transformers cannot load {folder.name}: {first}") from None
    finally:
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    text = model.config.get_text_config()
    limits = [limit for key in _POSITIONS if isinstance(limit := getattr(text, key, None), int) and limit > 0]
    ready: Any = cast(Any, model).to(device)
    ready.requires_grad_(False).eval()
    return ready, limits[0] if limits else UNBOUNDED


def _refuse_others(config: dict[str, Any], folder: _Folder) -> None:
    """Raise for what is no causal language model."""
    kinds = [str(kind) for kind in config.get("architectures") or []]
    if "auto_map" in config:
        raise NoModel(f"{folder.name} needs code of its own to run (auto_map in config.json), and no such code is run")
    if kinds and not any(kind.endswith(("ForCausalLM", "LMHeadModel")) for kind in kinds):
        raise NoModel(f"{folder.name} is a {kinds[0]}, no causal language model: it does not predict the next token")
    if not kinds and config.get("model_type") != "gpt2":
        raise NoModel(f"{folder.name}: config.json names no architecture, so what it is cannot be told")


def _files(path: Path) -> list[Path]:
    """The safetensors of a model's folder. Raises :class:`NoModel`."""
    if (path / _WEIGHTS).is_file():
        return [path / _WEIGHTS]
    if (path / _INDEX).is_file():
        shards = _json(path / _INDEX).get("weight_map", {})
        files = [path / Path(str(name)).name for name in sorted(set(shards.values()))]
        if missing := [file.name for file in files if not file.is_file()]:
            raise NoModel(f"{path} lacks {', '.join(missing)}")
        return files
    if other := [name for name in _OTHER_WEIGHTS if (path / name).is_file()]:
        raise NoModel(
            f"{path} holds {other[0]} and no {_WEIGHTS}. Only safetensors are loaded, since pickles can run code: "
            "convert it with save_pretrained"
        )
    raise NoModel(f"{path} holds no {_WEIGHTS}")


def _json(path: Path, *, missing_is_empty: bool = False) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        if missing_is_empty:
            return {}
        raise NoModel(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise NoModel(f"{path} cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise NoModel(f"{path} is not what it should be: no JSON object")
    return content


def _check_memory(files: list[Path], folder: _Folder) -> None:
    """Raise before a model that cannot fit takes the machine down."""
    import torch

    from engine.device import best_device, free_memory

    size = sum(file.stat().st_size for file in files)
    free = free_memory(torch.device(best_device()))
    if free is not None and size > free:
        raise NoModel(f"{folder.name} needs at least {size / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free")


def _look(control: Control | None, name: str) -> None:
    if control is not None and any(isinstance(message, Stop) for message in control.take()):
        raise LoadingStopped(f"loading {name} was stopped")
