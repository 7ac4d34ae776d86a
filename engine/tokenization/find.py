"""Tokenizers by name: from a path, a run, the Hugging Face cache, the Hub, or what is bundled."""

from __future__ import annotations

import contextlib
import json
import os
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import home, store
from checkpoints import run as runs
from data import packaged
from data.vocabulary import Vocabulary
from engine import hub
from engine.runs import owner
from engine.runs.messages import finish
from engine.tokenization.encoding import BackedTokenizer, CharacterTokenizer, NoTokenizer, Tokenizer, guarded

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

_GPT2_END = "<|endoftext|>"
_GPT2 = ("openai-community/gpt2", "gpt2")
_WORDPIECE = ("distilbert/distilbert-base-uncased", "distilbert-base-uncased")
_SMOLLM2 = ("HuggingFaceTB/SmolLM2-135M-Instruct",)
_SHORT = {"gpt2": _GPT2, "wordpiece": _WORDPIECE, packaged.SMOLLM2_NAME: _SMOLLM2}
# Repositories whose vocabulary is bundled, letter for letter.
_SAME = {**dict.fromkeys(_GPT2, "gpt2"), **dict.fromkeys(_WORDPIECE, "wordpiece"), "wordpiece": "wordpiece"}
_SAME |= dict.fromkeys(("bert-base-uncased", "google-bert/bert-base-uncased"), "wordpiece")

_PROBE = "Probe 7 \u2603\U0001f600\u0378\x00"


def load(name: str) -> Tokenizer:
    """The tokenizer that ``name`` names, from the first place that has it.

    ``gpt2``, ``wordpiece``, ``smollm2``, ``bundled`` (the Dante GPT's characters), a path of a ``tokenizer.json``, of
    a folder with one or of a run, a run's name or ``latest``, or a name on the Hugging Face Hub. Places in order: the
    path, the Hugging Face cache, the Hub if it answers within seconds, what is bundled. Raises :class:`NoTokenizer`.
    """
    if not name.strip():
        raise NoTokenizer("no tokenizer named: give gpt2, wordpiece, bundled, a run, a path or a name on the Hub")
    if name == "bundled":
        with resources.as_file(resources.files("checkpoints").joinpath("bundled", "dante", "tokenizer.json")) as file:
            return _of_file(file, name, "bundled Dante GPT")
    with contextlib.suppress(OSError):  # a name that no file can have
        if (found := _of_path(Path(os.path.expanduser(name)), name)) is not None:
            return found
    if name == packaged.SMOLLM2_NAME and not any(map(hub.has, _SMOLLM2)):
        fetched = home.models() / name / "tokenizer.json"
        if fetched.is_file():
            ends = _end_of(fetched.with_name("tokenizer_config.json"))
            return _of_file(fetched, name, "fetched from the package index", ends)
    if name not in _SHORT and (found := _of_run(name)) is not None:
        return found
    try:
        return _of_hub(hub.of_aliases(_SHORT.get(name, (name,)), "tokenizer.json"), name)
    except hub.NotOnHub as error:
        if name in _SAME:
            return _bundled(_SAME[name], name, str(error))
        raise NoTokenizer(
            f"no tokenizer {name[:80]!r}: no file, folder or run has that name, the Hugging Face cache does not hold "
            f"it, and {error}. There are always gpt2, wordpiece and bundled, and, once fetched, smollm2; "
            "give others as a folder with tokenizer.json"
        ) from None


def bundled(which: str) -> Tokenizer:
    """``gpt2`` or ``wordpiece`` as they are bundled, without looking elsewhere. Raises :class:`NoTokenizer`."""
    return _bundled(which, which, "only what is bundled was asked for")


def from_backend(backend: Backend, name: str, source: str, eos: str | None = None) -> Tokenizer:
    """The tokenizer around one of the ``tokenizers`` library; a vocabulary of characters gets its own policy.

    Raises :class:`NoTokenizer` for one that cannot tokenize every text.
    """
    if (characters := _characters(backend)) is not None:
        return CharacterTokenizer(Vocabulary(characters), name, source)
    made = BackedTokenizer(backend, name, source, eos)
    made.encode(_PROBE)
    return made


def _of_path(path: Path, name: str) -> Tokenizer | None:
    """The tokenizer of a file or folder; None when there is nothing of the kind."""
    if path.is_file():
        return _of_file(path, name, str(path))
    if (path / "tokenizer.json").is_file():
        return _of_file(path / "tokenizer.json", name, str(path), _end_of(path / "tokenizer_config.json"))
    if runs.is_run(path):
        return _of_run(name)
    if any((path / file).is_file() for file in ("tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model")):
        return _by_transformers(str(path), name, str(path), local=True)
    return None


def _of_file(file: Path, name: str, source: str, eos: str | None = None) -> Tokenizer:
    from tokenizers import Tokenizer as Backend

    try:
        content = file.read_bytes()
    except OSError as error:
        raise NoTokenizer(f"{file}: {error.strerror or error}") from None
    with guarded(f"{file} is not a tokenizer.json"):
        backend = Backend.from_str(content.decode())
    return from_backend(backend, name, source, eos)


