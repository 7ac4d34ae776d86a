"""The last line: the keys that work now, the most needed ones where there is no room for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

LAST = ("app.sample", "app.pause", "app.start", "app.help", "app.stop", "app.leave")
"""actions that go after all others, in this order, where there is no room"""


class KeyBar(Footer):
    """Textual's footer cuts the line at the edge of the screen, and with it the way out."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)
        self._width = 0

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """One rebuild for all signals that wait: Textual queues one for each, faster than a busy machine does them."""
        self._bindings_ready = True
        if screen.app.app_focus and self.is_attached and screen is self.screen:
            self.call_after_refresh(self.refresh, recompose=True)

    def compose(self) -> ComposeResult:
        self._width = self.app.size.width
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        for key in keys:
            key._reactive_connect = None  # Textual keeps a watcher of every key that ever was, and compares them all
        yield from fitting(keys, self._width)

    def on_resize(self) -> None:
        if self._width and self.app.size.width != self._width:
            self.call_after_refresh(self.refresh, recompose=True)


def fitting(keys: Sequence[FooterKey], width: int) -> list[FooterKey]:
    """The keys that ``width`` cells have room for, in their order."""
    kept = list(keys)
    spare = [*reversed([key for key in keys if key.action not in LAST])]
    spare += sorted((key for key in keys if key.action in LAST), key=lambda key: LAST.index(key.action))
    while kept and sum(_cells(key) for key in kept) - 1 > width:
        kept.remove(spare.pop(0))
    return kept


def _cells(key: FooterKey) -> int:
    return cell_len(key.key_display) + 1 + cell_len(key.description) + 1
