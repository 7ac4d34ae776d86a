"""The Runs pane: every run there is, newest first, whoever trains it."""

from __future__ import annotations

import asyncio
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from checkpoints import home
from checkpoints import run as runs
from checkpoints.lock import Locked
from checkpoints.run import Run
from engine.runs.listing import Summary, summarise
from tui import units
from tui.actions import bindings
from tui.follow.exporting import export
from tui.pane import Pane
from tui.panes import runs_of
from tui.text import safe
from tui.train.resuming import ask_steps
from tui.widgets.dialogs import Option, Question
from tui.widgets.line_table import Column, TableView
from tui.widgets.styled import DIM

REFRESH = 2.0  # seconds
NO_RUNS = "No runs yet.\n\nF5 trains the first one; whatever you start is listed here for good."
_COLOURS = {
    "training": "bright_green",
    "starting": "bright_yellow",
    "paused": "bright_yellow",
    "interrupted": "bright_yellow",
    "unreadable": "bright_red",
    "failed": "bright_red",
    "diverged": "bright_red",
    "died": "bright_red",
}
_COMPARED = {
    "classify": ("accuracy {} on the test split", "classifiers of {}, {} pooling"),
    "choose": ("accuracy {} on the judged questions", "rankers of {}, {} pooling"),
    "retrieve": ("nDCG@10 {} on the judged queries", "rankers of {}, encoder {}"),
}
"""by task: its best figure, and its models by data and pooling or encoder"""
_WORDS = {"steps": "finished", "done": "finished", "early_stop": "early stop"}
_ROOMY = 100  # columns of a screen that has room for a run's whole name
_STAMP = re.compile(r"\d{8}-\d{6}-")  # before the name of every run; where there is no room, the panel below tells it


