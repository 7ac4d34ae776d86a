"""How the program ends: the question about runs that go on, and errors, of which only some end it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from rich.console import RenderableType
from textual import work
from textual.actions import ActionParseResult
from textual.dom import DOMNode
from textual.worker import Worker, WorkerState

from checkpoints import home
from engine.runs import queue
from tui import away
from tui.key_order import OrderedKeys
from tui.pane import Pane
from tui.widgets import dialogs
from tui.widgets.dialogs import Option, Question

LEAVE = 2.0  # seconds that leaving waits for widgets that are being made
ANSWERS = (
    Option("keep", "quit, keep training", "k"),
    Option("stop", "stop and quit", "s"),
    Option("stay", "cancel", "c"),
)
Worker.StateChanged.bubble = True  # to the app: only the widget that started a worker would learn that it failed


class EndingApp(OrderedKeys[int]):
    """Once the program is ending, no key opens anything more; an error in a worker ends nothing else."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._leaving = 0
        self._ending = False

    def tell(self, title: str, text: str) -> None:
        """Say something that must be read."""
        dialogs.tell(self, title, text)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """An error in any worker, of the app or of a widget, is shown and logged."""
        error = event.worker.error
        if event.state is WorkerState.ERROR and error is not None:
            logging.getLogger(__name__).error("worker %s failed", event.worker.name, exc_info=error)
            log = home.home() / "screen.log"
            self.tell("An error occurred", f"{type(error).__name__}: {error}\n\nThe traceback is in {log}.")

    def _handle_exception(self, error: Exception) -> None:
        logging.getLogger(__name__).critical("the screen failed", exc_info=error)  # Textual's is cut to the screen
        super()._handle_exception(error)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Where every key, click and command of the palette becomes an action: none once the program is ending."""
        return not self._ending and await super().run_action(action, default_namespace, namespaces)

    def exit(self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """End the program; workers and keys open nothing more meanwhile."""
        self._ending = True
        self.workers.cancel_all()
        self.call_later(self._end, partial(super().exit, result, return_code, message))

    def on_unmount(self) -> None:
        """What runs have come to until now was seen."""
        away.look()

    async def _end(self, leave: Callable[[], None]) -> None:
        """Leave when all widgets are made: Textual gives those no children that compose later, but mounts them."""
        making: list[asyncio.Task[bool]] = [
            asyncio.create_task(widget._mounted_event.wait()) for widget in self._registry
        ]
        if making:
            await asyncio.wait(making, timeout=LEAVE)
        leave()

    @work(exclusive=True, group="leave", exit_on_error=False)
    async def action_leave(self) -> None:
        """Leave; ask about a run that trains."""
        self._leaving += 1
        working = [pane for pane in self.query(Pane) if pane.trains]
        names = [pane.trains for pane in working]
        if not names or self._leaving > 1:
            self.exit(0)
            return
        whose = "trains in its own process" if len(names) == 1 else "train in their own processes"
        about = f"{' and '.join(names)} {whose}."
        if any(name not in names for name in queue.names()):
            about += " Others are queued: after a stop the next one starts."
        answer = await self.push_screen_wait(Question("Quit while training?", about, ANSWERS))
        self._leaving = 0
        if answer == "stop":
            await asyncio.gather(*(pane.stop_and_wait() for pane in working))
        if answer != "stay":
            self.exit(0)
