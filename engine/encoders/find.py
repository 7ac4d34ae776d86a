"""Encoders by name: found and identified without torch, opened only when there is something to encode.

A name is looked for as a path, in the Hugging Face cache and on the Hub; ``minilm`` is bundled; ``auto`` is
DistilBERT where it can be had and MiniLM where it cannot. Safetensors only, and no code of strangers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from checkpoints import home, store
from data import packaged
from engine import hub, limits
from engine.encoders import sentence
from engine.encoders.sentence import SentenceLayout
from engine.errors import first_line
from engine.hub import INDEX, WEIGHTS, model_folder
from engine.runs.events import Event, Notice
from engine.runs.messages import Control, handle_messages
from engine.tokenization import find as tokenizer
from engine.tokenization.encoding import UNKNOWN, BackedTokenizer, CharacterTokenizer, NoTokenizer, Tokenizer, guarded

AUTO = "distilbert-base-uncased"
SHORT = {AUTO: "distilbert/distilbert-base-uncased", "gpt2": "openai-community/gpt2"}
# MiniLM-L6-H384-uncased as its authors trained it: the packaged weights come without these numbers being trusted.
MINILM_CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


class NoEncoder(Exception):
    """No encoder can be had by this name; the message says what was looked for, where, and what to do."""


@dataclass(frozen=True)
class Encoder:
    """An encoder that is at hand: files, tokenizer and numbers, nothing loaded yet."""

    name: str
    source: str
    config: dict[str, Any]
    weights: tuple[Path, ...]
    tokenizer: Tokenizer
    sentence: SentenceLayout | None = None
    """what its folder says of the vectors of texts, in the layout of sentence-transformers"""
    _truncating: dict[int, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """copies of the tokenizer's backend by the length that they cut to"""

    @property
    def layers(self) -> int:
        return int(self._number("num_hidden_layers", "n_layer", "n_layers"))

    @property
    def width(self) -> int:
        return int(self._number("hidden_size", "n_embd", "dim", "d_model"))

    @property
    def positions(self) -> int:
        """Tokens that it takes at most."""
        most = self.sentence.length if self.sentence is not None else None
        return min(limits.positions(self.config) or limits.UNLIMITED, most or limits.UNLIMITED)

    @cached_property
    def parameters(self) -> int:
        """Numbers in the weights' files."""
        from safetensors import safe_open

        total = 0
        for file in self.weights:
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a mapping
                    if not name.endswith("position_ids"):
                        total += math.prod(opened.get_slice(name).get_shape())
        return total

    @cached_property
    def identity(self) -> str:
        """SHA-256 over weights, shape and tokenizer: the same encoder has the same, wherever it lies."""
        told = {"_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype", "use_cache"}
        shape = {key: value for key, value in self.config.items() if key not in told}
        digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
        for file in self.weights:
            digest.update(content_hash(file).encode())
        digest.update(_tokenizer_hash(self.tokenizer).encode())
        digest.update(self.sentence.digest.encode() if self.sentence is not None else b"")
        return digest.hexdigest()

    def prompted(self, texts: Sequence[str], role: str = "") -> list[str]:
        """``texts`` with the prompt for their role before each; see :meth:`SentenceLayout.prompt`."""
        prompt = self.sentence.prompt(role) if self.sentence is not None else ""
        return [prompt + text for text in texts] if prompt else list(texts)

    def ids(self, texts: list[str], length: int) -> list[list[int]]:
        """Token ids of every text, special tokens included, cut to ``length``. No list is empty.

        Raises :class:`NoEncoder` for a text that the tokenizer breaks on, or with a token that has no embedding.
        """
        return [ids for ids, _ in self.truncated(texts, length)]

    def truncated(self, texts: list[str], length: int) -> list[tuple[list[int], bool]]:
        """The same, each with whether something was cut off."""
        if self.sentence is not None and self.sentence.lower:
            texts = [text.lower() for text in texts]
        spare = self.tokenizer.eos if self.tokenizer.eos is not None else 0
        if isinstance(self.tokenizer, BackedTokenizer):
            backend = self._cutting(self.tokenizer, length)
            try:
                with guarded(f"{self.name}: its tokenizer fails on a text"):
                    every = backend.encode_batch_fast([_clean(text) for text in texts])
                    found = [(list(one.ids), bool(one.overflowing)) for one in every]
            except NoTokenizer as error:
                raise NoEncoder(str(error)) from None
        else:
            known = (
                [token for token in self.tokenizer.encode(text, special=True).ids if token != UNKNOWN] for text in texts
            )
            found = [(ids[:length], len(ids) > length) for ids in known]
        embeddings = int(self.config.get("vocab_size") or self.tokenizer.size)
        if self.tokenizer.size > embeddings:
            every_id = (token for ids, _ in found for token in ids)
            if problem := limits.without_embedding(every_id, embeddings, self.tokenizer, self.name):
                raise NoEncoder(problem)
        return [(ids or [spare], cut) for ids, cut in found]

    def _cutting(self, words: BackedTokenizer, length: int) -> Any:
        """A copy of a tokenizer's backend that cuts to ``length``, made once.

        Truncation is a state of a backend: the tokenizer itself is used by others, and a thread that wants another
        length must not change it for this one.
        """
        if length not in self._truncating:
            from tokenizers import Tokenizer as Backend

            backend = Backend.from_str(words.backend.to_str())
            backend.enable_truncation(length)
            self._truncating[length] = backend
        return self._truncating[length]

    def open(self, device: str = "cpu", dtype: str = "float32") -> Any:
        """The model of ``transformers`` in evaluation mode, its gradients off. Raises :class:`NoEncoder`."""
        import torch
        from transformers import AutoModel

        model = self._load(AutoModel, getattr(torch, dtype))
        return self.place(model.eval().requires_grad_(False), device)

    def place(self, model: Any, device: str) -> Any:
        """A model of this encoder, moved to ``device``. Raises :class:`NoEncoder` where it does not fit."""
        import torch

        from engine.device import fitting, size_of

        with fitting(self.name, size_of(model), torch.device(device), "Name a smaller encoder", NoEncoder):
            return model.to(device)

    def open_classifier(self, classes: list[str], *, trained: bool = False) -> Any:
        """The encoder with a head for ``classes`` on it, trainable, float32; fresh unless it is ``trained``.

        Raises :class:`NoEncoder`.
        """
        import torch
        from transformers import AutoModelForSequenceClassification

        labels = {
            "num_labels": len(classes),
            "id2label": dict(enumerate(classes)),
            "label2id": {name: index for index, name in enumerate(classes)},
        }
        model = self._load(
            AutoModelForSequenceClassification, torch.float32, head="trained" if trained else "fresh", **labels
        )
        if model.config.pad_token_id is None:
            model.config.pad_token_id = self.tokenizer.eos or 0
        return model.train()

    def _load(self, kind: Any, dtype: Any, *, head: str = "", **changes: Any) -> Any:
        """The model of an ``Auto`` class around our tensors; transformers itself matches the names.

        A pooler may be missing, and with a ``fresh`` head all that is not the encoder; with a ``trained`` one nothing.
        """
        from safetensors.torch import load_file
        from transformers import AutoConfig

        from engine.encoders.attention import take_masks_as_given

        try:
            numbers = {key: value for key, value in self.config.items() if key != "auto_map"}
            settings = AutoConfig.for_model(str(numbers.pop("model_type")), **{**numbers, **changes})
            made = kind._model_mapping[type(settings)]
            # Copies: what is trained must never be the file that is mapped into memory.
            tensors = {name: part.clone() for file in self.weights for name, part in load_file(file).items()}
            loading = {"config": settings, "state_dict": tensors, "dtype": dtype, "output_loading_info": True}
            with _quiet():
                try:
                    model, found = made.from_pretrained(None, attn_implementation="sdpa", **loading)
                except (ValueError, ImportError):  # an architecture without it
                    model, found = made.from_pretrained(None, **loading)
                take_masks_as_given(model)
        except KeyError:
            raise NoEncoder(
                f"{self.name} is a {self.config['model_type']}, which cannot be used as an encoder"
            ) from None
        except Exception as error:  # whatever a stranger's files make it raise
            raise NoEncoder(f"{self.name} cannot be loaded ({first_line(error)})") from None
        lost = [*found["missing_keys"], *found["mismatched_keys"]]
        if head == "fresh":
            base = f"{model.base_model_prefix}."
            lost = [name for name in lost if str(name).startswith(base)]
        if lost := [str(name) for name in lost if head == "trained" or "pooler" not in str(name)]:
            raise NoEncoder(f"{self.name}: the weights lack {', '.join(lost[:3])}, so they are not of this encoder")
        return model

    def _number(self, *names: str) -> Any:
        for name in names:
            if name in self.config:
                return self.config[name]
        raise NoEncoder(f"{self.name}: config.json has none of {', '.join(names)}")


