"""What a comparison on questions is asked for: a frozen dataclass whose fields carry all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data import answer_keys
from data import choices as questions
from engine.comparison import fields
from engine.runs.spec import AUTO, Problem, check, check_encoding, check_gpus, option

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
        group="questions",
        required=f"name a data set: {questions.BUNDLED} is bundled",
        path=True,
    )
    methods: tuple[str, ...] = option(
        USUAL,
        "zero-shot, margin, cross-entropy or finetune",
        choices=METHODS,
        name="method",
        group="methods",
        required=f"name at least one of {', '.join(METHODS)}",
    )
    model: str = option(
        AUTO,
        "Causal language model for zero-shot: gpt2, smollm2, bundled (a character model of Dante: near chance on "
        "English), a run, a folder, a name on the Hub, or auto: the last used, else gpt2, smollm2 or bundled.",
        label="language model",
        group="zero-shot",
        path=True,
    )
    encoder: str = fields.encoder(group="trained methods")
    pooling: str = fields.pooling(group="trained methods")
    length: int = fields.length(
        128,
        "Maximum tokens of question and choice; the rest is cut.",
        group="trained methods",
        advanced=True,
        minimum=8,
    )
    margin: float = option(0.2, "Margin of the ranking loss.", group="trained methods", above=0, maximum=100)
    seeds: int = fields.seeds(
        3,
        "Number of trainings of each scorer, each with its own seed; accuracies are averaged.",
        group="trained methods",
    )
    """from ``seed`` upwards; the first is the one that is kept"""
    uninformative: str | None = option(
        None,
        'Prompt without the question, for PMI. Default: "Answer:", or empty where choices continue the question.',
        group="zero-shot",
        advanced=True,
        escaped=True,
    )
    limit: int = fields.limit("Maximum questions of each split; 0 for all.", label="max questions", group="questions")
    answer_base: str = option(
        answer_keys.AUTO,
        "How the answers point at the choices: an index counted from 0 or from 1, a letter, the text, or auto: what "
        "explains the answers of all rows.",
        choices=answer_keys.GIVEN,
        group="questions",
        advanced=True,
    )
    context_column: str = option(
        "",
        "Column of the text before the question; found by its name if not given.",
        group="questions",
        advanced=True,
        blank="auto",
    )
    encoding: str = fields.encoding(group="questions")
    seed: int = fields.seed(fields.SEED, group="methods")
    epochs: int = fields.epochs(3, fields.EPOCHS, group="trained methods")
    learning_rate: float = fields.learning_rate(fields.RATE, group="trained methods")
    device: str = fields.device()
    gpus: str = fields.gpus()
    name: str = fields.name()

    def validate(self) -> list[Problem]:
        """Everything that is wrong with it by itself."""
        found = check(self) + check_gpus(self.gpus, self.device) + check_encoding(self.encoding)
        if ZERO_SHOT in self.methods and not self.model.strip():
            found.append(Problem("model", "name auto, gpt2, smollm2, bundled, a run, a folder, or a model on the Hub"))
        return found
