"""What a bi-encoder is trained on and how: settings, queries in parts that share no document, batches, negatives.

No document of a batch is relevant to another query of it, or a right answer would be punished as a wrong one.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from data.beir import Collection
from engine.encoders import index
from engine.encoders.epochs import Settings
from engine.encoders.find import Encoder
from engine.imports import import_beside_torch
from engine.retrieve.rankers import Bm25

if TYPE_CHECKING:
    from engine.encoders.index import Matrix

FEWEST = 8  # training queries
LOOKED = 8  # times the pairs of a batch that are looked at to fill it
Batch: TypeAlias = tuple[list[str], list[int]]
"""queries, and their documents in the same order with hard negatives after them"""


class CannotTrain(Exception):
    """There is too little to train on; the message says what is missing."""


Mode: TypeAlias = Literal["projection", "whole"]
SUITABLE: Mapping[Mode, Mapping[str, float]] = {
    "projection": {"epochs": 30, "rows": 64, "learning_rate": 1e-4, "patience": 12},
    "whole": {"epochs": 4, "rows": 16, "learning_rate": 2e-5, "patience": 2},
}
"""settings that are chosen by mode"""


@dataclass(frozen=True)
class BiSettings(Settings):
    """How a bi-encoder is trained. Zeros are chosen by mode."""

    epochs: int = 0
    rows: int = 0
    """pairs in a batch"""
    patience: int = 0
    """looks at the held-out queries without a better nDCG before it ends"""
    length: int = 256
    """tokens of a document"""
    mode: Mode = "projection"
    hard_negatives: int = 0
    """documents for each query that BM25 ranks high and that are not relevant"""

    def chosen(self) -> BiSettings:
        """The settings with every zero decided."""
        changes: dict[str, Any] = {name: getattr(self, name) or best for name, best in SUITABLE[self.mode].items()}
        return replace(self, **changes)


@dataclass(frozen=True)
class TrainingInputs:
    """What every training of one bi-encoder shares."""

    collection: Collection
    encoder: Encoder
    frozen: Matrix
    """unit vectors of every document"""
    asked: Mapping[str, Any]
    """unit vector of every training query"""
    settings: BiSettings
    device: str = "auto"

    @cached_property
    def hard_negatives(self) -> dict[str, list[int]]:
        """For every training query what BM25 ranks highest and is neither relevant nor the query's own document."""
        count, found = self.settings.hard_negatives * 4, {}
        if count:
            bm25 = Bm25(self.collection)
            for query in self.collection.qrels["train"]:
                known = {*self.collection.relevant("train", query), self.collection.own("train", query)}
                (ranked,) = bm25.rank([self.collection.queries[query]], count + len(known))
                found[query] = [row for row in ranked.rows if row not in known][:count]
        return found


@dataclass(frozen=True)
class Split:
    """Training queries in two parts."""

    train: tuple[str, ...]
    held: tuple[str, ...]


def folds(collection: Collection, count: int, seed: int) -> list[Split]:
    """Splits in which every training query is held out once; queries that share documents are held out together.

    Where more than half of them are connected through shared documents, each query is held out by itself, and the
    documents that it shares are not trained on. Raises :class:`CannotTrain` when there are too few.
    """
    relevant = collection.qrels.get("train", {})
    if len(relevant) < FEWEST:
        raise CannotTrain(
            f"training needs at least {FEWEST} train queries with a relevant document, and there are {len(relevant)}"
        )
    groups = _connected(relevant)
    if 2 * max(map(len, groups)) > len(relevant):
        groups = [[query] for query in sorted(relevant)]
    random.Random(f"{seed}/folds").shuffle(groups)
    groups.sort(key=len, reverse=True)  # stable, so still shuffled within a size
    parts: list[list[str]] = [[] for _ in range(min(count, len(groups)))]
    for group in groups:
        min(parts, key=len).extend(group)
    return [Split(tuple(sorted(relevant.keys() - set(part))), tuple(sorted(part))) for part in parts]


def split(collection: Collection, count: int, seed: int) -> Split:
    """The one of ``count`` folds that holds out nearest to its share. Raises :class:`CannotTrain`."""
    parts = folds(collection, count, seed)
    return min(parts, key=lambda part: abs(count * len(part.held) - len(part.held) - len(part.train)))


