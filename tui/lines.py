"""A view of styled lines that sends only the lines that changed: the difference between usable and not over SSH."""

from __future__ import annotations

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Lines(Widget):
    """Shows strips. Textual repaints a whole widget by default; this one compares and refreshes single lines."""

    DEFAULT_CSS = "Lines { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []

    def set_strips(self, strips: list[Strip]) -> None:
        """Show ``strips`` from the top; lines beyond them are blank."""
        old, self._strips = self._strips, strips
        width = self.size.width
        for y in range(min(max(len(old), len(strips)), self.size.height)):
            before = old[y] if y < len(old) else None
            after = strips[y] if y < len(strips) else None
            if before != after:
                self.refresh(Region(0, y, width, 1))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        style = self.visual_style.rich_style
        if y >= len(self._strips):
            return Strip.blank(width, style)
        return self._strips[y].adjust_cell_length(width, style).apply_style(style)
