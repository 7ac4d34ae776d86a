"""The methods of a retrieval: each builds its ranker, then ranks the documents for queries."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from checkpoints import home
from checkpoints.store import name_of, replace_file
from data.beir import Collection
from engine.comparison.contender import Inputs, Labelled
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.features import Cost
from engine.encoders.find import Encoder
from engine.encoders.index import unit
from engine.retrieve.bi_encoder import BiState, saved_epochs_of, train
from engine.retrieve.metrics import DEPTH, Ranked
from engine.retrieve.rankers import QUERY_TOKENS, Ranker, Rankers
from engine.retrieve.results import WHOLE, Store
from engine.retrieve.spec import BM25, HYBRID, MEAN, TRAINED, RetrieveSpec
from engine.retrieve.training_data import BiSettings, CannotTrain, TrainingInputs
from engine.runs.events import EncodingDone, Event, Notice, Progress
from engine.runs.messages import Control, handle_messages

TIMED = 50  # queries that are asked one at a time, as in interactive search
TOGETHER = 64  # the others


class BuiltRankers(Rankers):
    """The rankers of a comparison, whose indexes and vectors all methods share. It trains the bi-encoder."""

    def __init__(self, spec: RetrieveSpec, collection: Collection, fingerprint: str, queries: Sequence[str]) -> None:
        """``collection`` has the qrels of train alone; ``fingerprint`` is that of the whole one.

        ``queries``: the texts of all that are asked or trained on.
        """
        super().__init__(spec, collection)
        self.fingerprint, self.queries = fingerprint, queries
        self.store: Store | None = None
        self.seconds: dict[str, float] = {}
        """that building each ranker took, without encoding by a frozen encoder"""
        self._costs: dict[str, dict[str, Cost]] = {}
        """of each frozen encoder, by its name and what was encoded"""
        self._own = 0.0
        """seconds that encoding with the trained encoder took"""
        self.state: BiState | None = None
        self.saved_epochs: EpochCheckpoints | None = None
        """epochs of the training, until its results are on the disk"""

    def ranker(self, method: str, control: Control) -> Generator[Event, None, Ranker]:
        if method in self.made:
            return self.made[method]
        begun = time.monotonic() - self.encoding
        if method == BM25:
            yield Progress("counting the words of every document", 0, 0)
        ranker = yield from super().ranker(method, control)
        spent = time.monotonic() - self.encoding - begun + (self._own if method == TRAINED else 0.0)
        parts = (BM25, MEAN) if method == HYBRID else ()
        self.seconds[method] = sum(self.seconds[part] for part in parts) if parts else spent
        return ranker

    @property
    def encodings(self) -> list[EncodingDone]:
        """What encoding cost, by frozen encoder."""
        totals = [(name, sum(costs.values(), Cost())) for name, costs in self._costs.items()]
        return [EncodingDone(name, cost.texts, cost.truncated, cost.seconds) for name, cost in totals]

    def encoder_of(self, method: str) -> Encoder:
        """The encoder that a method stands on; of a trained one that it began with."""
        return self._embedders[self.spec.frozen.get(method, self.spec.frozen[MEAN])[1]].encoder

    def found(self, name: str, encoder: Encoder) -> Iterator[Event]:
        if self.store is not None and name == self.spec.encoders[0]:
            self.store.encoder(encoder, MEAN, self.spec.length)
        length = min(QUERY_TOKENS, encoder.positions)
        some = encoder.truncated(encoder.prompted(self.queries, "query"), length)
        yield from _truncated("queries", len(some), sum(cut for _, cut in some), length)

    def encoded(self, what: str, encoder: Encoder, cost: Cost) -> Iterator[Event]:
        if encoder.name not in [one.encoder.name for one in self._embedders.values()]:
            self._own = cost.seconds or 0.0
            return
        known = self._costs.setdefault(encoder.name, {})
        if what == "documents" and what not in known:
            length = min(self.spec.length, encoder.positions)
            yield from _truncated(what, cost.texts, cost.truncated or 0, length)
        known[what] = cost
        yield from (done for done in self.encodings if done.encoder == encoder.name)

    def trained(self, control: Control) -> Generator[Event, None, Ranker]:
        spec, collection = self.spec, self.collection
        encoder = (yield from self.embedder(control)).encoder
        if spec.mode == "whole" and encoder.sentence is not None and not encoder.sentence.is_mean:
            raise CannotTrain(
                f"the whole encoder is trained with mean pooling, and {encoder.name} has {encoder.sentence}: "
                "train a projection"
            )
        frozen = yield from self.frozen(MEAN, control)
        names = list(collection.qrels.get("train", {}))
        texts = [collection.queries[name] for name in names]
        features = yield from self.features("queries", texts, encoder, control, QUERY_TOKENS, (MEAN,))
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


def _truncated(what: str, texts: int, count: int, length: int) -> Iterator[Event]:
    if count:
        yield Notice(f"{count:,} of {texts:,} {what} were cut to {length:,} tokens", "warning", "length")


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
