"""Feature vectors of texts, kept on disk in safetensors shards under a hash of everything that decides them.

A row of features is several *pieces*, each as wide as the encoder: ``cls`` (the first token of the last layer),
``last`` (its last token), ``max`` (its largest values), ``weighted`` and ``sqrt`` (its mean weighted by position, and
its sum by the root of the length, for layouts that ask for them), and ``mean.N`` (the mean of layer N's tokens, layer 0
being the embeddings). A pooling puts pieces side by side. No torch here: a second run reads arrays and loads no model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from checkpoints import arrays, home, store
from engine.encoders import cache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.encoders.find import Encoder

    Matrix: TypeAlias = NDArray[np.float32]

Group: TypeAlias = Literal["top", "every"]
Number = TypeVar("Number", int, float)

CODE = 1  # raise it when the numbers of a pooling change
ROWS = 1024  # texts in a shard
MEASURED = ("truncated", "seconds")
"""of a cost, as the file of a shard has it"""
POOLINGS = ("cls", "mean", "max", "last", "last4", "all")
POOLING_HELP: Mapping[str, str] = {
    "cls": "the first token of the last layer",
    "mean": "the mean of the last layer's tokens; of a sentence-transformers folder, the vector that it defines",
    "max": "the largest value of the last layer's tokens",
    "last": "the last token of the last layer: for GPT-2, the only one that has seen the whole text",
    "last4": "the means of each of the last four layers, side by side",
    "all": "first, last and largest of the last layer and the mean of every layer, side by side",
}


def pieces_of(pooling: str, encoder: Encoder) -> list[str]:
    """The pieces that a pooling puts side by side. Raises :class:`ValueError` for a pooling there is not.

    ``mean`` of an encoder in the layout of sentence-transformers is the vector that its layout defines.
    """
    layers = encoder.layers
    if encoder.sentence is not None and pooling == "mean":
        return encoder.sentence.pieces(layers)
    means = [f"mean.{layer}" for layer in range(layers + 1)]
    if pooling not in POOLINGS:
        raise ValueError(f"no pooling {pooling!r}; there are: {', '.join(POOLINGS)}")
    known = {"mean": means[-1:], "last4": means[1:][-4:], "all": ["cls", "last", "max", *means]}
    return known.get(pooling, [pooling])


def group_of(pooling: str) -> Group:
    """Which pieces have to be computed: those of the upper layers, which every other pooling shares, or all."""
    return "every" if pooling == "all" else "top"


def pieces_in(group: Group, encoder: Encoder) -> list[str]:
    """The pieces that a group computes in one pass."""
    known = pieces_of("all", encoder) if group == "every" else ["cls", "last", "max", *pieces_of("last4", encoder)]
    return list(dict.fromkeys([*known, *pieces_of("mean", encoder)]))


@dataclass(frozen=True)
class Cost:
    """What encoding texts took when it was done, be that now or before; None for what an earlier version did."""

    texts: int = 0
    truncated: int | None = 0
    """texts that were cut to the maximum length"""
    seconds: float | None = 0.0

    def __add__(self, other: Cost) -> Cost:
        truncated, seconds = (self.truncated, other.truncated), (self.seconds, other.seconds)
        return Cost(self.texts + other.texts, _total(truncated), _total(seconds))


@dataclass(frozen=True)
class Shard:
    """Some rows, in a file or, where the disk would not take them, in memory."""

    rows: NDArray[np.int64]
    path: Path | None
    held: Mapping[str, Matrix] | None = None
    verified: frozenset[str] = frozenset()
    """pieces of the file whose checksum has been compared"""
    cost: Cost = Cost()


class Features:
    """The features of ``count`` texts; arrays are read when a pooling is asked for."""

    def __init__(self, shards: Sequence[Shard], count: int, encoder: Encoder) -> None:
        self.shards, self.count, self.encoder = list(shards), count, encoder

    @property
    def cost(self) -> Cost:
        """The same whether they were computed now or before."""
        return sum((shard.cost for shard in self.shards), Cost())

    def pooled(self, pooling: str) -> Matrix:
        """Rows in the order of the texts ``(count, pieces x width)``, float32; of a layout's own vectors its width.

        Raises :class:`OSError`, also when a piece is damaged that :func:`encode` was not asked to verify.
        """
        import numpy as np

        names, width = pieces_of(pooling, self.encoder), self.encoder.width
        result = np.empty((self.count, len(names) * width), np.float32)
        for shard in self.shards:
            parts = shard.held if shard.held is not None else _read(shard, names)
            for place, name in enumerate(names):
                result[shard.rows, place * width : (place + 1) * width] = parts[name]
        layout = self.encoder.sentence
        return layout.apply(result) if layout is not None and pooling == "mean" else result


@dataclass(frozen=True)
class Shelf:
    """The folder of the shards of one list of texts."""

    path: Path
    group: Group
    """the pieces that are computed; a shard holds those of the poolings in use"""

    def shard(self, number: int, pieces: Sequence[str]) -> Shard | None:
        """A shard that was put there, its rows and ``pieces`` verified; None when there is none that holds them.

        Raises :class:`OSError` when it cannot be read and :class:`ValueError` when it is damaged.
        """
        file, names = self._file(number), ("rows", *pieces)
        try:
            try:
                found = arrays.read(file, (*names, *MEASURED), required=True)
            except KeyError:  # an earlier version measured neither
                found = arrays.read(file, names, required=True)
        except (FileNotFoundError, KeyError):
            return None
        if spoilt := int(not_finite({name: found[name] for name in pieces}).sum()):
            raise ValueError(f"{file.name} holds NaN or infinite features of {spoilt:,} texts")
        cost = Cost(len(found["rows"]), *(found[name].item() if name in found else None for name in MEASURED))
        return Shard(found["rows"], file, verified=frozenset(pieces), cost=cost)

    def put(self, number: int, shard: Shard) -> Shard:
        """Write a shard in memory atomically, beside the pieces that its file holds already, and remove its parts.

        Raises :class:`OSError`.
        """
        pieces, file = shard.held or {}, self._file(number)
        there: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):  # there is none, or it is damaged
            there = arrays.read(file, required=True)
        measured = {name: getattr(shard.cost, name) for name in MEASURED}
        self._write(file, {**there, **pieces, "rows": shard.rows, **measured})
        for part in self.parts(number):
            with contextlib.suppress(OSError):
                part.unlink()
        return replace(shard, path=file, held=None, verified=frozenset(pieces))

    def put_part(
        self, number: int, start: int, rows: NDArray[np.int64], pieces: Mapping[str, Matrix], seconds: float
    ) -> None:
        """Write some rows of a shard that is not whole yet, the first at ``start`` in it. Raises :class:`OSError`."""
        file = self.path / f"part-{number:05d}-{start}.safetensors"
        self._write(file, {**pieces, "rows": rows, "seconds": seconds})

    def _write(self, file: Path, content: Mapping[str, Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        store.replace_file(file, arrays.encode(content))

    def parts(self, number: int) -> list[Path]:
        """Files with some rows of a shard that is not whole."""
        return sorted(self.path.glob(f"part-{number:05d}-*.safetensors"))

    def _file(self, number: int) -> Path:
        return self.path / f"shard-{number:05d}.safetensors"


class Unfinished:
    """A shard that is being computed: what an earlier start has left of it, and more of it as it comes."""

    def __init__(self, number: int, rows: NDArray[np.int64], names: Sequence[str], width: int, place: Shelf) -> None:
        """Its ``rows`` and the pieces ``names`` are to be computed."""
        import numpy as np

        self._number, self._rows, self._place = number, rows, place
        self._pieces = {name: np.full((len(rows), width), np.nan, np.float32) for name in names}
        self._seconds = 0.0
        self.failure: OSError | None = None
        """why the disk has not taken it"""
        places = {row: at for at, row in enumerate(rows.tolist())}
        for file in place.parts(number):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # damaged, or of other rows or pieces
                part = arrays.read(file, ("rows", "seconds", *names), required=True)
                some = [places[row] for row in part["rows"].tolist()]
                for name in names:
                    self._pieces[name][some] = part[name]
                self._seconds += float(part["seconds"])
        self.left: NDArray[np.int64] = np.flatnonzero(not_finite(self._pieces))
        """places of the rows that have to be computed"""

    def take(self, some: slice, pieces: Mapping[str, Matrix], seconds: float) -> None:
        """Take in the pieces of ``some`` of the rows that are left, and put them on the disk unless they are the last.

        ``seconds``: that computing them took.
        """
        where = self.left[some]
        for name, rows in pieces.items():
            self._pieces[name][where] = rows
        self._seconds += seconds
        if some.stop < len(self.left):
            try:
                self._place.put_part(self._number, int(where[0]), self._rows[where], pieces, seconds)
            except OSError as error:
                self.failure = error

    def finished(self, more: float, truncated: int) -> Shard:
        """The shard, on the disk if that takes it; ``more``: seconds that are no single row's."""
        cost = Cost(len(self._rows), truncated, self._seconds + more)
        shard = Shard(self._rows, None, self._pieces, cost=cost)
        try:
            return self._place.put(self._number, shard)
        except OSError as error:
            self.failure = error
            return shard


