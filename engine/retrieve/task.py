"""From documents and queries to search engines judged side by side: BM25, a frozen encoder, both, a trained one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from data.beir import Collection
from engine.comparison.comparison import Comparison, compare
from engine.comparison.contender import Contender, Inputs, Labelled
from engine.comparison.statistics import PairedTest, interval, paired_test
from engine.comparison.verdict import Judged, Pair, limits, sentences
from engine.encoders.find import Encoder
from engine.encoders.pretraining import SIMILARITY, WORDS, about_encoder, pretraining
from engine.hub_data import Obey
from engine.retrieve import metrics as retrieve_metrics
from engine.retrieve import results as retrieve_results
from engine.retrieve.contenders import BuiltRankers, FittedRanker, Method
from engine.retrieve.metrics import DEPTH, MEASURES, NDCG
from engine.retrieve.results import Store
from engine.retrieve.spec import BM25, MEAN, TRAINED, RetrieveSpec, load_collection, name_of, pairs
from engine.retrieve.training_data import CannotTrain
from engine.runs.events import ContenderDone, ContenderStep, Event, Loaded, Notice
from engine.runs.messages import Control
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    from engine.retrieve.metrics import Values

_EXPECTED = {
    SIMILARITY: ("Training such an encoder further may gain little.",),
    WORDS: ("What trained gains over frozen mean is what training for retrieval brings.",),
}
"""what is said of the training, by what the encoder was trained for before"""


def retrieve(spec: RetrieveSpec, control: Control, run: Run | None = None) -> Iterator[Event]:
    """Build every ranker that ``spec`` names and judge each on the test queries (dev or train where there are none).

    Without qrels the indexes are built and nothing is judged. Raises :class:`data.beir.BeirError`,
    :class:`engine.encoders.find.NoEncoder`, :class:`engine.encoders.encode.EncodeFailed`,
    :class:`engine.retrieve.training_data.CannotTrain`, and what :func:`engine.comparison.comparison.compare` raises.
    """

    def read(obey: Obey) -> Generator[Event, None, _Retrieval]:
        collection = yield from load_collection(spec, obey)
        return _Retrieval(spec, collection, control)

    yield from compare(spec, control, run, read)


class _Retrieval(Comparison):
    """The methods of one retrieval, in the order in which they cost."""

    spec: RetrieveSpec
    data: Collection
    store: Store | None
    features: BuiltRankers

    def __init__(self, spec: RetrieveSpec, collection: Collection, control: Control) -> None:
        self.split = collection.judged
        self.queries = tuple(collection.qrels.get(self.split, {}))
        asked = collection.qrels.get("train", {})
        train = Labelled("train", [collection.queries[name] for name in asked], list(asked.values()))
        judged = Inputs(self.split, [collection.queries[name] for name in self.queries])
        # Those of train, and no other relevance judgements, are for the methods; the bi-encoder holds some of them out.
        known = dataclasses.replace(collection, qrels={"train": asked} if asked else {})
        rankers = BuiltRankers(spec, known, collection.fingerprint, (*judged.items, *train.items))
        super().__init__(spec, collection, control, train, Labelled("held_out", (), ()), judged, rankers)
        self.values: dict[str, dict[str, Values]] = {}
        self.against: dict[str, dict[str, dict[str, PairedTest]]] = {}
        """method to the methods judged before it to the difference of each measure"""

    def loaded(self) -> Loaded:
        checks = list(self.data.checks)
        if self.split not in ("", "test"):
            checks.append(f"there are no test qrels: the {self.split} queries are judged")
        return dataclasses.replace(
            self.split_sizes(),
            documents=len(self.data),
            judged_split=self.split,
            contenders=self.spec.ranked,
            checks=tuple(checks),
        )

    def keep(self, run: Run, writes: PendingWrites) -> None:
        self.store = self.features.store = Store(run, self.data, self.split, self.queries, writes)

    def verdict(self) -> str:
        """Which methods are better, what the encoders were trained for, and what limits the comparison."""
        judged = {name: Judged(name_of(name), values[NDCG]) for name, values in self.values.items()}
        compared = [
            Pair(judged[first], name_of(second), judged[second].mean, self.against[first][second][NDCG])
            for first, second in pairs(judged)
            if second in self.against.get(first, {})
        ]
        said, trained = sentences(compared, "nDCG@10"), TRAINED in judged
        if self.split == "train" and trained:
            said.append("Trained was evaluated on its own training queries, which says nothing about new queries.")
        used: dict[str, Encoder] = {}  # by name; the first is the one that is trained further
        for method in judged:
            if method != BM25:
                encoder = self.features.encoder_of(method)
                used[encoder.name] = encoder
        for place, encoder in enumerate(used.values()):
            said += about_encoder(encoder)
            if place == 0 and {MEAN, TRAINED} <= judged.keys():
                said += _EXPECTED.get(pretraining(encoder), ())
        state = self.features.state if trained else None
        steps = {"training": state.step} if state is not None else {}
        if judged:
            said += limits(len(self.train.items) if trained else None, len(self.queries), steps)
        return " ".join(said)

    def run(self) -> Generator[Event, None, None]:
        try:
            yield from self._methods()
        finally:
            if self.features.saved_epochs is not None:
                self.features.saved_epochs.release()

    def _methods(self) -> Iterator[Event]:
        for method in self.spec.ranked:
            try:
                if self.queries:
                    yield from self.contend(Method(method))
                else:
                    yield from self.features.ranker(method, self.control)
                    yield from self._settled(method)
            except CannotTrain as error:
                if self.spec.methods == (TRAINED,):
                    raise
                yield Notice(f"nothing is trained: {error}", "warning", "train")
        if not self.queries:
            yield Notice("no queries or qrels: search only", "warning", "qrels")

    def earlier(self, name: str, key: list[Any] | None) -> None:
        """Nothing: rankings are made again from the saved indexes and the saved epochs."""

    def judge(
        self, contender: Contender, fitted: FittedRanker, steps: list[ContenderStep], begun: float
    ) -> Iterator[Event]:
        method, begun = contender.name, time.monotonic()
        found = yield from fitted.outputs(self.judged, self.control)
        own = [self.data.own(self.split, name) for name in self.queries]
        rankings = [ranked.without(row).top(DEPTH) for ranked, row in zip(found, own, strict=True)]
        relevant = [self.data.relevant(self.split, name) for name in self.queries]
        self.values[method] = values = retrieve_metrics.judge(rankings, relevant)
        self.against[method] = against = {other: self._differences(method, other) for other in self.figures}
        bounds = interval(values[NDCG], self.spec.seed)
        built = self.features.seconds[method]
        result: dict[str, Any] = {
            **{measure: round(float(values[measure].mean()), 6) for measure in MEASURES},
            "interval": [round(bound, 6) for bound in bounds],
            "seconds": round(built + time.monotonic() - begun, 3),
            "index_seconds": round(built, 3),
            "queries_per_second": round(fitted.speed, 2),
            "index_bytes": fitted.ranker.bytes,
            "queries": len(self.queries),
            "against": {
                other: [round(value, 6) for value in (found[NDCG].mean, found[NDCG].low, found[NDCG].high)]
                for other, found in against.items()
            },
        }
        if method != BM25:
            encoder = self.features.encoder_of(method)
            result |= {"encoder": encoder.name, "pretraining": pretraining(encoder)}
        if method == TRAINED and (state := self.features.state) is not None:
            result |= {"step": state.step, "held_out_ndcg@10": round(state.ndcg, 6), "trained": self.spec.mode}
        self.figures[method] = result
        if self.store is not None:
            self.store.ranker(method, retrieve_results.Judged(rankings, values), result, against)
        yield from self._settled(method)

    def _differences(self, first: str, second: str) -> dict[str, PairedTest]:
        one, two = self.values[first], self.values[second]
        return {name: paired_test(one[name], two[name], self.spec.seed) for name in MEASURES}

    def done(self, name: str) -> ContenderDone:
        found = {
            other: {measure: dataclasses.asdict(one) for measure, one in each.items()}
            for other, each in self.against[name].items()
        }
        return ContenderDone(name, self.figures[name], found)

    def _settled(self, method: str) -> Iterator[Event]:
        """Once the results of the training are on the disk, its epochs are removed."""
        if method == TRAINED and (saved_epochs := self.features.saved_epochs) is not None:
            if self.store is not None:
                yield from self.store.writes.settle(self.control)
            saved_epochs.clear()
            saved_epochs.release()
