"""Measures against pytrec_eval, intervals and fusion against plain loops, exact search against brute force."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval

from engine.comparison.statistics import interval, paired_test
from engine.encoders import index
from engine.retrieve import metrics as retrieve_metrics
from engine.retrieve.metrics import Ranked, fuse


def test_measures_equal_pytrec_eval_on_random_rankings_with_ties() -> None:
    rng = np.random.default_rng(3)
    rankings, relevant, run, qrels = [], [], {}, {}
    for query in range(60):
        count = int(rng.integers(1, 150))
        rows = rng.choice(200, count, replace=False)
        scores = rng.integers(0, 6, count)  # many ties
        # trec_eval breaks ties by document id, highest first, as text: rank the same way, then the order must count.
        order = sorted(range(count), key=lambda i: (scores[i], f"{rows[i]}"), reverse=True)
        rankings.append(Ranked(tuple(int(rows[i]) for i in order), tuple(float(scores[i]) for i in order)))
        relevant.append({int(row): int(rng.integers(1, 3)) for row in rng.choice(200, int(rng.integers(1, 9)))})
        run[str(query)] = {str(row): float(score) for row, score in zip(rows, scores, strict=True)}
        qrels[str(query)] = {str(row): grade for row, grade in relevant[-1].items()}
    found = retrieve_metrics.judge(rankings, relevant)
    wanted = {"ndcg_cut.10", "recall.100", "map_cut.100", "recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    for name, key in (("ndcg@10", "ndcg_cut_10"), ("recall@100", "recall_100"), ("map@100", "map_cut_100")):
        assert found[name] == pytest.approx([theirs[str(query)][key] for query in range(60)], abs=1e-9)
    reciprocal = [theirs[str(query)]["recip_rank"] for query in range(60)]
    assert found["mrr@10"] == pytest.approx([value if value >= 0.1 else 0.0 for value in reciprocal], abs=1e-9)


def test_a_ranking_counts_in_its_own_order_whatever_its_scores() -> None:
    tied = [Ranked((5, 9, 1), (1.0, 1.0, 1.0)), Ranked((), ())]
    found = retrieve_metrics.judge(tied, [{9: 1}, {3: 1}])
    assert found["mrr@10"].tolist() == [0.5, 0.0]
    assert found["ndcg@10"].tolist() == pytest.approx([1 / np.log2(3), 0.0])


def test_an_interval_is_that_of_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.random(40), rng.random(40) * 0.9
    found = paired_test(first, second, seed=7)
    draws = np.random.default_rng(7).integers(0, 40, (4000, 40))
    means = [float(np.mean([first[i] - second[i] for i in draw])) for draw in draws]
    assert found.mean == pytest.approx((first - second).mean())
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.02)
    assert (found.better, found.worse) == (int((first > second).sum()), int((first < second).sum()))
    assert found.n == 40
    other = paired_test(second, first, seed=7)
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))
    assert other.p == found.p
    assert paired_test(first, second, seed=7) == found
    alone = interval(first, seed=7)
    means = [float(first[draw].mean()) for draw in draws]
    assert alone == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=0.02)


def test_intervals_of_thousands_of_queries_take_little_memory() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    first, second = rng.random(6980), rng.random(6980)
    paired_test(first[:9], second[:9])  # imports
    tracemalloc.start()
    paired_test(first, second)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


def test_fusion_adds_reciprocal_ranks() -> None:
    found = fuse([Ranked((1, 2, 3), (9, 8, 7)), Ranked((3, 4), (0.5, 0.4))])
    score = {1: 1 / 61, 2: 1 / 62, 3: 1 / 63 + 1 / 61, 4: 1 / 62}
    assert found.rows == (3, 1, 2, 4)
    assert found.scores == pytest.approx([score[row] for row in found.rows])


@pytest.mark.parametrize(("count", "queries", "block"), [(1000, 1, 300), (1000, 9, 128), (7, 3, 4)])
def test_exact_search_equals_brute_force_and_breaks_ties_by_row(count: int, queries: int, block: int) -> None:
    rng = np.random.default_rng(count + queries)
    held = rng.integers(-2, 3, (count, 8)).astype(np.float32)  # whole numbers: products are exact and often equal
    asked = rng.integers(-2, 3, (queries, 8)).astype(np.float32)
    rows, scores = index.Exact(held, block=block).search(asked, 20)
    for query in range(queries):
        products = [sum(float(a) * float(b) for a, b in zip(asked[query], vector, strict=True)) for vector in held]
        order = sorted(range(count), key=lambda row: (-products[row], row))[:20]
        assert rows[query].tolist() == order
        assert scores[query].tolist() == [products[row] for row in order]


def test_an_index_is_mapped_again_and_made_anew_for_other_content(tmp_path: Path) -> None:
    made = index.unit(np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32))
    folder = tmp_path / "index"
    assert index.read(folder) is None
    index.write(folder, "one", made)
    found = index.read(folder, "one")
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, made)
    assert index.read(folder, "two") is None
    index.write(folder, "two", made[:20])
    again = index.read(folder, "two")
    assert again is not None
    assert again.shape == (20, 6)
    content = (folder / "vectors.f32").read_bytes()
    (folder / "vectors.f32").write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    assert index.read(folder, "two") is None
    (folder / "vectors.f32").write_bytes(b"short")
    assert index.read(folder, "two") is None
    (folder / "index.json").write_text(json.dumps({"format": 1}))
    assert index.read(folder) is None
