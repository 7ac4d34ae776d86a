"""The panes of the screen, one at a time; each is made when it is first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib import import_module

from textual.app import ComposeResult
from textual.widgets import ContentSwitcher

from tui import panes
from tui.pane import Pane
from tui.widgets.bar import Bar


class PaneSwitcher(ContentSwitcher):
    """Holds the panes that were made, of which one is shown."""

    def __init__(self, first: str) -> None:
        """``first`` is shown first; the pane that holds the first place is always made."""
        super().__init__(initial=first, id="panes")
        self._wanted = first
        """asked for last"""
        self._making = asyncio.Lock()
        """one pane at a time is made"""

    def compose(self) -> ComposeResult:
        for name in dict.fromkeys((panes.PANES[0].name, self._wanted)):
            yield panes.make(name)

    @property
    def here(self) -> Pane:
        """The pane that is shown."""
        return self.query_one(f"#{self.current}", Pane)

    def show(self, name: str) -> None:
        """Put a pane on the screen and the focus into it."""
        self._wanted = name
        if any(pane.is_mounted for pane in self.query(f"PaneSwitcher > #{name}")):
            self._put(name)
        else:
            self.run_worker(self.bring(name), group="panes", exit_on_error=False)

    def show_next(self) -> None:
        """The pane after the one that was asked for last, the first after the last."""
        names = [entry.name for entry in panes.PANES]
        self.show(names[(names.index(self._wanted) + 1) % len(names)])

    def bring(self, name: str) -> Coroutine[None, None, Pane]:
        """As :meth:`show`, making the pane first if it was never shown; returns it, composed."""
        self._wanted = name
        return self._make_and_put(name)

    async def _make_and_put(self, name: str) -> Pane:
        async with self._making:
            if not self.query(f"PaneSwitcher > #{name}"):
                await asyncio.to_thread(import_module, f"tui.{name}.pane")  # longer than a key may wait
                await self.add_content(panes.make(name))
        if name == self._wanted:  # no other pane has been asked for meanwhile
            self._put(name)
        return self.query_one(f"#{name}", Pane)

    def _put(self, name: str) -> None:
        self.current = name
        self.screen.query_one(Bar).show(name)
        self.here.arrive()
        self.app.refresh_bindings()
