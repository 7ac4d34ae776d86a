"""What a retrieval is asked for: a frozen dataclass whose fields carry the help of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data import beir
from engine.comparison import fields
from engine.runs.spec import Problem, option

BM25, CLS, MEAN, HYBRID, TRAINED = "bm25", "cls", "mean", "hybrid", "trained"
RANKERS = (BM25, CLS, MEAN, HYBRID, TRAINED)
PAIRS = ((MEAN, CLS), (HYBRID, BM25), (HYBRID, MEAN), (TRAINED, MEAN), (TRAINED, BM25))
"""methods whose difference says something"""
MODES = ("projection", "whole")


@dataclass(frozen=True)
class RetrieveSpec:
    """Everything that decides a retrieval."""

    task: ClassVar[str] = "retrieve"

    data: str = option(
        beir.BUNDLED,
        "workshop (bundled), a folder in BEIR layout or of text files, or a name on the Hugging Face Hub.",
    )
    encoder: str = option("auto", fields.ENCODER)
    methods: tuple[str, ...] = option(
        RANKERS,
        "bm25, cls, mean, hybrid or trained; repeat the option for several. Default: all.",
        choices=RANKERS,
        name="method",
    )
    mode: str = option(
        "projection",
        "What is trained: projection (a matrix on frozen features, seconds) or whole (the encoder, minutes).",
        choices=MODES,
        name="train",
    )
    hard_negatives: int = option(
        0, "Hard negatives per query in a batch: documents that BM25 ranks high and that are not relevant."
    )
    epochs: int = option(0, "Maximum epochs; 0 chooses by what is trained.")
    learning_rate: float = option(0.0, "Peak learning rate; 0 chooses by what is trained.")
    length: int = option(256, "Maximum tokens of a document; the rest is cut.")
    seed: int = option(1337, "Seed of the held-out queries, the batches and the bootstrap.")
    device: str = "auto"
    name: str = option("", fields.NAME)

    def validate(self) -> list[Problem]:
        """Everything that is wrong with it by itself."""
        wrong = [method for method in self.methods if method not in RANKERS]
        checks = (
            ("data", not self.data.strip(), f"name a collection: {beir.BUNDLED} is bundled"),
            ("method", bool(wrong), f"{', '.join(map(repr, wrong))}: there are {', '.join(RANKERS)}"),
            ("method", not self.methods, f"name at least one of {', '.join(RANKERS)}"),
            ("train", self.mode not in MODES, f"must be {' or '.join(MODES)}"),
            ("hard_negatives", not 0 <= self.hard_negatives <= 16, "must be between 0 and 16"),
            ("epochs", not 0 <= self.epochs <= 1000, "must be between 0 and 1,000"),
            ("learning_rate", not 0 <= self.learning_rate < 1, "must be between 0 and 1"),
            ("length", not 4 <= self.length <= 100_000, "must be 4 tokens or more"),
            ("device", self.device not in ("auto", "cpu", "cuda", "mps"), "must be auto, cpu, cuda or mps"),
        )
        return [Problem(name, message) for name, bad, message in checks if bad]
