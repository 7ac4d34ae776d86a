"""What a bi-encoder is trained on and how: settings, queries in parts that share no document, batches, negatives.

No two queries of a batch share a relevant document, or a right answer would be punished as a wrong one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from data.beir import Collection
from engine.encoders import index
from engine.encoders.epochs import Settings
from engine.encoders.find import Encoder
from engine.retrieve.rankers import Bm25

if TYPE_CHECKING:
    from engine.encoders.index import Matrix

FEWEST = 8  # training queries
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
        """For every training query the documents that BM25 ranks highest and that are not relevant."""
        count, found = self.settings.hard_negatives * 4, {}
        if count:
            bm25 = Bm25(self.collection)
            for query in self.collection.qrels["train"]:
                known = self.collection.relevant("train", query)
                (ranked,) = bm25.rank([self.collection.queries[query]], count + len(known))
                found[query] = [row for row in ranked.rows if row not in known][:count]
        return found


@dataclass(frozen=True)
class Split:
    """Training queries in two parts that share no relevant document."""

    train: tuple[str, ...]
    held: tuple[str, ...]


def split(collection: Collection, share: float, seed: int) -> Split:
    """Hold out about ``share`` of the training queries, whole groups that share documents together.

    Raises :class:`CannotTrain` when there are too few.
    """
    relevant = collection.qrels.get("train", {})
    if len(relevant) < FEWEST:
        raise CannotTrain(
            f"training needs at least {FEWEST} train queries with a relevant document, and there are {len(relevant)}"
        )
    groups = _groups(relevant)
    random.Random(f"{seed}/held").shuffle(groups)
    held: list[str] = []
    while len(held) < max(2, round(share * len(relevant))) and len(groups) > 1:
        held += groups.pop()
    train = [query for group in groups for query in group]
    if len(train) < 2:
        raise CannotTrain("the train queries all share their documents: none can be held out")
    return Split(tuple(sorted(train)), tuple(sorted(held)))


def folds(collection: Collection, count: int, seed: int) -> list[Split]:
    """Splits in which every training query is held out once. Raises :class:`CannotTrain` when there are too few."""
    split(collection, 0.2, seed)
    groups = _groups(collection.qrels["train"])
    random.Random(f"{seed}/folds").shuffle(groups)
    groups.sort(key=len, reverse=True)  # stable, so still shuffled within a size
    parts: list[list[str]] = [[] for _ in range(min(count, len(groups)))]
    for group in groups:
        min(parts, key=len).extend(group)
    every = {query for part in parts for query in part}
    return [Split(tuple(sorted(every - set(part))), tuple(sorted(part))) for part in parts]


def batches(
    pairs: Sequence[tuple[str, int]], relevant: Mapping[str, frozenset[int]], rows: int, seed: str
) -> list[list[tuple[str, int]]]:
    """Pairs of query and document in random order; in a batch no two queries share a relevant document.

    A pair that fits into no batch that is open waits for a later one, so every pair comes once.
    """
    waiting = list(pairs)
    random.Random(seed).shuffle(waiting)
    result = []
    while waiting:
        batch: list[tuple[str, int]] = []
        taken: set[int] = set()
        rest = []
        for query, document in waiting:
            if len(batch) < rows and taken.isdisjoint(relevant[query]):
                batch.append((query, document))
                taken |= relevant[query]
            else:
                rest.append((query, document))
        result.append(batch)
        waiting = rest
    if len(result) > 1 and len(result[-1]) == 1:  # alone it has nothing to be told from
        result.pop()
    return result


class TrainingData:
    """Queries to train on and to hold out, with their relevant documents."""

    def __init__(self, inputs: TrainingInputs, parts: Split) -> None:
        self.inputs, self.split = inputs, parts
        names = (*parts.train, *parts.held)
        self.relevant = {query: frozenset(inputs.collection.relevant("train", query)) for query in names}
        self.pairs = [(query, document) for query in parts.train for document in sorted(self.relevant[query])]

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
        """Which documents ``(queries, documents)`` are relevant to a query beside its own."""
        queries, documents = batch
        return [
            [place != own and row in self.relevant[query] for place, row in enumerate(documents)]
            for own, query in enumerate(queries)
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


def _groups(relevant: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Queries that share a document, directly or through others, together; in a fixed order."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for query, documents in relevant.items():
        for document in documents:
            leader[find(f"d{document}")] = find(f"q{query}")
    groups: dict[str, list[str]] = {}
    for query in sorted(relevant):
        groups.setdefault(find(f"q{query}"), []).append(query)
    return list(groups.values())
