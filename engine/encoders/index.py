"""Unit vectors on disk and exact search among them, block by block on the device that has room.

An index is a folder: ``vectors.f32`` (float32, row by row, mapped into memory) beside ``index.json`` with its shape,
its SHA-256 and the hash of the content that it was made of. Nothing is approximate here.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from checkpoints import home, store
from engine.encoders import cache
from engine.encoders.features import Cost
from engine.model_folder import present, replaced
from engine.runs import codec

if TYPE_CHECKING:
    from torch import Tensor

Matrix: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]
FORMAT = 2
BLOCK = 1 << 17  # vectors that are multiplied at once
TOGETHER = 256  # queries at once
SHARE = 0.5  # of the device's free memory that vectors may take to stay there
_VECTORS, _ABOUT = "vectors.f32", "index.json"


class Exact:
    """Inner products with every vector. Equal scores are in the order of their rows."""

    def __init__(self, vectors: Matrix, device: str = "cpu", block: int = BLOCK) -> None:
        """``vectors`` ``(count, width)``, float32, in memory or mapped; unit length makes it a search by cosine."""
        self.count, self.width = vectors.shape
        self.bytes = int(vectors.nbytes)
        self._device, self._block = device, block
        held = _tensor(vectors)
        self._held = held.to(device) if device == "cpu" or self.bytes < SHARE * _free(device) else held

    def search(self, queries: Matrix, k: int) -> tuple[Rows, Matrix]:
        """Rows and inner products ``(queries, min(k, count))``, best first."""
        import torch

        from engine.device import exact_products

        k = min(k, self.count)
        rows = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        asked = torch.from_numpy(np.ascontiguousarray(queries, np.float32)).to(self._device)
        with torch.inference_mode(), exact_products():
            for start in range(0, len(queries), TOGETHER):
                part = asked[start : start + TOGETHER]
                found, place = self._through_blocks(part, k)
                rows[start : start + len(part)] = place.cpu().numpy()
                scores[start : start + len(part)] = found.cpu().numpy()
        return rows, scores

    def _through_blocks(self, asked: Tensor, k: int) -> tuple[Tensor, Tensor]:
        import torch

        best = asked.new_empty(len(asked), 0)
        rows = torch.empty(len(asked), 0, dtype=torch.long, device=asked.device)
        for start in range(0, self.count, self._block):
            block = self._held[start : start + self._block].to(self._device)
            scores = _products(block, asked)
            found, place = _top(scores, k)
            best, rows = torch.cat([best, found], 1), torch.cat([rows, place + start], 1)
            if start:  # what came before has the lower rows, so a stable order keeps ties by row
                best, order = best.sort(dim=1, descending=True, stable=True)
                best, rows = best[:, :k], rows.gather(1, order)[:, :k]
        return best, rows


def unit(vectors: Matrix) -> Matrix:
    """Every row divided by its length; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def place(name: str) -> Path:
    """The folder of the index called ``name``."""
    return cache.use(home.cache() / "indexes" / hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:24])


def write(folder: Path, content: str, vectors: Matrix, cost: Cost | None = None) -> None:
    """Put an index on the disk, whole or not at all, in place of what is there. Raises :class:`OSError`.

    ``content`` is the hash of everything that decides the vectors, ``cost`` what encoding them took.
    """
    with replaced(folder) as temporary:
        digest = hashlib.sha256()
        with (temporary / _VECTORS).open("wb") as file:
            for start in range(0, len(vectors), BLOCK):
                part: Any = np.ascontiguousarray(vectors[start : start + BLOCK], np.float32)
                file.write(part)
                digest.update(part)
        about: dict[str, Any] = {"format": FORMAT, "content": content}
        about |= {"count": len(vectors), "width": int(vectors.shape[1])}
        about |= {"cost": codec.encode(cost)} if cost is not None else {}
        store.replace_file(temporary / _ABOUT, json.dumps({**about, "sha256": digest.hexdigest()}).encode())
    cache.trim()


def read(folder: Path, content: str = "") -> Matrix | None:
    """The vectors of an index, mapped; None when there is none, it is damaged, or it was made of another content."""
    folder = present(folder)
    try:
        about = store.read_object(folder / _ABOUT)
        count, width = int(about["count"]), int(about["width"])
        right = about["format"] == FORMAT and (not content or about["content"] == content)
        if not right or (folder / _VECTORS).stat().st_size != count * width * 4 or not count:
            return None
        found = np.memmap(folder / _VECTORS, np.float32, "r", shape=(count, width))
        return found if hashlib.sha256(found.data).hexdigest() == about["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def cost_of(folder: Path, count: int) -> Cost:
    """What encoding the ``count`` vectors of an index took; nothing is known of those of earlier versions."""
    try:
        return codec.decode(Cost, store.read_object(present(folder) / _ABOUT)["cost"])
    except (OSError, ValueError, KeyError, AttributeError):
        return Cost(count, None, None)


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` best of every row; which of equal ones are taken, and their order, is by column."""
    import torch

    k = min(k, scores.shape[1])
    more, columns = scores.topk(min(k + 1, scores.shape[1]), 1)  # one more, to see whether the last has an equal
    found, columns = more[:, :k].clone(), columns[:, :k].clone()
    if bool((more[:, 1:] == more[:, :-1]).any()):
        # topk takes any of the equal ones: take the first instead.
        for row in range(len(scores)):
            some = torch.nonzero(scores[row] >= found[row, -1])[:, 0]
            order = scores[row][some].sort(descending=True, stable=True).indices[:k]
            columns[row] = some[order]
            found[row] = scores[row][columns[row]]
    return found, columns


def _products(block: Tensor, asked: Tensor) -> Tensor:
    """Inner products ``(queries, vectors)``. A single product with a matrix is twice as fast in numpy on a CPU."""
    import torch

    if block.device.type == "cpu" and len(asked) == 1:
        return torch.from_numpy(block.numpy() @ asked[0].numpy())[None]
    return asked @ block.T


def _tensor(vectors: Matrix) -> Tensor:
    """A tensor over the same memory; a read-only map is never written to."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(np.ascontiguousarray(vectors, np.float32))


def _free(device: str) -> int:
    import torch

    return int(torch.cuda.mem_get_info(device)[0]) if device.startswith("cuda") else 1 << 62
