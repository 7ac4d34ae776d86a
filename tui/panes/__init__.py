"""The panes. Those that the first picture does not show are imported and made when they are first asked for."""

from __future__ import annotations

from importlib import import_module

from tui.panes.pane import Pane

LATER = {
    "tokens": ("tui.panes.tokens", "TokensPane"),
    "generate": ("tui.panes.generate", "GeneratePane"),
    "classify": ("tui.panes.classify", "ClassifyPane"),
    "choose": ("tui.panes.choose", "ChoosePane"),
    "retrieve": ("tui.panes.retrieve", "RetrievePane"),
    "runs": ("tui.panes.runs", "RunsPane"),
}


def make(name: str) -> Pane:
    """A new pane of those in ``LATER``."""
    module, kind = LATER[name]
    made: Pane = getattr(import_module(module), kind)()
    return made
