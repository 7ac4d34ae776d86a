"""Feature vectors of texts, kept on disk in safetensors shards under a hash of everything that decides them.

A row of features is several *pieces*, each as wide as the encoder: ``cls`` (the first token of the last layer),
``last`` (its last token), ``max`` (its largest values) and ``mean.N`` (the mean of layer N's tokens, layer 0 being the
embeddings). A pooling puts pieces side by side. No torch here: a second run reads arrays and loads no model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from checkpoints import arrays, home, store
from engine.encoders import cache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float32]

Group: TypeAlias = Literal["top", "every"]

CODE = 1  # raise it when the numbers of a pooling change
ROWS = 1024  # texts in a shard: what stopping can lose
POOLINGS = ("cls", "mean", "max", "last", "last4", "all")
POOLING_HELP: Mapping[str, str] = {
    "cls": "the first token of the last layer",
    "mean": "the mean of the last layer's tokens",
    "max": "the largest value of the last layer's tokens",
    "last": "the last token of the last layer: for GPT-2, the only one that has seen the whole text",
    "last4": "the means of each of the last four layers, side by side",
    "all": "first, last and largest of the last layer and the mean of every layer, side by side",
}


def pieces_of(pooling: str, layers: int) -> list[str]:
    """The pieces that a pooling puts side by side. Raises :class:`ValueError` for a pooling there is not."""
    means = [f"mean.{layer}" for layer in range(layers + 1)]
    if pooling not in POOLINGS:
        raise ValueError(f"no pooling {pooling!r}; there are: {', '.join(POOLINGS)}")
    known = {"mean": means[-1:], "last4": means[1:][-4:], "all": ["cls", "last", "max", *means]}
    return known.get(pooling, [pooling])


def group_of(pooling: str) -> Group:
    """Which pieces have to be computed: those of the upper layers, which every other pooling shares, or all."""
    return "every" if pooling == "all" else "top"


def pieces_in(group: Group, layers: int) -> list[str]:
    """The pieces that a group computes in one pass."""
    if group == "every":
        return pieces_of("all", layers)
    return ["cls", "last", "max", *pieces_of("last4", layers)]


@dataclass(frozen=True)
class Shard:
    """Some rows, in a file or, where the disk would not take them, in memory."""

    rows: NDArray[np.int64]
    path: Path | None
    held: Mapping[str, Matrix] | None = None
    verified: frozenset[str] = frozenset()
    """pieces of the file whose checksum has been compared"""


class Features:
    """The features of ``count`` texts; arrays are read when a pooling is asked for."""

    def __init__(self, shards: Sequence[Shard], count: int, layers: int, width: int) -> None:
        self.shards, self.count, self.layers, self.width = list(shards), count, layers, width

    def pooled(self, pooling: str) -> Matrix:
        """Rows in the order of the texts ``(count, pieces x width)``, float32.

        Raises :class:`OSError`, also when a piece is damaged that :func:`encode` was not asked to verify.
        """
        import numpy as np

        names = pieces_of(pooling, self.layers)
        result = np.empty((self.count, len(names) * self.width), np.float32)
        for shard in self.shards:
            parts = shard.held if shard.held is not None else _read(shard, names)
            for place, name in enumerate(names):
                result[shard.rows, place * self.width : (place + 1) * self.width] = parts[name]
        return result


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
        file = self._file(number)
        try:
            found = arrays.read(file, ("rows", *pieces), required=True)
        except (FileNotFoundError, KeyError):
            return None
        if spoilt := int(not_finite({name: found[name] for name in pieces}).sum()):
            raise ValueError(f"{file.name} holds NaN or infinite features of {spoilt:,} texts")
        return Shard(found["rows"], file, verified=frozenset(pieces))

    def put(self, number: int, rows: NDArray[np.int64], pieces: dict[str, Matrix]) -> Shard:
        """Write a shard atomically, beside the pieces that it holds already. Raises :class:`OSError`."""
        self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError, ValueError):  # there is none, or it is damaged
            pieces = {**arrays.read(self._file(number), required=True), **pieces}
        store.replace_file(self._file(number), arrays.encode({"rows": rows, **pieces}))
        return Shard(rows, self._file(number), verified=frozenset(pieces))

    def _file(self, number: int) -> Path:
        return self.path / f"shard-{number:05d}.safetensors"


def shelf(identity: str, texts: Sequence[str], length: int, dtype: str, group: Group) -> Shelf:
    """Where the features of ``texts`` lie or will lie. What is there for every layer serves the upper ones too."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "replace")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    folder = home.cache() / "features"
    either: tuple[Group, Group] = ("every", group)
    for wanted in either:
        made = json.dumps([CODE, ROWS, identity, length, dtype, wanted, digest.hexdigest()])
        path = folder / hashlib.sha256(made.encode()).hexdigest()[:32]
        if wanted == group or _whole(path, len(texts)):
            return Shelf(cache.use(path), wanted)
    raise AssertionError


def not_finite(pieces: Mapping[str, Matrix]) -> NDArray[np.bool_]:
    """Which rows ``(rows,)`` hold a NaN or an infinite number in any of the pieces ``(rows, width)``."""
    import numpy as np

    found: NDArray[np.bool_] = np.logical_or.reduce([~np.isfinite(part).all(1) for part in pieces.values()])
    return found


def _whole(path: Path, count: int) -> bool:
    return count > 0 and len(list(path.glob("shard-*.safetensors"))) == -(-count // ROWS)


def _read(shard: Shard, names: Sequence[str]) -> dict[str, Matrix]:
    assert shard.path is not None
    try:
        return arrays.read(shard.path, names, verified=shard.verified, required=True)
    except (ValueError, KeyError) as error:
        raise OSError(f"{shard.path.parent}: {error}; start again to compute it anew") from None
