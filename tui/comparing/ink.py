"""Lines of styled text for the views of a comparison: exact widths, aligned figures, colours by their 16 names."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from textual.strip import Strip

from tui.text import safe

DIM = "bright_black"
TITLE = "bold bright_blue"
GOOD, FAIR, BAD = "bright_green", "bright_yellow", "bright_red"
CURSOR = "bold bright_white on bright_black"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_CONSOLE = Console(width=1000, color_system="truecolor", force_terminal=True, file=io.StringIO())


def strip(text: Text, width: int) -> Strip:
    """One line of exactly ``width`` cells."""
    text.truncate(width, overflow="ellipsis")
    if not text.spans:  # without any, rich renders a text without its own style
        text.stylize(text.style)
    return Strip([segment for segment in text.render(_CONSOLE) if segment.text]).adjust_cell_length(width)


def strips(texts: Sequence[Text], width: int, height: int) -> list[Strip]:
    """At most ``height`` lines."""
    return [strip(text, width) for text in texts[: max(0, height)]]


def wrap(text: Text, width: int) -> list[Text]:
    """``text`` in lines of at most ``width`` cells."""
    return list(text.wrap(_CONSOLE, max(8, width), tab_size=4))


def fit(text: str, width: int) -> str:
    """A name from a data set in exactly ``width`` cells."""
    shown = Text(safe(text, lines=False))
    shown.truncate(width, overflow="ellipsis", pad=True)
    return shown.plain


def bar(share: float, cells: int) -> str:
    """A bar of ``cells`` cells, of which ``share`` is filled, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(cells)


def share(value: float | None, places: int = 3) -> str:
    """A share from 0 to 1 as people compare them: ``0.874``; a dash when unknown."""
    return "–" if value is None else f"{value:.{places}f}"


def window(count: int, cursor: int, height: int) -> range:
    """The places to show of ``count`` in ``height`` lines, so that ``cursor`` is among them."""
    if count <= height:
        return range(count)
    first = min(max(0, cursor - height // 2), count - height)
    return range(first, first + height)
