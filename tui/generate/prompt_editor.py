"""The text of the Generate pane while it is written."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip
from textual.widgets import TextArea

from tui.text import safe


class PromptEditor(TextArea):
    """A text area that shows control characters as signs and keeps them as they are."""

    DEFAULT_CSS = """
    PromptEditor { height: 1fr; width: 1fr; border: none; padding: 0 1; background: $background; }
    PromptEditor:focus { border: none; background: $surface; }
    """

    def __init__(self, *, id: str, placeholder: str) -> None:
        super().__init__(id=id, placeholder=placeholder, show_line_numbers=False, tab_behavior="focus", compact=True)
        self.cursor_blink = False  # a blinking cursor is traffic
        self.highlight_cursor_line = False

    def get_line(self, line_index: int) -> Text:
        """A line as it is drawn: every character in its place, none that a terminal would act on."""
        parts = self.document.get_line(line_index).split("\t")
        return Text("\t".join(safe(part) for part in parts), end="", no_wrap=True)

    def render_line(self, y: int) -> Strip:
        """Line ``y`` of the widget; nothing where it has no columns, into which Textual cannot wrap a placeholder."""
        return super().render_line(y) if self.content_size.width > 0 else Strip.blank(self.size.width)

    def fill(self, text: str) -> None:
        """Begin with ``text``, the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)
