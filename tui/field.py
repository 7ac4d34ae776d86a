"""A line to type into that holds nothing a terminal could act on."""

from __future__ import annotations

from textual.widgets import Input

from tui.text import safe


class Field(Input):
    """Textual's input draws what was pasted into it as it is; here control characters become visible as they come.

    The cursor does not blink: every blink is traffic.
    """

    def on_mount(self) -> None:
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """What of ``value`` can be shown."""
        return safe(value, lines=False)
