"""What a retrieval is asked for, as it is typed; checked while it is, and remembered for the next start."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checkpoints import home, store
from data import hubtables
from data.beir import BUNDLED

METHODS = ("bm25", "cls", "mean", "hybrid", "trained")
DEFAULTS: dict[str, str] = {
    "data": BUNDLED,
    "encoder": "auto",
    "length": "256",
    "methods": " ".join(METHODS),
    "mode": "projection",
    "hard_negatives": "0",
    "epochs": "0",
    "seed": "1337",
}
CHOICES: dict[str, tuple[str, ...]] = {"mode": ("projection", "whole")}
NUMBERS = {"length": (4, 100_000), "hard_negatives": (0, 16), "epochs": (0, 1000), "seed": (0, 2**63 - 1)}


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong, and the field that has it."""

    field: str
    message: str


def problems(values: Mapping[str, str]) -> list[Wrong]:
    """Everything that can be told to be wrong without reading the data."""
    found = []
    if not values["data"].strip():
        found.append(Wrong("data", f"name {BUNDLED}, a folder, or a data set on the Hub"))
    elif kind_of(values["data"]) == "nothing":
        found.append(Wrong("data", "no such folder, and no data set on the Hub can be called so"))
    if not values["encoder"].strip():
        found.append(Wrong("encoder", "name auto, minilm, a folder, or a model on the Hub"))
    if not values["methods"].split():
        found.append(Wrong("methods", "choose at least one: Space ticks it"))
    for name, (low, high) in NUMBERS.items():
        text = values[name].strip()
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            most = f" and at most {high:,}" if high < 1 << 60 else ""
            found.append(Wrong(name, f"must be a whole number, at least {low}{most}"))
    for name, choices in CHOICES.items():
        if values[name] not in choices:
            found.append(Wrong(name, f"one of {', '.join(choices)}"))
    return found


def kind_of(name: str) -> str:
    """Where a collection would come from: ``bundled``, ``path``, ``hub`` or ``nothing``. Asks nobody."""
    if name.strip() == BUNDLED:
        return "bundled"
    try:
        if Path(name.strip()).expanduser().is_dir():
            return "path"
    except (OSError, RuntimeError, ValueError):
        return "nothing"
    return "hub" if hubtables.possible(name.strip()) and "/" in name else "nothing"


def recall() -> dict[str, str]:
    """The values of the last start over the defaults; a damaged file is passed over."""
    try:
        record = json.loads(_path().read_bytes())
    except (OSError, ValueError):
        return dict(DEFAULTS)
    if not isinstance(record, dict):
        return dict(DEFAULTS)
    kept = {name: record[name] for name in DEFAULTS if isinstance(record.get(name), str)}
    kept = {name: value for name, value in kept.items() if value in CHOICES.get(name, (value,))}
    if "methods" in kept:
        kept["methods"] = " ".join(name for name in METHODS if name in kept["methods"].split())
    return {**DEFAULTS, **kept}


def remember(values: Mapping[str, str]) -> None:
    """Keep the values atomically; a path whole, since the next start may stand in another folder."""
    kept = dict(values)
    if kind_of(kept["data"]) == "path":
        kept["data"] = str(Path(kept["data"].strip()).expanduser().absolute())
    with contextlib.suppress(OSError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(_path(), json.dumps(kept, indent=1).encode("utf-8", "replace"))


def _path() -> Path:
    return home.home() / "retrieve.json"
