"""Where runs and caches live: ``LLMLAB_HOME``, else the user's data folder of this platform."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder that everything is under. It need not exist."""
    given = os.environ.get("LLMLAB_HOME")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("llmlab-tui", appauthor=False))


def runs() -> Path:
    """The folder of the run directories."""
    return home() / "runs"


def cache() -> Path:
    """The folder of what can be had again."""
    return home() / "cache"


def models() -> Path:
    """The folder of models that were fetched or converted, in the cache."""
    return cache() / "models"
