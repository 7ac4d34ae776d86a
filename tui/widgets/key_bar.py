"""The last line: at most eight keys that work now, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual.events import Click

from tui.actions import key_name
from tui.widgets.lines import Lines
from tui.widgets.styled import ACCENT, TEXT, strip

MOST = 8
GAP = 3  # cells between two keys
FIRST = ("app.back_to_lab", "app.start", "app.pause", "app.stop", "app.sample")
HELP = "app.help"


class Shown(NamedTuple):
    """A key that works now."""

    key: str
    """as Textual names it"""
    name: str
    title: str
    action: str

    @property
    def cells(self) -> int:
        return cell_len(self.name) + 1 + cell_len(self.title)


class KeyBar(Lines):
    """Shows the keys of the table of actions that the screen allows now; a click presses one."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[Shown] = []
        self._changed = False

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._look_soon())

    def on_resize(self) -> None:
        self._look_soon()

    def _look_soon(self) -> None:
        """Look once for all changes that wait."""
        if not self._changed:
            self._changed = True
            self.call_later(self._look)  # Textual's call_after_refresh is lost with a dialog that closes before it

    def _look(self) -> None:
        self._changed = False
        if not self.is_attached or self.app.screen is not self.screen:  # a dialog has its own keys in its border
            return
        found: dict[str, Shown] = {}
        titles: Mapping[str, str] = getattr(self.app, "key_titles", {})
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            lit = getattr(node, "lit", None)  # of a pane
            if binding.show and enabled and (lit is None or lit(binding.action)):
                name = binding.key_display or key_name(binding.key)
                title = titles.get(binding.action, binding.description)
                found.setdefault(binding.action, Shown(binding.key, name, title, binding.action))
        self.keys = fitting(list(found.values()), self.size.width)
        line = Text(no_wrap=True)
        for shown in self.keys:
            line.append(" " * (GAP if line else 1)).append(shown.name, f"bold {ACCENT}").append(f" {shown.title}", TEXT)
        self.set_strips([strip(line, self.size.width)])

    def on_click(self, event: Click) -> None:
        """Press the key under the pointer."""
        start = 1
        for shown in self.keys:
            if start <= event.x < start + shown.cells:
                self.app.simulate_key(shown.key)
            start += shown.cells + GAP


def fitting(keys: Sequence[Shown], width: int) -> list[Shown]:
    """The keys that ``width`` cells have room for: what starts and ends work, those of the pane, and the help."""
    ordered = sorted(keys, key=lambda shown: (shown.action == HELP, shown.action not in FIRST))
    while len(ordered) > MOST or sum(shown.cells + GAP for shown in ordered) - GAP + 2 > width:
        del ordered[-2 if len(ordered) > 1 and ordered[-1].action == HELP else -1]
    return ordered
