"""Styles of widgets, each in a ``.tcss`` file beside its module, read when that is imported."""

from __future__ import annotations

from pathlib import Path


def style_sheet(module: str) -> str:
    """The style sheet beside the module file ``module``."""
    return Path(module).with_suffix(".tcss").read_text("utf-8")
