"""Runs of every task in every state, without a process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from stage import started, step, until
from textual.pilot import Pilot

from checkpoints.run import Run
from engine.runs.events import Classified, Event, Finished, Loaded, Notice, Paused, Saved
from engine.runs.messages import Control
from engine.runs.worker import Channel, State
from tui.follow.pane import FollowPane

LIVE = ("starting", "running", "paused", "stopping")
SAVED = Saved(5, "/somewhere", 1, 0.1, 0.1, True)


def begun(task: str) -> list[Event]:
    """What a run of this task tells until it is well under way."""
    if task == "train":
        return [started(), *(step(number) for number in range(1, 6)), SAVED]
    method = {"classify": "tfidf", "choose": "chance", "retrieve": "bm25"}[task]
    return [Loaded(task, "data", "bundled", 9, 3, 3, "test", "f" * 64, (method,), (), (), documents=9)]


def told(task: str, state: str) -> list[Event]:
    """What a run has told that is in this state."""
    done, end = ("steps", Finished) if task == "train" else ("done", Classified)
    ends = {
        "stopped": [end("stopped", 5, None, "run")],
        "finished": [end(done, 5, None, "run")],
        "failed": [Notice("no space left", "error", "failure"), Finished("failed", 5, None, "run")],
        "interrupted": [Finished("died", 5, None, "run")],
        "paused": [Paused(5)],
    }
    return [] if state in ("none", "starting") else [*begun(task), *ends.get(state, [])]


async def stand(pilot: Pilot[int], task: str, state: str) -> FollowPane:
    """Show a run in this state in the pane of its task, which is on the screen."""
    pane = pilot.app.screen_stack[0].query_one(f"#{task}", FollowPane)
    if state != "none":
        pane.run_shown = Run(Path("/nowhere/run"))
        pane.fresh()
        for event in told(task, state):
            pane.story.fold(event)
        pane.job = None
        if state in LIVE:
            job = State.STOPPING if state == "stopping" else State.RUNNING
            pane.job = cast(Any, SimpleNamespace(active=True, state=job, control=Control(), channel=Channel()))
        pane.show_results()
    await pilot.pause()
    await until(pilot, lambda: pane.size)
    pane.redraw()
    await pilot.pause()
    return pane
