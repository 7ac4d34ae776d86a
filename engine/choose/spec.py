"""What a comparison on questions is asked for: a frozen dataclass whose fields carry the help of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data import choices as questions
from engine.comparison import fields
from engine.encoders.features import POOLINGS
from engine.runs.spec import Problem, option

ZERO_SHOT, MARGIN, CROSS_ENTROPY, FINETUNE = "zero-shot", "margin", "cross-entropy", "finetune"
METHODS = (ZERO_SHOT, MARGIN, CROSS_ENTROPY, FINETUNE)
USUAL = (MARGIN, CROSS_ENTROPY)


@dataclass(frozen=True)
class ChooseSpec:
    """Everything that decides a comparison of methods."""

    task: ClassVar[str] = "choose"

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
    encoder: str = option("auto", fields.ENCODER)
    pooling: str = option("mean", fields.POOLING, choices=POOLINGS)
    length: int = option(128, "Maximum tokens of question and choice; the rest is cut.")
    margin: float = option(0.2, "Margin of the ranking loss.")
    seeds: int = option(3, "Number of trainings of each scorer, each with its own seed; accuracies are averaged.")
    """from ``seed`` upwards; the first is the one that is kept"""
    uninformative: str | None = option(
        None,
        'Prompt without the question, for PMI. Default: "Answer:", or empty where choices continue the question.',
    )
    limit: int = option(0, "Maximum questions of each split; 0 for all.")
    seed: int = option(1337, fields.SEED)
    epochs: int = option(3, fields.EPOCHS)
    learning_rate: float = option(0.0, fields.RATE)
    device: str = "auto"
    name: str = option("", fields.NAME)

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
