"""What the form was started with the last time, so that the next start of the program begins there.

Values are kept as they were typed, and only those that differ from the preset. The run's name is not kept: two runs
of one name are hard to tell apart.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from checkpoints import home, store


def recall(fields: Iterable[str]) -> dict[str, str]:
    """Values by field, of these fields; empty when there are none, or when the file is damaged."""
    try:
        record = store.read_object(_path())
    except (OSError, ValueError):
        return {}
    return {name: record[name] for name in fields if isinstance(record.get(name), str)}


def remember(values: dict[str, Any]) -> None:
    """Keep what the form was started with; a home that cannot be written is told elsewhere."""
    kept = {name: value for name, value in values.items() if name != "name"}
    if kept.get("corpus") not in (None, "dante", "dantesque"):  # the next start may stand in another folder
        kept["corpus"] = str(Path(kept["corpus"]).expanduser().absolute())
    with contextlib.suppress(OSError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(_path(), json.dumps(kept, indent=1).encode())


def _path() -> Path:
    return home.home() / "form.json"
