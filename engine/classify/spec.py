"""What a classification is asked for: a frozen dataclass whose fields carry the help of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data import tables
from engine.comparison import fields
from engine.encoders.features import POOLINGS
from engine.runs.spec import Problem, option

LR, MLP, FINETUNE = "lr", "mlp", "finetune"
HEADS = (LR, MLP, FINETUNE)


@dataclass(frozen=True)
class ClassifySpec:
    """Everything that decides a classification."""

    task: ClassVar[str] = "classify"

    data: str = option(
        tables.BUNDLED,
        "helpdesk (bundled), a CSV, TSV, JSON lines or Parquet file, a folder with train, validation and test, or a "
        "name on the Hugging Face Hub.",
    )
    test: str = option("", "A file with the test split.")
    text_column: str = option("", "Column of the texts; found by its name if not given.")
    label_column: str = option("", "Column of the labels; found by its name if not given.")
    encoder: str = option("auto", fields.ENCODER)
    pooling: str = option("mean", fields.POOLING, choices=POOLINGS)
    length: int = option(128, "Maximum tokens of a text; the rest is cut.")
    heads: tuple[str, ...] = option(
        (LR, MLP),
        "lr, mlp or finetune; repeat the option for several. Default: lr and mlp.",
        choices=HEADS,
        name="head",
    )
    class_weights: bool = option(False, "Weight classes inversely to their frequency in training.")
    limit: int = option(0, "Maximum rows of each split; 0 for all.")
    seed: int = option(1337, fields.SEED)
    epochs: int = option(4, fields.EPOCHS)
    learning_rate: float = option(0.0, fields.RATE)
    curve: bool = option(False, "Also train lr and mlp, not finetune, on 8, 16, 32, ... labels per class.")
    suspects: bool = option(False, "Also report training rows whose label is probably wrong.")
    device: str = "auto"
    name: str = option("", fields.NAME)

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
