"""The methods of a retrieval: each builds its ranker, then ranks the documents for queries."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from checkpoints import home
from checkpoints.store import name_of, replace_file
from data.beir import Collection
from engine.comparison.contender import Inputs, Labelled
from engine.encoders.encode import encode
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.find import Encoder
from engine.encoders.index import unit
from engine.encoders.pretraining import ABOUT, pretraining
from engine.retrieve.bi_encoder import BiState, saved_epochs_of, train
from engine.retrieve.metrics import DEPTH, Ranked
from engine.retrieve.rankers import QUERY_TOKENS, Ranker, Rankers
from engine.retrieve.results import WHOLE, Store
from engine.retrieve.spec import BM25, HYBRID, MEAN, RetrieveSpec
from engine.retrieve.training_data import BiSettings, TrainingInputs
from engine.runs.events import Event, Notice, Progress
from engine.runs.messages import Control, handle_messages

TIMED = 50  # queries that are asked one at a time, as somebody who searches does
TOGETHER = 64  # the others


class BuiltRankers(Rankers):
    """The rankers of a comparison, whose indexes and vectors all methods share. It trains the bi-encoder."""

    def __init__(self, spec: RetrieveSpec, collection: Collection, fingerprint: str) -> None:
        """``collection`` has the qrels of train alone; ``fingerprint`` is that of the whole one."""
        super().__init__(spec, collection)
        self.fingerprint = fingerprint
        self.store: Store | None = None
        self.seconds: dict[str, float] = {}
        """that building each ranker took"""
        self.pretraining = ""
        """what the frozen encoder was trained for"""
        self.state: BiState | None = None
        self.saved_epochs: EpochCheckpoints | None = None
        """epochs of the training, until its results are on the disk"""

    def ranker(self, method: str, control: Control) -> Generator[Event, None, Ranker]:
        if method in self.made:
            return self.made[method]
        begun = time.monotonic()
        if method == BM25:
            yield Progress("counting the words of every document", 0, 0)
        ranker = yield from super().ranker(method, control)
        parts = (BM25, MEAN) if method == HYBRID else ()
        self.seconds[method] = sum(self.seconds[part] for part in parts) if parts else time.monotonic() - begun
        return ranker

    def found(self, encoder: Encoder) -> Iterator[Event]:
        self.pretraining = pretraining(encoder)
        if self.pretraining:
            yield Notice(f"{encoder.name} {ABOUT[self.pretraining]}", "info", "encoder")
        if self.store is not None:
            self.store.encoder(encoder, MEAN, self.spec.length)

    def trained(self, control: Control) -> Generator[Event, None, Ranker]:
        spec, collection = self.spec, self.collection
        encoder = (yield from self.embedder(control)).encoder
        frozen = yield from self.frozen(MEAN, control)
        names = list(collection.qrels.get("train", {}))
        texts = [collection.queries[name] for name in names]
        features = yield from encode(texts, encoder, control, length=QUERY_TOKENS, poolings=(MEAN,), device=spec.device)
        asked = dict(zip(names, unit(features.pooled(MEAN)), strict=True)) if names else {}
        settings = BiSettings(
            epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            length=spec.length,
            seed=spec.seed,
            mode="whole" if spec.mode == "whole" else "projection",
            hard_negatives=spec.hard_negatives,
        )
        inputs = TrainingInputs(collection, encoder, frozen, asked, settings, spec.device)
        keep = self.store.checkpoint if self.store is not None else lambda _: None
        self.saved_epochs = saved_epochs = saved_epochs_of(self.fingerprint, encoder, settings)
        training = train(inputs, control, keep=keep, saved_epochs=saved_epochs)
        self.state = state = yield from (training if saved_epochs is None else saved_epochs.writes.watch(training))
        if "weight" in state.tensors:
            ranker = yield from self.projected(state.tensors["weight"].numpy(), control)
        else:
            ranker = yield from self.tuned((yield from self._tuned(encoder, state, control)), control)
        if self.store is not None:
            self.store.trained(state)
        return ranker

    def _tuned(self, encoder: Encoder, state: BiState, control: Control) -> Generator[Event, None, Encoder]:
        """The trained encoder as one that can be opened like any other."""
        if self.store is not None:
            yield from self.store.writes.settle(control)
            file = self.store.folder / name_of(state.step) / WHOLE
        else:
            from safetensors.torch import save

            content = save({key: part.contiguous() for key, part in state.tensors.items()})
            file = home.cache() / "biencoders" / hashlib.sha256(content).hexdigest()[:24] / WHOLE
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, content)
        yield from handle_messages(control, state.step)
        return dataclasses.replace(encoder, name=f"{encoder.name}, trained", weights=(file,))


@dataclass(frozen=True)
class Method:
    """BM25, cosine of frozen vectors, both fused, or a trained bi-encoder."""

    name: str

    def fit(
        self, train: Labelled, held_out: Labelled, features: BuiltRankers, control: Control
    ) -> Generator[Event, None, FittedRanker]:
        """Build the ranker. Raises :class:`engine.retrieve.training_data.CannotTrain` and what encoding raises."""
        return FittedRanker((yield from features.ranker(self.name, control)))


@dataclass
class FittedRanker:
    """A ranker that is ready."""

    ranker: Ranker
    speed: float = 0.0
    """queries a second, asked one at a time"""

    def outputs(self, inputs: Inputs, control: Control) -> Generator[Event, None, list[Ranked]]:
        """The best documents for each query: one more than is judged, since one may be the query's own."""
        texts, rank = inputs.items, self.ranker.rank
        rank(texts[:1], DEPTH + 1)  # what is opened at the first query is no part of the speed
        warm = time.monotonic()
        rankings: list[Ranked] = []
        for text in texts[:TIMED]:
            rankings += rank([text], DEPTH + 1)
            yield from handle_messages(control, len(rankings))
        self.speed = len(rankings) / max(1e-9, time.monotonic() - warm)
        for start in range(len(rankings), len(texts), TOGETHER):
            rankings += rank(texts[start : start + TOGETHER], DEPTH + 1)
            yield Progress(f"asking {self.ranker.name}", len(rankings), len(texts))
            yield from handle_messages(control, len(rankings))
        return rankings
