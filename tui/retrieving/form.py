"""What a retrieval is asked for: the form, what is wrong with its values, and a look at the collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from data.beir import BUNDLED
from engine.retrieve.spec import RetrieveSpec
from engine.runs.spec import Problem
from tui import units
from tui.comparing.form import CompareForm, Layout
from tui.comparing.values import LARGEST, Seen, data_problems, fields_from, kind_of
from tui.text import safe

LARGE = 256 * 1024 * 1024  # bytes from which a corpus is not read just to look at it
FIELDS = fields_from(
    RetrieveSpec,
    "retrieve.json",
    "data encoder length methods mode hard_negatives epochs seed",
    {"length": (4, 100_000), "hard_negatives": (0, 16), "epochs": (0, 1000), "seed": (0, LARGEST)},
    ("data", "encoder"),
)


def problems(values: Mapping[str, str]) -> list[Problem]:
    """Everything that can be told to be wrong without reading the data."""
    data = values["data"].strip()
    kind = kind_of(data, BUNDLED, folder=True)
    return data_problems(data, kind, f"{BUNDLED}, a folder", "folder") + FIELDS.problems(values)


@dataclass(frozen=True)
class SeenCollection(Seen):
    """A collection, with its first texts."""

    first: tuple[tuple[str, str], ...] = ()
    """what it is, and its text"""

    def samples(self) -> list[Content]:
        lines = []
        for name, text in self.first:
            shown = safe(" ".join(text.split()), lines=False)[:240]
            lines.append(Content.assemble(Content.styled(f"\n{name}  ", "$foreground 60%"), shown))
        return lines


def look(given: Mapping[str, str]) -> SeenCollection:
    """What a collection holds. Reads files: not for the screen's thread. The Hub is only asked by a run."""
    from data import beir

    name = given["data"].strip()
    kind = kind_of(name, BUNDLED, folder=True)
    if kind == "nothing":
        return SeenCollection()
    if kind == "hub":
        return SeenCollection(note=f"{name} is fetched from the Hub, or taken from the cache, when you press F5.")
    corpus = Path(os.path.expanduser(name)) / "corpus.jsonl"
    try:
        if corpus.is_file() and (size := corpus.stat().st_size) > LARGE:
            return SeenCollection(source=str(corpus), note=f"{units.size(size)}: read when you press F5")
        found = beir.load(name)
    except beir.BeirError as error:
        return SeenCollection(problem=str(error))
    except OSError as error:
        return SeenCollection(problem=f"it cannot be read ({error.strerror or error})")
    sizes = [("documents", len(found)), *((f"{split} queries", len(part)) for split, part in found.qrels.items())]
    samples = [("first document", f"{found.titles[0]}  {found.texts[0]}")]
    if split := found.judged:
        query = next(iter(found.qrels[split]))
        samples.append((f"a {split} query", found.queries[query]))
    return SeenCollection(found.source, tuple(sizes), found.checks, found.repairs, first=tuple(samples))


class RetrieveForm(CompareForm):
    """With the first document and query beside the fields."""

    PREFIX = "re-"
    LAYOUT = Layout(
        go="Build and judge the rankers",
        sections=(
            ("collection", ("data",)),
            ("encoder", ("encoder", "length")),
            ("rankers", ("methods", "mode", "hard_negatives", "epochs", "seed")),
        ),
        labels={"methods": "compare", "mode": "train", "length": "tokens at most"},
        hints={
            "data": "workshop, a folder, or owner/name on the Hub",
            "encoder": "auto, minilm, a folder, or a name on the Hub",
            "length": "of a document",
            "hard_negatives": "for each query, found by BM25; 0 for none",
            "epochs": "at most; 0 for what suits",
            "seed": "decides what is held out, and the batches",
        },
        explained=(
            "BM25 counts words. The frozen encoder compares vectors: of its first token ([CLS]), or the mean of all. "
            "Hybrid fuses the ranks of BM25 and mean. Trained learns from the train queries: a projection takes "
            "seconds, the whole encoder minutes and, without a GPU, patience. A folder of your own texts (.txt, .md) "
            "can be searched too.\n"
            "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
        ),
        fields=FIELDS,
        problems=problems,
        nothing=SeenCollection(),
        look=look,
        looked_at=("data",),
    )
    DEFAULT_CSS = """
    RetrieveForm .fields { width: 3fr; max-width: 66; }
    RetrieveForm .side { width: 2fr; }
    """
