"""What a ranking is asked for, as it is typed; checked while it is, and remembered for the next start."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

from checkpoints import home, store
from data import hubtables
from data.choices import BUNDLED
from engine.features import POOLINGS
from tui.classify.values import LARGEST, Wrong

METHODS = ("zero-shot", "margin", "cross-entropy", "finetune")
DEFAULTS: dict[str, str] = {
    "data": BUNDLED,
    "methods": "margin cross-entropy",
    "encoder": "auto",
    "pooling": "mean",
    "margin": "0.2",
    "seeds": "3",
    "model": "bundled",
    "limit": "0",
    "seed": "1337",
}
CHOICES: dict[str, tuple[str, ...]] = {"pooling": POOLINGS}


def problems(values: Mapping[str, str]) -> list[Wrong]:
    """Everything that can be told to be wrong without reading the data."""
    found = []
    if not values["data"].strip():
        found.append(Wrong("data", f"name {BUNDLED}, a file, a folder, or a data set on the Hub"))
    elif values["data"] != BUNDLED and not _exists(values["data"]) and not hubtables.possible(values["data"]):
        found.append(Wrong("data", "no such file or folder, and no data set on the Hub can be called so"))
    ticked = values["methods"].split()
    if not ticked:
        found.append(Wrong("methods", "choose at least one: Space ticks it"))
    if not values["encoder"].strip():
        found.append(Wrong("encoder", "name auto, minilm, a folder, or a model on the Hub"))
    if "zero-shot" in ticked and not values["model"].strip():
        found.append(Wrong("model", "name bundled, gpt2, a run, a folder, or a model on the Hub"))
    for name, least, most in (("limit", 0, LARGEST), ("seed", 0, 2**62 - 1), ("seeds", 1, 100)):
        text = values[name].strip()
        if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
            limit = f" to {most}" if most == 100 else " or more"
            found.append(Wrong(name, f"must be a whole number, {least}{limit}"))
    try:
        margin = float(values["margin"])
    except ValueError:
        margin = math.nan
    if not 0 < margin <= 100:
        found.append(Wrong("margin", "must be a number above 0, for instance 0.2"))
    return found


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
        kept["methods"] = " ".join(method for method in METHODS if method in kept["methods"].split())
    return {**DEFAULTS, **kept}


def remember(values: Mapping[str, str]) -> None:
    """Keep the values atomically; a path whole, since the next start may stand in another folder."""
    kept = dict(values)
    if kept["data"] != BUNDLED and _exists(kept["data"]):
        kept["data"] = str(Path(kept["data"]).expanduser().absolute())
    with contextlib.suppress(OSError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(_path(), json.dumps(kept, indent=1).encode("utf-8", "replace"))


def _exists(name: str) -> bool:
    try:
        return bool(name.strip()) and Path(name).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def _path() -> Path:
    return home.home() / "choose.json"
