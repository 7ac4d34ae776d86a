"""What to train and how: one frozen dataclass, presets as differences from its defaults, all problems told at once."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data.vocabulary import UnknownCharacterError, Vocabulary
from engine.gpt.config import GPTConfig
from engine.runs.spec import BadSpec, Problem, option


@dataclass(frozen=True)
class TrainSpec:
    """Everything that decides how a training run goes. Same spec, same corpus, same machine: same losses to the bit."""

    task: ClassVar[str] = "train"

    corpus: str = option("dante", "path of a text file, 'dante' or 'dantesque'")
    preset: str = option("auto", "auto picks by device", choices=("auto", "nano", "small", "karpathy"))
    name: str = option("", "name of the run; the corpus and preset when empty")
    seed: int = option(1337, "decides initial weights, batches, dropout and samples")
    steps: int = option(1500, "optimizer steps to train for", unit="steps")

    layers: int = option(4, "transformer blocks")
    heads: int = option(4, "attention heads; must divide the width")
    width: int = option(128, "size of the residual stream")
    context: int = option(64, "characters the model sees", unit="tokens")
    dropout: float = option(0.0, "share of activations dropped in training")
    activation: str = option("gelu", "non-linearity of the MLP", choices=("gelu", "relu"))
    tied: bool = option(True, "head and token embedding share one matrix")
    qkv_bias: bool = option(True, "bias in the query, key and value projections")
    head_bias: bool = option(False, "bias in the head")

    batch: int = option(12, "windows per step", unit="windows")
    learning_rate: float = option(1e-3, "AdamW's peak learning rate")
    schedule: str = option("cosine", "after warm-up", choices=("cosine", "constant"))
    warmup: int = option(100, "steps over which the learning rate rises", unit="steps")
    final_rate: float = option(0.1, "share of the peak at which the cosine ends")
    weight_decay: float = option(0.1, "AdamW's decay")
    decay: str = option("matrices", "what decays", choices=("matrices", "everything"))
    beta1: float = option(0.9, "AdamW's decay of the mean gradient")
    beta2: float = option(0.99, "AdamW's decay of the mean squared gradient")
    clip: float = option(1.0, "largest gradient norm; 0 does not clip")

    evaluate_every: int = option(250, "steps between evaluations on the whole validation split", unit="steps")
    patience: int = option(10, "evaluations without a better loss before stopping; 0 never stops", unit="evaluations")
    save_every: float = option(30.0, "seconds between checkpoints at most", unit="s")
    sample_every: int = option(250, "steps between samples; 0 takes none", unit="steps")
    sample_length: int = option(240, "characters of a sample", unit="characters")
    sample_prompt: str = option("\n", "text that samples begin after")
    temperature: float = option(0.8, "of the samples; 0 is greedy")

    device: str = option("auto", "where to train", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = option("auto", "of matrix products", choices=("auto", "float32", "bfloat16"))
    threads: int = option(0, "CPU threads; 0 takes the physical cores", unit="threads")

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
        found: list[Problem] = []

        def need(good: bool, name: str, message: str) -> None:
            if not good:
                found.append(Problem(name, message))

        for name in ("steps", "layers", "heads", "width", "context", "batch", "evaluate_every"):
            need(getattr(self, name) >= 1, name, "must be at least 1")
        for name in ("warmup", "patience", "save_every", "sample_every", "sample_length", "temperature", "threads"):
            need(getattr(self, name) >= 0, name, "must not be negative")
        need(
            self.heads < 1 or self.width % self.heads == 0,
            "heads",
            f"{self.heads} do not divide the width {self.width}",
        )
        need(0 <= self.dropout < 1, "dropout", "must lie in 0 ≤ dropout < 1")
        need(0 < self.learning_rate <= 1, "learning_rate", "must lie in 0 < rate ≤ 1")
        need(0 <= self.final_rate <= 1, "final_rate", "must lie between 0 and 1")
        need(self.weight_decay >= 0, "weight_decay", "must not be negative")
        need(self.clip >= 0, "clip", "must not be negative")
        need(0 <= self.beta1 < 1, "beta1", "must lie in 0 ≤ beta < 1")
        need(0 <= self.beta2 < 1, "beta2", "must lie in 0 ≤ beta < 1")
        need(0 <= self.seed < 1 << 62, "seed", "must lie between 0 and 2^62")
        need(bool(self.sample_prompt), "sample_prompt", "must not be empty; a line break will do")
        need(bool(self.corpus.strip()), "corpus", "name a text file, 'dante' or 'dantesque'")
        for entry in dataclasses.fields(self):
            choices = entry.metadata["choices"]
            value = getattr(self, entry.name)
            need(not choices or value in choices, entry.name, f"{value!r} is none of {', '.join(choices)}")
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
PRESET_HELP: Mapping[str, str] = {
    "nano": "4 layers, 128 wide, context 64: minutes on a CPU",
    "small": "6 layers, 192 wide, context 128: a patient CPU or a laptop's GPU",
    "karpathy": "the GPT of the video, 10.8 M parameters: a GPU",
}


def field_names() -> list[str]:
    """Names of the fields of a spec, in order."""
    return [entry.name for entry in dataclasses.fields(TrainSpec)]


def build(given: Mapping[str, Any], *, preset_for_auto: str) -> TrainSpec:
    """A spec from what the user gave (strings or typed values), over the preset, over the defaults.

    ``auto`` as the preset becomes ``preset_for_auto``. Raises :class:`BadSpec` with every unknown field, every value
    of the wrong type and every problem of :meth:`TrainSpec.validate`.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, value in given.items():
        key = name.replace("-", "_")
        try:
            values[key] = convert(key, value)
        except BadSpec as error:
            problems.extend(error.problems)
    preset = values.get("preset", "auto")
    chosen = preset_for_auto if preset == "auto" else preset
    if chosen not in PRESETS:
        problems.append(Problem("preset", f"{preset!r} is none of auto, {', '.join(PRESETS)}"))
        raise BadSpec(problems)
    spec = TrainSpec(**{**PRESETS[chosen], **values, "preset": chosen})
    problems += [problem for problem in spec.validate() if problem.field not in {found.field for found in problems}]
    if problems:
        raise BadSpec(problems)
    return spec


def convert(name: str, value: Any) -> Any:
    """A field's value from a string or a TOML value. Raises :class:`BadSpec` naming the nearest field or the type."""
    hints = {name: hint for name, hint in typing.get_type_hints(TrainSpec).items() if name != "task"}
    if name not in hints:
        near = difflib.get_close_matches(name, hints, 1, 0.5)
        suggestion = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(hints)}"
        raise BadSpec([Problem(name, f"there is no such field{suggestion}")])
    kind = hints[name]
    try:
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).lower()]
        if kind is int:
            number = float(str(value).replace("_", "").replace(",", ""))
            if number != int(number):
                raise ValueError
            return int(number)
        return float(value) if kind is float else str(value)
    except (ValueError, KeyError, OverflowError):
        word = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise BadSpec([Problem(name, f"{value!r} is not {word}")]) from None


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