def batches(
    pairs: Sequence[tuple[str, int]], relevant: Mapping[str, frozenset[int]], rows: int, seed: str
) -> list[list[tuple[str, int]]]:
    """Every pair of query and document once, in random order; in a batch no document is relevant to another query.

    A pair that does not fit waits for a later batch. Each batch looks at no more than ``LOOKED`` times its size, so
    that the time is linear. A last batch of one pair, which has nothing to be told from, is put to the one before.
    """
    shuffled = list(pairs)
    random.Random(seed).shuffle(shuffled)
    waiting, result = deque(shuffled), list[list[tuple[str, int]]]()
    while waiting:
        batch, documents, positives = list[tuple[str, int]](), set[int](), set[int]()
        rest = []
        for _ in range(min(len(waiting), LOOKED * rows)):
            query, document = waiting.popleft()
            if document in positives or not documents.isdisjoint(relevant[query]):
                rest.append((query, document))
                continue
            batch.append((query, document))
            documents.add(document)
            positives |= relevant[query]
            if len(batch) == rows:
                break
        waiting.extendleft(reversed(rest))
        result.append(batch)
    if len(result) > 1 and len(result[-1]) == 1:
        (last,) = result.pop()
        result[-1].append(last)
    return result


class TrainingData:
    """Queries to train on and to hold out; documents relevant to a held-out query are not trained on."""

    def __init__(self, inputs: TrainingInputs, parts: Split) -> None:
        """Raises :class:`CannotTrain` when nothing is left to train on."""
        self.inputs, self.split = inputs, parts
        names = (*parts.train, *parts.held)
        self.relevant = {query: frozenset(inputs.collection.relevant("train", query)) for query in names}
        self.own = {query: inputs.collection.own("train", query) for query in names}
        unseen = {row for query in set(parts.held) - set(parts.train) for row in self.relevant[query]}
        self.pairs = [(query, row) for query in parts.train for row in sorted(self.relevant[query] - unseen)]
        if len(self.pairs) < 2:
            raise CannotTrain("the train queries all share their documents: none can be held out")

    def batches(self, epoch: int) -> list[Batch]:
        """Every pair once; other hard negatives in every epoch."""
        settings = self.inputs.settings
        order = f"{settings.seed}/{epoch}"
        result = []
        for pairs in batches(self.pairs, self.relevant, settings.rows, order):
            queries, documents = [query for query, _ in pairs], [document for _, document in pairs]
            rng = random.Random(f"{order}/{queries[0]}")
            for query in queries:
                mined = [row for row in self.inputs.hard_negatives.get(query, ()) if row not in documents]
                documents += rng.sample(mined, min(settings.hard_negatives, len(mined)))
            result.append((queries, documents))
        return result

    def false_negatives(self, batch: Batch) -> list[list[bool]]:
        """Which documents ``(queries, documents)`` are no negatives of a query: other relevant ones, and itself."""
        queries, documents = batch
        return [
            [
                place != pair and (row in self.relevant[query] or row == self.own[query])
                for place, row in enumerate(documents)
            ]
            for pair, query in enumerate(queries)
        ]

    def pool(self, most: int) -> tuple[int, ...]:
        """Documents that held-out queries are ranked over: all, or of too many the relevant, near and random ones."""
        import numpy as np

        total = len(self.inputs.collection)
        if total <= most:
            return tuple(range(total))
        rows = {row for query in self.split.held for row in self.relevant[query]}
        asked = np.stack([self.inputs.asked[query] for query in self.split.held])
        near, _ = index.Exact(self.inputs.frozen, self.inputs.device).search(asked, 100)
        for rank in range(near.shape[1]):
            rows |= {int(row) for row in near[:, rank][: max(0, most * 3 // 4 - len(rows))]}
        rest = [row for row in range(total) if row not in rows]
        random.Random(f"{self.inputs.settings.seed}/pool").shuffle(rest)
        return tuple(sorted(rows | set(rest[: max(0, most - len(rows))])))


def _connected(relevant: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Queries that share a document, directly or through others, together; in a fixed order."""
    import numpy as np

    sparse, graphs = import_beside_torch("scipy.sparse"), import_beside_torch("scipy.sparse.csgraph")
    queries = sorted(relevant)
    nodes: dict[str, int] = {}  # of the documents, after those of the queries
    edges = [
        (place, nodes.setdefault(document, len(queries) + len(nodes)))
        for place, query in enumerate(queries)
        for document in relevant[query]
    ]
    size = len(queries) + len(nodes)
    graph = sparse.coo_array((np.ones(len(edges)), np.transpose(edges)), shape=(size, size))
    groups: dict[int, list[str]] = {}
    for query, component in zip(queries, graphs.connected_components(graph, directed=False)[1].tolist(), strict=False):
        groups.setdefault(component, []).append(query)
    return list(groups.values())
