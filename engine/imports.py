"""Imports of scipy and scikit-learn in a process in which another thread may be importing torch."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def import_beside_torch(name: str) -> Any:
    """Import a module of scipy or scikit-learn by its name.

    scipy looks into ``sys.modules`` for torch and uses attributes that torch does not have yet while it is imported.
    So this waits for such an import, also for one that begins meanwhile. Raises :class:`ImportError`.
    """
    try:
        _wait_for_torch()
        return importlib.import_module(name)
    except AttributeError:
        _wait_for_torch()
        return importlib.import_module(name)


def _wait_for_torch() -> None:
    if "torch" in sys.modules:
        importlib.import_module("torch")  # takes the lock that the importing thread holds
