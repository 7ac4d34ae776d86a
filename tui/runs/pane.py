"""The Runs pane: all runs, newest first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Input, Static

from checkpoints import home, trash
from checkpoints import run as runs
from checkpoints.lock import Locked
from checkpoints.run import Run, after_time
from checkpoints.store import CheckpointError
from engine.runs import notes, query, queue
from engine.runs.listing import Summary, summarise
from engine.runs.spec import BadSpec
from tui.follow import state as states
from tui.follow.exporting import export
from tui.hints import Hint
from tui.pane import Pane, UseRun, bindings
from tui.panes import runs_of
from tui.runs import hints, views, writing
from tui.runs.columns import columns
from tui.runs.compare import CompareScreen
from tui.text import safe
from tui.train.resuming import ask_steps
from tui.widgets.dialogs import Option, Question
from tui.widgets.field import Field
from tui.widgets.line_table import TableView
from tui.widgets.lines import Lines
from tui.widgets.styled import SERIES
from tui.widgets.styles import style_sheet

Stamp = tuple[float, float, bool]
REFRESH = 2.0  # seconds
FILTER = "words, or fields: task:choose  preset:nano  best<1.8  seed=3"
NO_RUNS = "No runs yet.\n\nF5 starts a training; every run of every pane is listed here."


def _asking(what: Callable[[Pane, Summary], Awaitable[None]]) -> Callable[[RunsPane], None]:
    """The action that does one thing of :mod:`tui.runs.writing` for the selected run."""

    def action(pane: RunsPane) -> None:
        pane.ask(what)

    return action


class RunsPane(Pane):
    """A table of runs. Reads directories off the event loop and touches only the cells that changed."""

    ABOUT = (
        (
            "Queue",
            "Several values in the form of Train make runs that wait here as queued, with their place. Each starts "
            "when the one before it ends, without this program too; a start of the program resumes what was "
            "interrupted.",
        ),
    )

    BINDINGS = bindings("runs")
    DEFAULT_CSS = style_sheet(__file__)
    SCOPED_CSS = False  # the class for wide screens sits on the screen

    def __init__(self) -> None:
        super().__init__(id="runs")
        self._known: dict[str, tuple[Stamp, Summary]] = {}
        self._readers: dict[str, views.LossReader] = {}
        """of the marked runs"""
        self._one_look = Lock()
        self._told = Text()
        self._count = self._stored = ""
        """as the title of the table has them"""
        self._marked: list[str] = []
        """names of the runs in the plot, at most as many as there are colours"""
        self._losses: tuple[views.Losses, ...] = ()
        self._found: list[Summary] = []
        """every run, the newest first"""
        self._sort = query.SORTS[0]
        self._deleted = False
        """whether a run can be restored"""
        self._swept = False
        """whether runs that were deleted long ago have been removed; once is enough"""
        self._lit = False, False, False, False
        """what the keys that make sense depend on"""

    def compose(self) -> ComposeResult:
        yield Static(NO_RUNS, id="no-runs", markup=False)
        with Container(id="runs-body"):
            with Container(id="runs-list"):
                yield Field(id="runs-filter", placeholder=FILTER, compact=True)
                yield TableView(columns(self._shape), id="runs-table", classes="panel")
            yield Lines(id="runs-plot", classes="panel")
        yield Static(id="about-run")

    def on_mount(self) -> None:
        self.set_interval(REFRESH, self.refresh_if_visible)

    def on_unmount(self) -> None:
        for reader in self._readers.values():
            reader.close()

    def on_resize(self) -> None:
        self._tell_about(self.selected)  # what is too long is cut for the width
        self.call_after_refresh(self._draw_losses)

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
        with self._one_look:  # a thread goes on when the next look is asked for
            seen = self._read()
        self.app.call_from_thread(self._show, *seen)

    def _read(self) -> tuple[list[Summary], tuple[views.Losses, ...], str]:
        """All runs, the losses of those that are marked, and what is said where there are none."""
        found: list[Summary] = []
        try:
            every, why = runs.every(home.runs()), ""
        except OSError as error:
            every, why = [], f"The runs could not be listed.\n\n{home.runs()}: {error.strerror or error}"
        waiting, changed = queue.names(), queue.changed()
        for run in every:
            stamp = (changed, 0.0, False) if run.name in waiting and run.owner() is None else _stamp(run)
            known = self._known.get(run.name)
            if known is None or known[0] != stamp or known[1].state in states.UNTOLD:
                known = self._known[run.name] = (stamp, replace(summarise(run), size=run.size()))
            found.append(known[1])
        with contextlib.suppress(OSError):
            if not self._swept:
                self._swept = True
                trash.sweep(home.runs())
            self._deleted = bool(runs.every(home.runs() / trash.FOLDER))
        there = {run.name: run for run in every}
        marked = [name for name in self._marked if name in there]
        for name in self._readers.keys() - set(marked):
            self._readers.pop(name).close()
        for name in marked:
            self._readers.setdefault(name, views.LossReader(there[name]))
        return found, tuple(self._readers[name].read(self._known[name][1].title) for name in marked), why or NO_RUNS

    @on(TableView.Chosen)
    def _chosen(self, event: TableView.Chosen) -> None:
        event.stop()
        self.action_open()

    @on(TableView.Moved)
    def _moved(self, event: TableView.Moved) -> None:
        event.stop()
        self._tell_about(self.selected)

    def _tell_about(self, summary: Summary | None) -> None:
        """What is known of a run; of two that are marked, how they differ."""
        width = max(20, self.size.width - 2)
        lit = self._deleted, len(self._marked) > 1, self.lit("open"), self.lit("resume")
        if lit != self._lit:
            self._lit = lit
            self.app.refresh_bindings()
        text = views.about(summary, width) if summary is not None else Text()
        marked = self._marked_runs()
        if len(marked) == 2:
            text = Text("\n").join(views.contrast(marked[0], marked[1], width))
        if text != self._told:
            self._told = text
            self.query_one("#about-run", Static).update(text)

    def explain(self, view: Lines) -> Sequence[Hint]:
        if view is not self.table:
            return hints.plot(self._losses)
        text = f"{self._count} are listed, with {self._stored} on the disk. / filters them, s sorts them."
        return [*view.hints(), Hint(self._count, (self._count, self._stored), text)]

    def hinted(self) -> list[tuple[Widget, Sequence[Hint]]]:
        marked, here = self._marked_runs(), self.selected
        about = hints.differences(*marked) if len(marked) == 2 else hints.about(here) if here is not None else []
        return [*super().hinted(), (self.query_one("#about-run"), about)]

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
        summary = self._readable()
        if summary and summary.place:
            self.tell(
                f"Place {summary.place} in the queue",
                f"It starts when the runs before it have ended.\n\n{views.QUEUED}.",
            )
        elif summary:
            self.post_message(UseRun(writing.run_of(summary), "opened"))

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
        run = writing.run_of(summary)
        if summary.owner is not None or summary.reason == "done":
            self.post_message(UseRun(run, "opened"))
            return
        if summary.task == "train" and not await ask_steps(self, run):
            return
        self.post_message(UseRun(run, "resumed"))

    def action_mark(self) -> None:
        """Mark the selected run, or take its mark off."""
        summary = self.selected
        if summary is None or summary.why:
            return
        if summary.name in self._marked:
            self._marked.remove(summary.name)
        elif len(self._marked) < len(SERIES):
            self._marked.append(summary.name)
        else:
            self.notify(f"At most {len(SERIES)} runs can be marked.")
        self.look()

    def action_compare(self) -> None:
        """The marked runs beside each other."""
        self.app.push_screen(CompareScreen([writing.run_of(one) for one in self._marked_runs()]))

    def _marked_runs(self) -> list[Summary]:
        """The marked runs in the order of their marks."""
        known = {one.name: one for one in self._found}
        return [known[name] for name in self._marked if name in known]

    def _chosen_runs(self) -> list[Summary]:
        """The marked runs, or else the selected one."""
        here = self.selected
        return self._marked_runs() or ([here] if here else [])

    def action_losses(self) -> None:
        """The plot above the facts, where it is not beside the table anyway."""
        self.toggle_class("-losses")
        self.call_after_refresh(self._draw_losses)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What needs a run, several marked ones, a training, a filter or a deleted run."""
        here = self.selected
        match action:
            case "clear":
                return self.has_class("-filter")
            case "restore":
                return self._deleted
            case "compare":
                return len(self._marked) > 1
            case "losses":
                return here is not None and here.task == "train" and not self.screen.has_class("-wide")
            case "mark" | "metrics" | "report" | "rename" | "tags" | "note" | "pin":
                return here is not None and not here.why
            case "branch":
                return here is not None and here.task == "train" and here.checkpoints > 0
            case "queue":
                return bool(here and here.place)
        return True

    def lit(self, action: str) -> bool:
        """A run that cannot be read can only be deleted; one that a process owns, or all is done of, not resumed."""
        here = self.selected
        if action == "resume" and here is not None and (here.owner is not None or here.reason == "done"):
            return False
        return here is not None and not here.why if action in ("open", "resume", "again", "export") else True

    @work(exclusive=True, group="queue", exit_on_error=False)
    async def action_queue(self, to: str) -> None:
        """Move the selected run in the queue, or cancel it."""
        if summary := self.selected:
            change = partial(queue.cancel, [summary.name]) if to == "cancel" else partial(queue.move, summary.name, to)
            try:
                await asyncio.to_thread(change)
            except (OSError, ValueError, CheckpointError, runs.NoSuchRun, Locked) as error:
                self.tell("The queue was not changed", str(error))
            self.look()

    def action_again(self) -> None:
        """The form with the values of the selected run."""
        if summary := self._readable():
            self.post_message(UseRun(writing.run_of(summary), "copied"))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_export(self) -> None:
        """Write the selected run for other programs."""
        if summary := self._readable():
            await export(self, writing.run_of(summary), runs_of(summary.task))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_delete(self) -> None:
        """Move the marked runs into the trash, or else the selected one, after a question."""
        chosen = self._chosen_runs()
        if not chosen:
            return
        many = f"these {len(chosen)} runs" if len(chosen) > 1 else "this run"
        names = "\n".join(one.name for one in chosen)
        answer = await self.app.push_screen_wait(
            Question(
                f"Delete {many}?",
                f"{names}\n\nwith checkpoints and samples. They can be restored for a week (u).",
                (Option("delete", "delete", "d"), Option("keep", "keep", "k")),
            )
        )
        if answer == "delete":
            failed = [await asyncio.to_thread(_delete, writing.run_of(one)) for one in chosen]
            if problems := "\n".join(filter(None, failed)):
                self.tell("Not deleted", problems)
            if not all(failed):
                self.notify("Deleted. u restores what was deleted last.")
            self.look()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_restore(self) -> None:
        """Put back the run that was deleted last."""
        try:
            restored = await asyncio.to_thread(trash.restore, home.runs(), "latest")
        except (runs.NoSuchRun, OSError) as error:
            self.tell("The run could not be restored", str(error))
        else:
            self.notify(f"Restored {safe(after_time(restored.name), lines=False)}.", markup=False)
        self.look()

    # -- what is written about a run, and taken elsewhere --------------------------------------------------------------

    action_pin, action_rename, action_tags = _asking(writing.pin), _asking(writing.rename), _asking(writing.tags)
    action_note, action_branch, action_report = _asking(writing.note), _asking(writing.branch), _asking(writing.report)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_metrics(self) -> None:
        """Export the metrics of the marked runs, or of the selected one."""
        await writing.metrics(self, self._chosen_runs())

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def ask(self, what: Callable[[Pane, Summary], Awaitable[None]]) -> None:
        """Do something for the selected run, then show the runs as they are."""
        if (here := self._readable()) is not None:
            await what(self, here)
            self.look()

    # -- which runs, in which order ------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type what the runs in the table must have."""
        self.add_class("-filter")
        self.query_one("#runs-filter", Field).focus()

    def action_sort(self) -> None:
        """The next order."""
        self._sort = query.SORTS[(query.SORTS.index(self._sort) + 1) % len(query.SORTS)]
        self._list()

    def action_clear(self) -> None:
        """Show all runs again."""
        self.query_one("#runs-filter", Field).value = ""
        self.remove_class("-filter")
        self.table.focus()

    @on(Input.Changed, "#runs-filter")
    def _filtered(self, event: Input.Changed) -> None:
        event.stop()
        self._list()

    @on(Input.Submitted, "#runs-filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            self.action_clear()
        self.table.focus()

    def _list(self) -> None:
        """The runs that are asked for, in the order that is asked for; of a filter that means nothing, why."""
        asked, problem = self.query_one("#runs-filter", Field).value, ""
        try:
            shown = [*filter(query.matching(asked), self._found)]
        except BadSpec as error:
            shown, problem = self._found, error.problems[0].message
        shown = sorted(query.ordered(shown, self._sort), key=lambda one: not one.pinned)
        kept, names = self.selected, [summary.name for summary in shown]
        many = f"{len(shown):,} of " if len(shown) < len(self._found) else ""
        self._count = f"{many}{len(self._found):,} run{'s' * (len(self._found) != 1)}"
        order = "newest first" if self._sort == query.SORTS[0] else f"by {self._sort}"
        self._stored = views.disk(sum(one.size or 0 for one in shown))
        title = f"{self._count}, {order}, {self._stored}"
        self.table.entitle(safe(problem) or title, f"{len(self._marked)} marked" if self._marked else "")
        self.table.show(shown, names.index(kept.name) if kept and kept.name in names else self.table.cursor)
        self._tell_about(self.selected)

    # -- showing -----------------------------------------------------------------------------------------------------

    def _shape(self, name: str) -> str:
        """The mark of a run in the plot."""
        return views.SHAPES[self._marked.index(name)] if name in self._marked else ""

    def _show(self, found: list[Summary], losses: tuple[views.Losses, ...], empty: str) -> None:
        self.set_class(not found, "-empty")
        notice = self.query_one("#no-runs", Static)
        if not found and notice.content != safe(empty):
            notice.update(safe(empty))
        names = {summary.name for summary in found}
        self._marked = [name for name in self._marked if name in names]
        self._losses, self._found = losses, found
        self._list()
        self._draw_losses()

    def _draw_losses(self) -> None:
        view = self.query_one("#runs-plot", Lines)
        if view.size:
            view.entitle("validation loss, nats/char", views.legend(self._losses, view.size.width - 2))
            view.set_strips(views.plot(self._losses, *view.size))


def _stamp(run: Run) -> Stamp:
    """What changes whenever a line of the list does: times of the journal and the notes, and whether it is in use."""
    times = [0.0, 0.0]
    for place, file in enumerate((run.events, run.path / notes.FILE)):
        with contextlib.suppress(OSError):
            times[place] = file.stat().st_mtime
    return times[0], times[1], run.owner() is not None


def _delete(run: Run) -> str:
    """Move a run into the trash; why that failed, or an empty string."""
    try:
        trash.delete(run)
    except (Locked, OSError) as error:
        return f"{run.name}: {error}"
    return ""
