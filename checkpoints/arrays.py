"""Arrays in safetensors files, with the SHA-256 of each in the header: damage is noticed when one is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from checkpoints import store

_SUMS = "sha256"


def encode(arrays: Mapping[str, Any]) -> bytes:
    """The content of a file."""
    import numpy as np
    from safetensors.numpy import save

    held = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    sums = {name: _sha256(held[name]) for name in sorted(held)}
    return save(held, {_SUMS: json.dumps(sums)})  # under one name, since safetensors puts several in any order


def read(
    file: Path, names: Sequence[str] = (), *, required: bool = False, verified: Collection[str] = ()
) -> dict[str, Any]:
    """Arrays of a file, all or those named.

    Raises :class:`OSError`, :class:`ValueError` when it is damaged, and :class:`KeyError` when it has none of a name.

    A file without checksums, as earlier versions wrote them, counts as damaged when they are ``required``. Those in
    ``verified`` are not compared again.
    """
    from safetensors import SafetensorError, safe_open

    store.open_file(file).close()  # refuses what would be waited for, as a FIFO
    try:
        with safe_open(file, framework="numpy") as opened:
            sums = store.decode((opened.metadata() or {}).get(_SUMS, "{}").encode())
            if not isinstance(sums, dict):
                raise ValueError(f"{file.name} is damaged: its checksums cannot be read")
            if absent := set(names) - set(opened.keys()):
                raise KeyError(f"{file.name} has no {', '.join(sorted(absent))}")
            found = {name: opened.get_tensor(name) for name in names or opened.keys()}
    except SafetensorError as error:
        raise ValueError(f"{file.name} is damaged ({error})") from None
    for name, array in found.items():
        if (sums or required) and name not in verified and sums.get(name) != _sha256(array):
            raise ValueError(f"{file.name} is damaged: the SHA-256 of {name} does not match")
    return found


def _sha256(array: Any) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.reshape(-1).view("u1"))
    return digest.hexdigest()
