"""What a run holds, written for other programs: where to, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.runs.spec import BadSpec
from tui.follow.task_runs import TaskRuns
from tui.pane import Pane
from tui.text import safe
from tui.widgets.dialogs import ask_path


async def export(pane: Pane, run: Run, task_runs: TaskRuns) -> None:
    """Ask for a folder, and write there what of the run another program can load."""
    if reason := await asyncio.to_thread(task_runs.cannot_export, run):
        pane.tell("Nothing to export", reason)
        return
    what, about = task_runs.exported
    await write(pane, what, about, run.name, lambda folder: task_runs.export(run, folder))


async def write(pane: Pane, what: str, about: str, name: str, into: Callable[[Path], str]) -> None:
    """Ask for a file or a folder, at first ``name`` among the exports, and write ``into`` it.

    ``into`` says what it has written. It may raise :class:`engine.runs.spec.BadSpec`,
    :class:`checkpoints.store.CheckpointError` and :class:`OSError`.
    """
    place = str(home.home() / "exports" / name)
    target = await ask_path(pane.app, f"Export {what}", about, place, blank="enter a name")
    if target is None:
        return
    pane.notify("Exporting…", timeout=3)

    def written() -> str:
        target.parent.mkdir(parents=True, exist_ok=True)
        return into(target)

    try:
        said = await asyncio.to_thread(written)
    except (BadSpec, CheckpointError, OSError) as error:
        pane.tell("The export failed", str(error))
    else:
        pane.notify(safe(said), markup=False, timeout=8)