def find(name: str, control: Control | None = None) -> Generator[Event, None, Encoder]:
    """The encoder that ``name`` names, as :func:`_find` finds it; its layout is told where it has one."""
    encoder = yield from _find(name, control)
    if encoder.sentence is not None:
        said = f"{encoder.name} is in the layout of sentence-transformers: mean is the vector that it defines"
        yield Notice(f"{said} ({encoder.sentence})", "info", "sentence")
    return encoder


def _find(name: str, control: Control | None) -> Generator[Event, None, Encoder]:
    """The encoder that ``name`` names, from the first place that has it; downloads it where it must.

    ``auto``, ``minilm``, a folder that ``transformers`` saved, or a name on the Hugging Face Hub. Yields ``Progress``
    and, where ``auto`` had to choose, a ``Notice``. Raises :class:`NoEncoder`, :class:`engine.runs.messages.Stopped`.
    """
    if not name.strip():
        raise NoEncoder("no encoder named: give auto, minilm, a folder or a name on the Hub")
    if name == packaged.MINILM:
        return minilm()
    if name == "auto":
        try:
            return (yield from _of_hub(AUTO, control))
        except hub.NotOnHub as error:
            yield Notice(f"the encoder is the bundled MiniLM: {AUTO} is not cached and {error}", "info", "encoder")
            return minilm()
    with contextlib.suppress(OSError):  # a name that no file can have
        path = Path(os.path.expanduser(name))
        if (path / "config.json").is_file() or (path / sentence.MODULES).is_file():
            return of_folder(path, name, str(path), str(path))
        if path.exists():
            raise NoEncoder(f"{path} is not a folder with config.json, {WEIGHTS} and tokenizer.json")
    try:
        return (yield from _of_hub(name, control))
    except hub.NotOnHub as error:
        raise NoEncoder(
            f"no encoder {name[:80]!r}: no folder has that name, the Hugging Face cache does not hold it, and {error}. "
            f"{packaged.MINILM} is bundled"
        ) from None