def _total(figures: tuple[Number | None, Number | None]) -> Number | None:
    one, other = figures
    return None if one is None or other is None else one + other


def shelf(identity: str, texts: Sequence[str], length: int, dtype: str, group: Group) -> Shelf:
    """Where the features of ``texts`` lie or will lie. What is there for every layer serves the upper ones too."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "replace")
        digest.update(len(content).to_bytes(8, "little") + content)

    def path(wanted: Group) -> Path:
        made = json.dumps([CODE, ROWS, identity, length, dtype, wanted, digest.hexdigest()])
        return home.cache() / "features" / hashlib.sha256(made.encode()).hexdigest()[:32]

    whole = len(list(path("every").glob("shard-*.safetensors"))) == -(-len(texts) // ROWS) > 0
    used: Group = "every" if whole else group
    return Shelf(cache.use(path(used)), used)


def not_finite(pieces: Mapping[str, Matrix]) -> NDArray[np.bool_]:
    """Which rows ``(rows,)`` hold a NaN or an infinite number in any of the pieces ``(rows, width)``."""
    import numpy as np

    found: NDArray[np.bool_] = np.logical_or.reduce([~np.isfinite(part).all(1) for part in pieces.values()])
    return found


def _read(shard: Shard, names: Sequence[str]) -> dict[str, Matrix]:
    assert shard.path is not None
    try:
        return arrays.read(shard.path, names, verified=shard.verified, required=True)
    except (ValueError, KeyError) as error:
        raise OSError(f"{shard.path.parent}: {error}; start again to compute it anew") from None
