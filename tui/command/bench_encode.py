"""Frozen features against ``SentenceTransformer.encode`` in pairs, and exact search against a plain product."""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tui.command.bench_figures import spread

PAIRS = 5
TEXTS = 200
LONGEST = 8  # sentences of the bundled questions in one text


def encode(name: str, pairs: int = PAIRS) -> dict[str, Any]:
    """Texts per second, ours and theirs, each from texts to their mean pooling, without a cache.

    ``name`` is any encoder; the bundled MiniLM without one. Theirs has its defaults. Who is first alternates;
    processor time is compared too, since it does not feel what else the machine does.
    """
    import numpy as np

    from engine.device import place
    from engine.encoders import find as encoders
    from engine.encoders.encode import machine_for
    from engine.runs.messages import finish

    encoder = finish(encoders.find(name or "minilm"))
    texts, length, device = _texts(), min(256, encoder.positions), str(place().device)
    figures: dict[str, Any] = {"encoder": encoder.name, "device": device, "texts": len(texts)}
    machine = machine_for(encoder)
    _ours(machine, texts[:8], length)
    if importlib.util.find_spec("sentence_transformers") is None:
        ours = [_ours(machine, texts, length)[0] for _ in range(pairs)]
        rate = round(len(texts) / statistics.median(ours), 1)
        return {**figures, "ours_per_s": rate, "compared": "no: sentence-transformers is not installed"}
    with tempfile.TemporaryDirectory(prefix="llmlab-encode-") as scratch:
        theirs = _library(encoder, Path(scratch), length, device)
    theirs.encode(texts[:8], show_progress_bar=False)
    times: list[tuple[float, float]] = []
    work: list[float] = []
    apart = 0.0
    for number in range(pairs):
        taken: dict[str, float] = {}
        spent: dict[str, float] = {}
        vectors: dict[str, Any] = {}
        for who in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            before = time.process_time()
            if who == "ours":
                taken[who], vectors[who] = _ours(machine, texts, length)
            else:
                begun = time.perf_counter()
                vectors[who] = theirs.encode(texts, show_progress_bar=False)
                taken[who] = time.perf_counter() - begun
            spent[who] = time.process_time() - before
        apart = max(apart, float(np.abs(vectors["ours"] - vectors["theirs"]).max()))
        work.append(spent["theirs"] / spent["ours"])
        times.append((taken["ours"], taken["theirs"]))
    return {
        **figures,
        "ours_per_s": round(len(texts) / statistics.median(ours_s for ours_s, _ in times), 1),
        "theirs_per_s": round(len(texts) / statistics.median(theirs_s for _, theirs_s in times), 1),
        **spread("times_as_fast", [theirs_s / ours_s for ours_s, theirs_s in times], 2),
        "processor_time_ratio_median": round(statistics.median(work), 2),
        "largest_difference": apart,
        "pairs": pairs,
    }


def _ours(machine: Any, texts: list[str], length: int) -> tuple[float, Any]:
    from engine.encoders.encode import encode_now

    begun = time.perf_counter()
    vectors = encode_now(texts, machine, length, "mean")
    return time.perf_counter() - begun, vectors


def _library(encoder: Any, folder: Path, length: int, device: str) -> Any:
    """The same weights and tokenizer as the library takes them, pooled by the mean."""
    encoder.open().save_pretrained(folder)
    encoder.tokenizer.backend.save(str(folder / "tokenizer.json"))
    special = {"pad_token": encoder.tokenizer.token(0), "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**special, "model_max_length": length}))
    library: Any = importlib.import_module("sentence_transformers")
    parts: Any = importlib.import_module("sentence_transformers.models")
    base = parts.Transformer(str(folder), max_seq_length=length)
    return library.SentenceTransformer(modules=[base, parts.Pooling(encoder.width)], device=device)


def _texts() -> list[str]:
    """Texts of one to several sentences, in no order of length."""
    from data import tables

    sentences = tables.load(tables.BUNDLED).train.texts
    rng = random.Random(1)
    return [" ".join(rng.sample(sentences, rng.randint(1, LONGEST))) for _ in range(TEXTS)]


COUNT, WIDTH, K = 100_000, 384, 10
QUERIES = 200


def search(count: int = COUNT, queries: int = QUERIES) -> dict[str, Any]:
    """Milliseconds a query among random unit vectors, one query at a time, against a plain product and sort."""
    import numpy as np

    from engine.encoders.index import Exact, unit

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