def minilm() -> Encoder:
    """The bundled MiniLM, without looking anywhere else. Raises :class:`NoEncoder`."""
    try:
        weights = packaged.find(packaged.MINILM_WEIGHTS)
        words = tokenizer.bundled("wordpiece")
    except (packaged.NotPackaged, NoTokenizer) as error:
        raise NoEncoder(f"the bundled MiniLM is not installed: {error}") from None
    return Encoder(packaged.MINILM, words.source, MINILM_CONFIG, (weights,), words)


def of_folder(
    folder: Path, name: str, source: str, words: str, get: Callable[[str], Path | None] | None = None
) -> Encoder:
    """The encoder in a folder that ``transformers`` or sentence-transformers saved; ``words`` names its tokenizer.

    ``get`` gives further files by their path in the folder, None for those that are not there.
    """
    try:
        layout = sentence.read(get or partial(_inside, folder))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise NoEncoder(f"{name} cannot be used as its {sentence.MODULES} says ({first_line(error)})") from None
    if layout is not None and layout.transformer and get is None:
        folder = folder / layout.transformer
        words = str(folder)
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if (folder / WEIGHTS).is_file():
            weights = [folder / WEIGHTS]
        else:
            index = json.loads((folder / INDEX).read_bytes())["weight_map"]
            weights = [folder / Path(str(file)).name for file in sorted(set(index.values()))]
    except FileNotFoundError:
        raise NoEncoder(
            f"{folder} holds no {WEIGHTS}. Only safetensors are loaded, since pickles can run code: convert it with "
            "save_pretrained"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoEncoder(f"{folder} cannot be read as a model ({first_line(error)})") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise NoEncoder(f"{folder}/config.json names no model_type, so its kind is unknown")
    if "auto_map" in config:
        raise NoEncoder(f"{name} needs code of its own to run (auto_map in config.json), which is never run")
    if config.get("is_encoder_decoder"):
        raise NoEncoder(f"{name} is an encoder with a decoder; give one of the BERT or GPT-2 kind")
    try:
        return Encoder(name, source, config, tuple(weights), tokenizer.load(words), layout)
    except NoTokenizer as error:
        raise NoEncoder(f"{name} comes without a tokenizer that can be used ({error})") from None


def content_hash(file: Path) -> str:
    """SHA-256 of a file. Path, size and time of change are believed to stand for it once it was computed."""
    stat = file.stat()
    key, stamp = str(file.resolve()), [stat.st_size, stat.st_mtime_ns]
    notes = home.cache() / "hashes.json"
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        known = store.read_object(notes)
    entry = known.get(key)
    if isinstance(entry, list) and entry[:2] == stamp and len(entry) == 3:
        return str(entry[2])
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    with contextlib.suppress(OSError):
        notes.parent.mkdir(parents=True, exist_ok=True)
        content = store.with_checksum({**known, key: [*stamp, digest]})
        store.replace_file(notes, json.dumps(content).encode())
    return digest


def _of_hub(name: str, control: Control | None) -> Generator[Event, None, Encoder]:
    """Raises :class:`engine.hub.NotOnHub`."""
    repository = hub.of_aliases((SHORT.get(name, name), name))

    def obey() -> Iterator[Event]:
        return handle_messages(control, 0) if control is not None else iter(())

    others = (sentence.MODULES, sentence.SETTINGS, sentence.PROMPTS, "1_Pooling/config.json")
    folder, source = yield from model_folder(repository, obey, others)
    try:
        return of_folder(folder, name, source, repository, partial(_more, repository, source))
    except NoEncoder as error:
        raise hub.NotOnHub(str(error)) from None


def _inside(folder: Path, name: str) -> Path | None:
    """A file in a folder, or in one below it."""
    path = folder / name
    return path if path.is_file() and path.resolve().is_relative_to(folder.resolve()) else None


def _more(repository: str, source: str, name: str) -> Path | None:
    """A further file of a repository. What is cached does not wait for a network unless it is a sentence encoder.

    Raises :class:`engine.hub.NotOnHub` where the Hub refuses, since without the file other vectors would come.
    """
    known = source.startswith("Hugging Face cache") and not repository.startswith("sentence-transformers/")
    with contextlib.suppress(hub.Offline):
        return hub.beside(repository, name, ask=not known or hub.cached(repository, sentence.MODULES) is not None)
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own narration off the terminal."""
    from transformers.utils import logging as narration

    logging: Any = narration
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _tokenizer_hash(words: Tokenizer) -> str:
    if isinstance(words, BackedTokenizer):
        return hashlib.sha256(words.backend.to_str().encode()).hexdigest()
    assert isinstance(words, CharacterTokenizer)
    return hashlib.sha256("\0".join(words.vocabulary.characters).encode()).hexdigest()


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
