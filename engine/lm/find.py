"""Language models by name: from a path, a run, the Hugging Face cache, the Hub, or what is bundled."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from checkpoints import home, store
from checkpoints import run as runs
from engine import hub
from engine.hub import WEIGHTS, model_folder
from engine.lm import pretrained
from engine.lm.pretrained import Folder, LoadingStopped, NoModel
from engine.runs.events import Event, Notice, Progress
from engine.runs.messages import Control
from engine.tokenization.encoding import CharacterTokenizer

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

__all__ = ["LoadingStopped", "NoModel", "load"]

_GPT2 = ("openai-community/gpt2", "gpt2")
_ALIASES = {"gpt2": _GPT2, _GPT2[0]: _GPT2}


def load(
    name: str, control: Control | None = None, *, int8: bool = False, device: str = "auto"
) -> Generator[Event, None, LanguageModel]:
    """Load the model that ``name`` names, from the first place that has it, and return it.

    ``gpt2`` (openai-community/gpt2), ``bundled`` (the Dante GPT), a folder, a run (name, path or ``latest``), or a
    name on the Hugging Face Hub. Places in order: the path, a run, the Hugging Face cache, the Hub if it answers
    within seconds. Nothing else is put in a missing model's place. ``int8`` rounds the weights of a model that the
    project's own GPT computes, on a CPU, and tells what that did. ``device`` is as in a spec. Yields ``Progress`` and
    ``Notice``. Raises :class:`NoModel` and, for a device that is not there, :class:`engine.runs.spec.BadSpec`.
    """
    if not name.strip():
        raise NoModel("no model named: give gpt2, bundled, a run, a folder or a name on the Hub")
    yield Progress(f"loading {name}", 0, 0)
    if name == "bundled":
        return (yield from _of_run(name, int8, device))
    path = Path(os.path.expanduser(name))
    with contextlib.suppress(OSError):  # a name that no file can have
        if (path / "config.json").is_file():
            return (yield from pretrained.open_folder(Folder(path, name, str(path), str(path)), control, int8, device))
        if path.is_file():
            raise NoModel(f"{path} is a file: give the folder with config.json, {WEIGHTS} and tokenizer.json")
        if path.is_dir() and not runs.is_run(path) and "/" in name:
            raise NoModel(f"the folder {path} holds no config.json, so it is no model that transformers saved")
    if name not in _ALIASES and _is_run(name):
        return (yield from _of_run(name, int8, device))
    reasons: list[str] = []
    for repository in _ALIASES.get(name, (name,)):
        try:
            folder = yield from _of_hub(repository, name, control)
        except hub.NotOnHub as error:
            reasons.append(str(error))
            continue
        return (yield from pretrained.open_folder(folder, control, int8, device))
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


def _of_run(name: str, int8: bool, device: str) -> Generator[Event, None, LanguageModel]:
    """A character model of this project: a run's best checkpoint, or the bundled one."""
    from engine.device import place
    from engine.gpt import trained as loading
    from engine.lm.model import Facts

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
    return (yield from pretrained.own(facts, trained.model, place(device), int8))


def _of_hub(repository: str, name: str, control: Control | None) -> Generator[Event, None, Folder]:
    """The folder of a repository's files, downloaded where needed. Raises :class:`engine.hub.NotOnHub`."""
    folder, source = yield from model_folder(repository, lambda: pretrained.look(control, repository))
    known = source.startswith("Hugging Face cache")
    with contextlib.suppress(hub.NotOnHub):
        (hub.cached if known else hub.fetch)(repository, "generation_config.json")
    return Folder(folder, name, source, repository)
