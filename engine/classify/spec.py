"""What a classification is asked for: a frozen dataclass whose fields carry all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data import tables
from engine.comparison import fields
from engine.runs.spec import Problem, check, check_encoding, check_gpus, option

LR, MLP, FINETUNE = "lr", "mlp", "finetune"
HEADS = (LR, MLP, FINETUNE)


@dataclass(frozen=True)
class ClassifySpec:
    """Everything that decides a classification."""

    task: ClassVar[str] = "classify"

    data: str = option(
        tables.BUNDLED,
        "helpdesk or feelings (bundled), a CSV, TSV, JSON lines or Parquet file, a folder with train, validation and "
        "test, or a name on the Hugging Face Hub.",
        group="data set",
        required="name a data set: helpdesk and feelings are bundled",
        path=True,
    )
    test: str = option("", "A file with the test split.", label="test file", group="data set", path=True)
    text_column: str = option(
        "", "Column of the texts; found by its name if not given.", group="data set", blank="auto"
    )
    label_column: str = option(
        "", "Column of the labels; found by its name if not given.", group="data set", blank="auto"
    )
    label_names: str = option(
        "",
        "Names of labels that are numbers, in the order of the numbers: negative,neutral,positive.",
        group="data set",
        advanced=True,
    )
    encoding: str = fields.encoding(group="data set")
    encoder: str = fields.encoder(group="features")
    pooling: str = fields.pooling(group="features")
    length: int = fields.length(
        128,
        "Maximum tokens of a text; the rest is cut.",
        group="features",
        advanced=True,
        minimum=4,
    )
    heads: tuple[str, ...] = option(
        (LR, MLP),
        "lr, mlp or finetune",
        choices=HEADS,
        meanings={LR: "logistic regression", MLP: "MLP", FINETUNE: "fine-tune"},
        name="head",
        label="train",
        group="methods",
        required=f"name at least one of {', '.join(HEADS)}",
    )
    class_weights: bool = option(False, "Weight classes inversely to their frequency in training.", group="methods")
    limit: int = fields.limit("Maximum rows of each split; 0 for all.", label="max rows", group="data set")
    seed: int = fields.seed(fields.SEED, group="methods")
    seeds: int = fields.seeds(
        1,
        "Number of trainings of MLP and fine-tuning, each with its own seed; figures are averaged.",
        group="methods",
        advanced=True,
    )
    """from ``seed`` upwards; the first is the one that is kept"""
    epochs: int = fields.epochs(4, fields.EPOCHS, group="methods")
    learning_rate: float = fields.learning_rate(fields.RATE, group="methods")
    curve: bool = option(
        False,
        "Also train lr and mlp, not finetune, on 8, 16, 32, ... labels per class.",
        group="methods",
        advanced=True,
    )
    suspects: bool = option(
        False, "Also report training rows whose label is probably wrong.", group="methods", advanced=True
    )
    device: str = fields.device()
    gpus: str = fields.gpus()
    name: str = fields.name()

    @property
    def names_of_labels(self) -> tuple[str, ...]:
        """``label_names``, one by one."""
        return tuple(name.strip() for name in self.label_names.split(",")) if self.label_names.strip() else ()

    def validate(self) -> list[Problem]:
        """Everything that is wrong with it by itself."""
        found = check(self) + check_gpus(self.gpus, self.device) + check_encoding(self.encoding)
        if self.text_column and self.text_column == self.label_column:
            found.append(Problem("label_column", "text and label cannot be the same column"))
        return found
