"""Rankings and every figure about them, through ir_measures wherever it has it.

A ranking is a list of document rows, best first. It is judged by its order alone: scores are replaced by ranks before
trec_eval's code sees them, since that would break ties of scores by document id, which no ranker meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from engine.imports import import_beside_torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.encoders.index import Matrix, Rows

    Values: TypeAlias = NDArray[np.float64]

NDCG, RECALL, MRR, MAP = "ndcg@10", "recall@100", "mrr@10", "map@100"
MEASURES = (NDCG, RECALL, MRR, MAP)
DEPTH = 100  # documents of a ranking that any measure looks at
RESAMPLES = 2000  # of the queries, for an interval
FLIPS = 9999  # of the signs of differences, for a p-value
BATCH = 100  # resamples and flips at once: bounds the memory
SURE = 0.95
CHANCE = 1 - SURE  # p from which a difference could be chance
ALIKE = 1e-9  # difference of two equal figures


@dataclass(frozen=True)
class Ranked:
    """What a ranker found for one query: rows of documents and their scores, best first."""

    rows: tuple[int, ...]
    scores: tuple[float, ...]

    def top(self, k: int) -> Ranked:
        """The first ``k``."""
        return Ranked(self.rows[:k], self.scores[:k])

    def without(self, row: int | None) -> Ranked:
        """The same without a document, as a query's own; None leaves it as it is."""
        if row not in self.rows:
            return self
        place = self.rows.index(row)
        return Ranked(self.rows[:place] + self.rows[place + 1 :], self.scores[:place] + self.scores[place + 1 :])


def rankings(rows: Rows, scores: Matrix) -> list[Ranked]:
    """Rankings of several queries from what a search found, both ``(queries, documents)``, best first."""
    return [Ranked(tuple(row), tuple(score)) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]


@dataclass(frozen=True)
class Difference:
    """Mean of the first less mean of the second over the same queries, with its 95% interval."""

    mean: float
    low: float
    high: float
    better: int
    """queries that the first does better"""
    worse: int
    p: float
    """of a difference at least as large, either way, if both were equally good; of this pair alone"""
    n: int
    """queries"""


def judge(rankings: Sequence[Ranked], relevant: Sequence[Mapping[int, int]]) -> dict[str, Values]:
    """Every measure of every query, in order. ``relevant``: row of a document to its grade, 1 or more.

    nDCG@10 with the grade as gain (Järvelin and Kekäläinen, 2002), recall@100, reciprocal rank at 10, average
    precision at 100. A query without a relevant document is the caller's to leave out.
    """
    import ir_measures
    import numpy as np
    from ir_measures import AP, RR, R, nDCG

    wanted = {nDCG @ 10: NDCG, R @ 100: RECALL, AP @ 100: MAP}
    qrels = {str(query): {str(row): grade for row, grade in found.items()} for query, found in enumerate(relevant)}
    values = {name: np.zeros(len(rankings)) for name in MEASURES}

    def run(depth: int) -> dict[str, dict[str, float]]:
        return {
            str(query): {str(row): float(depth - rank) for rank, row in enumerate(ranked.rows[:depth])}
            for query, ranked in enumerate(rankings)
        }

    for metric in ir_measures.pytrec_eval.iter_calc(list(wanted), qrels, run(DEPTH)):
        values[wanted[metric.measure]][int(metric.query_id)] = metric.value
    for metric in ir_measures.pytrec_eval.iter_calc([RR], qrels, run(10)):  # it knows no cutoff of its own
        values[MRR][int(metric.query_id)] = metric.value
    return values


def interval(values: Values, seed: int = 1337) -> tuple[float, float]:
    """The 95% interval of the mean of a measure ``(queries,)``: Wilson's where all are 0 or 1, else by bootstrap."""
    if len(values) and set(values) <= {0.0, 1.0}:
        binomtest = import_beside_torch("scipy.stats").binomtest
        found = binomtest(int(values.sum()), len(values)).proportion_ci(SURE, "wilson")
        return float(found.low), float(found.high)
    return _bootstrap(values, seed)


def paired_p(first: Values, second: Values, seed: int = 1337) -> float:
    """Probability of a mean difference at least as large, either way, if the two were exchangeable for each query.

    The signs of the differences are flipped (Fisher, 1935; for retrieval Smucker, Allan and Carterette, 2007): in all
    ways, or of more than ``FLIPS`` in as many random ones.
    """
    import numpy as np

    gaps = first - second
    gaps = gaps[np.abs(gaps) > ALIKE]  # the sign of nothing changes nothing
    least = abs(gaps.sum()) - ALIKE
    if 2 ** len(gaps) <= FLIPS:
        return float(np.mean([abs(np.dot(signs, gaps)) >= least for signs in product((-1, 1), repeat=len(gaps))]))
    rng, hits = np.random.default_rng(seed), 0
    for start in range(0, FLIPS, BATCH):
        signs = 2 * rng.integers(0, 2, (min(BATCH, FLIPS - start), len(gaps)), dtype=np.int8) - 1
        hits += int((abs(signs @ gaps) >= least).sum())
    return (hits + 1) / (FLIPS + 1)


def paired(first: Values, second: Values, seed: int = 1337) -> Difference:
    """How much better the first is on the same queries, by a paired bootstrap (Sakai, 2006) and a paired test."""
    gaps = first - second
    low, high = _bootstrap(gaps, seed)
    mean = float(gaps.mean()) if len(gaps) else 0.0
    better, worse = int((gaps > ALIKE).sum()), int((gaps < -ALIKE).sum())
    return Difference(mean, low, high, better, worse, paired_p(first, second, seed), len(gaps))


def holm(ps: Sequence[float]) -> list[float]:
    """``ps`` of several pairs, adjusted so that all together err as seldom as one (Holm, 1979), in the same order."""
    adjusted, highest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def _bootstrap(values: Values, seed: int) -> tuple[float, float]:
    """Percentiles of the means of resampled queries (Efron, 1979); of one query its own value."""
    import numpy as np

    if len(values) < 2:
        return (float(values[0]), float(values[0])) if len(values) else (0.0, 0.0)
    bootstrap = import_beside_torch("scipy.stats").bootstrap
    options = {"n_resamples": RESAMPLES, "batch": BATCH, "confidence_level": SURE, "method": "percentile"}
    found = bootstrap((values,), np.mean, random_state=seed, **options).confidence_interval
    return float(found.low), float(found.high)
