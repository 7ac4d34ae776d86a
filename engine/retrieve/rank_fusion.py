"""Reciprocal-rank fusion (RRF) of several rankings."""

from __future__ import annotations

from collections.abc import Sequence

from engine.retrieve.metrics import Ranked


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
