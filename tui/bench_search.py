"""Exact search among many vectors: how long a query takes, and whether it is exact."""

from __future__ import annotations

import statistics
import time
from typing import Any

COUNT, WIDTH, K = 100_000, 384, 10
QUERIES = 200


def search(count: int = COUNT, queries: int = QUERIES) -> dict[str, Any]:
    """Milliseconds a query among random unit vectors, one query at a time, against a plain product and sort."""
    import numpy as np

    from engine.vectors import Exact, unit

    rng = np.random.default_rng(1337)
    vectors = unit(rng.standard_normal((count, WIDTH), np.float32))
    asked = unit(rng.standard_normal((queries, WIDTH), np.float32))
    index = Exact(vectors)
    index.search(asked[:1], K)
    times, same, apart = [], 0, 0.0
    for row in range(queries):
        begun = time.perf_counter()
        found, scores = index.search(asked[row : row + 1], K)
        times.append(time.perf_counter() - begun)
        products = vectors @ asked[row]
        order = np.argsort(-products, kind="stable")[:K]
        same += bool((found[0] == order).all())
        apart = max(apart, float(np.abs(scores[0] - products[order]).max()))
    times.sort()
    return {
        "vectors": count,
        "width": WIDTH,
        "k": K,
        "query_ms_median": round(statistics.median(times) * 1000, 2),
        "query_ms_p99": round(times[int(len(times) * 0.99)] * 1000, 2),
        "same_rows_as_brute_force": f"{same}/{queries}",
        "scores_apart_at_most": float(f"{apart:.1e}"),
    }
