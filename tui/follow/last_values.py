"""What a form was started with last, kept under the home."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping

from checkpoints import home, store


def read(file: str, names: Iterable[str]) -> dict[str, str]:
    """The values of these fields that were kept; a file that is missing or damaged holds none."""
    try:
        record = store.read_object(home.home() / file)
    except (OSError, ValueError):
        return {}
    return {name: record[name] for name in names if isinstance(record.get(name), str)}


def write(file: str, values: Mapping[str, str]) -> None:
    """Keep values, atomically; an error when writing is ignored here, since starting a run reports it."""
    path = home.home() / file
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(path, json.dumps(values, indent=1).encode())
