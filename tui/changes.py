"""What is sent to the terminal when a part of the screen changed: the cells that changed, and few codes for colours."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.control import Control
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

from tui.widgets.lines import changes

_RESET = "\x1b[0m"


class Codes(NamedTuple):
    """The parameters of SGR that a style needs; an empty string is what a reset leaves."""

    attributes: str = ""
    colour: str = ""
    background: str = ""


class Picture:
    """What stands on the terminal, by row; empty as long as that is not known."""

    def __init__(self) -> None:
        self.rows: list[Strip] = []

    def put(self, y: int, x: int, piece: Strip) -> None:
        """Note that a piece of a row has been written."""
        if y < len(self.rows):
            row = self.rows[y]
            self.rows[y] = Strip.join([row.crop(0, x), piece, row.crop(x + piece.cell_length)])

    def forget(self) -> None:
        """Something else has been written to the terminal, or the terminal has lost what was."""
        self.rows = []


class Changes(ChopsUpdate):
    """As Textual's update, but a span begins at its first cell, not at the first of the widget that it lies in.

    Between two pieces of text only what differs in their styles is sent, and one reset at the end.
    """

    picture: Picture | None = None
    """where to note what is sent"""

    def render_segments(self, console: Console) -> str:
        """Everything to write, with the cursor left anywhere and no style set."""
        system = COLOR_SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)  # as Strip.render
        sent: list[str] = []
        now = Codes()
        for y, begin, end in self.spans:
            here = -1  # where the cursor stands
            for (x, strip), stop in zip(self.chops[y].items(), self.chop_ends[y], strict=False):
                left, right = max(x, begin), min(stop, end)
                if strip is None or left >= right:
                    continue
                if left != here:
                    sent.append(Control.move_to(left, y).segment.text)
                piece = strip.crop(left - x, right - x)
                now = _render(piece, now, system, sent)
                if self.picture is not None:
                    self.picture.put(y, left, piece)
                here = right
        return "".join(sent) + (_RESET if any(now) else "")


class Layout(LayoutUpdate):
    """As Textual's update of the whole screen, after a change of focus or size of any part, but of changed cells."""

    def __init__(self, update: LayoutUpdate, picture: Picture) -> None:
        super().__init__([list(line) for line in update.strips], update.region)
        self._rows = [Strip.join(line) for line in self.strips]
        self._picture = picture

    @property
    def empty(self) -> bool:
        """Whether all of it stands on the terminal."""
        return self._rows == self._picture.rows

    def render_segments(self, console: Console) -> str:
        """Everything to write: all rows where it is not known what stands there, or of another size."""
        rows = self._rows
        before, self._picture.rows = self._picture.rows, list(rows)
        if [row.cell_length for row in before] != [row.cell_length for row in rows]:
            return super().render_segments(console)
        spans = [
            (y, x, x + width)
            for y, (old, new) in enumerate(zip(before, rows, strict=True))
            if old != new
            for x, width in changes(old, new)
        ]
        return Changes([{0: row} for row in rows], spans, [[row.cell_length] for row in rows]).render_segments(console)


def _render(segments: Iterable[Segment], now: Codes, system: ColorSystem, sent: list[str]) -> Codes:
    """Append text and codes to ``sent``, from the codes that are in force; returns those in force afterwards."""
    for text, style, _ in segments:
        if style is not None and style.link:
            sent += [_RESET if any(now) else "", Strip.render_style(style, text, system)]
            now = Codes()
            continue
        wanted = _codes(style, system) if style is not None else Codes()
        if not wanted.attributes and text.isspace():  # the colour of a blank cannot be seen
            wanted = wanted._replace(colour=now.colour or wanted.colour)
        if wanted != now:
            differ = [new for new, old in zip(wanted, now, strict=True) if new != old]
            if wanted.attributes != now.attributes or "" in differ:  # only a reset takes something away
                differ = ["0", *filter(None, wanted)]
            sent.append(f"\x1b[{';'.join(differ)}m")
            now = wanted
        sent.append(text)
    return now


@lru_cache(4096)
def _codes(style: Style, system: ColorSystem) -> Codes:
    """What a style needs on a terminal with so many colours."""
    colour, background = style.color, style.bgcolor
    return Codes(
        Strip.render_ansi(style.without_color, system),
        ";".join(colour.downgrade(system).get_ansi_codes()) if colour is not None else "",
        ";".join(background.downgrade(system).get_ansi_codes(foreground=False)) if background is not None else "",
    )
