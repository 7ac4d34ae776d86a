"""The laboratory of every task, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from tui.comparing.laboratory import Laboratory

_OF = {
    "classify": ("tui.classify.laboratory", "Classifications"),
    "choose": ("tui.choosing.laboratory", "Rankings"),
    "retrieve": ("tui.retrieving.laboratory", "Retrievals"),
}


def of(task: str) -> Laboratory:
    """That of this task. Raises :class:`KeyError`."""
    module, kind = _OF[task]
    made: Laboratory = getattr(import_module(module), kind)()
    return made
