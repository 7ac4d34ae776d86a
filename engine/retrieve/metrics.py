"""Rankings and every figure about them, through ir_measures wherever it has it.

A ranking is a list of document rows, best first. It is judged by its order alone: scores are replaced by ranks before
trec_eval's code sees them, since that would break ties of scores by document id, which no ranker meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.encoders.index import Matrix, Rows

    Values: TypeAlias = NDArray[np.float64]

NDCG, RECALL, MRR, MAP = "ndcg@10", "recall@100", "mrr@10", "map@100"
MEASURES = (NDCG, RECALL, MRR, MAP)
DEPTH = 100  # documents of a ranking that any measure looks at


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


def fuse(rankings: Sequence[Ranked], k: int = 60) -> Ranked:
    """Reciprocal-rank fusion (Cormack, Clarke and Büttcher, 2009): each ranking gives ``1 / (k + rank)``.

    Ties are in the order of the first ranking that has them.
    """
    total: dict[int, float] = {}
    for ranked in rankings:
        for rank, row in enumerate(ranked.rows, 1):
            total[row] = total.get(row, 0.0) + 1 / (k + rank)
    order = sorted(total, key=lambda row: -total[row])
    return Ranked(tuple(order), tuple(total[row] for row in order))


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
