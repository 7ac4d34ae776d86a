"""The layout of sentence-transformers: what ``modules.json`` says of pooling, dense layers, normalising and prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import arrays
from engine.model_folder import write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

MODULES, PROMPTS, SETTINGS = "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"
_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
_OLD = {mode: f"pooling_mode_{mode}" for mode in _MODES} | {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
}
"""how earlier versions switch a mode on; they put several side by side in this order"""
_PIECES = {"cls": "cls", "max": "max", "mean_sqrt_len_tokens": "sqrt", "weightedmean": "weighted", "lasttoken": "last"}
_ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid")
_ROLES = {"query": ("query",), "document": ("document", "passage", "corpus")}


class UnknownLayout(ValueError):
    """A folder asks for something that is not computed here; the message says what."""


@dataclass(frozen=True)
class Step:
    """A dense layer ``(out, in)``, or with no weight the division by the length."""

    weight: Matrix | None = None
    bias: Matrix | None = None
    activation: str = "Identity"

    def __call__(self, rows: Matrix) -> Matrix:
        """Rows ``(texts, in)`` to ``(texts, out)``."""
        import numpy as np

        if self.weight is None:
            unit: Matrix = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
            return unit
        made: Any = rows @ self.weight.T
        made = made if self.bias is None else made + self.bias
        if self.activation == "Tanh":
            made = np.tanh(made)
        elif self.activation == "ReLU":
            made = np.maximum(made, 0)
        elif self.activation in ("GELU", "Sigmoid"):
            from scipy.special import erf, expit

            made = made * (1 + erf(made / np.sqrt(2))) / 2 if self.activation == "GELU" else expit(made)
        result: Matrix = made.astype(np.float32, copy=False)
        return result


@dataclass(frozen=True)
class SentenceLayout:
    """What turns the tokens of the last layer into the vector of a text."""

    pooling: tuple[str, ...] = ("mean",)
    """modes, side by side"""
    steps: tuple[Step, ...] = ()
    length: int | None = None
    """tokens of a text at most"""
    lower: bool = False
    """whether texts are put in lower case first"""
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    """name of the prompt for texts that are neither queries nor documents"""
    transformer: str = ""
    """folder of the model in the layout's"""

    def pieces(self, layers: int) -> list[str]:
        """The pieces of features that the pooling puts side by side."""
        return [_PIECES.get(mode, f"mean.{layers}") for mode in self.pooling]

    def apply(self, rows: Matrix) -> Matrix:
        """Pooled rows ``(texts, modes x width)`` to vectors ``(texts, out)``, float32."""
        for step in self.steps:
            rows = step(rows)
        return rows

    def prompt(self, role: str = "") -> str:
        """What is put before a ``query`` or a ``document``, or before any other text.

        As in sentence-transformers the default is for the others alone.
        """
        names = _ROLES.get(role, (self.default_prompt,))
        return next((self.prompts[name] for name in names if name in self.prompts), "")

    @property
    def is_mean(self) -> bool:
        """Whether vectors have the direction of the mean of a text's tokens, as of any other encoder."""
        dense = any(step.weight is not None for step in self.steps)
        return self.pooling == ("mean",) and not dense and not self.lower and not any(self.prompts.values())

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides a vector, beside the model; empty for the mean of the tokens as it is."""
        if self.is_mean and not self.steps:
            return ""
        about = [self.pooling, self.lower, dict(self.prompts), self.default_prompt, [s.activation for s in self.steps]]
        found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for step in self.steps:
            for part in (step.weight, step.bias):
                found.update(b"-" if part is None else part.tobytes())
        return found.hexdigest()

    def __str__(self) -> str:
        said = [f"{' + '.join(self.pooling)} pooling"]
        for step in self.steps:
            shape = "x".join(map(str, step.weight.shape[::-1])) if step.weight is not None else ""
            said.append(f"a dense layer {shape} ({step.activation})" if shape else "normalised")
        said += [f"at most {self.length:,} tokens"] if self.length else []
        said += ["lower case"] if self.lower else []
        said += [f"prompt {name} {text!r}" for name, text in self.prompts.items() if text]
        return ", ".join(said)


def read(get: Callable[[str], Path | None]) -> SentenceLayout | None:
    """The layout of a folder, whose files ``get`` gives by their name; None where there is no ``modules.json``.

    Raises :class:`UnknownLayout` for modules that are not computed here, :class:`OSError` and :class:`ValueError`.
    """
    if (file := get(MODULES)) is None:
        return None
    modules = json.loads(file.read_bytes())
    found = [(str(module["type"]).rpartition(".")[2], str(module.get("path", ""))) for module in modules]
    ours = all(str(module["type"]).startswith("sentence_transformers.") for module in modules)
    if not ours or [kind for kind, _ in found[:2]] != ["Transformer", "Pooling"]:
        kinds = ", ".join(str(module["type"]) for module in modules[:4])
        raise UnknownLayout(
            f"{MODULES} lists {kinds}: only a Transformer and Pooling of sentence-transformers are known"
        )
    transformer = found[0][1]
    pooling = _object(get, f"{found[1][1]}/config.json")
    steps = tuple(step for kind, path in found[2:] for step in _step(get, kind, path))
    settings = _object(get, f"{transformer}/{SETTINGS}".lstrip("/"), missing=True)
    about = _object(get, PROMPTS, missing=True)
    prompts = {str(name): str(text or "") for name, text in (about.get("prompts") or {}).items()}
    length = settings.get("max_seq_length")
    layout = SentenceLayout(
        pooling=_pooling(pooling),
        steps=steps,
        length=length if isinstance(length, int) and length > 0 else None,
        lower=bool(settings.get("do_lower_case")),
        prompts=prompts,
        default_prompt=str(about.get("default_prompt_name") or ""),
        transformer=transformer,
    )
    if any(prompts.values()) and not pooling.get("include_prompt", True):
        raise UnknownLayout("its pooling leaves out the prompt (include_prompt), which is not computed here")
    return layout


def write(layout: SentenceLayout, folder: Path, width: int) -> None:
    """Write all files of a layout but those of its model, of ``width``, which lies in ``folder``.

    Raises :class:`OSError`.
    """
    from safetensors.numpy import save_file

    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    pooling: dict[str, Any] = {"word_embedding_dimension": width}
    pooling |= {name: mode in layout.pooling for mode, name in _OLD.items()}
    if layout.pooling != tuple(mode for mode in _MODES if mode in layout.pooling):
        pooling["pooling_mode"] = layout.pooling
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling" / "config.json", pooling)
    for place, step in enumerate(layout.steps, 2):
        kind = "Normalize" if step.weight is None else "Dense"
        inner = folder / f"{place}_{kind}"
        inner.mkdir()
        modules.append((inner.name, kind))
        if step.weight is not None:
            rows, columns = step.weight.shape
            config = {"in_features": columns, "out_features": rows, "bias": step.bias is not None}
            activation = f"torch.nn.modules.{'linear' if step.activation == 'Identity' else 'activation'}"
            write_json(inner / "config.json", config | {"activation_function": f"{activation}.{step.activation}"})
            parts = {"linear.weight": step.weight, "linear.bias": step.bias}
            save_file({name: part for name, part in parts.items() if part is not None}, inner / "model.safetensors")
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(modules)
    ]
    write_json(folder / MODULES, listed)
    write_json(folder / SETTINGS, {"max_seq_length": layout.length, "do_lower_case": layout.lower})
    about = {"prompts": dict(layout.prompts), "default_prompt_name": layout.default_prompt or None}
    write_json(folder / PROMPTS, {"similarity_fn_name": "cosine"} | (about if layout.prompts else {}))


def _pooling(config: Mapping[str, Any]) -> tuple[str, ...]:
    if "pooling_mode" in config:
        named = config["pooling_mode"]
        modes = [named] if isinstance(named, str) else list(named)
    else:
        modes = [mode for mode in _MODES if config.get(_OLD[mode])] or ["mean"]
    if unknown := [str(mode) for mode in modes if mode not in _MODES]:
        raise UnknownLayout(f"its pooling {', '.join(unknown)} is not known; there are {', '.join(_MODES)}")
    return tuple(modes)


def _step(get: Callable[[str], Path | None], kind: str, path: str) -> list[Step]:
    if kind == "Dropout":  # which does nothing outside training
        return []
    if kind not in ("Dense", "Normalize"):
        raise UnknownLayout(f"{MODULES} lists {kind}, which is not computed here")
    config = _object(get, f"{path}/config.json", missing=kind == "Normalize")
    names = {config.get(name) for name in ("module_input_name", "module_output_name")}
    if not names <= {None, "sentence_embedding"} or config.get("use_residual"):
        raise UnknownLayout(f"{path}/config.json asks for a {kind} on other inputs or with a residual")
    if kind == "Normalize":
        return [Step()]
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise UnknownLayout(f"{path} has the activation {activation}; there are {', '.join(_ACTIVATIONS)}")
    weights = get(f"{path}/model.safetensors")
    if weights is None:
        raise UnknownLayout(
            f"{path} holds no model.safetensors. Only safetensors are loaded, since pickles can run code"
        )
    parts = {name: part.astype("float32") for name, part in arrays.read(weights).items()}
    return [Step(parts["linear.weight"], parts.get("linear.bias"), activation)]


def _object(get: Callable[[str], Path | None], name: str, *, missing: bool = False) -> dict[str, Any]:
    """A file's JSON object; empty where the file may be ``missing`` and is."""
    file = get(name.lstrip("/"))
    if file is None and not missing:
        raise UnknownLayout(f"{name} is missing")
    found = json.loads(file.read_bytes()) if file is not None else {}
    return found if isinstance(found, dict) else {}
