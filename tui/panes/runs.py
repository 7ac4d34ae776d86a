"""The Runs pane: every run there is, newest first, whoever trains it."""

from __future__ import annotations

import asyncio
import math
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Static

from checkpoints import home
from checkpoints import run as runs
from checkpoints.lock import Locked
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.gpt import runs as gpt_runs
from engine.gpt.spec import TrainSpec
from engine.runs.listing import Summary, explain, summarise
from engine.runs.spec import BadSpec, convert
from tui import units
from tui.actions import bindings
from tui.dialogs import Entry, Option, Question
from tui.exporting import export
from tui.panes import laboratory_of
from tui.panes.pane import Pane
from tui.text import safe

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
_FIXED: dict[str, int] = {"state": 13, "steps": 13, "best": 7, "age": 8}
_ROOMY = 100  # columns of a screen that has room for a run's whole name and its corpus
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
    RunsPane DataTable { height: 1fr; scrollbar-size-vertical: 1; background: $background; }
    RunsPane #about-run { height: 5; padding: 0 1; border-top: solid $panel; }
    RunsPane.-empty #about-run { display: none; }
    RunsPane #no-runs { display: none; height: 1fr; content-align: center middle; color: $text-muted; }
    RunsPane.-empty #no-runs { display: block; }
    RunsPane.-empty DataTable { display: none; }
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
        self._shown: list[str] = []
        self._columns: tuple[tuple[str, int], ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(NO_RUNS, id="no-runs", markup=False)
        yield DataTable(cursor_type="row", zebra_stripes=False, cell_padding=1)
        yield Static(id="about-run")

    def on_mount(self) -> None:
        self.on_resize()
        self.set_interval(REFRESH, self.refresh_if_visible)

    def on_resize(self) -> None:
        """The columns that this width has room for."""
        if (columns := _columns(self.app.size.width)) != self._columns:
            self._columns = columns
            table = self.query_one(DataTable)
            row = table.cursor_row
            table.clear(columns=True)
            for name, width in columns:
                table.add_column(name, width=width, key=name)
            self._fill([self._known[name][1] for name in self._shown])
            table.move_cursor(row=row)

    def arrive(self) -> None:
        """The table as it is now."""
        self.look()
        self.query_one(DataTable).focus()

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

    @on(DataTable.RowSelected)
    def _row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_open()

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self, event: DataTable.RowHighlighted) -> None:
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
                best, at = figure.format(units.best(summary)), ""
                model = models.format(summary.corpus, summary.preset)
            kept = f"{summary.checkpoints} checkpoint{'' if summary.checkpoints == 1 else 's'} in {summary.path}"
            resumed = "nobody: r resumes it exactly"
            if summary.task != "train":
                kept = summary.path
                resumed = "nobody" if summary.state == "done" else "nobody: r goes on with what has been computed"
            for name, value in (
                ("best", best + at),
                ("model", model),
                ("on disk", kept),
                ("owner", f"process {summary.owner}" if summary.owner else resumed),
            ):
                text.append(f"{name:<9}", "bright_black")
                text.append(safe(value, lines=False) + "\n")
        self.query_one("#about-run", Static).update(text)

    @property
    def selected(self) -> Summary | None:
        """The run that the cursor is on."""
        table = self.query_one(DataTable)
        if 0 <= table.cursor_row < len(self._shown):
            entry = self._known.get(self._shown[table.cursor_row])
            return entry[1] if entry else None
        return None

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
        if summary.state == "steps":
            more = await self.app.push_screen_wait(
                Entry(
                    f"{summary.name} is finished",
                    f"It has done its {summary.steps:,} steps. Train to which step?",
                    str(summary.steps * 2),
                    lambda text: _steps_problem(text, summary.steps),
                )
            )
            if more is None:
                return
            try:
                spec = replace(gpt_runs.spec_of(run), steps=convert(TrainSpec, "steps", more))
                await asyncio.to_thread(run.write_json, "spec.json", vars(spec))
            except (BadSpec, OSError, CheckpointError) as error:
                self.tell("It cannot be resumed", explain(run, error))
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
            await export(self, Run(Path(summary.path)), laboratory_of(summary.task))

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
                (Option("delete", "delete", "d", "error"), Option("keep", "keep", "k")),
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

    def _fill(self, found: list[Summary]) -> None:
        table = self.query_one(DataTable)
        for summary in found:
            table.add_row(*self._cells(summary).values(), key=summary.name)

    def _cells(self, summary: Summary) -> dict[str, Text]:
        colour = _COLOURS.get(summary.state, "bright_blue" if summary.state in _WORDS else "")
        mark = "●" if summary.owner else " "
        age = time.time() - summary.changed
        name = summary.name if "corpus" in dict(self._columns) else _STAMP.sub("", summary.name, count=1)
        made = {
            "state": Text(f"{mark} {safe(_WORDS.get(summary.state, summary.state), lines=False)}", colour),
            "name": Text(safe(name, lines=False), "bold" if summary.owner else ""),
            "steps": Text("" if summary.why else f"{summary.step:,}/{summary.steps:,}", justify="right"),
            "best": Text(units.best(summary), justify="right"),
            "age": Text("now" if summary.owner else _age(age), justify="right"),
            "corpus": Text(safe(summary.corpus, lines=False), "bright_black"),
        }
        return {column: made[column] for column, _ in self._columns}

    def _show(self, found: list[Summary], empty: str) -> None:
        self.set_class(not found, "-empty")
        if not found:
            self.query_one("#no-runs", Static).update(Content(safe(empty)))
        table = self.query_one(DataTable)
        names = [summary.name for summary in found]
        if names != self._shown:
            keep = self._shown[table.cursor_row] if 0 <= table.cursor_row < len(self._shown) else None
            table.clear()
            self._fill(found)
            self._shown = names
            if keep in names:
                table.move_cursor(row=names.index(keep))
            self._tell_about(self.selected)
            return
        for summary in found:
            for column, cell in self._cells(summary).items():
                if table.get_cell(summary.name, column) != cell:
                    table.update_cell(summary.name, column, cell)
                    if summary == self.selected:
                        self._tell_about(summary)


def _columns(width: int) -> tuple[tuple[str, int], ...]:
    """Names and widths of the columns for a screen of ``width``: the best loss is always among them."""
    fixed = [name for name in _FIXED if name != "age" or width >= 80]
    left = width - 5 - sum(_FIXED[name] + 2 for name in fixed)  # two for the pane, one for the bar, two for the cell
    corpus = min(24, left - 34) if width >= _ROOMY else 0
    name = min(48, left - corpus - 2) if corpus else left
    columns = (("state", _FIXED["state"]), ("name", name), *((name, _FIXED[name]) for name in fixed[1:]))
    return (*columns, ("corpus", corpus)) if corpus else columns


def _age(seconds: float) -> str:
    for limit, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= limit:
            return f"{seconds // limit:.0f} {unit}"
    return "< 1 min"


def _steps_problem(text: str, done: int) -> str:
    try:
        return "" if int(convert(TrainSpec, "steps", text)) > done else f"more than the {done:,} it has done"
    except BadSpec:
        return "it must be a whole number"
