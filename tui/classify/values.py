"""What a classification is asked for, and what can be told to be wrong with it without reading the data."""

from __future__ import annotations

from collections.abc import Mapping

from data import hubtables
from data.tables import BUNDLED
from engine.features import POOLINGS
from tui.comparing.values import LARGEST, Fields, Wrong, exists

FIELDS = Fields(
    "classify.json",
    {
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
    },
    several="heads",
    able=("lr", "mlp", "finetune"),
    choices={"pooling": POOLINGS, "class_weights": ("off", "on")},
    numbers={"limit": (0, LARGEST), "seed": (0, LARGEST)},
    paths=("data", "test", "encoder"),
)


def problems(values: Mapping[str, str]) -> list[Wrong]:
    """Everything that can be told to be wrong without reading the data."""
    found = []
    if not values["data"].strip():
        found.append(Wrong("data", f"name {BUNDLED}, a file, a folder, or a data set on the Hub"))
    elif kind_of(values["data"]) == "nothing":
        found.append(Wrong("data", "no such file or folder, and no data set on the Hub can be called so"))
    if (test := values["test"].strip()) and not exists(test):
        found.append(Wrong("test", "no such file"))
    found += FIELDS.problems(values)
    if values["text_column"] == values["label_column"] != "auto":
        found.append(Wrong("label_column", "text and label cannot be the same column"))
    return found


def kind_of(name: str) -> str:
    """Where a data set would come from: ``bundled``, ``path``, ``hub`` or ``nothing``. Asks nobody."""
    if name.strip() == BUNDLED:
        return "bundled"
    if exists(name):
        return "path"
    return "hub" if hubtables.possible(name.strip()) else "nothing"
