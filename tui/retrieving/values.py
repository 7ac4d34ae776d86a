"""What a retrieval is asked for, and what can be told to be wrong with it without reading the collection."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data import hubtables
from data.beir import BUNDLED
from tui.comparing.values import LARGEST, Fields, Wrong

METHODS = ("bm25", "cls", "mean", "hybrid", "trained")
FIELDS = Fields(
    "retrieve.json",
    {
        "data": BUNDLED,
        "encoder": "auto",
        "length": "256",
        "methods": " ".join(METHODS),
        "mode": "projection",
        "hard_negatives": "0",
        "epochs": "0",
        "seed": "1337",
    },
    several="methods",
    able=METHODS,
    choices={"mode": ("projection", "whole")},
    numbers={"length": (4, 100_000), "hard_negatives": (0, 16), "epochs": (0, 1000), "seed": (0, LARGEST)},
)


def problems(values: Mapping[str, str]) -> list[Wrong]:
    """Everything that can be told to be wrong without reading the data."""
    found = []
    if not values["data"].strip():
        found.append(Wrong("data", f"name {BUNDLED}, a folder, or a data set on the Hub"))
    elif kind_of(values["data"]) == "nothing":
        found.append(Wrong("data", "no such folder, and no data set on the Hub can be called so"))
    return found + FIELDS.problems(values)


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
