"""Small collections in BEIR layout, over the words of the tiny encoders."""

from __future__ import annotations

import json
import random
from pathlib import Path

import tiny

TOPICS = 12


def collection(folder: Path, *, train: int = 24, test: int = 8, documents: int = 36, seed: int = 0) -> Path:
    """Documents of a dozen topics, three each; a query has words of its topic, one document of it is relevant."""
    rng = random.Random(seed)
    words = tiny.WORDS[7:]
    topics = [rng.sample(words, 2) for _ in range(TOPICS)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "qrels").mkdir(exist_ok=True)
    rows = []
    for number in range(documents):
        own = topics[number % TOPICS]
        body = [rng.choice(own) if rng.random() < 0.7 else rng.choice(tiny.WORDS[:7]) for _ in range(8)]
        rows.append({"_id": f"d{number}", "title": "", "text": " ".join([*own, *body])})
    write(folder / "corpus.jsonl", rows)
    queries, qrels = [], {"train": [], "test": []}
    for number in range(train + test):
        own = topics[number % TOPICS]
        queries.append({"_id": f"q{number}", "text": f"{own[0]} the {own[1]} {number}"})
        split = "train" if number < train else "test"
        qrels[split].append(f"q{number}\td{number % documents}\t1")
    write(folder / "queries.jsonl", queries)
    for split, lines in qrels.items():
        text = "\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text)
    return folder


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
