"""The Runs pane: every run there is, newest first, whoever trains it."""

from __future__ import annotations

import math
import time

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.widgets import DataTable, Static

from checkpoints import home
from checkpoints import run as runs
from engine.summary import Summary, summarise
from tui import units
from tui.actions import bindings
from tui.text import safe

REFRESH = 2.0  # seconds
_COLOURS = {
    "training": "bright_green",
    "starting": "bright_yellow",
    "paused": "bright_yellow",
    "interrupted": "bright_yellow",
    "failed": "bright_red",
    "diverged": "bright_red",
    "died": "bright_red",
}
_WORDS = {"steps": "finished", "early_stop": "early stop"}
_COLUMNS = (("state", 13), ("name", None), ("steps", 13), ("best", 7), ("age", 8), ("corpus", None))


class RunsPane(Container):
    """A table of runs. Reads directories off the event loop and touches only the cells that changed."""

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

    class Opened(Message):
        """The run under the cursor was asked for."""

    def __init__(self) -> None:
        super().__init__(id="runs")
        self._known: dict[str, tuple[tuple[float, int], Summary]] = {}
        self._shown: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static(
            "No runs yet.\n\nF5 trains the first one; whatever you start is listed here for good.", id="no-runs"
        )
        yield DataTable(cursor_type="row", zebra_stripes=False, cell_padding=1)
        yield Static(id="about-run")

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        for name, width in _COLUMNS:
            table.add_column(name, width=width, key=name)
        self.set_interval(REFRESH, self.refresh_if_visible)

    def refresh_if_visible(self) -> None:
        """Look at the runs again while the pane is on the screen."""
        if self.is_on_screen:
            self.look()

    @work(thread=True, exclusive=True, group="runs", exit_on_error=False)
    def look(self) -> None:
        """Read what changed and show it."""
        found = []
        for run in runs.every(home.runs()):
            try:
                stat = run.events.stat()
                stamp = (stat.st_mtime, 1 if run.owner() else 0)
            except OSError:
                stamp = (0.0, 0)
            known = self._known.get(run.name)
            if known is None or known[0] != stamp:
                known = self._known[run.name] = (stamp, summarise(run))
            found.append(known[1])
        self.app.call_from_thread(self._show, found)

    @on(DataTable.RowSelected)
    def _row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.post_message(self.Opened())

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self._tell_about(self.selected)

    def _tell_about(self, summary: Summary | None) -> None:
        text = Text()
        if summary is not None:
            best = f"{units.loss(summary.best_val_loss)} nats"
            if summary.best_val_loss is not None:
                best += f", {summary.best_val_loss / math.log(2):.4f} bits per character"
            at = f" at step {summary.best_step:,}" if summary.best_step is not None else ""
            size = f", {units.count(summary.parameters)} parameters" if summary.parameters else ""
            for name, value in (
                ("best", best + at),
                ("model", f"{summary.preset}{size}, trained on {summary.corpus}"),
                (
                    "on disk",
                    f"{summary.checkpoints} checkpoint{'' if summary.checkpoints == 1 else 's'} in {summary.path}",
                ),
                ("owner", f"process {summary.owner}" if summary.owner else "nobody: r resumes it exactly"),
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

    def _show(self, found: list[Summary]) -> None:
        self.set_class(not found, "-empty")
        table = self.query_one(DataTable)
        names = [summary.name for summary in found]
        if names != self._shown:
            keep = self._shown[table.cursor_row] if 0 <= table.cursor_row < len(self._shown) else None
            table.clear()
            for summary in found:
                table.add_row(*_cells(summary), key=summary.name)
            self._shown = names
            if keep in names:
                table.move_cursor(row=names.index(keep))
            self._tell_about(self.selected)
            return
        for summary in found:
            for (column, _), cell in zip(_COLUMNS, _cells(summary), strict=True):
                if table.get_cell(summary.name, column) != cell:
                    table.update_cell(summary.name, column, cell)
                    if summary == self.selected:
                        self._tell_about(summary)


def _cells(summary: Summary) -> list[Text]:
    colour = _COLOURS.get(summary.state, "bright_blue" if summary.state in _WORDS else "")
    mark = "●" if summary.owner else " "
    age = time.time() - summary.changed
    return [
        Text(f"{mark} {safe(_WORDS.get(summary.state, summary.state), lines=False)}", colour),
        Text(safe(summary.name, lines=False), "bold" if summary.owner else ""),
        Text(f"{summary.step:,}/{summary.steps:,}", justify="right"),
        Text(units.loss(summary.best_val_loss), justify="right"),
        Text("now" if summary.owner else _age(age), justify="right"),
        Text(safe(summary.corpus, lines=False), "bright_black"),
    ]


def _age(seconds: float) -> str:
    for limit, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= limit:
            return f"{seconds // limit:.0f} {unit}"
    return "< 1 min"
