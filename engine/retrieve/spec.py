"""What a retrieval is asked for: a frozen dataclass whose fields carry all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data import beir
from engine.comparison import fields
from engine.runs.spec import Problem, check, check_gpus, option

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
        group="collection",
        required=f"name a collection: {beir.BUNDLED} is bundled",
        path=True,
    )
    encoder: str = fields.encoder(group="encoder")
    methods: tuple[str, ...] = option(
        RANKERS,
        "bm25, cls, mean, hybrid or trained",
        choices=RANKERS,
        name="method",
        group="methods",
        required=f"name at least one of {', '.join(RANKERS)}",
    )
    mode: str = option(
        "projection",
        "What is trained: projection (a matrix on frozen features, seconds) or whole (the encoder, minutes).",
        choices=MODES,
        name="train",
        label="train",
        group="methods",
    )
    hard_negatives: int = option(
        0,
        "Hard negatives per query in a batch: documents that BM25 ranks high and that are not relevant.",
        group="methods",
        minimum=0,
        maximum=16,
    )
    epochs: int = option(0, "Maximum epochs; 0 chooses by what is trained.", group="methods", minimum=0, maximum=1000)
    learning_rate: float = fields.learning_rate("Peak learning rate; 0 chooses by what is trained.", group="methods")
    length: int = fields.length(
        256,
        "Maximum tokens of a document; the rest is cut.",
        group="encoder",
        minimum=4,
    )
    seed: int = fields.seed("Seed of the held-out queries, the batches and the bootstrap.", group="methods")
    device: str = fields.device()
    gpus: str = fields.gpus()
    name: str = fields.name()

    def validate(self) -> list[Problem]:
        """Everything that is wrong with it by itself."""
        return check(self) + check_gpus(self.gpus, self.device)
