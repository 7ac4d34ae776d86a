"""The full-screen program: panes, and what keys do everywhere. The work is done elsewhere."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from textual import getters, on, work
from textual.app import ComposeResult, SystemCommand
from textual.events import TextSelected
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.runs import owner, queue
from engine.runs.listing import explain
from engine.runs.spec import BadSpec
from tui import away, panes, screenshot
from tui.actions import ACTIONS, Action
from tui.clipboard import copy
from tui.config import AtEnd
from tui.driver import leave_if_hung_up
from tui.pane import Pane, RunEnded, Swept, UseLadder, UseModel, UsePrompt, UseRun, UseSpec, bindings
from tui.switcher import PaneSwitcher
from tui.terminal import SMALLEST, announcement
from tui.terminal_app import TerminalApp
from tui.train.pane import TrainPane
from tui.widgets import dialogs
from tui.widgets.bar import Bar
from tui.widgets.dialogs import BaseScreen, Palette
from tui.widgets.key_bar import KeyBar
from tui.widgets.lines import Lines

GAUGES = 2.0  # seconds between two readings of the machine
LOOK = 60.0  # seconds between two notes of the time at which runs were looked at
WATCHDOG = 5.0  # seconds between two looks whether the terminal is still there
_BENEATH = frozenset(action.name.partition("(")[0] for action in ACTIONS if action.where == "everywhere")
_BENEATH -= {"leave", "repaint"}
"""actions that wait until the dialog on the screen is answered"""
_WORK = ("start", "pause", "stop", "sample")
LAB = "lab"


class LabApp(TerminalApp):
    """Holds the panes; any number of runs may be under way, each in a process of its own."""

    TITLE = "llmlab-tui"
    BINDINGS = bindings("everywhere")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-middle"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
    CSS_PATH = "app.tcss"
    bar = getters.query_one(Bar)
    pane = getters.query_one(TrainPane)
    """the Train pane, which is always there"""

    def __init__(
        self, *, theme: str = "", wrong: str = "", at_end: AtEnd | None = None, pane: str = panes.PANES[0].name
    ) -> None:
        """``theme`` is the name of a theme, or empty; ``wrong`` says what is wrong with the configuration.

        ``at_end`` says how the terminal announces the end of a run, ``pane`` is shown first.
        """
        super().__init__(theme)
        self._wrong, self._at_end = wrong, at_end or AtEnd()
        self.switcher = PaneSwitcher(pane)
        self._first, self._from_lab = pane, False
        """whether the Lab has asked for a pane"""

    # -- the screen --------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[object]:
        return BaseScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield Bar()
        yield self.switcher
        yield Static(
            "llmlab-tui needs {}×{} cells.\nEnlarge the terminal; nothing is lost.".format(*SMALLEST), id="too-small"
        )
        yield KeyBar()

    def on_mount(self) -> None:
        self.switcher.show(self._first)
        self.set_interval(GAUGES, self._read_gauges)
        if not self.is_headless:
            self.set_interval(WATCHDOG, leave_if_hung_up)
        self.set_timer(0.5, self._settle)
        if self._wrong:
            self.tell("The configuration is not used", self._wrong)
        self._look_back()

    @work(exclusive=True, group="away", exit_on_error=False)
    async def _look_back(self) -> None:
        """Go on with the queue, say what runs ended since the last look, and from then on keep the time of looking."""
        try:
            if started := await asyncio.to_thread(queue.advance):
                self.pane.show_if_idle(started[0])
        except (OSError, CheckpointError) as error:
            self.tell("The queue of runs does not go on", str(error))
        found = await asyncio.to_thread(away.ended)
        away.look()
        self.set_interval(LOOK, away.look)
        if found:
            answer = await self.push_screen_wait(away.question(found))
            if answer != "close":
                chosen = found[int(answer.removeprefix("run-")) - 1]
                await self._use_run(UseRun(Run(Path(chosen.path)), "opened"))

    def _settle(self) -> None:
        """What can wait until the first picture is there."""
        gc.collect()
        gc.freeze()  # widgets live as long as the program: a collection need not look at them again
        gc.set_threshold(20_000, 20, 20)

    def _read_gauges(self) -> None:
        if self.is_running:
            self.bar.read(busy=any(pane.busy for pane in self.query(Pane)))

    @property
    def here(self) -> Pane:
        """The pane on the screen."""
        return self.switcher.here

    @property
    def working(self) -> Pane:
        """The pane that start, pause, stop and sample reach."""
        return self.here if self.here.WORKS else self.pane

    @property
    def key_titles(self) -> dict[str, str]:
        """What the key bar calls actions that differ from pane to pane."""
        return {"app.start": self.working.START} if self._has_panes else {}

    @property
    def _has_panes(self) -> bool:
        """Whether a pane is mounted."""
        return bool(self.switcher.current and self.switcher.children)

    # -- what can be done --------------------------------------------------------------------------------------------

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette lists what can be done here now; what other panes can do is found by typing."""
        here = self.here
        for action in ACTIONS:
            about = f"{action.help}  ({action.key_text})"
            if action.where not in ("everywhere", here.id):
                title = f"{panes.BY_NAME[action.where].title}: {action.title}"
                yield SystemCommand(title, about, partial(self._elsewhere, action), discover=False)
            elif action.name != "command_palette" and self._now(action, here):
                yield SystemCommand(action.title, about, partial(self.run_action, action.target, here))

    async def _elsewhere(self, action: Action) -> None:
        """Do something that another pane can do, if it can do it now."""
        pane = await self.switcher.bring(action.where)
        await self.run_action(action.target, pane)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now; a question on the screen is answered before anything else is done."""
        if isinstance(self.screen, ModalScreen) and action in _BENEATH:
            return False
        if (action in _WORK or action == "back_to_lab") and not self._has_panes:
            return True
        return self._possible(action)

    def _now(self, action: Action, here: Pane) -> bool:
        """Whether an action makes sense once no dialog is on the screen."""
        name = action.name.partition("(")[0]
        return self._possible(name) if action.where == "everywhere" else bool(here.check_action(name, ()))

    def _possible(self, name: str) -> bool:
        """Whether an action of everywhere makes sense now."""
        if name in _WORK:
            return self.working.allows(name)
        if name == "back_to_lab":
            return self._from_lab and self.here.id != LAB
        return name != "theme" or not self.few

    # -- what panes ask for ------------------------------------------------------------------------------------------

    async def _bring(self, name: str) -> Pane:
        """Show a pane that another one asked for; from one that the Lab asked for a key leads back."""
        self._from_lab = self._from_lab or self.here.id == LAB
        return await self.switcher.bring(name)

    @on(UsePrompt)
    async def _use_prompt(self, event: UsePrompt) -> None:
        (await self._bring(event.pane)).take(event.text)

    @on(UseModel)
    async def _use_model(self, event: UseModel) -> None:
        (await self._bring("generate")).take_model(event.name)

    @on(UseSpec)
    async def _use_spec(self, event: UseSpec) -> None:
        (await self._bring(event.spec.task)).fill(event.spec)

    @on(UseLadder)
    async def _use_ladder(self, event: UseLadder) -> None:
        (await self._bring("generate")).take_ladder(event)

    @on(Swept)
    async def _swept(self, event: Swept) -> None:
        """A comparison of the lab's prompt is a result of the lab."""
        from tui.lab import doing

        try:
            await asyncio.to_thread(doing.record_sweep, event)
        except OSError as error:
            self.tell("The comparison could not be recorded", str(error))

    @on(UseRun)
    async def _use_run(self, event: UseRun) -> None:
        """Take a run to the pane of its task."""
        try:
            task, _ = await asyncio.to_thread(owner.task_of, event.run)
            pane = await self._bring(task)
            {"opened": pane.open, "resumed": pane.resume, "copied": pane.copy}[event.what](event.run)
        except (OSError, CheckpointError, BadSpec) as error:
            self.tell(f"The run cannot be {event.what}", explain(event.run, error))

    @on(RunEnded)
    def _run_ended(self, event: RunEnded) -> None:
        """Announce the end of a run as the configuration says."""
        if self._at_end.bell:
            self.bell()
        if self._at_end.notify and self._driver is not None:
            self._driver.write(announcement(self._at_end.notify, f"{event.run.name} {event.state}"))

    # -- keys everywhere ---------------------------------------------------------------------------------------------

    def action_show_pane(self, pane: str) -> None:
        """Put a pane on the screen and the focus into it."""
        self.switcher.show(pane)

    def action_next_pane(self) -> None:
        """The next pane, the first after the last."""
        self.switcher.show_next()

    def action_back_to_lab(self) -> None:
        """Back to the Lab, which asked for the pane on the screen, with a picture of that for its report."""
        self.query_one(f"#{LAB}", Pane).keep(self.here.id or "", self.export_screenshot(simplify=True))
        self.switcher.show(LAB)

    def action_start(self) -> None:
        """Do what the pane on the screen is for; from a pane without work of its own, train."""
        if not self.here.WORKS:
            self.switcher.show("train")
        self.working.start()

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.working.pause()

    def action_stop(self) -> None:
        """Save and end."""
        self.working.stop()

    def action_sample(self) -> None:
        """Another sample, in sight."""
        if not self.here.WORKS:
            self.switcher.show("train")
        self.working.sample()

    def action_help(self) -> None:
        """What the figures on the screen mean, and the keys."""
        self.push_screen(
            dialogs.help_page(self.here.id or "", self.here.help(), [*self.here.hints(), *self.bar.hints()])
        )

    @work(exclusive=True, group="doctor", exit_on_error=False)
    async def action_doctor(self) -> None:
        """Versions, device, terminal, paths: read in a thread, since the files in packages are verified."""
        from tui.command.doctor import report

        self.push_screen(dialogs.doctor_page(await asyncio.to_thread(report)))

    def action_command_palette(self) -> None:
        """Find an action by its name."""
        self.push_screen(Palette())

    def action_screenshot(self) -> None:  # type: ignore[override]
        """The screen as a picture in a file."""
        self.run_worker(screenshot.write(self), group="screenshot", exit_on_error=False)

    @on(TextSelected)
    def _text_selected(self) -> None:
        """The mouse button has been released: what it has selected, if anything, is copied."""
        if (self.screen.get_selected_text() or "").strip():
            self.action_copy_text()

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def action_copy_text(self) -> None:
        """Copy what is selected with the mouse, or else what the panel in focus says."""
        text = self.screen.get_selected_text() or (self.focused.plain if isinstance(self.focused, Lines) else "")
        told, written = await copy(self, text, home.home() / "copied.txt")
        self.notify(told, severity="information" if written else "warning", markup=False)
