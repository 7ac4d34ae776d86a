"""A view of styled lines that sends only the cells that changed: the difference between usable and not over SSH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tui.hints import Hint
from tui.widgets.styled import SELECTED

BETWEEN = 3  # cells between two runs of changed cells that cost less to send again than to skip


class Lines(Widget):
    """Shows strips. Textual repaints a whole widget by default; this one compares and refreshes what differs."""

    DEFAULT_CSS = "Lines { height: 1; width: 1fr; }"

    @dataclass
    class Pointed(Message):
        """A line that was made :func:`pointing` was clicked."""

        place: int

    @dataclass
    class Scrolled(Message):
        """The wheel was turned, so many lines down."""

        by: int

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []
        self._titles: tuple[Content, Content] | None = None
        self._painting = False

    def action_point(self, place: int) -> None:
        """Tell that a line was clicked."""
        self.post_message(self.Pointed(place))

    async def action_do(self, action: str) -> None:
        """Run an action of what contains this: what is clicked does what its key does."""
        for node in self.ancestors_with_self:
            if await self.app.run_action(action, node):
                return

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Scrolled(1))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Scrolled(-1))

    def set_strips(self, strips: list[Strip]) -> None:
        """Show ``strips`` from the top; lines beyond them are blank."""
        old, self._strips = self._strips, strips
        blank = Strip.blank(self.size.width)
        regions = [
            Region(column, y, width, 1)
            for y, (before, after) in enumerate(zip_longest(old, strips, fillvalue=blank))
            if y < self.size.height and before != after
            for column, width in changes(before, after)
        ]
        if regions:
            self.refresh(*regions)

    def entitle(self, title: Text | str, subtitle: Text | str = "") -> None:
        """The title and the subtitle in the border of a panel; setting the same ones again sends nothing."""
        titles = _content(title), _content(subtitle)
        if titles != self._titles:
            self._titles = self.border_title, self.border_subtitle = titles

    @property
    def plain(self) -> str:
        """What the lines say."""
        return "\n".join(strip.text.rstrip() for strip in self._strips)

    @property
    def entitled(self) -> str:
        """What the lines say, with the titles that are drawn of the panel that they are or fill."""
        panels = [one for one in (self, self.parent) if isinstance(one, Widget) and one.has_class("panel")]
        titles = [f"{one.border_title}" for one in panels]
        titles += [f"{one.border_subtitle}" for one in panels if one.styles.border_bottom[0]]
        return "\n".join([*titles, *self.plain.split("\n")[: self.content_size.height]])

    def hints(self) -> Sequence[Hint]:
        """What its figures mean, whether there is room for all of them or not."""
        return ()

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """The text that the mouse has selected, without blanks at the ends of lines, and what follows it."""
        return "\n".join(line.rstrip() for line in selection.extract(self.plain).splitlines()), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Show what is selected."""
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        self._painting = True
        try:
            return super().render_lines(crop)
        finally:
            self._painting = False

    def render_line(self, y: int) -> Strip:
        """A line to paint, or for Textual to find which character the mouse is on."""
        width, style = self.size.width, self.visual_style.rich_style
        line = self._strips[y].adjust_cell_length(width, style).apply_style(style) if y < len(self._strips) else None
        line = line or Strip.blank(width, style)
        if not self._painting:
            return line.apply_offsets(0, y)
        selected = self.text_selection.get_span(y) if self.text_selection is not None else None
        return line if selected is None else self._with_selection(line, *selected)

    def _with_selection(self, line: Strip, start: int, end: int) -> Strip:
        """The line with its characters from ``start`` to ``end``, which may be -1, as selected."""
        first, last = (cell_len(line.text[:place]) for place in (start, len(line.text) if end < 0 else end))
        before, within, after = line.divide([first, last, line.cell_length])
        selected = Style.parse(SELECTED)
        made = [Segment(text, style + selected if style else selected) for text, style, _ in within]
        return Strip.join([before, Strip(made, within.cell_length), after])


class FocusLines(Lines, can_focus=True):
    """Lines that are drawn anew when their size or the focus changes."""

    def draw(self) -> None:
        """Bring the lines up to date."""
        raise NotImplementedError

    def on_resize(self) -> None:
        self.draw()

    def watch_has_focus(self, focused: bool) -> None:
        """Draw: handlers of the focus event run before Textual sets ``has_focus``."""
        super().watch_has_focus(focused)
        self.draw()


def pointing(text: Text, place: int) -> Text:
    """A line whose click is told as :class:`Lines.Pointed` with ``place``."""
    text.apply_meta({"@click": ("point", (place,))})
    return text


def doing(text: Text, action: str) -> Text:
    """Text whose click runs ``action`` of the pane, as a key does."""
    text.apply_meta({"@click": ("do", (action,))})
    return text


def _content(text: Text | str) -> Content:
    """Text that is no markup."""
    return Content(text) if isinstance(text, str) else Content.from_rich_text(text)


def changes(before: Strip, after: Strip) -> list[tuple[int, int]]:
    """``(column, width)`` of every run of cells in which two lines differ; runs with little between them are one."""
    runs: list[tuple[int, int]] = []
    for x, (one, other) in enumerate(zip_longest(_cells(before), _cells(after))):
        if one == other:
            continue
        if runs and x - sum(runs[-1]) <= BETWEEN:
            runs[-1] = runs[-1][0], x + 1 - runs[-1][0]
        else:
            runs.append((x, 1))
    return runs


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    """What stands in each cell; the second half of a wide character is empty but changes with the first."""
    cells: list[tuple[str, Style | None]] = []
    for segment in strip:
        style = segment.style
        if len(segment.text) == segment.cell_length:
            cells.extend((character, style) for character in segment.text)
            continue
        for character in segment.text:
            width = cell_len(character)
            if width == 0 and cells:  # a combining mark belongs to the cell before it
                cells[-1] = (cells[-1][0] + character, style)
            cells.extend([(character, style)] * width)
    return cells
