"""What a run begins from: its corpus, its newest whole checkpoint, and what is told of it before the first step."""

from __future__ import annotations

import math
from collections.abc import Generator

from checkpoints import home, state, store
from checkpoints.run import Run
from data import dante
from data.corpus import Corpus, CorpusError, Reading, from_text
from engine.events import Event, Notice, Progress, Started
from engine.spec import TrainSpec, from_dict
from engine.trainer import Position, Trainer

OWN_COPY = 64 * 1024 * 1024  # characters up to which a run keeps its own copy of the corpus


def load_corpus(spec: TrainSpec, run: Run | None, *, resume: bool) -> Generator[Event, None, Corpus]:
    """Load the corpus, the run's own copy first, and return it; yields how far it is.

    A run without a copy gets one. Raises :class:`data.corpus.CorpusError`, also when a run that resumes began with
    another text.
    """
    copy = run.path / "corpus.txt" if run else None
    about = run.read_json("corpus.json") if run else {}
    if copy is not None and copy.exists() and about:
        text = copy.read_bytes().decode("utf-8", "surrogatepass")
        corpus = from_text(text, name=about["name"], source=about["source"], wrapped=False)
    else:
        corpus = yield from _as_progress(dante.load(spec.corpus, cache=home.cache()))
    if resume and about and about["fingerprint"] != corpus.fingerprint:
        raise CorpusError(
            f"{corpus.source} has changed since this run began, so it cannot be continued exactly; "
            "put the old text back or start a new run"
        )
    if run is not None and not about:
        if corpus.facts.characters <= OWN_COPY:
            store.replace_file(run.path / "corpus.txt", corpus.text().encode("utf-8", "surrogatepass"))
        described = {"name": corpus.name, "source": corpus.source, "fingerprint": corpus.fingerprint}
        run.write_json("corpus.json", {**described, "cuts": [str(cut) for cut in corpus.cuts]})
    return corpus


def restore(run: Run, trainer: Trainer) -> tuple[int, list[Notice]]:
    """Put ``trainer`` where the newest whole checkpoint of ``run`` was; where its spec differs, the trainer's counts.

    Returns the checkpoint's step and what to tell; the step is -1 when there is none yet and the run begins anew.
    Raises :class:`checkpoints.store.CheckpointError` when there are some and none fits.
    """
    store.sweep(run.checkpoints)
    notices = []
    for found in store.newest(run.checkpoints):
        if isinstance(found, store.CheckpointError):
            notices.append(Notice(f"passed over a damaged checkpoint: {found}", "warning", "checkpoint"))
            continue
        path, saved, contents = found
        if list(trainer.corpus.vocabulary.characters) != saved["vocabulary"]:
            raise store.CheckpointError(f"{path.name} was trained on another vocabulary than this corpus has")
        before, spec = from_dict(saved["spec"]), trainer.spec
        state.restore_model(trainer.model, contents)
        state.restore_optimizer(trainer.model, trainer.optimizer, contents)
        position = trainer.position = Position.from_dict(saved["position"])
        if before.batch != spec.batch:
            position.micro_batch = spec.batch
        if before.learning_rate != spec.learning_rate:
            position.learning_rate = spec.learning_rate
        if spec.patience and position.without_progress >= spec.patience:
            position.without_progress = 0
        return position.step, notices
    if notices:
        raise store.CheckpointError("no checkpoint of this run is whole: " + "; ".join(n.text for n in notices))
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
        precision=str(placement.dtype).removeprefix("torch."),
        threads=placement.threads,
        peak_flops=peak,
        preset=spec.preset,
    )


def _as_progress(reading: Reading) -> Generator[Event, None, Corpus]:
    while True:
        try:
            what, done, total = next(reading)
        except StopIteration as end:
            corpus: Corpus = end.value
            return corpus
        yield Progress(what, done, total)
