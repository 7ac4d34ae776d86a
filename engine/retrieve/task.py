"""From documents and queries to search engines judged side by side: BM25, a frozen encoder, both, a trained one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from data import beir
from data.beir import Collection
from engine import hub
from engine.comparison.comparison import compare
from engine.encoders.encode import encode
from engine.encoders.epoch_checkpoints import Kept
from engine.encoders.find import Encoder
from engine.encoders.index import unit
from engine.retrieve import metrics as retrieve_metrics
from engine.retrieve.bi_encoder import BiSettings, BiState, CannotTrain, kept_for, train
from engine.retrieve.metrics import DEPTH, MEASURES, NDCG, Difference, Ranked
from engine.retrieve.rankers import METHODS, QUERY_TOKENS, Bm25, Dense, Embedder, Ranker, Rankers
from engine.retrieve.results import WHOLE, Store
from engine.retrieve.spec import BM25, CLS, HYBRID, MEAN, TRAINED, RetrieveSpec
from engine.runs.events import ContenderDone, Event, Loaded, Notice, Progress
from engine.runs.messages import Control, heed
from engine.runs.writes import Writes

if TYPE_CHECKING:
    from engine.retrieve.metrics import Values

TIMED = 50  # queries that are asked one at a time, as somebody who searches does
TOGETHER = 64  # the others


def retrieve(spec: RetrieveSpec, control: Control, run: Run | None = None) -> Iterator[Event]:
    """Build every ranker that ``spec`` names and judge each on the test queries (dev or train where there are none).

    Without qrels the indexes are built and nothing is judged. Raises :class:`data.beir.BeirError`,
    :class:`engine.encoders.find.NoEncoder`, :class:`engine.encoders.encode.EncodeFailed`,
    :class:`engine.retrieve.bi_encoder.CannotTrain`, and what :func:`engine.comparison.comparison.compare` raises.
    """
    yield from compare(
        spec, control, run, lambda: _Work(spec, beir.load(spec.data, unreachable=hub.unreachable), control)
    )


class _Work(Rankers):
    """The rankers of one retrieval, in the order in which they cost."""

    def __init__(self, spec: RetrieveSpec, collection: Collection, control: Control) -> None:
        super().__init__(collection, spec.encoder, spec.length, spec.device)
        self.spec, self.control = spec, control
        self.split = collection.judged
        self.queries = tuple(collection.qrels.get(self.split, {}))
        self.store: Store | None = None
        self.seconds: dict[str, float] = {}
        self.values: dict[str, dict[str, Values]] = {}
        self.told: dict[str, dict[str, Any]] = {}
        """figures of each method"""
        self.state: BiState | None = None
        self.kept: Kept | None = None
        """epochs of the training, until what came of it is judged"""

    def loaded(self) -> Loaded:
        collection = self.collection
        checks = list(collection.checks)
        if self.split not in ("", "test"):
            checks.append(f"there are no test qrels: the {self.split} queries are judged")
        return Loaded(
            task=self.spec.task,
            data=collection.name,
            source=collection.source,
            documents=len(collection),
            held_out=0,
            train=len(collection.qrels.get("train", {})),
            judged=len(self.queries),
            judged_split=self.split,
            fingerprint=collection.fingerprint,
            contenders=tuple(method for method in METHODS if method in self.spec.methods),
            checks=tuple(checks),
            repairs=collection.repairs,
        )

    def keep(self, run: Run, writes: Writes) -> None:
        self.store = Store(run, self.collection, self.split, self.queries, writes)

    def results(self) -> dict[str, dict[str, Any]]:
        return self.told

    def verdict(self) -> str:
        """What a learner should take home: each comparison with its paired interval."""
        told = []
        for first, second in ((MEAN, CLS), (HYBRID, BM25), (HYBRID, MEAN), (TRAINED, MEAN), (TRAINED, BM25)):
            if first in self.values and second in self.values:
                found = retrieve_metrics.paired(self.values[first][NDCG], self.values[second][NDCG], self.spec.seed)
                if found.mean == 0 and not found.better:
                    told.append(f"{first} and {second} rank alike.")
                    continue
                way = "above" if found.mean > 0 else "below"
                sure = "" if found.sure else ", which chance explains"
                span = f"{found.low:+.3f} to {found.high:+.3f}"
                told.append(f"{first} is {abs(found.mean):.3f} {way} {second} in {NDCG} (95%: {span}){sure}.")
        if self.split == "train" and TRAINED in self.values:
            told.append("Trained was judged on the queries that it was trained on: that says nothing about new ones.")
        return " ".join(told)

    def run(self) -> Generator[Event, None, None]:
        try:
            yield from self._methods()
        finally:
            if self.kept is not None:
                self.kept.release()

    def _methods(self) -> Iterator[Event]:
        for method in METHODS:
            if method not in self.spec.methods:
                continue
            try:
                ranker = yield from self.ranker(method, self.control)
            except CannotTrain as error:
                if self.spec.methods == (TRAINED,):
                    raise
                yield Notice(f"nothing is trained: {error}", "warning", "train")
                continue
            yield from self._judge(method, ranker)
        if not self.queries:
            yield Notice("there are no qrels, so nothing can be judged; the search works", "warning", "qrels")

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

    def opened(self, control: Control) -> Generator[Event, None, tuple[Encoder, Embedder]]:
        fresh = self._opened is None
        found = yield from super().opened(control)
        if fresh and self.store is not None:
            self.store.encoder(found[0], MEAN, self.length)
        return found

    def trained(self, control: Control) -> Generator[Event, None, Ranker]:
        spec, collection = self.spec, self.collection
        encoder, embedder = yield from self.opened(control)
        frozen = yield from self.frozen(MEAN, control)
        names = list(collection.qrels.get("train", {}))
        texts = [collection.queries[name] for name in names]
        features = yield from encode(
            texts, encoder, self.control, length=QUERY_TOKENS, poolings=(MEAN,), device=spec.device
        )
        asked = dict(zip(names, unit(features.pooled(MEAN)), strict=True)) if names else {}
        bm25 = None
        if spec.hard_negatives:
            found = yield from self.ranker(BM25, control)
            assert isinstance(found, Bm25)
            bm25 = found
        best = (-1.0, 0.0, 0)

        def keep(state: BiState) -> None:
            nonlocal best
            if (state.ndcg, -state.loss) > best[:2]:
                best = (state.ndcg, -state.loss, state.step)
            if self.store is not None:
                self.store.checkpoint(state, best[2])

        settings = BiSettings(
            mode="whole" if spec.mode == "whole" else "projection",
            epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            hard_negatives=spec.hard_negatives,
            length=spec.length,
            seed=spec.seed,
        )
        self.kept = kept = kept_for(collection, encoder, settings)
        training = train(
            collection,
            encoder,
            frozen,
            asked,
            settings,
            self.control,
            bm25=bm25,
            keep=keep,
            kept=kept,
            device=spec.device,
        )
        state = yield from (training if kept is None else kept.writes.watch(training))
        self.state = state
        if "weight" in state.tensors:
            projection = state.tensors["weight"].numpy()
            matrix = yield from self.matrix(encoder, MEAN, control, projection)
            ranker = Dense(TRAINED, self.index(matrix), embedder.sharing(MEAN, projection))
        else:
            tuned = yield from self._tuned(encoder, state)
            matrix = yield from self.matrix(tuned, MEAN, control)
            ranker = Dense(TRAINED, self.index(matrix), Embedder(tuned, MEAN, spec.device))
        if self.store is not None:
            self.store.trained(state)
        return ranker

    def _tuned(self, encoder: Encoder, state: BiState) -> Generator[Event, None, Encoder]:
        """The trained encoder as one that can be opened like any other."""
        import hashlib

        from checkpoints import home
        from checkpoints.store import name_of, replace_file

        if self.store is not None:
            yield from self.store.writes.settle(self.control)
            file = self.store.folder / name_of(state.step) / WHOLE
        else:
            from safetensors.torch import save

            content = save({key: part.contiguous() for key, part in state.tensors.items()})
            file = home.cache() / "biencoders" / hashlib.sha256(content).hexdigest()[:24] / WHOLE
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, content)
        yield from heed(self.control, state.step)
        return dataclasses.replace(encoder, name=f"{encoder.name}, trained", weights=(file,))

    def _judge(self, method: str, ranker: Ranker) -> Iterator[Event]:
        if not self.queries:
            yield from self._settled(method)
            return
        texts = [self.collection.queries[name] for name in self.queries]
        begun = time.monotonic()
        ranker.rank(texts[:1], DEPTH)  # what is opened at the first query is no part of the speed
        warm = time.monotonic()
        rankings: list[Ranked] = []
        for text in texts[:TIMED]:
            rankings += ranker.rank([text], DEPTH)
            yield from heed(self.control, len(self.told))
        speed = len(rankings) / max(1e-9, time.monotonic() - warm)
        for start in range(len(rankings), len(texts), TOGETHER):
            rankings += ranker.rank(texts[start : start + TOGETHER], DEPTH)
            yield Progress(f"asking {method}", len(rankings), len(texts))
            yield from heed(self.control, len(self.told))
        relevant = [self.collection.relevant(self.split, name) for name in self.queries]
        values = retrieve_metrics.judge(rankings, relevant)
        self.values[method] = values
        against = {
            other: {
                measure: retrieve_metrics.paired(values[measure], self.values[other][measure], self.spec.seed)
                for measure in MEASURES
            }
            for other in self.told
        }
        low, high = retrieve_metrics.interval(values[NDCG], self.spec.seed)
        result: dict[str, Any] = {
            **{measure: round(float(values[measure].mean()), 6) for measure in MEASURES},
            "interval": [round(low, 6), round(high, 6)],
            "seconds": round(self.seconds[method] + time.monotonic() - begun, 3),
            "index_seconds": round(self.seconds[method], 3),
            "queries_per_second": round(speed, 2),
            "index_bytes": ranker.bytes,
            "queries": len(texts),
            "against": {other: _told(found[NDCG]) for other, found in against.items()},
        }
        if method == TRAINED and self.state is not None:
            state = self.state
            result |= {"step": state.step, "held_out_ndcg@10": round(state.ndcg, 6), "trained": self.spec.mode}
        self.told[method] = result
        if self.store is not None:
            self.store.ranker(method, rankings, values, result, against)
        yield from self._settled(method)
        told = {
            other: {name: dataclasses.asdict(one) for name, one in found.items()} for other, found in against.items()
        }
        yield ContenderDone(method, result, told)
        yield from heed(self.control, len(self.told))

    def _settled(self, method: str) -> Iterator[Event]:
        """Once what came of the training is on the disk, its epochs are removed."""
        if method == TRAINED and self.kept is not None:
            if self.store is not None:
                yield from self.store.writes.settle(self.control)
            self.kept.clear()
            self.kept.release()


def _told(one: Difference) -> list[float]:
    return [round(one.mean, 6), round(one.low, 6), round(one.high, 6)]
