"""The start of a run: its corpus, its newest whole checkpoint, and the first event."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from checkpoints import home, state, store
from checkpoints.run import Run, read_tail
from data import dante
from data.corpus import Corpus, CorpusError, from_text
from engine.gpt.spec import TrainSpec
from engine.gpt.trainer import Position, Trainer
from engine.runs.background import with_progress
from engine.runs.events import Event, Notice, Started
from engine.runs.messages import Control, Stop, Stopped
from engine.runs.spec import restored

OWN_COPY = 64 * 1024 * 1024  # characters up to which a run keeps its own copy of the corpus
KEYS = {"spec", "position", "vocabulary", "fingerprint", "randomness", "torch", "step", "files"}


def load_corpus(spec: TrainSpec, run: Run | None, control: Control, *, resume: bool) -> Generator[Event, None, Corpus]:
    """Load the corpus, the run's own copy first, and return it; yields how far it is.

    A run without an intact copy gets one. Raises :class:`data.corpus.CorpusError`, also when a run that resumes began
    with another text, and :class:`engine.runs.messages.Stopped`; other messages wait until the corpus is there.
    """

    def obey() -> Iterator[Event]:
        for message in control.take():
            if isinstance(message, Stop):
                raise Stopped
            control.send(message)
        return iter(())

    def load() -> Generator[Event, None, Corpus]:
        return with_progress(dante.load(spec.corpus, cache=home.cache(), encoding=spec.encoding), obey)

    if run is None:
        return (yield from load())
    about, wanted = run.read_json("corpus.json"), _fingerprint(run)
    copy = run.path / "corpus.txt"
    raw = b""
    with contextlib.suppress(OSError):
        raw = store.read_file(copy)
    if wanted and hashlib.sha256(raw).hexdigest() == wanted:
        name, source = str(about.get("name") or Path(spec.corpus).stem), str(about.get("source") or spec.corpus)
        corpus = from_text(raw.decode("utf-8", "surrogatepass"), name=name, source=source)
    else:
        damaged = f"{copy} is damaged or cannot be read. " if wanted and copy.exists() else ""
        try:
            corpus = yield from load()
        except CorpusError as error:
            raise CorpusError(f"{damaged}{error}") from None
        if resume and wanted not in ("", corpus.fingerprint):
            raise CorpusError(
                f"{damaged}The text of {corpus.source} is not the one that this run was trained on, so the run cannot "
                "be continued exactly: put the old text back or start a new run"
            )
        if corpus.facts.characters <= OWN_COPY:
            store.replace_file(copy, corpus.text().encode("utf-8", "surrogatepass"))
        if damaged and wanted == corpus.fingerprint:
            taken = f"{damaged}Copied again from {corpus.source}, which has not changed"
            corpus = replace(corpus, notices=(*corpus.notices, taken))
    if about.get("fingerprint") != corpus.fingerprint:
        described: dict[str, Any] = {"name": corpus.name, "source": corpus.source, "fingerprint": corpus.fingerprint}
        described["cuts"] = [str(cut) for cut in corpus.cuts]
        run.write_json("corpus.json", store.with_checksum(described))
    return corpus


def _fingerprint(run: Run) -> str:
    """Fingerprint of the text that the run was trained on; empty where nothing tells."""
    for checkpoint in store.checkpoints(run.checkpoints):
        with contextlib.suppress(store.CheckpointError, KeyError):
            return str(store.read_state(checkpoint)["fingerprint"])
    records = run.read_json("corpus.json"), read_tail(run, frozenset({"started"})).get("started", {})
    return next((str(record["fingerprint"]) for record in records if record.get("fingerprint")), "")


def position_of(checkpoint: Path, saved: store.State) -> tuple[Position, TrainSpec]:
    """Where a checkpoint stands, and its spec.

    Raises :class:`checkpoints.store.CheckpointError` for one that is not understood.

    A state with more or fewer fields than this version writes was written by another one, and cannot be continued
    exactly.
    """
    try:
        schema = {"format"} if saved.get("format") == store.SCHEMA else set()  # as earlier versions call it
        if other := saved.keys() - schema ^ KEYS:
            raise ValueError(f"more or fewer fields: {', '.join(sorted(other))}")
        position = Position.from_dict(saved["position"])
        spec = restored(TrainSpec, saved["spec"])
        if position.step != saved["step"]:
            raise ValueError(f"its position is step {position.step}")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise store.CheckpointError(
            f"{checkpoint.name}/{store.STATE} cannot be used by this version: {error}"
        ) from None
    return position, spec


def restore(run: Run, trainer: Trainer) -> tuple[int, list[Notice]]:
    """Put ``trainer`` where the newest whole checkpoint of ``run`` was; where its spec differs, the trainer's counts.

    Returns the checkpoint's step and notices; the step is -1 when there is none yet and the run begins anew.
    Raises :class:`checkpoints.store.CheckpointError` when there are some and none fits.
    """
    skipped: list[str] = []
    for path in store.checkpoints(run.checkpoints):
        try:
            saved, contents = store.read(path)
            position, before = position_of(path, saved)
            if saved["fingerprint"] != trainer.corpus.fingerprint:
                raise store.CheckpointError(f"{path.name} was trained on another text than {trainer.corpus.source}")
            state.restore_model(trainer.model, contents)
            state.restore_optimizer(trainer.model, trainer.optimizer, contents)
        except (store.CheckpointError, TypeError, ValueError) as error:
            skipped.append(str(error))
            continue
        trainer.position, spec = position, trainer.spec
        if before.batch != spec.batch:
            position.micro_batch = spec.batch
        if before.learning_rate != spec.learning_rate:
            position.learning_rate = spec.learning_rate
        if spec.patience and position.without_progress >= spec.patience:
            position.without_progress = 0
        return position.step, [Notice(f"skipped a checkpoint: {why}", "warning", "checkpoint") for why in skipped]
    if skipped:
        raise store.CheckpointError("no checkpoint of this run can be used: " + "; ".join(skipped))
    return -1, [Notice("there is no checkpoint yet: starting from the beginning", "info", "checkpoint")]


def describe(trainer: Trainer, *, run: Run | None, peak: float, free: int | None) -> Started:
    """The first event of a run: corpus, model and machine. ``peak`` in flops, ``free`` in bytes of the device."""
    spec, corpus, placement, position = trainer.spec, trainer.corpus, trainer.placement, trainer.position
    facts, shape = corpus.facts, trainer.model.config
    return Started(
        run=run.name if run else "",
        step=position.step,
        steps=spec.steps,
        corpus=corpus.name,
        fingerprint=corpus.fingerprint,
        characters=facts.characters,
        distinct=facts.distinct,
        train_tokens=trainer.train_tokens,
        validation_tokens=len(trainer.validation),
        uniform_entropy=facts.uniform,
        unigram_entropy=facts.unigram,
        bigram_entropy=None if math.isnan(facts.bigram) else facts.bigram,
        parameters=shape.parameters(),
        tokens_per_step=spec.batch * spec.context,
        memory_needed=shape.training_memory(position.micro_batch),
        memory_free=free,
        device=placement.name,
        precision=placement.precision,
        threads=placement.threads,
        peak_flops=peak,
        preset=spec.preset,
    )
