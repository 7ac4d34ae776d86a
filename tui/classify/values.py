"""What a classification is asked for, as it is typed; checked while it is, and remembered for the next start."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checkpoints import home, store
from data import hubtables
from data.tables import BUNDLED
from engine.features import POOLINGS

HEADS = ("lr", "mlp", "finetune")
DEFAULTS: dict[str, str] = {
    "data": BUNDLED,
    "test": "",
    "text_column": "auto",
    "label_column": "auto",
    "encoder": "auto",
    "pooling": "mean",
    "heads": "lr mlp",
    "class_weights": "off",
    "limit": "0",
    "seed": "1337",
}
CHOICES: dict[str, tuple[str, ...]] = {"pooling": POOLINGS, "class_weights": ("off", "on")}
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong, and the field that has it."""

    field: str
    message: str


def problems(values: Mapping[str, str]) -> list[Wrong]:
    """Everything that can be told to be wrong without reading the data."""
    found = []
    if not values["data"].strip():
        found.append(Wrong("data", f"name {BUNDLED}, a file, a folder, or a data set on the Hub"))
    elif kind_of(values["data"]) == "nothing":
        found.append(Wrong("data", "no such file or folder, and no data set on the Hub can be called so"))
    if (test := values["test"].strip()) and not _exists(test):
        found.append(Wrong("test", "no such file"))
    if not values["encoder"].strip():
        found.append(Wrong("encoder", "name auto, minilm, a folder, or a model on the Hub"))
    if not values["heads"].split():
        found.append(Wrong("heads", "choose at least one: Space ticks it"))
    for name in ("limit", "seed"):
        text = values[name].strip()
        if not (text.isascii() and text.isdigit() and int(text) <= LARGEST):
            found.append(Wrong(name, "must be a whole number, 0 or more"))
    for name, choices in CHOICES.items():
        if values[name] not in choices:
            found.append(Wrong(name, f"one of {', '.join(choices)}"))
    if values["text_column"] == values["label_column"] != "auto":
        found.append(Wrong("label_column", "text and label cannot be the same column"))
    return found


def kind_of(name: str) -> str:
    """Where a data set would come from: ``bundled``, ``path``, ``hub`` or ``nothing``. Asks nobody."""
    if name == BUNDLED:
        return "bundled"
    if _exists(name):
        return "path"
    return "hub" if hubtables.possible(name) else "nothing"


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
    if "heads" in kept:
        kept["heads"] = " ".join(head for head in HEADS if head in kept["heads"].split())
    return {**DEFAULTS, **kept}


def remember(values: Mapping[str, str]) -> None:
    """Keep the values atomically; paths whole, since the next start may stand in another folder."""
    kept = dict(values)
    for name in ("data", "test"):
        if kept[name] != BUNDLED and kept[name].strip() and _exists(kept[name]):
            kept[name] = str(Path(kept[name]).expanduser().absolute())
    with contextlib.suppress(OSError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(_path(), json.dumps(kept, indent=1).encode("utf-8", "replace"))


def _exists(name: str) -> bool:
    try:
        return bool(name.strip()) and Path(name).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def _path() -> Path:
    return home.home() / "classify.json"
