"""Panels drawn as lines, for views that hold several of them; they look as widgets of the class ``panel`` do."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.strip import Strip

from tui.widgets.styled import ACCENT, BORDER, MUTED, TITLE, strip

BOXED = 100  # columns of a view from which its panels have a border all around; below, only an upper edge


class Frame:
    """How the panels of one view are framed: they touch, with one cell of air inside."""

    def __init__(self, width: int) -> None:
        """``width`` is that of the whole view, in cells."""
        self.boxed = width >= BOXED
        self.across, self.down = (4, 2) if self.boxed else (2, 1)
        """cells and lines that a frame takes"""

    def panel(
        self,
        title: Text | str,
        lines: Sequence[Strip | Text],
        width: int,
        height: int | None = None,
        subtitle: Text | str = "",
        *,
        active: bool = False,
    ) -> list[Strip]:
        """``lines`` in a frame, in exactly ``height`` lines, or as high as they are; they get ``width - across`` cells.

        ``subtitle`` is a count, a state or a key, left out where there is no room; in the panel that is ``active``
        the keys act.
        """
        height = len(lines) + self.down if height is None else height
        style = ACCENT if active else BORDER
        name = _text(title, TITLE if active else "")
        below = _text(subtitle, MUTED)
        inside = width - self.across
        edge = [strip(self._edge("╭", name, Text() if self.boxed else below, "╮", width, style), width)]
        side = strip(Text("│ " if self.boxed else " ", style), 2 if self.boxed else 1)
        other = strip(Text(" │" if self.boxed else " ", style), 2 if self.boxed else 1)
        shown = lines[: max(0, height - self.down)]
        rows = [strip(line, inside) if isinstance(line, Text) else line.adjust_cell_length(inside) for line in shown]
        rows += [Strip.blank(inside)] * (height - self.down - len(rows))
        body = [Strip.join([side, row, other]) for row in rows]
        foot = [strip(self._edge("╰", Text(), below, "╯", width, style), width)] if self.boxed else []
        return [*edge, *body, *foot][: max(0, height)]

    @staticmethod
    def _edge(left: str, first: Text, last: Text, right: str, width: int, style: str) -> Text:
        """A line with a text near either end; the last gives way to the first."""
        first, last = first.copy(), last.copy()
        first.truncate(max(0, width - 6), overflow="ellipsis")
        if last.cell_len + first.cell_len + 8 > width:
            last = Text()
        line = Text(no_wrap=True).append(f"{left}─", style)
        for text in (first, last):
            if text is last:
                line.append("─" * (width - line.cell_len - 2 - (last.cell_len + 2 if last else 0)), style)
            if text:
                line.append(" ").append_text(text).append(" ")
        return line.append(f"─{right}", style)


def _text(text: Text | str, style: str) -> Text:
    return text if isinstance(text, Text) else Text(text, style)
