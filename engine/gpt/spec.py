"""What to train and how: one frozen dataclass, and presets as differences from its defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data.vocabulary import UnknownCharacterError, Vocabulary
from engine.gpt.config import GPTConfig
from engine.runs.spec import BadSpec, Problem, changed, check, check_gpus, device, option

PRESET_HELP: Mapping[str, str] = {
    "nano": "4 layers, 128 wide, context 64: minutes on a CPU",
    "small": "6 layers, 192 wide, context 128: a GPU of a laptop, or an hour and more on a CPU",
    "karpathy": "the GPT of the video, 10.8 M parameters: a GPU",
}


@dataclass(frozen=True)
class TrainSpec:
    """Everything that decides how a training run goes. Same spec, same corpus, same machine: same losses to the bit."""

    task: ClassVar[str] = "train"

    corpus: str = option(
        "dante",
        "path of a text file, 'dante' or 'dantesque'",
        group="run",
        required="name a text file, 'dante' or 'dantesque'",
        path=True,
    )
    preset: str = option(
        "auto",
        "auto picks by device",
        group="run",
        choices=("auto", *PRESET_HELP),
        meanings=PRESET_HELP,
    )
    name: str = option("", "name of the run; the corpus and preset when empty", group="run")
    seed: int = option(
        1337, "decides initial weights, batches, dropout and samples", group="run", minimum=0, maximum=(1 << 62) - 1
    )
    steps: int = option(1500, "optimizer steps to train for", unit="steps", group="run", minimum=1)

    layers: int = option(4, "transformer blocks", group="model", minimum=1)
    heads: int = option(4, "attention heads; must divide the width", group="model", minimum=1)
    width: int = option(128, "size of the residual stream", group="model", minimum=1)
    context: int = option(64, "characters the model sees", unit="tokens", group="model", minimum=1)
    dropout: float = option(0.0, "share of activations dropped in training", group="model", minimum=0, below=1)
    activation: str = option("gelu", "non-linearity of the MLP", group="model", advanced=True, choices=("gelu", "relu"))
    tied: bool = option(True, "head and token embedding share one matrix", group="model", advanced=True)
    qkv_bias: bool = option(True, "bias in the query, key and value projections", group="model", advanced=True)
    head_bias: bool = option(False, "bias in the head", group="model", advanced=True)

    batch: int = option(12, "windows per step", unit="windows", group="training", minimum=1)
    learning_rate: float = option(1e-3, "AdamW's peak learning rate", group="training", above=0, maximum=1)
    schedule: str = option("cosine", "after warm-up", group="training", advanced=True, choices=("cosine", "constant"))
    warmup: int = option(
        100, "steps over which the learning rate rises", unit="steps", group="training", advanced=True, minimum=0
    )
    final_rate: float = option(
        0.1, "share of the peak at which the cosine ends", group="training", advanced=True, minimum=0, maximum=1
    )
    weight_decay: float = option(0.1, "AdamW's decay", group="training", advanced=True, minimum=0)
    decay: str = option("matrices", "what decays", group="training", advanced=True, choices=("matrices", "everything"))
    beta1: float = option(
        0.9, "AdamW's decay of the mean gradient", group="training", advanced=True, minimum=0, below=1
    )
    beta2: float = option(
        0.99, "AdamW's decay of the mean squared gradient", group="training", advanced=True, minimum=0, below=1
    )
    clip: float = option(1.0, "largest gradient norm; 0 does not clip", group="training", advanced=True, minimum=0)

    evaluate_every: int = option(
        250, "steps between evaluations on the whole validation split", unit="steps", group="training", minimum=1
    )
    patience: int = option(
        10,
        "evaluations without a better loss before stopping; 0 never stops",
        unit="evaluations",
        group="training",
        minimum=0,
    )
    save_every: float = option(
        30.0, "seconds between checkpoints at most", unit="s", group="training", advanced=True, minimum=0
    )
    sample_every: int = option(250, "steps between samples; 0 takes none", unit="steps", group="samples", minimum=0)
    sample_length: int = option(
        240, "characters of a sample", unit="characters", group="samples", advanced=True, minimum=0
    )
    sample_prompt: str = option(
        "\n",
        "text that samples begin after",
        group="samples",
        required="must not be empty; a line break will do",
        escaped=True,
    )
    temperature: float = option(0.8, "of the samples; 0 is greedy", group="samples", minimum=0)

    device: str = device(
        text="where to train; auto and cuda take the GPU with the most free memory, cuda:N a certain one",
        group="machine",
    )
    gpus: str = option("1", "GPUs that train together, or all; on a CPU, processes", group="machine", advanced=True)
    precision: str = option(
        "auto", "of matrix products", group="machine", advanced=True, choices=("auto", "float32", "bfloat16")
    )
    threads: int = option(
        0, "CPU threads; 0 takes the physical cores", unit="threads", group="machine", advanced=True, minimum=0
    )

    def model(self, vocabulary: int) -> GPTConfig:
        """Shape of the model for a vocabulary of that size."""
        return GPTConfig(
            vocabulary,
            self.layers,
            self.heads,
            self.width,
            self.context,
            self.dropout,
            self.activation,
            self.tied,
            self.qkv_bias,
            self.head_bias,
        )

    def validate(self) -> list[Problem]:
        """Everything that is wrong with the spec by itself, without looking at corpus or device."""
        found = check(self)
        wrong = {problem.field for problem in found}
        if not wrong & {"heads", "width"} and self.width % self.heads:
            found.append(Problem("heads", f"{self.heads} do not divide the width {self.width}"))
        found += (wrong_gpus := check_gpus(self.gpus, self.device))
        if not wrong_gpus and "batch" not in wrong and self.gpus != "all" and int(self.gpus) > self.batch:
            found.append(Problem("gpus", f"a batch of {self.batch} windows cannot be shared out among {self.gpus}"))
        return found

    def for_corpus(self, characters: int, vocabulary: Vocabulary, first: str) -> TrainSpec:
        """The spec for a corpus of that many characters, with this vocabulary, which begins with ``first``.

        Where the corpus has no line break, ``first`` replaces it as the default sample prompt. Raises
        :class:`BadSpec` with every problem, those of the corpus included.
        """
        spec = self
        if self.sample_prompt == TrainSpec.sample_prompt and self.sample_prompt not in vocabulary.characters:
            spec = dataclasses.replace(self, sample_prompt=first)
        problems = self.validate()
        shorter = characters // 10 or 1
        if not problems and shorter <= self.context:
            problems.append(
                Problem(
                    "corpus",
                    f"{characters:,} characters are too few: a tenth is kept for validation, and that must be longer "
                    f"than the context of {self.context}. Give a longer text or a shorter context.",
                )
            )
        try:
            if spec.sample_every and spec.sample_prompt:
                vocabulary.encode(spec.sample_prompt)
        except UnknownCharacterError as error:
            problems.append(Problem("sample_prompt", str(error)))
        if problems:
            raise BadSpec(problems)
        return spec


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "nano": {},
    "small": {
        "layers": 6,
        "heads": 6,
        "width": 192,
        "context": 128,
        "batch": 24,
        "dropout": 0.2,
        "steps": 3000,
        "learning_rate": 1e-3,
    },
    "karpathy": {
        "layers": 6,
        "heads": 6,
        "width": 384,
        "context": 256,
        "batch": 64,
        "dropout": 0.2,
        "activation": "relu",
        "tied": False,
        "qkv_bias": False,
        "head_bias": True,
        "learning_rate": 3e-4,
        "schedule": "constant",
        "warmup": 0,
        "weight_decay": 0.01,
        "decay": "everything",
        "beta2": 0.999,
        "clip": 0.0,
        "steps": 5000,
        "evaluate_every": 100,
    },
}


def build(given: Mapping[str, Any], *, preset_for_auto: str) -> TrainSpec:
    """A spec from what the user gave (strings or typed values), over the preset, over the defaults.

    ``auto`` as the preset becomes ``preset_for_auto``. Raises what :func:`engine.runs.spec.changed` raises.
    """
    preset = str(given.get("preset", "auto"))
    chosen = preset_for_auto if preset == "auto" else preset
    return changed(TrainSpec(**PRESETS.get(chosen, {})), {**given, "preset": chosen})


def read_toml(path: Path) -> dict[str, Any]:
    """Fields from a TOML file, flat or under ``[train]``. Raises :class:`BadSpec`."""
    import tomllib

    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSpec([Problem("", f"{path}: {error.strerror or error}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSpec([Problem("", f"{path}: {error}")]) from None
    table = content.get("train", content)
    return table if isinstance(table, dict) else {}
