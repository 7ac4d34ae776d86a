"""What a ranking is asked for, and what can be told to be wrong with it without reading the questions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from data import hubtables
from data.choices import BUNDLED
from engine.features import POOLINGS
from tui.comparing.values import LARGEST, Fields, Wrong, exists

FIELDS = Fields(
    "choose.json",
    {
        "data": BUNDLED,
        "methods": "margin cross-entropy",
        "encoder": "auto",
        "pooling": "mean",
        "margin": "0.2",
        "seeds": "3",
        "model": "bundled",
        "limit": "0",
        "seed": "1337",
    },
    several="methods",
    able=("zero-shot", "margin", "cross-entropy", "finetune"),
    choices={"pooling": POOLINGS},
    numbers={"limit": (0, LARGEST), "seed": (0, 2**62 - 1), "seeds": (1, 100)},
    paths=("data", "encoder", "model"),
)


def problems(values: Mapping[str, str]) -> list[Wrong]:
    """Everything that can be told to be wrong without reading the data."""
    found = []
    data = values["data"].strip()
    if not data:
        found.append(Wrong("data", f"name {BUNDLED}, a file, a folder, or a data set on the Hub"))
    elif data != BUNDLED and not exists(data) and not hubtables.possible(data):
        found.append(Wrong("data", "no such file or folder, and no data set on the Hub can be called so"))
    found += FIELDS.problems(values)
    if "zero-shot" in values["methods"].split() and not values["model"].strip():
        found.append(Wrong("model", "name bundled, gpt2, a run, a folder, or a model on the Hub"))
    try:
        margin = float(values["margin"])
    except ValueError:
        margin = math.nan
    if not 0 < margin <= 100:
        found.append(Wrong("margin", "must be a number above 0, for instance 0.2"))
    return found
