"""Imports of libraries that look at what other libraries are there."""

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


def import_without_jax(name: str) -> Any:
    """Import a module that would use jax where that is installed.

    bm25s tries jax's ``top_k`` while it is imported: on a GPU that takes three quarters of the memory for jax.
    """
    missing = "jax" not in sys.modules
    if missing:
        sys.modules["jax"] = None  # type: ignore[assignment]  # imports of it fail
    try:
        return importlib.import_module(name)
    finally:
        if missing:
            del sys.modules["jax"]


def _wait_for_torch() -> None:
    if "torch" in sys.modules:
        importlib.import_module("torch")  # takes the lock that the importing thread holds
