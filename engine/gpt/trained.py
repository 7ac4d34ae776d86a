"""Trained models from run directories, from exported folders and from the package itself."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from checkpoints import export, home, state, store
from checkpoints import run as runs
from data.vocabulary import Vocabulary
from data.windows import derive_seed
from engine.gpt.config import from_transformers, to_transformers
from engine.gpt.model import GPT
from engine.gpt.sample import sample
from engine.gpt.setup import position_of
from engine.gpt.spec import TrainSpec
from engine.gpt.trainer import Position
from engine.model_folder import RECORD, exported
from engine.runs import owner
from engine.runs.events import Event, Finished, Notice, SampleText

PIECE = 8  # characters between two events of a sample that is taken alone


@dataclass(frozen=True)
class Trained:
    """A model to use, in evaluation mode, and where it came from."""

    model: GPT
    vocabulary: Vocabulary
    source: str
    step: int
    val_loss: float | None
    spec: dict[str, Any]
    notice: str = ""
    """why it is not the checkpoint that was asked for; empty when it is"""


def bundled() -> Path:
    """The folder of the Dante GPT that comes with the program."""
    with resources.as_file(resources.files("checkpoints").joinpath("bundled", "dante")) as folder:
        return Path(folder)


def load(wanted: str, *, which: str = "best") -> Trained:
    """The model that ``wanted`` names: ``bundled``, an exported folder, or a run (name, path or ``latest``).

    ``which`` of a run's checkpoints: ``best``, ``last`` or a step. Where the best or the last cannot be used, the next
    that can is loaded, and ``notice`` says so. Raises :class:`checkpoints.run.NoSuchRun`,
    :class:`checkpoints.store.CheckpointError`.
    """
    folder = bundled() if wanted == "bundled" else Path(os.path.expanduser(wanted))
    if (folder / "config.json").is_file():
        return _exported(folder)
    run = runs.find(home.runs(), wanted)
    owner.task_of(run)  # raises where the task cannot be told
    if another := owner.another_task(run, "train", "language model"):
        raise store.CheckpointError(another)
    found, wanted_step = _candidates(run, which)
    if not found:
        raise store.CheckpointError(f"{run.name} has no checkpoint {'yet' if which in ('best', 'last') else which}")
    errors = []
    for checkpoint in found:
        try:
            saved, contents = store.read(checkpoint)
            position, spec = position_of(checkpoint, saved)
            vocabulary = Vocabulary(saved["vocabulary"])
            model = GPT(spec.model(len(vocabulary))).eval()
            state.restore_model(model, contents)
        except (store.CheckpointError, TypeError, ValueError) as error:
            errors.append(str(error))
            continue
        step, notice = position.step, ""
        if step != wanted_step:
            why = "; ".join(errors) or "it is not saved"
            notice = f"step {step:,} is used instead of the {which} checkpoint, step {wanted_step:,}: {why}"
        loss = {point.step: point.val_loss for point in position.history}.get(step)
        return Trained(model, vocabulary, f"{run.name}/{checkpoint.name}", step, loss, saved["spec"], notice)
    raise store.CheckpointError("; ".join(errors))


def write_export(trained: Trained, folder: Path, *, half: bool = False, force: bool = False) -> None:
    """Export a model for ``transformers`` (:func:`checkpoints.export.write`, :func:`engine.model_folder.exported`)."""
    config = to_transformers(trained.model.config)
    if config is None:
        raise store.CheckpointError(
            f"{trained.source} cannot be exported: transformers computes the switches of GPT-2 (learned positions, "
            "layer norms) and those of the preset fast, and this model has some of both or others"
        )
    with exported(folder, trained.source, force=force) as temporary:
        export.write(
            temporary,
            {name: parameter.detach() for name, parameter in trained.model.named_parameters()},
            config,
            vocabulary=trained.vocabulary.characters,
            about={
                "source": trained.source,
                "step": trained.step,
                "validation_loss_nats_per_character": trained.val_loss,
                "spec": {**trained.spec, "corpus": Path(str(trained.spec.get("corpus", ""))).name},
            },
            half=half,
        )


def take_sample(trained: Trained, prompt: str, length: int, seed: int, temperature: float) -> Iterator[Event]:
    """Sample ``length`` characters after ``prompt``. Raises :class:`data.vocabulary.UnknownCharacterError`."""
    if trained.notice:
        yield Notice(trained.notice, "warning", "checkpoint")
    if prompt == TrainSpec.sample_prompt and prompt not in trained.vocabulary.characters:
        prompt = str(trained.spec.get("sample_prompt") or trained.vocabulary.characters[0])
    encoded = trained.vocabulary.encode(prompt)
    if encoded.mapped:
        yield Notice(f"prompt: {encoded.explain()}", "info", "prompt")
    generator = torch.Generator().manual_seed(derive_seed(seed, "sample"))
    ident = f"{trained.step}-{seed}"
    yield SampleText(trained.step, ident, "", prompt)
    ids: list[int] = []
    for token in sample(trained.model, encoded.ids, length, generator=generator, temperature=temperature):
        ids.append(int(token))
        if len(ids) == PIECE:
            yield SampleText(trained.step, ident, trained.vocabulary.decode(ids))
            ids = []
    yield SampleText(trained.step, ident, trained.vocabulary.decode(ids), done=True)
    yield Finished("length", trained.step, trained.val_loss, trained.source)


def _exported(folder: Path) -> Trained:
    config, tensors, vocabulary = export.read(folder)
    shape = from_transformers(config)
    if shape is None or shape.vocabulary != len(vocabulary):
        raise store.CheckpointError(f"{folder} is not an exported character GPT (config.json describes another model)")
    model = GPT(shape).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])
    about = runs.Run(folder).read_json(RECORD)
    return Trained(
        model,
        Vocabulary(vocabulary),
        str(about.get("source") or folder.name),
        int(about.get("step") or 0),
        about.get("validation_loss_nats_per_character"),
        dict(about.get("spec") or {}),
    )


def _candidates(run: runs.Run, which: str) -> tuple[list[Path], int]:
    """Checkpoints to try in turn, and the step that was asked for. After the best come those with the next losses."""
    found = store.checkpoints(run.checkpoints)
    if which not in ("best", "last"):
        found = [checkpoint for checkpoint in found if which in (checkpoint.name, str(store.step_of(checkpoint)))]
    newest = store.step_of(found[0]) if found else -1
    if which != "best" or not found:
        return found, newest
    position = Position()
    for checkpoint in found:
        with contextlib.suppress(store.CheckpointError):
            position, _ = position_of(checkpoint, store.read_state(checkpoint))
            break
    best = runs.read_tail(run, frozenset({"evaluated"})).get("evaluated", {}).get("best_step")
    best = best if isinstance(best, int) else position.best_step
    losses = {point.step: point.val_loss for point in position.history} | {position.best_step: -math.inf}
    found.sort(
        key=lambda checkpoint: (store.step_of(checkpoint) != best, losses.get(store.step_of(checkpoint), math.inf))
    )
    return found, best if best > 0 else newest
