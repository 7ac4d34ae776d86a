"""Something of a run as a folder that another program loads: where to, and what came of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from checkpoints import home
from checkpoints.store import CheckpointError
from tui.dialogs import Entry
from tui.panes.pane import Pane
from tui.text import safe


async def export(
    pane: Pane, name: str, what: tuple[str, str], why_not: Callable[[], str], write: Callable[[Path], str]
) -> None:
    """Ask for a folder, and write something of the run called ``name``: ``what`` says which part of it, and as what.

    ``why_not`` tells why there is nothing to write, or is empty; ``write`` tells what it wrote, and may raise
    :class:`checkpoints.store.CheckpointError` and :class:`OSError`. Neither is called on the event loop.
    """
    if reason := await asyncio.to_thread(why_not):
        pane.tell("There is nothing to export", reason)
        return
    place = str(home.home() / "exports" / name)
    target = await pane.app.push_screen_wait(
        Entry(f"Export {what[0]}", what[1], place, lambda text: "" if text.strip() else "name a folder")
    )
    if target is None:
        return
    pane.notify("Exporting…", timeout=3)
    try:
        said = await asyncio.to_thread(write, Path(os.path.expanduser(target)))
    except (CheckpointError, OSError) as error:
        pane.tell("It cannot be exported", str(error))
    else:
        pane.notify(safe(said), markup=False, timeout=8)