class RunsPane(Pane):
    """A table of runs. Reads directories off the event loop and touches only the cells that changed."""

    ABOUT = (
        (
            "What the table shows",
            "Every run on this machine, newest first, whoever trains it: ● has a process that owns it. The best loss "
            "is that of the whole validation split, in nats per character. Resuming goes on from the newest whole "
            "checkpoint, exactly.",
        ),
    )

    BINDINGS = bindings("runs")
    DEFAULT_CSS = """
    RunsPane { height: 1fr; padding: 0 1; }
    RunsPane #about-run { height: 5; padding: 0 1; border-top: solid $panel; }
    RunsPane.-empty #about-run { display: none; }
    RunsPane #no-runs { display: none; height: 1fr; content-align: center middle; color: $text-muted; }
    RunsPane.-empty #no-runs { display: block; }
    RunsPane.-empty TableView { display: none; }
    """

    @dataclass
    class Opened(Message):
        """Show this run."""

        run: Run

    @dataclass
    class Resumed(Message):
        """Train this run further."""

        run: Run

    @dataclass
    class Copied(Message):
        """Fill the form of the run's task with what it was asked for."""

        run: Run

    def __init__(self) -> None:
        super().__init__(id="runs")
        self._known: dict[str, tuple[tuple[float, int], Summary]] = {}
        self._told = Text()

    def compose(self) -> ComposeResult:
        yield Static(NO_RUNS, id="no-runs", markup=False)
        yield TableView(
            (
                Column("state", 15, _state, left=True),
                Column("name", 0, self._short, left=True, least=14),
                Column("steps", 14, lambda run: "" if run.why else f"{run.step:,}/{run.steps:,}"),
                Column("best", 9, units.best),
                Column("age", 10, _age, priority=1),
                Column("  corpus", 26, lambda run: (f"  {run.corpus}", DIM), left=True, priority=2),
            )
        )
        yield Static(id="about-run")

    def on_mount(self) -> None:
        self.set_interval(REFRESH, self.refresh_if_visible)

    def arrive(self) -> None:
        """The table as it is now."""
        self.look()
        self.table.focus()

    def refresh_if_visible(self) -> None:
        """Look at the runs again while the pane is on the screen."""
        if self.is_on_screen:
            self.look()

    @work(thread=True, exclusive=True, group="runs", exit_on_error=False)
    def look(self) -> None:
        """Read what changed and show it."""
        found: list[Summary] = []
        try:
            every, why = runs.every(home.runs()), ""
        except OSError as error:
            every, why = [], f"The runs cannot be listed.\n\n{home.runs()}: {error.strerror or error}"
        for run in every:
            try:
                stat = run.events.stat()
                stamp = (stat.st_mtime, 1 if run.owner() else 0)
            except OSError:
                stamp = (0.0, 0)
            known = self._known.get(run.name)
            if known is None or known[0] != stamp or known[1].why:  # what was unreadable may not be so any more
                known = self._known[run.name] = (stamp, summarise(run))
            found.append(known[1])
        self.app.call_from_thread(self._show, found, why or NO_RUNS)

    @on(TableView.Chosen)
    def _chosen(self, event: TableView.Chosen) -> None:
        event.stop()
        self.action_open()

    @on(TableView.Moved)
    def _moved(self, event: TableView.Moved) -> None:
        event.stop()
        self._tell_about(self.selected)

    def _tell_about(self, summary: Summary | None) -> None:
        text = Text()
        if summary is not None and summary.why:
            text.append("unreadable: ", "bright_red").append(f"{safe(summary.why, lines=False)}\n")
            text.append(safe(summary.path, lines=False), "bright_black")
        elif summary is not None:
            best = f"{units.loss(summary.best_val_loss)} nats"
            if summary.best_val_loss is not None:
                best += f", {summary.best_val_loss / math.log(2):.4f} bits per character"
            at = f" at step {summary.best_step:,}" if summary.best_step is not None else ""
            size = f", {units.count(summary.parameters)} parameters" if summary.parameters else ""
            model = f"{summary.preset}{size}, trained on {summary.corpus}"
            if summary.task in _COMPARED:
                figure, models = _COMPARED[summary.task]
                best = figure.format(units.best(summary))
                at = f" (* partial: {summary.partial})" if summary.partial else ""
                model = models.format(summary.corpus, summary.preset)
            kept = f"{summary.checkpoints} checkpoint{'' if summary.checkpoints == 1 else 's'} in {summary.path}"
            resumed = "not running; r resumes it exactly"
            if summary.task != "train":
                kept = summary.path
                resumed = "not running" if summary.state == "done" else "not running; r reuses what was computed"
            for name, value in (
                ("best", best + at),
                ("model", model),
                ("on disk", kept),
                ("owner", f"process {summary.owner}" if summary.owner else resumed),
            ):
                text.append(f"{name:<9}", "bright_black")
                text.append(safe(value, lines=False) + "\n")
        if text != self._told:
            self._told = text
            self.query_one("#about-run", Static).update(text)

    @property
    def selected(self) -> Summary | None:
        """The run that the cursor is on."""
        found: Summary | None = self.table.here
        return found

    @property
    def table(self) -> TableView:
        """The runs."""
        return self.query_one(TableView)

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Show the selected run."""
        if summary := self._readable():
            self.post_message(self.Opened(Run(Path(summary.path))))

    def _readable(self) -> Summary | None:
        """The selected run; None, with the reason shown, when it cannot be read."""
        summary = self.selected
        if summary is None or not summary.why:
            return summary
        self.tell("This run cannot be read", summary.why)
        return None

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_resume(self) -> None:
        """Go on with the selected run in a process of its own."""
        summary = self._readable()
        if summary is None:
            return
        run = Run(Path(summary.path))
        if summary.owner is not None or summary.state == "done":
            self.post_message(self.Opened(run))
            return
        if summary.task == "train" and not await ask_steps(self, run):
            return
        self.post_message(self.Resumed(run))

    def action_again(self) -> None:
        """The form with the values of the selected run."""
        if summary := self._readable():
            self.post_message(self.Copied(Run(Path(summary.path))))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_export(self) -> None:
        """Write the selected run for other programs."""
        if summary := self._readable():
            await export(self, Run(Path(summary.path)), runs_of(summary.task))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_delete(self) -> None:
        """Remove the selected run, after a question."""
        summary = self.selected
        if summary is None:
            return
        answer = await self.app.push_screen_wait(
            Question(
                "Delete this run?",
                f"{summary.name} with everything that it trained and said. There is no way back.",
                (Option("delete", "delete", "d"), Option("keep", "keep", "k")),
            )
        )
        if answer != "delete":
            return
        try:
            await asyncio.to_thread(Run(Path(summary.path)).delete)
        except (Locked, OSError) as error:
            self.tell("It cannot be deleted", str(error))
        self.look()

    # -- showing -----------------------------------------------------------------------------------------------------

    def _short(self, summary: Summary) -> tuple[str, str]:
        roomy = self.app.size.width >= _ROOMY
        name = summary.name if roomy else _STAMP.sub("", summary.name, count=1)
        return name, "bold" if summary.owner else ""

    def _show(self, found: list[Summary], empty: str) -> None:
        self.set_class(not found, "-empty")
        if not found:
            self.query_one("#no-runs", Static).update(Content(safe(empty)))
        kept, names = self.selected, [summary.name for summary in found]
        self.table.show(found, names.index(kept.name) if kept and kept.name in names else self.table.cursor)
        self._tell_about(self.selected)


def _state(summary: Summary) -> tuple[str, str]:
    colour = _COLOURS.get(summary.state, "bright_blue" if summary.state in _WORDS else "")
    return f"{'●' if summary.owner else ' '} {_WORDS.get(summary.state, summary.state)}", colour


def _age(summary: Summary) -> str:
    if summary.owner:
        return "now"
    seconds = time.time() - summary.changed
    for limit, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= limit:
            return f"{seconds // limit:.0f} {unit}"
    return "< 1 min"
