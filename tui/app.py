"""The full-screen program: panes, the run that is shown, and what keys do. The work is done elsewhere."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen, Screen
from textual.widgets import ContentSwitcher, Footer, Static
from textual.worker import Worker, WorkerState

from checkpoints import home
from checkpoints import run as runs
from checkpoints.lock import Locked
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine import control as ask
from engine import session
from engine import worker as follower
from engine.spec import BadSpec, TrainSpec, convert, from_dict
from tui import dialogs, themes, units
from tui.actions import ACTIONS, bindings
from tui.bar import Bar, Tab
from tui.dialogs import Entry, Option, Page, Question
from tui.form import TrainForm
from tui.panes.runs import RunsPane
from tui.panes.train import TrainPane
from tui.terminal import SMALLEST
from tui.text import safe

DRAIN = 1 / 8  # seconds between two looks at what the run said
GAUGES = 2.0  # seconds between two readings of the machine
WATCHDOG = 5.0  # seconds between two looks whether the terminal is still there
_NAMES = frozenset(action.name.partition("(")[0] for action in ACTIONS)


class LabApp(App[int]):
    """One run is shown at a time; any number may be training, each in a process of its own."""

    TITLE = "llmlab-tui"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = bindings("everywhere")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
    CSS = (
        dialogs.CSS
        + """
    Screen { layers: base; background: $background; }
    #panes { height: 1fr; }
    Footer { background: $panel; }
    #too-small { display: none; height: 1fr; content-align: center middle; text-align: center; }
    .-small #too-small { display: block; }
    .-small Bar, .-small #panes, .-small Footer { display: none; }
    """
    )

    def __init__(self, *, theme: str | None = None) -> None:
        super().__init__()
        self.register_theme(themes.DARK)
        self.register_theme(themes.LIGHT)
        self.theme = theme or themes.DARK.name
        self.ansi_theme_dark, self.ansi_theme_light = themes.ANSI_DARK, themes.ANSI_LIGHT
        self._follower = follower.Worker("follower")
        self._job: follower.Job | None = None
        self._run: Run | None = None
        self._leaving = 0

    # -- the screen --------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar()
        with ContentSwitcher(initial="train", id="panes"):
            yield TrainPane()
            yield RunsPane()
        yield Static(
            "llmlab-tui needs {}×{} cells.\nEnlarge the terminal; nothing is lost.".format(*SMALLEST), id="too-small"
        )
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.query_one(Bar).show("train")
        self.set_interval(DRAIN, self._drain)
        self.set_interval(GAUGES, self._read_gauges)
        self._watch_terminal()
        self.call_after_refresh(self._show_living_run)
        self.set_timer(0.5, self._settle)

    def _settle(self) -> None:
        """What can wait until the first picture is there."""
        gc.collect()
        gc.freeze()  # widgets live as long as the program: a collection need not look at them again
        gc.set_threshold(20_000, 20, 20)

    def on_resize(self, event: Resize) -> None:
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        for screen in self.screen_stack:
            screen.set_class(small, "-small")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Whatever goes wrong in the background is told, never swallowed and never fatal."""
        if event.state is WorkerState.ERROR:
            self.tell("Something went wrong", f"{type(event.worker.error).__name__}: {event.worker.error}")

    @property
    def pane(self) -> TrainPane:
        return self.query_one(TrainPane)

    @property
    def training(self) -> bool:
        """Whether the run that is shown is being trained, as far as is known here."""
        return self._job is not None and self._job.active and self.pane.story.finished is None

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette offers what the table of actions holds and the pane on the screen allows."""
        here = self.query_one("#panes", ContentSwitcher).current
        for action in ACTIONS:
            if action.where in ("everywhere", here) and action.name != "command_palette":
                yield SystemCommand(
                    action.title, f"{action.help}  ({action.key_text})", partial(self.run_action, action.name)
                )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now; a question on the screen is answered before anything else is done."""
        if isinstance(self.screen, ModalScreen) and action != "leave" and action in _NAMES:
            return False
        if not self.query(TrainPane):
            return True
        if action in ("pause", "stop", "sample", "save", "learning_rate"):
            return True if self.training else None
        of_a_run = action in ("cursor", "cursor_first", "cursor_off", "log", "smoothing")
        return self.pane.showing_run or not of_a_run

    # -- what the run says -------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        if self._job is None:
            return
        events = self._job.channel.drain()
        before = self.training
        was = (self.pane.story.paused, self.pane.story.started is None)
        self.pane.fold(events, self._job.state.value)
        if events and ((self.pane.story.paused, self.pane.story.started is None) != was or before != self.training):
            self.refresh_bindings()
            self._read_gauges()

    def _read_gauges(self) -> None:
        self.query_one(Bar).read(busy=self.training)

    def _show(self, run: Run, task: follower.Task) -> None:
        """Show ``run``; ``task`` makes its events. What was shown before goes on by itself."""
        self._run = run
        self.pane.begin(run.name)
        self.action_show_pane("train")
        self._hand_over(run, task)

    @work(exclusive=True, group="hand-over", exit_on_error=False)
    async def _hand_over(self, run: Run, task: follower.Task) -> None:
        """Look away from the run shown before, then follow the new one."""
        if self._job is not None and self._job.active:
            self._job.control.send(ask.Detach())
            await asyncio.to_thread(self._job.wait, 10.0)
        if self._run == run:
            self._job = self._follower.start(task)
            self.refresh_bindings()

    @work(thread=True, exclusive=True, group="living", exit_on_error=False)
    def _show_living_run(self) -> None:
        """A run that trains already is shown live at once."""
        if living := _living():
            self.call_from_thread(self._follow, living[0])

    # -- starting ----------------------------------------------------------------------------------------------------

    def action_start(self) -> None:
        """Start what the form says, whatever is on the screen."""
        if not self.pane.form.start():
            self.action_show_pane("train")
            self.pane.show_form()
            self.pane.form.show_problem()

    @on(TrainForm.Wanted)
    @work(exclusive=True, group="start", exit_on_error=False)
    async def _start(self, event: TrainForm.Wanted) -> None:
        event.stop()
        living = await asyncio.to_thread(_living)
        if living:
            answer = await self.push_screen_wait(
                Question(
                    "Something trains already",
                    f"{living[0].name} is training on this machine. Two runs share it and each is slower.",
                    (
                        Option("start", "start anyway", "s"),
                        Option("show", "show it", "v", "primary"),
                        Option("cancel", "cancel", "c"),
                    ),
                )
            )
            if answer == "show":
                self._follow(living[0])
            if answer != "start":
                return
        await self._launch(event.spec)

    async def _launch(self, spec: TrainSpec) -> None:
        try:
            run = await asyncio.to_thread(session.create, spec)
        except OSError as error:
            where = error.filename or home.runs()
            self.tell(
                "The run cannot be created",
                f"{where}: {error.strerror or error}\n\nRuns live under {home.home()}; set LLMLAB_HOME to a folder "
                "that can be written, or make room on the disk.",
            )
            return
        await self._train(run)

    async def _train(self, run: Run) -> None:
        """Start the process that trains ``run`` and show it; from here on nothing on the screen can prevent it."""
        told = run.events.stat().st_size
        process = await asyncio.to_thread(session.spawn, run)
        self._show(run, lambda control: session.attend(run, process, control, told))

    def _follow(self, run: Run) -> None:
        self._show(run, lambda control: session.follow(run, control))

    # -- keys of the run ---------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or go on."""
        if self._job is not None and self.training:
            if self.pane.story.paused:
                self._job.resume()
            else:
                self._job.pause()

    def action_stop(self) -> None:
        """Save and end the run that is shown."""
        if self._job is not None and self.training:
            self._job.stop()

    def action_save(self) -> None:
        """Write a checkpoint now and pin it."""
        if self._job is not None and self.training:
            self._job.control.send(ask.SaveNow())

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_sample(self) -> None:
        """Sample now, after a prompt."""
        prompt = await self.push_screen_wait(
            Entry("Sample now", "The model goes on from your text. Empty: a new line.", "", lambda _: "")
        )
        if prompt is not None and self._job is not None:
            self.pane.move_cursor(None)
            self._job.control.send(ask.SampleNow(prompt.replace("\\n", "\n")))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_learning_rate(self) -> None:
        """Change the learning rate from the next step on."""
        last = self.pane.story.last
        answer = await self.push_screen_wait(
            Entry(
                "Learning rate",
                "The schedule's peak from the next step on.",
                units.rate(last.learning_rate) if last else "",
                _rate_problem,
            )
        )
        if answer is not None and self._job is not None:
            self._job.control.send(ask.SetLearningRate(float(answer)))

    def action_form(self) -> None:
        """Between the form and the run."""
        if self.pane.showing_run:
            self.pane.show_form()
        elif self._run is not None:
            self.pane.show_run()
        self.refresh_bindings()

    def action_log(self) -> None:
        """Linear or logarithmic."""
        self.pane.toggle_log()

    def action_smoothing(self) -> None:
        """More or less smoothing."""
        self.pane.next_smoothing()

    def action_cursor(self, by: int) -> None:
        """Walk along the curve."""
        self.pane.move_cursor(by)

    def action_cursor_first(self) -> None:
        """To the first sample."""
        self.pane.first_sample()

    def action_cursor_off(self) -> None:
        """Back to now."""
        self.pane.move_cursor(None)

    # -- keys of the list --------------------------------------------------------------------------------------------

    @on(RunsPane.Opened)
    def _opened(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Show the selected run."""
        if summary := self.query_one(RunsPane).selected:
            self._follow(Run(Path(summary.path)))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_resume(self) -> None:
        """Go on with the selected run in a process of its own."""
        summary = self.query_one(RunsPane).selected
        if summary is None:
            return
        run = Run(Path(summary.path))
        if summary.owner is not None:
            self._follow(run)
            return
        if summary.state == "steps":
            more = await self.push_screen_wait(
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
                spec = from_dict({**run.read_json("spec.json"), "steps": convert("steps", more)})
                await asyncio.to_thread(run.write_json, "spec.json", vars(spec))
            except (BadSpec, OSError) as error:
                self.tell("It cannot be resumed", str(error))
                return
        await self._train(run)

    def action_again(self) -> None:
        """The form with the values of the selected run."""
        if summary := self.query_one(RunsPane).selected:
            self.action_show_pane("train")
            self.pane.show_form()
            self.pane.form.fill(from_dict(Run(Path(summary.path)).read_json("spec.json")))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_export(self) -> None:
        """Write the selected run for transformers."""
        summary = self.query_one(RunsPane).selected
        if summary is None:
            return
        target = await self.push_screen_wait(
            Entry(
                "Export",
                "The best checkpoint as a folder that GPT2LMHeadModel and AutoTokenizer load.",
                str(home.home() / "exports" / summary.name),
                lambda text: "" if text.strip() else "name a folder",
            )
        )
        if target is None:
            return
        self.notify("Exporting…", timeout=3)
        try:
            said = await asyncio.to_thread(_export, summary.path, Path(target).expanduser())
        except (CheckpointError, OSError) as error:
            self.tell("It cannot be exported", str(error))
        else:
            self.notify(safe(said), markup=False, timeout=8)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_delete(self) -> None:
        """Remove the selected run, after a question."""
        pane = self.query_one(RunsPane)
        summary = pane.selected
        if summary is None:
            return
        answer = await self.push_screen_wait(
            Question(
                "Delete this run?",
                f"{summary.name} with its {summary.checkpoints} checkpoints and all that it said. "
                "There is no way back.",
                (Option("delete", "delete", "d", "error"), Option("keep", "keep", "k")),
            )
        )
        if answer != "delete":
            return
        try:
            await asyncio.to_thread(Run(Path(summary.path)).delete)
        except (Locked, OSError) as error:
            self.tell("It cannot be deleted", str(error))
        pane.look()

    # -- keys everywhere ---------------------------------------------------------------------------------------------

    @on(Tab.Chosen)
    def _chosen(self, event: Tab.Chosen) -> None:
        self.action_show_pane(event.pane)

    def action_show_pane(self, pane: str) -> None:
        """Put a pane on the screen and the focus into it."""
        self.query_one("#panes", ContentSwitcher).current = pane
        self.query_one(Bar).show(pane)
        if pane == "runs":
            self.query_one(RunsPane).look()
            self.query_one(RunsPane).query_one("DataTable").focus()
        elif self.pane.showing_run:
            self.pane.focus_run()
            self.pane.redraw(curve=True)
        else:
            self.query_one("#go").focus()
        self.refresh_bindings()

    def action_help(self) -> None:
        """Keys, and what the screen shows."""
        self.push_screen(dialogs.help_page(self.query_one("#panes", ContentSwitcher).current or "train"))

    def action_doctor(self) -> None:
        """Versions, device, terminal, paths."""
        from tui.doctor import report

        parts = []
        for section, entries in report().items():
            parts.append(Content.styled(f"{section}\n", "bold $primary"))
            for key, value in entries.items():
                parts.append(Content.styled(f"  {key:<14}", "$foreground 60%"))
                parts.append(Content(f"{safe(value, lines=False)}\n"))
        self.push_screen(Page("doctor", Content.assemble(*parts)))

    def action_theme(self) -> None:
        """The next theme."""
        where = themes.CYCLE.index(self.theme) if self.theme in themes.CYCLE else -1
        self.theme = themes.CYCLE[(where + 1) % len(themes.CYCLE)]

    @work(exclusive=True, group="leave", exit_on_error=False)
    async def action_leave(self) -> None:
        """Leave; ask about a run that trains."""
        self._leaving += 1
        if not self.training or self._leaving > 1:
            self.exit(0)
            return
        answer = await self.push_screen_wait(
            Question(
                "A run is training",
                f"{self.pane.run_name} trains in a process of its own.",
                (
                    Option("keep", "keep it running", "k", "primary"),
                    Option("stop", "save and stop it", "s"),
                    Option("stay", "stay", "y"),
                ),
            )
        )
        self._leaving = 0
        if answer == "stop" and self._job is not None:
            self._job.stop()
            await asyncio.to_thread(self._job.wait, 15.0)
        if answer != "stay":
            self.exit(0)

    def tell(self, title: str, text: str) -> None:
        """Say something that must be read."""
        self.push_screen(Question(title, text, (Option("close", "close", "c", "primary"),)))

    # -- a terminal that goes away -----------------------------------------------------------------------------------

    def _watch_terminal(self) -> None:
        """A hang-up ends the screen at once, also one that no signal tells; the run has its own process."""
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGHUP, os._exit, 129)
            loop.add_signal_handler(signal.SIGTERM, self.exit, 0)
        except (RuntimeError, ValueError, NotImplementedError):
            return
        if not self.is_headless:
            self.set_interval(WATCHDOG, _leave_if_hung_up)


def _leave_if_hung_up() -> None:
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    if any(state & select.POLLHUP for _, state in poll.poll(0)):
        os._exit(129)


def _living() -> list[Run]:
    """Runs that some process trains, newest first."""
    return [run for run in runs.every(home.runs())[:200] if run.owner() is not None]


def _export(path: str, folder: Path) -> str:
    from engine.load import load, write_export

    trained = load(path)
    write_export(trained, folder)
    return f"{trained.source} exported to {folder}"


def _rate_problem(text: str) -> str:
    try:
        return "" if 0 < float(text) <= 1 else "it must lie in 0 < rate ≤ 1"
    except ValueError:
        return "it must be a number, like 3e-4"


def _steps_problem(text: str, done: int) -> str:
    try:
        return "" if int(convert("steps", text)) > done else f"more than the {done:,} it has done"
    except BadSpec:
        return "it must be a whole number"
