"""What the tasks on data sets are asked for: frozen dataclasses whose fields carry the help of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from data import beir, tables
from data import choices as questions
from engine.features import POOLINGS
from engine.spec import Problem, option

S = TypeVar("S")
LR, MLP, FINETUNE = "lr", "mlp", "finetune"
HEADS = (LR, MLP, FINETUNE)
ZERO_SHOT, MARGIN, CROSS_ENTROPY = "zero-shot", "margin", "cross-entropy"
METHODS = (ZERO_SHOT, MARGIN, CROSS_ENTROPY, FINETUNE)
USUAL = (MARGIN, CROSS_ENTROPY)
BM25, CLS, MEAN, HYBRID, TRAINED = "bm25", "cls", "mean", "hybrid", "trained"
RANKERS = (BM25, CLS, MEAN, HYBRID, TRAINED)
MODES = ("projection", "whole")
_ENCODER = "minilm (bundled), a folder, a name on the Hub, or auto: DistilBERT if available, else minilm."
_POOLING = (
    "How token vectors are combined: cls, mean, max, last (for GPT-2), last4 (means of the last four layers), all."
)
_SEED = "Seed of splits, initial weights, order and dropout."
_EPOCHS = "Maximum epochs of fine-tuning."
_RATE = "Peak learning rate of fine-tuning; 0 chooses by the width of the encoder."
_NAME = "Name of the run; defaults to task and data."


@dataclass(frozen=True)
class ClassifySpec:
    """Everything that decides a classification."""

    data: str = option(
        tables.BUNDLED,
        "helpdesk (bundled), a CSV, TSV, JSON lines or Parquet file, a folder with train, validation and test, or a "
        "name on the Hugging Face Hub.",
    )
    test: str = option("", "A file with the test split.")
    text_column: str = option("", "Column of the texts; found by its name if not given.")
    label_column: str = option("", "Column of the labels; found by its name if not given.")
    encoder: str = option("auto", _ENCODER)
    pooling: str = option("mean", _POOLING, choices=POOLINGS)
    length: int = option(128, "Maximum tokens of a text; the rest is cut.")
    heads: tuple[str, ...] = option(
        (LR, MLP),
        "lr, mlp or finetune; repeat the option for several. Default: lr and mlp.",
        choices=HEADS,
        name="head",
    )
    class_weights: bool = option(False, "Weight classes inversely to their frequency in training.")
    limit: int = option(0, "Maximum rows of each split; 0 for all.")
    seed: int = option(1337, _SEED)
    epochs: int = option(4, _EPOCHS)
    learning_rate: float = option(0.0, _RATE)
    curve: bool = option(False, "Also train on 8, 16, 32, ... labels per class.")
    suspects: bool = option(False, "Also report training rows whose label is probably wrong.")
    device: str = "auto"
    name: str = option("", _NAME)

    def validate(self) -> list[Problem]:
        """Everything that is wrong with it by itself."""
        wrong = [head for head in self.heads if head not in HEADS]
        checks = (
            ("data", not self.data.strip(), "name a data set: helpdesk is bundled"),
            ("head", bool(wrong), f"{', '.join(map(repr, wrong))}: there are {', '.join(HEADS)}"),
            ("head", not self.heads, f"name at least one of {', '.join(HEADS)}"),
            ("pooling", self.pooling not in POOLINGS, f"{self.pooling!r} is none of {', '.join(POOLINGS)}"),
            ("length", not 4 <= self.length <= 100_000, "must be 4 tokens or more"),
            ("limit", self.limit < 0, "must not be negative"),
            ("epochs", not 1 <= self.epochs <= 1000, "must be between 1 and 1,000"),
            ("learning_rate", not 0 <= self.learning_rate < 1, "must be between 0 and 1"),
            ("device", self.device not in ("auto", "cpu", "cuda", "mps"), "must be auto, cpu, cuda or mps"),
        )
        return [Problem(name, message) for name, bad, message in checks if bad]


@dataclass(frozen=True)
class ChooseSpec:
    """Everything that decides a comparison of methods."""

    data: str = option(
        questions.BUNDLED,
        "everyday (bundled), a JSON lines, CSV or Parquet file, a folder with train and validation, or a name on the "
        "Hugging Face Hub, such as tau/commonsense_qa or allenai/ai2_arc:ARC-Easy.",
    )
    methods: tuple[str, ...] = option(
        USUAL,
        "zero-shot, margin, cross-entropy or finetune; repeat the option for several. Default: margin and "
        "cross-entropy.",
        choices=METHODS,
        name="method",
    )
    model: str = option(
        "bundled",
        "Causal language model for zero-shot: bundled (a character model of Dante: near chance on English), gpt2, a "
        "run, a folder, or a name on the Hub.",
    )
    encoder: str = option("auto", _ENCODER)
    pooling: str = option("mean", _POOLING, choices=POOLINGS)
    length: int = option(128, "Maximum tokens of question and choice; the rest is cut.")
    margin: float = option(0.2, "Margin of the ranking loss.")
    seeds: int = option(3, "Number of trainings of each scorer, each with its own seed.")
    """from ``seed`` upwards; the first is the one that is kept"""
    uninformative: str | None = option(
        None,
        'Prompt without the question, for PMI. Default: "Answer:", or empty where choices continue the question.',
    )
    limit: int = option(0, "Maximum questions of each split; 0 for all.")
    seed: int = option(1337, _SEED)
    epochs: int = option(3, _EPOCHS)
    learning_rate: float = option(0.0, _RATE)
    device: str = "auto"
    name: str = option("", _NAME)

    def validate(self) -> list[Problem]:
        """Everything that is wrong with it by itself."""
        wrong = [method for method in self.methods if method not in METHODS]
        checks = (
            ("data", not self.data.strip(), f"name a data set: {questions.BUNDLED} is bundled"),
            ("method", bool(wrong), f"{', '.join(map(repr, wrong))}: there are {', '.join(METHODS)}"),
            ("method", not self.methods, f"name at least one of {', '.join(METHODS)}"),
            ("pooling", self.pooling not in POOLINGS, f"{self.pooling!r} is none of {', '.join(POOLINGS)}"),
            ("length", not 8 <= self.length <= 100_000, "must be 8 tokens or more"),
            ("margin", not 0 < self.margin <= 100, "must be above 0: with 0 all scores alike would do"),
            ("seeds", not 1 <= self.seeds <= 100, "must be between 1 and 100"),
            ("limit", self.limit < 0, "must not be negative"),
            ("seed", not 0 <= self.seed < 2**62, "must be a whole number that is not negative"),
            ("epochs", not 1 <= self.epochs <= 1000, "must be between 1 and 1,000"),
            ("learning_rate", not 0 <= self.learning_rate < 1, "must be between 0 and 1"),
            ("device", self.device not in ("auto", "cpu", "cuda", "mps"), "must be auto, cpu, cuda or mps"),
        )
        return [Problem(name, message) for name, bad, message in checks if bad]


@dataclass(frozen=True)
class RetrieveSpec:
    """Everything that decides a retrieval."""

    data: str = option(
        beir.BUNDLED,
        "workshop (bundled), a folder in BEIR layout or of text files, or a name on the Hugging Face Hub.",
    )
    encoder: str = option("auto", _ENCODER)
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
    name: str = option("", _NAME)

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


TASKS: Mapping[type, str] = {ClassifySpec: "classify", ChooseSpec: "choose", RetrieveSpec: "retrieve"}
"""the names of the tasks, as ``spec.json`` has them"""


def to_dict(spec: Any) -> dict[str, Any]:
    """A spec as JSON can hold it, marked as its task's."""
    values = {name: list(one) if isinstance(one, tuple) else one for name, one in vars(spec).items()}
    return {"task": TASKS[type(spec)], **values}