def _of_run(wanted: str) -> Tokenizer | None:
    """The character vocabulary of a run, read without torch; None when no run has this name."""
    try:
        run = runs.find(home.runs(), wanted)
    except (OSError, RuntimeError):  # no path, nor a home folder to look in
        return None
    except runs.NoSuchRun as error:
        if wanted == "latest":
            raise NoTokenizer(f"{error}; a run gets its vocabulary with its first checkpoint") from None
        return None
    if another := owner.another_task(run, "train", "vocabulary"):
        raise NoTokenizer(another)
    problem = "it has none yet, and its vocabulary comes with the first"
    for checkpoint in store.checkpoints(run.checkpoints):
        try:
            characters = store.read_state(checkpoint)["vocabulary"]
            return CharacterTokenizer(Vocabulary(characters), wanted, f"run {run.name}")
        except (store.CheckpointError, KeyError, TypeError) as error:
            problem = str(error)
    raise NoTokenizer(f"the run {run.name} has no checkpoint to read a vocabulary from: {problem}")


def _of_hub(repository: str, name: str) -> Tokenizer:
    """The tokenizer of a repository. Raises :class:`engine.hub.NotOnHub`."""
    known = hub.cached(repository, "tokenizer.json")
    try:
        file = known or hub.fetch(repository, "tokenizer.json")
    except hub.NoSuchFile:
        return _by_transformers(repository, name, "the Hub", local=False)
    except hub.Offline:
        if not hub.has(repository):
            raise
        return _by_transformers(repository, name, "Hugging Face cache", local=True)
    config = None
    with contextlib.suppress(hub.NotOnHub):  # without it the usual spellings of the end are looked for
        config = hub.beside(repository, "tokenizer_config.json", ask=known is None)  # what is cached does not wait
    source = f"{'Hugging Face cache' if known else 'the Hub'} ({repository})"
    return _of_file(file, name, source, _end_of(config) if config else None)


def _by_transformers(where: str, name: str, source: str, *, local: bool) -> Tokenizer:
    """Older files than ``tokenizer.json``, by the library that knows them all."""
    from transformers import AutoTokenizer

    with guarded(f"no tokenizer can be made of the files in {where}. Give a folder with tokenizer.json"):
        bare, revision = (where, None) if Path(where).is_dir() else hub.at_revision(where)
        given = {} if revision is None else {"revision": revision}
        load = partial(AutoTokenizer.from_pretrained, bare, local_files_only=local, trust_remote_code=False, **given)
        made: Any = load() if local else finish(hub.run(f"downloading {where}", load, lambda: iter(())))
        backend = made.backend_tokenizer
    return from_backend(backend, name, source, made.eos_token)


def _bundled(which: str, name: str, reason: str) -> Tokenizer:
    """GPT-2's byte-level BPE or BERT's WordPiece from the bundled vocabulary files, as ``transformers`` builds them."""
    from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers import Tokenizer as Backend

    if which == "gpt2":
        lines = resources.files("data").joinpath("bundled", "gpt2", "vocab.bpe").read_text("utf-8").split("\n")
        merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines[1:-1])]
        # The ids: the 256 bytes in the order of the characters that stand for them, the merges, the end of text.
        tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges), _GPT2_END]
        backend = Backend(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens([AddedToken(_GPT2_END, normalized=False)])
        return BackedTokenizer(backend, name, "bundled", _GPT2_END)
    try:
        vocabulary = packaged.find(packaged.WORDPIECE_VOCABULARY)
    except packaged.NotPackaged as error:
        raise NoTokenizer(f"no tokenizer {name!r}: {reason}, and {error}") from None
    backend = Backend(models.WordPiece.from_file(str(vocabulary), unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    backend.add_special_tokens([AddedToken(special, normalized=False) for special in specials])
    ends = [(end, backend.token_to_id(end)) for end in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    package = packaged.WORDPIECE_VOCABULARY.distribution
    return BackedTokenizer(backend, name, f"bundled ({package} {metadata.version(package)})")


def _end_of(config: Path) -> str | None:
    """The end of text that a ``tokenizer_config.json`` names."""
    try:
        content = json.loads(config.read_bytes()).get("eos_token")
    except (OSError, ValueError, AttributeError):
        return None
    if isinstance(content, dict):
        content = content.get("content")
    return content if isinstance(content, str) else None


def _characters(backend: Backend) -> list[str] | None:
    """The vocabulary of a folder that ``export`` wrote: single characters in code point order and no merges."""
    if type(backend.model).__name__ != "BPE" or backend.pre_tokenizer is not None or backend.normalizer is not None:
        return None
    ids = backend.get_vocab()
    tokens = sorted(ids, key=ids.__getitem__)
    plain = tokens == sorted(tokens) and all(len(token) == 1 for token in tokens)
    return tokens if plain and not backend.get_added_tokens_decoder() else None
