"""Lines of styled text for all views: exact widths, aligned figures, and what each of the 16 colour names is for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from engine.runs.events import Notice, Progress
from tui import units
from tui.text import safe

if TYPE_CHECKING:
    from tui.widgets.plot import Axis

BORDER, MUTED, TEXT, BRIGHT = "black", "bright_black", "white", "bright_white"
"""lines; labels, units and hints; text; figures and what the user typed"""
GOOD, WARN, BAD = "green", "yellow", "red"
"""for marks of a state only"""
ACCENT = "blue"
"""where the keyboard acts"""
SERIES = ("bright_blue", "bright_yellow", "bright_cyan", "bright_magenta", "bright_green", "bright_red")
"""for data: each also has a line or a mark of its own"""
SELECTED = "bright_white on magenta"
"""a row that the cursor is on; reversed where there are 16 colours"""
SELECTED_MARK = Text("▌", "blue on magenta")
TITLE = f"bold {BRIGHT}"
"""of a panel or a heading"""
PLAIN, DIM, BOLD = Style(), Style(color=MUTED), Style.parse(TITLE)
"""of segments: text, labels and hints, figures"""
WIDEST = 88  # cells of a line of an empty view
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


def shortened(texts: Sequence[Text], width: int, height: int) -> list[Strip]:
    """At most ``height`` lines of a text; the last ends with ``…`` where it goes on."""
    shown = list(texts[: max(0, height)])
    if shown and len(texts) > len(shown):
        shown[-1] = shown[-1].copy()
        shown[-1].truncate(width - 2)
        shown[-1].append(" …" if shown[-1] else "…")
    return strips(shown, width, height)


def side_by_side(columns: Sequence[tuple[Sequence[Strip], int]], height: int) -> list[Strip]:
    """Columns of lines side by side, each with its width; blank where a column has no more lines."""
    return [
        Strip.join([lines[row] if row < len(lines) else Strip.blank(width) for lines, width in columns])
        for row in range(height)
    ]


def message(text: str, width: int, height: int) -> list[Strip]:
    """What an empty view says, in its middle, in paragraphs between which is an empty line."""
    paragraphs = [wrap(Text(" ".join(one.split()), MUTED), min(width - 4, WIDEST)) for one in text.split("\n\n")]
    lines = [line for one in paragraphs for line in (Text(), *one)][1:]
    above = max(0, (height - len(lines)) // 2)
    widest = max((line.cell_len for line in lines), default=0)
    left = " " * max(0, (width - widest) // 2)
    return [Strip.blank(width)] * above + [strip(Text(left).append_text(line), width) for line in lines][:height]


def proposals(keys: Sequence[tuple[str, str]]) -> list[Text]:
    """What can be done where there is nothing yet: a line for each key."""
    return [Text.assemble((f"{key:>3}", f"bold {ACCENT}"), (f"  {text}", TEXT)) for key, text in keys]


def paragraph(text: str, width: int) -> list[Strip]:
    """A few words where there is nothing else to show."""
    return [strip(line, width) for line in wrap(Text(text, MUTED), width)]


def wrap(text: Text, width: int) -> list[Text]:
    """``text`` in lines of at most ``width`` cells."""
    return list(text.wrap(_CONSOLE, max(8, width), tab_size=4))


def fit(text: str, width: int) -> str:
    """A name from a data set in exactly ``width`` cells."""
    shown = Text(safe(text, lines=False))
    shown.truncate(width, overflow="ellipsis", pad=True)
    return shown.plain


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells; an ellipsis stands for what is cut off its end."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def cut_start(text: str, width: int) -> str:
    """``text``, such as a path, in at most ``width`` cells; an ellipsis stands for what is cut off its beginning."""
    return text if cell_len(text) <= width else "…" + set_cell_size(text[::-1], max(0, width - 1))[::-1].lstrip()


def progress_text(progress: Progress, width: int) -> str:
    """What is done and how far it is, in at most ``width`` cells; what is done is cut first."""
    part = f"{units.progress(progress)}…"
    return cut(safe(progress.what, lines=False), width - cell_len(part)) + part


def notice_text(notice: Notice) -> Text:
    """What was said, with the mark and the colour of its level."""
    mark, style = {"error": ("✗", BAD), "warning": ("▲", WARN)}.get(notice.level, ("·", MUTED))
    return Text.assemble((f"{mark} ", style), safe(notice.text, lines=False))


def bar(share: float, cells: int) -> str:
    """A bar of ``cells`` cells, of which ``share`` is filled, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(cells)


def done_bar(done: float, total: float, cells: int) -> Text:
    """A line of ``cells`` cells, bright as far as work is done."""
    full = round(max(0.0, min(1.0, done / max(1, total))) * cells)
    return Text.assemble(("━" * full, TEXT), ("━" * (cells - full), BORDER))


def share(value: float | None, places: int = 3) -> str:
    """A share from 0 to 1 as people compare them: ``0.874``; a dash when unknown."""
    return "–" if value is None else f"{value:.{places}f}"


def window(count: int, cursor: int, height: int) -> range:
    """The places to show of ``count`` in ``height`` lines, so that ``cursor`` is among them."""
    if count <= height:
        return range(count)
    first = min(max(0, cursor - height // 2), count - height)
    return range(first, first + height)


def p_value(value: float) -> str:
    """``p < 0.001`` or three decimals."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def interval(
    axis: Axis,
    ends: tuple[float, float] | None,
    middle: float | None,
    cells: int,
    style: str,
    rule: float | None = None,
) -> Text:
    """A figure and its interval as ``├──●──┤`` on ``axis``, ``rule`` as a dotted line behind it."""

    def place(value: float) -> int:
        return max(0, min(cells - 1, round(axis.cells(value))))

    drawn = [" "] * cells
    if rule is not None:
        drawn[place(rule)] = "┊"
    if ends is not None and middle is not None:
        for column in range(place(ends[0]), place(ends[1]) + 1):
            drawn[column] = "─"
        drawn[place(ends[0])], drawn[place(ends[1])] = "├", "┤"
        drawn[place(middle)] = "●"
    return Text("".join(drawn), style)


def flow(parts: Iterable[Text], width: int) -> list[Text]:
    """``parts`` three cells apart, in as many lines of ``width`` cells as they take; none is broken."""
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + 3 + part.cell_len <= width:
            lines[-1].append("   ").append_text(part)
        else:
            lines.append(part)
    return lines


def data_lines(name: str, source: str, checks: Sequence[str], repairs: Sequence[str], width: int) -> list[Text]:
    """What a data set is called, where it came from, what the checks found and what was repaired."""
    title = cut_start(safe(name, lines=False), width)
    shown = cut_start(safe(source, lines=False), width - cell_len(title) - 2) if source != name else ""
    lines = [Text.assemble((title, TITLE), (f"  {shown}" * bool(shown), MUTED))]
    for mark, style, entries in (("· ", MUTED, checks), ("! ", WARN, repairs)):
        for entry in entries:
            colour = BAD if "test texts" in entry and "in train" in entry else style
            lines += wrap(Text(mark + safe(entry, lines=False), colour), width)
    return lines


def sparkline(shares: Iterable[float], cells: int) -> str:
    """Shares from 0 to 1 as one bar each, the newest to the right."""
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(max(0.0, value) * 8))] for value in shares)[-cells:].rjust(cells)
