"""Trained models from run directories, from exported folders and from the package itself."""

from __future__ import annotations

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
from engine.events import Event, Finished, Notice, SampleText
from engine.gpt import GPT
from engine.modelfolder import RECORD, exported
from engine.sample import sample
from engine.shape import GPTConfig
from engine.spec import TrainSpec, from_dict

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


def bundled() -> Path:
    """The folder of the Dante GPT that comes with the program."""
    with resources.as_file(resources.files("checkpoints").joinpath("bundled", "dante")) as folder:
        return Path(folder)


def load(wanted: str, *, which: str = "best") -> Trained:
    """The model that ``wanted`` names: ``bundled``, an exported folder, or a run (name, path or ``latest``).

    ``which`` of a run's checkpoints: ``best``, ``last`` or a step. Damaged checkpoints are passed over unless one
    step is asked for. Raises :class:`checkpoints.run.NoSuchRun`, :class:`checkpoints.store.CheckpointError`.
    """
    folder = bundled() if wanted == "bundled" else Path(os.path.expanduser(wanted))
    if (folder / "config.json").is_file():
        return _exported(folder)
    run = runs.find(home.runs(), wanted)
    found = [checkpoint for checkpoint in store.checkpoints(run.checkpoints) if _matches(checkpoint, which, run)]
    if which == "best" and not found:
        found = store.checkpoints(run.checkpoints)
    if not found:
        raise store.CheckpointError(f"{run.name} has no checkpoint {'yet' if which in ('best', 'last') else which}")
    errors = []
    for checkpoint in found:
        try:
            saved, contents = store.read(checkpoint)
        except store.CheckpointError as error:
            errors.append(str(error))
            continue
        vocabulary = Vocabulary(saved["vocabulary"])
        spec: TrainSpec = from_dict(saved["spec"])
        model = GPT(spec.model(len(vocabulary))).eval()
        state.restore_model(model, contents)
        history = {point["step"]: point["val_loss"] for point in saved["position"]["history"]}
        step = saved["step"]
        return Trained(model, vocabulary, f"{run.name}/{checkpoint.name}", step, history.get(step), saved["spec"])
    raise store.CheckpointError("; ".join(errors))


def write_export(trained: Trained, folder: Path, *, half: bool = False, force: bool = False) -> None:
    """Export a model for ``transformers`` (:func:`checkpoints.export.write`, :func:`engine.modelfolder.exported`)."""
    config = trained.model.config
    with exported(folder, trained.source, force=force) as temporary:
        export.write(
            temporary,
            {name: parameter.detach() for name, parameter in trained.model.named_parameters()},
            layers=config.layers,
            heads=config.heads,
            activation=config.activation,
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
    config, tensors, vocabulary = export.from_gpt2(folder)
    shape = GPTConfig(
        len(vocabulary),
        config["n_layer"],
        config["n_head"],
        config["n_embd"],
        config["n_positions"],
        activation="relu" if config["activation_function"] == "relu" else "gelu",
        tied=bool(config["tie_word_embeddings"]),
    )
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


def _matches(checkpoint: Path, which: str, run: runs.Run) -> bool:
    if which == "last":
        return True
    if which == "best":
        tail = runs.read_tail(run, frozenset({"evaluated"}))
        return store.step_of(checkpoint) == tail.get("evaluated", {}).get("best_step")
    return checkpoint.name == which or str(store.step_of(checkpoint)) == which
