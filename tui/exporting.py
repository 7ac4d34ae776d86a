"""Something of a run as a folder that another program loads: where to, and what came of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from tui.comparing.laboratory import Laboratory
from tui.dialogs import Entry
from tui.panes.pane import Pane
from tui.text import safe


async def export(pane: Pane, run: Run, laboratory: Laboratory) -> None:
    """Ask for a folder, and write there what of the run another program can load."""
    if reason := await asyncio.to_thread(laboratory.cannot_export, run):
        pane.tell("There is nothing to export", reason)
        return
    what, about = laboratory.exported
    place = str(home.home() / "exports" / run.name)
    target = await pane.app.push_screen_wait(
        Entry(f"Export {what}", about, place, lambda text: "" if text.strip() else "name a folder")
    )
    if target is None:
        return
    pane.notify("Exporting…", timeout=3)
    try:
        said = await asyncio.to_thread(laboratory.export, run, Path(os.path.expanduser(target)))
    except (CheckpointError, OSError) as error:
        pane.tell("It cannot be exported", str(error))
    else:
        pane.notify(safe(said), markup=False, timeout=8)
