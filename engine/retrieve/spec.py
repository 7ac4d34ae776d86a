"""What a retrieval is asked for: a frozen dataclass whose fields carry all that is known of them."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data import beir, sources
from data.collection import BeirError, Collection
from data.formats import TableError
from engine.comparison import fields
from engine.hub_data import Obey, fetch_collection
from engine.runs.events import Event
from engine.runs.spec import Problem, check, check_encoding, check_gpus, option

BM25, CLS, MEAN, HYBRID, TRAINED = "bm25", "cls", "mean", "hybrid", "trained"
RANKERS = (BM25, CLS, MEAN, HYBRID, TRAINED)
_NAMES = {BM25: "BM25", CLS: "frozen [CLS]", MEAN: "frozen mean", HYBRID: "hybrid", TRAINED: "trained"}
_PAIRS = ((MEAN, CLS), (HYBRID, BM25), (HYBRID, MEAN), (TRAINED, MEAN), (TRAINED, BM25))
MODES = ("projection", "whole")
ENCODERS = (
    "minilm (bundled), a folder, a name on the Hub, or auto: DistilBERT if available, else minilm. Of several, "
    "separated by commas, the frozen vectors of all are compared and the first is trained."
)


@dataclass(frozen=True)
class RetrieveSpec:
    """Everything that decides a retrieval."""

    task: ClassVar[str] = "retrieve"

    data: str = option(
        beir.BUNDLED,
        "workshop (bundled), a folder in BEIR layout, a table of documents (CSV, TSV, JSON lines, JSON or Parquet), a "
        "folder of texts, or a name on the Hugging Face Hub.",
        group="collection",
        required=f"name a collection: {beir.BUNDLED} is bundled",
        path=True,
    )
    encoder: str = fields.encoder(group="encoder", text=ENCODERS)
    methods: tuple[str, ...] = option(
        RANKERS,
        "bm25, cls, mean, hybrid or trained",
        choices=RANKERS,
        name="method",
        group="methods",
        required=f"name at least one of {', '.join(RANKERS)}",
    )
    mode: str = option(
        "projection",
        "What is trained: projection (a matrix on frozen features, seconds) or whole (the encoder, minutes).",
        choices=MODES,
        name="train",
        label="train",
        group="methods",
    )
    hard_negatives: int = option(
        0,
        "Hard negatives per query in a batch: documents that BM25 ranks high and that are not relevant.",
        group="methods",
        minimum=0,
        maximum=16,
    )
    epochs: int = option(0, "Maximum epochs; 0 chooses by what is trained.", group="methods", minimum=0, maximum=1000)
    learning_rate: float = fields.learning_rate("Peak learning rate; 0 chooses by what is trained.", group="methods")
    length: int = fields.length(
        256,
        "Maximum tokens of a document; the rest is cut.",
        group="encoder",
        minimum=4,
    )
    seed: int = fields.seed("Seed of the held-out queries, the batches and the bootstrap.", group="methods")
    device: str = fields.device()
    gpus: str = fields.gpus()
    name: str = fields.name()
    text_column: str = option(
        "", "Field of the documents' texts; found by its name if not given.", group="collection", blank="auto"
    )
    encoding: str = fields.encoding(group="collection")

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the frozen encoders, each once. The first is the one that is trained and fused."""
        if sources.existing(self.encoder) is not None:  # a folder with a comma in its name
            return (self.encoder,)
        return tuple(dict.fromkeys(name for part in self.encoder.split(",") if (name := part.strip())))

    @property
    def frozen(self) -> dict[str, tuple[str, str]]:
        """Pooling and encoder of every method that ranks by frozen vectors.

        The methods of the first encoder are ``cls`` and ``mean``; those of another have its name, as ``mean-minilm``.
        """
        first, *others = self.encoders
        poolings = (CLS, MEAN)
        named = {f"{pooling}-{_short(name)}": (pooling, name) for name in others for pooling in poolings}
        return {pooling: (pooling, first) for pooling in poolings} | named

    @property
    def ranked(self) -> tuple[str, ...]:
        """The methods that are compared, in the order in which they cost."""
        others = [
            method for method, (pooling, _) in self.frozen.items() if method != pooling and pooling in self.methods
        ]
        asked = [method for method in RANKERS if method in self.methods]
        place = sum(method in (BM25, CLS, MEAN) for method in asked)
        return (*asked[:place], *others, *asked[place:])

    def validate(self) -> list[Problem]:
        """Everything that is wrong with it by itself."""
        found = check(self) + check_gpus(self.gpus, self.device) + check_encoding(self.encoding)
        if not self.encoders and self.encoder.strip():
            found.append(Problem("encoder", "name at least one encoder"))
        if len({_short(name) for name in self.encoders}) < len(self.encoders):
            found.append(Problem("encoder", "two encoders have the same last part of their name"))
        return found


def load_collection(spec: RetrieveSpec, obey: Obey) -> Generator[Event, None, Collection]:
    """The collection that a spec names; ``obey`` is called while it is downloaded.

    Raises :class:`data.beir.BeirError` and :class:`OSError`.
    """
    try:
        fetched = yield from fetch_collection(spec.data, beir.BUNDLED, obey)
    except TableError as error:
        raise BeirError(str(error)) from None
    return beir.load(spec.data, text_column=spec.text_column, encoding=spec.encoding, fetched=fetched)


def name_of(method: str) -> str:
    """A method in a sentence or a table; those of a second encoder are called after it, as "mean minilm"."""
    pooling, _, encoder = method.partition("-")
    name = _NAMES.get(pooling, pooling)
    return f"{name.removeprefix('frozen ')} {encoder}" if encoder else name


def pairs(methods: Iterable[str]) -> list[tuple[str, str]]:
    """Of these methods, those whose difference says something; frozen means of all encoders are among them."""
    known = set(methods)
    others = sorted(method for method in known if method.startswith(f"{MEAN}-"))
    every = (*_PAIRS, *((other, MEAN) for other in others), *((TRAINED, other) for other in others))
    return [pair for pair in every if known.issuperset(pair)]


def _short(name: str) -> str:
    """The last part of an encoder's name, as the name of a file can have it."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", Path(name).name)
