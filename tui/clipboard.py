"""Copying: to the terminal's clipboard, and into a file for terminals that have none or take less."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from textual.app import App

from checkpoints import store
from tui import units
from tui.text import safe

LIMIT = 70_000  # bytes; common terminals drop more without a word


async def copy(app: App[Any], text: str, file: Path) -> tuple[str, bool]:
    """Copy ``text``; returns what was done, and whether ``file`` could be written."""
    content = text.encode("utf-8", "replace")
    size = units.size(len(content))
    fits = len(content) <= LIMIT
    done = f"copied {size}; also" if fits else f"{size} are too large for the terminal's clipboard;"
    told, written = f"{done} saved to {file}", True
    try:
        await asyncio.to_thread(_write, file, content)
    except OSError as error:
        told, written = f"{done} could not be saved to {file}: {error.strerror or error}", False
    if fits:
        app.copy_to_clipboard(content.decode())
    return safe(told, lines=False), written


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    store.replace_file(file, content)
