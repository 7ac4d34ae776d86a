"""Trainings as runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from checkpoints import home
from checkpoints import run as runs
from checkpoints.journal import Journal
from checkpoints.run import Run
from data import sources
from engine.gpt.spec import TrainSpec
from engine.runs import codec, owner
from engine.runs.events import Event
from engine.runs.messages import Control
from engine.runs.spec import BadSpec, Problem, spelled, to_dict


def create(spec: TrainSpec, also: str = "") -> Run:
    """Make the run directory for ``spec``; its name ends in ``also``. Raises :class:`OSError`."""
    name = (spec.name or f"{Path(spec.corpus).stem or 'text'}-{spec.preset}") + also
    if spec.corpus not in ("dante", "dantesque"):  # who trains it may stand in another folder
        spec = replace(spec, corpus=str(Path(os.path.expanduser(spec.corpus)).absolute()))
    return runs.create(home.runs(), name, to_dict(spec), owner.environment())


def create_each(specs: Sequence[TrainSpec]) -> list[Run]:
    """Make run directories, whose names tell in what the specs differ. An :class:`OSError` leaves none."""
    texts = [spelled(spec) for spec in specs]
    differ = [name for name in texts[0] if len({text[name] for text in texts}) > 1]
    short = {name: "".join(part[0] for part in name.split("_")) if "_" in name else name for name in differ}
    also = ["".join(f"-{short[name]}{text[name]}" for name in differ) for text in texts]
    return runs.all_or_none(partial(create, spec, name) for spec, name in zip(specs, also, strict=True))


def check_corpus(spec: TrainSpec) -> None:
    """Raise :class:`engine.runs.spec.BadSpec` when the corpus is neither a built-in one nor there."""
    if spec.corpus not in ("dante", "dantesque") and sources.existing(spec.corpus) is None:
        raise BadSpec([Problem("corpus", f"{spec.corpus}: no such file")])


def spec_of(run: Run) -> TrainSpec:
    """The spec of a training run. Raises what :func:`engine.runs.owner.spec_as` raises."""
    return owner.spec_as(run, TrainSpec)


def write_spec(run: Run, spec: TrainSpec) -> None:
    """Replace the recorded spec; fields of newer versions stay."""
    newer = codec.unknown(TrainSpec, run.read_json("spec.json"))
    run.write_json("spec.json", {**newer, **to_dict(spec)})


def launch(run: Run, control: Control, *, spec: TrainSpec | None = None) -> Iterator[Event]:
    """Let processes of their own train ``run`` and follow them; ``spec`` replaces the recorded one."""
    if spec is not None:
        with run.lock():
            write_spec(run, spec)
    yield from owner.launch(run, control)


def drive(run: Run, control: Control, *, resume: bool, spec: TrainSpec | None = None) -> Iterator[Event]:
    """Own ``run``, train it and record everything that happens.

    ``spec`` replaces the recorded one. Raises what :func:`engine.gpt.train.train` raises and
    :class:`checkpoints.lock.Locked`; a failure is recorded before it is raised.
    """
    from engine.gpt.train import train  # it loads torch

    def begin(journal: Journal) -> Iterator[Event]:
        asked = spec or spec_of(run)
        if spec is not None or not (run.path / "spec.json").exists():
            write_spec(run, asked)
        return train(asked, control, run=run, resume=resume, before_commit=journal.sync)

    yield from owner.own(run, control, begin)
