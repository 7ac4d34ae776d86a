"""What to train and how: one frozen dataclass, and presets as differences from its defaults."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data.vocabulary import UnknownCharacterError, Vocabulary
from engine.gpt.config import NANOCHAT, GPTConfig
from engine.runs.spec import BadSpec, Problem, changed, check, check_encoding, check_gpus, device, option

PRESET_HELP: Mapping[str, str] = {
    "nano": "4 layers, 128 wide, context 64: minutes on a CPU",
    "small": "6 layers, 192 wide, context 128: a GPU of a laptop, or an hour and more on a CPU",
    "karpathy": "the GPT of the video, 10.8 M parameters: a GPU",
    "fast": "another recipe in nano's shape: rotary positions, RMS norms and Muon",
    "fast-karpathy": "the recipe of fast in karpathy's shape, 10.7 M parameters: a GPU",
}

_model = functools.partial(option, group="model", advanced=True)
_training = functools.partial(option, group="training", advanced=True)


@dataclass(frozen=True)
class TrainSpec:
    """Everything that decides how a training run goes. Same spec, same corpus, same machine: same losses to the bit."""

    task: ClassVar[str] = "train"

    corpus: str = option(
        "dante",
        "path of a text file or of a folder of them, 'dante' or 'dantesque'",
        group="run",
        required="name a text file or folder, 'dante' or 'dantesque'",
        path=True,
    )
    encoding: str = option("", "of the text files, such as utf-8, cp1252 or gb18030; detected when empty", group="run")
    preset: str = option(
        "auto",
        "auto chooses by device",
        group="run",
        choices=("auto", *PRESET_HELP),
        meanings=PRESET_HELP,
    )
    name: str = option("", "optional; defaults to corpus and preset", group="run")
    seed: int = option(
        1337, "seed of initial weights, batches, dropout and samples", group="run", minimum=0, maximum=(1 << 62) - 1
    )
    steps: int = option(1500, "optimizer steps to train for", unit="steps", group="run", minimum=1)

    layers: int = option(4, "transformer blocks", group="model", minimum=1)
    heads: int = option(4, "attention heads; must divide the width", group="model", minimum=1)
    width: int = option(128, "size of the residual stream", group="model", minimum=1)
    context: int = option(64, "characters the model sees", unit="characters", group="model", minimum=1)
    dropout: float = option(0.0, "share of activations dropped in training", group="model", minimum=0, below=1)
    activation: str = _model(
        "gelu", "non-linearity of the MLP; relu2 is ReLU squared", choices=("gelu", "relu", "relu2")
    )
    tied: bool = _model(True, "head and token embedding share one matrix")
    qkv_bias: bool = _model(True, "bias in the query, key and value projections")
    head_bias: bool = _model(False, "bias in the head")
    bias: bool = _model(True, "bias in the output projections and the MLP")
    positions: str = _model(
        "learned",
        "how positions are encoded: learned embeddings, or rotation of queries and keys",
        choices=("learned", "rotary"),
    )
    rotary_base: float = _model(10000.0, "of rotary positions; lower for a short context", above=1)
    norm: str = _model("layer", "layer norm, or RMS norm without weights", choices=("layer", "rms"))
    qk_norm: bool = _model(False, "RMS norm of queries and keys")
    embedding_norm: bool = _model(False, "RMS norm of the embedding")
    attention_scale: float = _model(0.0, "factor of the products of queries and keys; 0 is 1/√head size", minimum=0)
    soft_cap: float = _model(0.0, "bound of the logits; 0 is none", minimum=0)
    zero_outputs: bool = _model(False, "output projections and an untied head begin at zero")

    batch: int = option(12, "windows per step", unit="windows", group="training", minimum=1)
    order: str = _training(
        "random",
        "windows at random positions, or shuffled: every part of the text once per epoch",
        choices=("random", "shuffled"),
    )
    optimizer: str = _training(
        "adamw", "muon takes Muon for the blocks' matrices and AdamW for the rest", choices=("adamw", "muon")
    )
    learning_rate: float = option(1e-3, "peak learning rate", group="training", above=0, maximum=1)
    embedding_rate: float = _training(1.0, "learning rate of the embeddings, as a multiple", above=0)
    head_rate: float = _training(1.0, "learning rate of an untied head, as a multiple", above=0)
    muon_momentum: float = _training(0.9, "Muon's decay of the mean gradient", minimum=0, below=1)
    schedule: str = _training(
        "cosine", "after warm-up; linear is constant until its cooldown", choices=("cosine", "constant", "linear")
    )
    cooldown: float = _training(0.5, "share of the steps over which the linear schedule falls", above=0, maximum=1)
    warmup: int = _training(100, "steps over which the learning rate rises", unit="steps", minimum=0)
    final_rate: float = _training(0.1, "share of the peak at which the schedule ends", minimum=0, maximum=1)
    weight_decay: float = _training(0.1, "AdamW's decay", minimum=0)
    decay: str = _training("matrices", "parameters that decay", choices=("matrices", "everything"))
    beta1: float = _training(0.9, "AdamW's decay of the mean gradient", minimum=0, below=1)
    beta2: float = _training(0.99, "AdamW's decay of the mean squared gradient", minimum=0, below=1)
    clip: float = _training(1.0, "maximum gradient norm; 0 for no clipping", minimum=0)

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
    save_every: float = _training(30.0, "seconds between checkpoints at most", unit="s", minimum=0)

    sample_every: int = option(250, "steps between samples; 0 for none", unit="steps", group="samples", minimum=0)
    sample_length: int = option(
        240, "characters of a sample", unit="characters", group="samples", advanced=True, minimum=0
    )
    sample_prompt: str = option(
        "\n",
        "prompt of the samples",
        group="samples",
        required="must not be empty; use a line break",
        escaped=True,
    )
    temperature: float = option(0.8, "of the samples; 0 is greedy", group="samples", minimum=0)

    device: str = device(
        text="where to train; auto and cuda take the GPU with the most free memory, cuda:N a certain one",
        group="machine",
    )
    gpus: str = option(
        "1", "number of GPUs that train together, or all; on a CPU, of processes", group="machine", advanced=True
    )
    precision: str = option(
        "auto",
        "of matrix products; native is bfloat16 where the device has units for it, auto that on a GPU alone",
        group="machine",
        advanced=True,
        choices=("auto", "native", "float32", "bfloat16"),
    )
    threads: int = option(
        0, "CPU threads; 0 takes the physical cores", unit="threads", group="machine", advanced=True, minimum=0
    )

    def model(self, vocabulary: int) -> GPTConfig:
        """Shape of the model for a vocabulary of that size."""
        names = [entry.name for entry in dataclasses.fields(GPTConfig) if entry.name != "vocabulary"]
        return GPTConfig(vocabulary, **{name: getattr(self, name) for name in names})

    def rate(self, step: int, peak: float) -> float:
        """Learning rate of ``step`` (0-based): linear warm-up that begins above 0, then the schedule from ``peak``."""
        if step < self.warmup:
            return peak * (step + 1) / (self.warmup + 1)
        if self.schedule == "constant":
            return peak
        share = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        if self.schedule == "linear":
            left = min(1.0, (1 - share) / self.cooldown)
            return peak * (self.final_rate + (1 - self.final_rate) * left)
        return peak * (self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * share)))

    def validate(self) -> list[Problem]:
        """Everything that is wrong with the spec by itself, without looking at corpus or device."""
        found = check(self)
        wrong = {problem.field for problem in found}
        found += check_encoding(self.encoding)
        if not wrong & {"heads", "width"} and self.width % self.heads:
            found.append(Problem("heads", f"{self.heads} do not divide the width {self.width}"))
        elif not wrong & {"heads", "width"} and self.positions == "rotary" and self.width // self.heads % 2:
            found.append(Problem("heads", f"a head of {self.width // self.heads} has no halves for rotary positions"))
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

    @property
    def unseen(self) -> int:
        """How many characters at the beginning of the sample prompt the model cannot see, by the context."""
        return max(0, len(self.sample_prompt) - self.context)


_FAST: Mapping[str, Any] = {
    **NANOCHAT,
    "tied": False,
    "soft_cap": 15.0,
    "zero_outputs": True,
    "rotary_base": 1000.0,
    "order": "shuffled",
    "optimizer": "muon",
    "learning_rate": 0.02,
    "embedding_rate": 0.45,
    "head_rate": 0.15,
    "schedule": "linear",
    "warmup": 0,
    "final_rate": 0.02,
    "weight_decay": 0.0,
    "beta1": 0.8,
    "beta2": 0.95,
    "clip": 0.0,
    "precision": "native",
}
_LARGE = {"layers": 6, "heads": 6, "width": 384, "context": 256, "batch": 64, "dropout": 0.2}
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
        **_LARGE,
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
    "fast": {**_FAST, "steps": 1000, "evaluate_every": 100, "sample_every": 100},
    "fast-karpathy": {
        **_FAST,
        **_LARGE,
        "batch": 16,
        "dropout": 0.3,
        "steps": 400,
        "evaluate_every": 50,
        "sample_every": 50,
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
