"""What a ranking is asked for: the form, what is wrong with its values, and a look at the questions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content

from data import tablefiles
from data.choices import BUNDLED, LETTERS, Item, TableError, load
from engine.choose.spec import ChooseSpec
from engine.encoders.features import POOLING_HELP
from engine.runs.spec import Problem
from tui.comparing.form import CompareForm, Layout
from tui.comparing.values import LARGEST, Seen, data_problems, fields_from, kind_of
from tui.text import safe

LARGE = 64 << 20  # bytes of a file that is looked at while the form is filled in
FIELDS = fields_from(
    ChooseSpec,
    "choose.json",
    "data methods encoder pooling margin seeds model limit seed",
    {"limit": (0, LARGEST), "seed": (0, 2**62 - 1), "seeds": (1, 100)},
    ("data", "encoder", "model"),
)


def problems(values: Mapping[str, str]) -> list[Problem]:
    """Everything that can be told to be wrong without reading the data."""
    data = values["data"].strip()
    found = data_problems(data, kind_of(data, BUNDLED), f"{BUNDLED}, a file, a folder")
    found += FIELDS.problems(values)
    if "zero-shot" in values["methods"].split() and not values["model"].strip():
        found.append(Problem("model", "name bundled, gpt2, a run, a folder, or a model on the Hub"))
    try:
        margin = float(values["margin"])
    except ValueError:
        margin = math.nan
    if not 0 < margin <= 100:
        found.append(Problem("margin", "must be a number above 0, for instance 0.2"))
    return found


@dataclass(frozen=True)
class SeenItems(Seen):
    """Questions, with the first of them."""

    first: Item | None = None

    def samples(self) -> list[Content]:
        if self.first is None:
            return []
        lines = [Content.styled(f"\n{safe(self.first.stem[:300], lines=False)}", "bold")]
        for place, choice in enumerate(self.first.choices):
            mark = "✓" if place == self.first.gold else " "
            lines.append(Content(f" {mark} {LETTERS[place]} {safe(choice[:100], lines=False)}"))
        return lines


def look(given: Mapping[str, str]) -> SeenItems:
    """Read what lies on the disk. Never raises."""
    name = given["data"].strip()
    path = tablefiles.existing(name)
    if path is not None and path.is_file() and path.stat().st_size > LARGE:
        return SeenItems(note=f"{path.name} is large: it is read when the methods run")
    if path is None and name != BUNDLED:
        return SeenItems(note="it is looked for on the Hub when the methods run" if name else "")
    limit, seed = (int(given[field]) if given[field].strip().isdecimal() else 0 for field in ("limit", "seed"))
    try:
        data = load(name, limit=limit, seed=seed)
    except TableError as error:
        return SeenItems(problem=str(error))
    return SeenItems(data.source, checks=data.checks, repairs=data.repairs, first=data.judged[0])


class ChooseForm(CompareForm):
    """With the first question beside the fields."""

    PREFIX = "ch-"
    LAYOUT = Layout(
        go="Run the methods",
        sections=(
            ("questions", ("data", "limit")),
            ("methods", ("methods", "seed")),
            ("trained", ("encoder", "pooling", "margin", "seeds")),
            ("zero-shot", ("model",)),
        ),
        labels={"limit": "items at most", "methods": "run", "model": "language model"},
        hints={
            "data": "everyday, a file, a folder, or owner/name on the Hub",
            "limit": "of each split; 0 for all",
            "encoder": "auto, minilm, a folder, or a name on the Hub",
            "margin": "by which the right choice should lead",
            "seeds": "trainings of each scorer",
            "model": "bundled, gpt2, a run, a folder, or a name",
            "seed": "decides splits, batches and dropout",
        },
        explained=(
            "A ranker gives every choice a score and takes the highest. Zero-shot: how probable a causal language "
            "model finds it after the question. Margin and cross-entropy: a small scorer on features of an encoder "
            "that stays as it is. Fine-tuning trains all of the encoder: best, and slowest by far without a GPU. "
            "Chance, the longest choice and the question hidden always run beside them.\n"
            "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
        ),
        fields=FIELDS,
        problems=problems,
        nothing=SeenItems(),
        look=look,
        looked_at=("data", "limit", "seed"),
        meanings={"pooling": POOLING_HELP},
    )
