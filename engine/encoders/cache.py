"""What is kept on the disk because it takes long to compute: features of texts, indexes of documents, converted models.

An entry is a folder, whose time is that of its last use. When all of them are larger than the limit, those that were
used longest ago are removed.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from checkpoints import home, store
from engine.model_folder import size

KINDS = ("features", "indexes", "models")
LIMIT = 20 << 30  # bytes of all entries
IN_USE = 3600.0  # seconds after its last use in which an entry is not removed: a run may be reading it


@dataclass(frozen=True)
class Entry:
    """One list of texts with its features, one index, or one model."""

    kind: str
    path: Path
    bytes: int
    used: float
    """Unix time"""


def limit() -> int:
    """Bytes of all entries: ``LLMLAB_CACHE_GIB`` in GiB, else ``LIMIT``."""
    with contextlib.suppress(ValueError, OverflowError):
        return int(float(os.environ.get("LLMLAB_CACHE_GIB", "")) * (1 << 30))
    return LIMIT


def entries() -> list[Entry]:
    """All there are, used longest ago first."""
    found = []
    for kind in KINDS:
        for path in (home.cache() / kind).glob("*"):
            with contextlib.suppress(OSError):  # another process has just removed it
                found.append(Entry(kind, path, size(path), path.stat().st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def use(folder: Path) -> Path:
    """Say that an entry, if there is one, is used now."""
    with contextlib.suppress(OSError):
        os.utime(folder)
    return folder


def trim() -> None:
    """Remove what was used longest ago until the limit is kept, but nothing that may be in use."""
    there, most = entries(), limit()
    total = sum(entry.bytes for entry in there)
    for entry in there:
        if total <= most or time.time() - entry.used < IN_USE:
            break
        store.remove(entry.path)
        total -= entry.bytes


def clear() -> int:
    """Remove all entries; returns the bytes that are free then."""
    before = entries()
    for entry in before:
        store.remove(entry.path)
    return sum(entry.bytes for entry in before) - sum(entry.bytes for entry in entries())
