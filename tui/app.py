"""The full-screen program: panes, and what keys do everywhere. The work is done elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.console import RenderableType
from textual import on, work
from textual.actions import ActionParseResult
from textual.app import ComposeResult, SystemCommand
from textual.content import Content
from textual.dom import DOMNode
from textual.events import Resize
from textual.filter import LineFilter
from textual.screen import ModalScreen, Screen
from textual.widgets import ContentSwitcher, Static
from textual.worker import Worker, WorkerState

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.runs import owner
from engine.runs.listing import explain
from engine.runs.spec import BadSpec
from tui import panes, themes
from tui.actions import ACTIONS
from tui.driver import TerminalDriver, leave_if_hung_up
from tui.follow import last_values
from tui.key_order import OrderedKeys
from tui.pane import Pane, UseModel, UsePrompt, bindings
from tui.terminal import SMALLEST
from tui.text import safe
from tui.train.pane import TrainPane
from tui.widgets import bar, dialogs
from tui.widgets.bar import Bar
from tui.widgets.dialogs import BaseScreen, Option, Page, Palette, Question
from tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from tui.runs.pane import RunsPane

GAUGES = 2.0  # seconds between two readings of the machine
LEAVE = 2.0  # seconds that leaving waits for widgets that are being made
WATCHDOG = 5.0  # seconds between two looks whether the terminal is still there
_BENEATH = frozenset(action.name.partition("(")[0] for action in ACTIONS if action.where == "everywhere")
_BENEATH -= {"leave", "repaint"}
"""actions that wait until the dialog on the screen is answered"""
Worker.StateChanged.bubble = True  # to the app: only the widget that started a worker would learn that it failed


class LabApp(OrderedKeys[int]):
    """Holds the panes; any number of runs may be under way, each in a process of its own."""

    TITLE = "llmlab-tui"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = bindings("everywhere")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-middle"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
    CSS_PATH = "app.tcss"

    def __init__(self, *, theme: str = "", wrong: str = "") -> None:
        """``theme`` is the name of a theme, or empty; ``wrong`` says what is wrong with the configuration."""
        super().__init__(driver_class=TerminalDriver)
        self._wrong = wrong
        for known in (themes.DARK, themes.LIGHT, themes.SIXTEEN):
            self.register_theme(known)
        self._few = self.no_color or theme == themes.SIXTEEN.name
        """whether the terminal shows no more than 16 colours: then there is one theme"""
        self.theme = themes.SIXTEEN.name if self._few else theme if theme in themes.CYCLE else themes.DARK.name
        self._few_colours = themes.FewColours(none=self.no_color)
        self.ansi_theme_dark, self.ansi_theme_light = themes.ANSI_DARK, themes.ANSI_LIGHT
        self._leaving = 0
        self._ending = False
        self._next_shown = "train"
        self._making = asyncio.Lock()
        """one pane at a time is made"""

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without colours Textual's own filter would draw black on black where there are 16."""
        if self.no_color or self.native_ansi_color:
            return [self._few_colours]
        return super().get_line_filters()

    # -- the screen --------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[object]:
        return BaseScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield Bar()
        with ContentSwitcher(initial="train", id="panes"):
            yield TrainPane()
        yield Static(
            "llmlab-tui needs {}×{} cells.\nEnlarge the terminal; nothing is lost.".format(*SMALLEST), id="too-small"
        )
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Bar).show("train")
        self.set_interval(GAUGES, self._read_gauges)
        if not self.is_headless:
            self.set_interval(WATCHDOG, leave_if_hung_up)
        self.set_timer(0.5, self._settle)
        if self._wrong:
            self.tell("The configuration is not used", self._wrong)

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
        """An error in any worker, of the app or of a widget, is shown and logged; it ends nothing else."""
        error = event.worker.error
        if event.state is WorkerState.ERROR and error is not None:
            logging.getLogger(__name__).error("worker %s failed", event.worker.name, exc_info=error)
            log = home.home() / "screen.log"
            self.tell("An error occurred", f"{type(error).__name__}: {error}\n\nThe traceback is in {log}.")

    @property
    def pane(self) -> TrainPane:
        """The Train pane, which is always there."""
        return self.query_one(TrainPane)

    @property
    def here(self) -> Pane:
        """The pane on the screen."""
        return self.query_one(f"#panes > #{self.query_one('#panes', ContentSwitcher).current}", Pane)

    @property
    def working(self) -> Pane:
        """The pane that start, pause, stop and sample reach."""
        return self.here if self.here.WORKS else self.pane

    @property
    def training(self) -> bool:
        """Whether the run of the Train pane is being trained, as far as is known here."""
        return self.pane.running

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette offers what the table of actions holds and the pane on the screen allows."""
        here = self.here
        for action in ACTIONS:
            if action.where in ("everywhere", here.id) and action.name != "command_palette":
                run = partial(self.run_action, action.target, here)
                yield SystemCommand(action.title, f"{action.help}  ({action.key_text})", run)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now; a question on the screen is answered before anything else is done."""
        if isinstance(self.screen, ModalScreen) and action in _BENEATH:
            return False
        if action in ("start", "pause", "stop", "sample"):
            mounted = any(switcher.current for switcher in self.query("#panes").results(ContentSwitcher))
            return not mounted or self.working.allows(action)
        return action != "theme" or not self._few

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Where every key, click and command of the palette becomes an action: none once the program is ending."""
        return not self._ending and await super().run_action(action, default_namespace, namespaces)

    def _handle_exception(self, error: Exception) -> None:
        logging.getLogger(__name__).critical("the screen failed", exc_info=error)  # Textual's is cut to the screen
        super()._handle_exception(error)

    def exit(self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """End the program; workers and keys open nothing more meanwhile."""
        self._ending = True
        self.workers.cancel_all()
        self.call_later(self._end, partial(super().exit, result, return_code, message))

    async def _end(self, leave: Callable[[], None]) -> None:
        """Leave when all widgets are made: Textual gives those no children that compose later, but mounts them."""
        making: list[asyncio.Task[bool]] = [
            asyncio.create_task(widget._mounted_event.wait()) for widget in self._registry
        ]
        if making:
            await asyncio.wait(making, timeout=LEAVE)
        leave()

    def _read_gauges(self) -> None:
        if not self.is_running:
            return
        self.query_one(Bar).read(busy=self.training or self.here.busy)

    # -- runs from the list ------------------------------------------------------------------------------------------

    async def on_runs_pane_opened(self, event: RunsPane.Opened) -> None:
        with self._explaining("The run cannot be opened", event.run):
            (await self._pane_of(event.run)).open(event.run)

    async def on_runs_pane_resumed(self, event: RunsPane.Resumed) -> None:
        with self._explaining("The run cannot be resumed", event.run):
            await (await self._pane_of(event.run)).resume(event.run)

    async def on_runs_pane_copied(self, event: RunsPane.Copied) -> None:
        with self._explaining("The run cannot be copied", event.run):
            (await self._pane_of(event.run)).copy(event.run)

    @contextlib.contextmanager
    def _explaining(self, title: str, run: Run) -> Iterator[None]:
        """Show why a run cannot be read."""
        try:
            yield
        except (OSError, CheckpointError, BadSpec) as error:
            self.tell(title, explain(run, error))

    async def _pane_of(self, run: Run) -> Pane:
        """The pane of the task that a run did, put on the screen."""
        task, _ = await asyncio.to_thread(owner.task_of, run)
        return await self._bring(task)

    # -- keys everywhere ---------------------------------------------------------------------------------------------

    @on(Bar.Chosen)
    def _chosen(self, event: Bar.Chosen) -> None:
        self.action_show_pane(event.pane)

    @on(UsePrompt)
    async def _use_prompt(self, event: UsePrompt) -> None:
        (await self._bring("generate")).take(event.text)

    @on(UseModel)
    async def _use_model(self, event: UseModel) -> None:
        (await self._bring("generate")).take_model(event.name)

    def action_show_pane(self, pane: str) -> None:
        """Put a pane on the screen and the focus into it."""
        self._next_shown = pane
        if any(found.is_mounted for found in self.query(f"#panes > #{pane}")):
            self._put(pane)
        else:
            self.run_worker(self._bring(pane), group="panes", exit_on_error=False)

    def _bring(self, name: str) -> Coroutine[None, None, Pane]:
        """As :meth:`action_show_pane`, making the pane first if it was never shown; returns it, composed."""
        self._next_shown = name
        return self._make_and_put(name)

    async def _make_and_put(self, name: str) -> Pane:
        async with self._making:
            if not self.query(f"#panes > #{name}"):
                await self.query_one("#panes", ContentSwitcher).add_content(panes.make(name))
        if name == self._next_shown:  # no other pane has been asked for meanwhile
            self._put(name)
        return self.query_one(f"#panes > #{name}", Pane)

    def _put(self, pane: str) -> None:
        self.query_one("#panes", ContentSwitcher).current = pane
        self.query_one(Bar).show(pane)
        self.here.arrive()
        self.refresh_bindings()

    def action_next_pane(self) -> None:
        """The next pane, the first after the last."""
        names = [name for name, _, _ in bar.PANES]
        self.action_show_pane(names[(names.index(self._next_shown) + 1) % len(names)])

    def action_start(self) -> None:
        """Do what the pane on the screen is for; from a pane without work of its own, train."""
        if not self.here.WORKS:
            self.action_show_pane("train")
        self.working.start()

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.working.pause()

    def action_stop(self) -> None:
        """Save and end."""
        self.working.stop()

    def action_sample(self) -> None:
        """Another sample."""
        self.working.sample()

    def action_help(self) -> None:
        """Keys, and what the screen shows."""
        self.push_screen(dialogs.help_page(self.here.id or "", self.here.help()))

    def action_doctor(self) -> None:
        """Versions, device, terminal, paths."""
        from tui.command.doctor import report

        parts = []
        for section, entries in report().items():
            parts.append(Content.styled(f"{section}\n", "bold $bright"))
            for key, value in entries.items():
                parts.append(Content.styled(f"  {key:<14}", "$muted"))
                parts.append(Content(f"{safe(value, lines=False)}\n"))
        self.push_screen(Page("doctor", Content.assemble(*parts)))

    def action_command_palette(self) -> None:
        """Find an action by its name."""
        self.push_screen(Palette())

    def action_repaint(self) -> None:
        """Draw everything again."""
        self.refresh(layout=True)

    def action_theme(self) -> None:
        """The next theme."""
        where = themes.CYCLE.index(self.theme) if self.theme in themes.CYCLE else -1
        self.theme = themes.CYCLE[(where + 1) % len(themes.CYCLE)]
        last_values.write("screen.json", {"theme": self.theme})

    @work(exclusive=True, group="leave", exit_on_error=False)
    async def action_leave(self) -> None:
        """Leave; ask about a run that trains."""
        self._leaving += 1
        working = [pane for pane in self.query(Pane) if pane.trains]
        names = [pane.trains for pane in working]
        if not names or self._leaving > 1:
            self.exit(0)
            return
        whose = "trains in a process of its own" if len(names) == 1 else "train in processes of their own"
        answer = await self.push_screen_wait(
            Question(
                "Quit while training?",
                f"{' and '.join(names)} {whose}.",
                (
                    Option("keep", "quit, keep training", "k"),
                    Option("stop", "stop and quit", "s"),
                    Option("stay", "cancel", "c"),
                ),
            )
        )
        self._leaving = 0
        if answer == "stop":
            await asyncio.gather(*(pane.see_out() for pane in working))
        if answer != "stay":
            self.exit(0)

    def tell(self, title: str, text: str) -> None:
        """Say something that must be read."""
        dialogs.tell(self, title, text)
