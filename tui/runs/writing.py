"""What the Runs pane writes about runs and makes of them: titles, tags, notes, branches, metrics and reports."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from checkpoints.run import NoSuchRun, Run, after_time
from checkpoints.store import CheckpointError
from engine.gpt.branch import branch as made_branch
from engine.report import export, page
from engine.runs import notes
from engine.runs.listing import Summary
from engine.runs.notes import Notes
from engine.runs.spec import BadSpec
from tui.follow.exporting import write
from tui.pane import Pane, UseRun
from tui.widgets.dialogs import Entry, Option, Question

FORMATS = (
    Option("csv", "CSV", "c"),
    Option("jsonl", "JSONL", "j"),
    Option("parquet", "Parquet", "p"),
    Option("tensorboard", "TensorBoard", "t"),
)
_CANCEL = Option("cancel", "cancel", "q")


def run_of(summary: Summary) -> Run:
    """The run that a line of the list is about."""
    return Run(Path(summary.path))


async def pin(pane: Pane, here: Summary) -> None:
    """Pin a run, or take the pin off."""
    await _change(pane, here, {"pinned": not here.pinned})


async def rename(pane: Pane, here: Summary) -> None:
    """Ask for the title of a run."""
    about = f"Shown in place of the name {after_time(here.name)}; leave empty to show the name."
    await _ask(pane, here, "Title", about, here.title, lambda line: {"title": line.strip()})


async def tags(pane: Pane, here: Summary) -> None:
    """Ask for the tags of a run."""
    about = "Words, separated by spaces or commas. The filter (/) finds them."

    def words(line: str) -> dict[str, Any]:
        return {"tags": tuple(dict.fromkeys(filter(None, re.split(r"[\s,]+", line))))}

    await _ask(pane, here, "Tags", about, " ".join(here.tags), words)


async def note(pane: Pane, here: Summary) -> None:
    """Ask for a note about a run."""
    about = f"About {after_time(here.name)}; reports show it."
    await _ask(pane, here, "Note", about, here.note, lambda line: {"note": line.strip()})


async def branch(pane: Pane, here: Summary) -> None:
    """Ask for a checkpoint and settings, and begin a new run with them; what is wrong can be corrected."""
    about = (
        f"A new run from a checkpoint of {after_time(here.name)}: best, last or a step, then the settings that change, "
        "such as: last steps=3000 learning_rate=3e-4"
    )
    line = f"best steps={2 * here.steps}" if here.reason == "steps" else "best"
    problem = ""
    while True:
        answer = await pane.app.push_screen_wait(Entry("Branch", about, line, _not_blank, problem))
        if answer is None:
            return
        line = answer
        which, *fields = line.split()
        given = {name.replace("-", "_"): value for name, _, value in (field.partition("=") for field in fields)}
        try:
            run = await asyncio.to_thread(made_branch, f"{here.path}@{which}", given)
        except (BadSpec, CheckpointError, OSError, NoSuchRun) as error:
            problem = str(error)
        else:
            pane.post_message(UseRun(run, "resumed"))
            return


async def metrics(pane: Pane, chosen: Sequence[Summary]) -> None:
    """Ask for a format and a folder, and export the metrics of runs."""
    asked = Question("Export metrics", "Steps, evaluations, samples and results, as", (*FORMATS, _CANCEL))
    if not chosen or (kind := await pane.app.push_screen_wait(asked)) == _CANCEL.value:
        return

    def written(folder: Path) -> str:
        for one in chosen:
            export.export(run_of(one), kind, folder)
        return f"metrics of {len(chosen)} run{'s' * (len(chosen) > 1)} are in {folder}"

    label = next(one.label for one in FORMATS if one.value == kind)
    await write(pane, "metrics", f"{label}, in a folder for each run in:", kind, written)


async def report(pane: Pane, here: Summary) -> None:
    """Ask for a folder, and write a report of a run."""
    about = "A folder for the page and its pictures."
    name = f"{here.name}-report"
    await write(pane, "a report", about, name, lambda folder: f"the report is {page.write(run_of(here), folder)}")


def _not_blank(line: str) -> str:
    return "" if line.strip() else "enter best, last or a step"


async def _ask(
    pane: Pane, here: Summary, title: str, about: str, value: str, changes: Callable[[str], dict[str, Any]]
) -> None:
    """Ask for a line, which may be empty, and write the ``changes`` of the notes that it stands for."""

    def problem(line: str) -> str:
        return "\n".join(map(str, notes.problems(dataclasses.replace(Notes(), **changes(line)))))

    if (line := await pane.app.push_screen_wait(Entry(title, about, value, problem))) is not None:
        await _change(pane, here, changes(line))


async def _change(pane: Pane, here: Summary, changes: dict[str, Any]) -> None:
    try:
        await asyncio.to_thread(notes.change, run_of(here), **changes)
    except (BadSpec, OSError) as error:
        pane.tell("It could not be written", str(error))
