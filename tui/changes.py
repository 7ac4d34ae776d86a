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
from textual._compositor import ChopsUpdate
from textual.strip import Strip

_RESET = "\x1b[0m"


class Codes(NamedTuple):
    """The parameters of SGR that a style needs; an empty string is what a reset leaves."""

    attributes: str = ""
    colour: str = ""
    background: str = ""


class Changes(ChopsUpdate):
    """As Textual's update, but a span begins at its first cell, not at the first of the widget that it lies in.

    Between two pieces of text only what differs in their styles is sent, and one reset at the end.
    """

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
                now = _render(strip.crop(left - x, right - x), now, system, sent)
                here = right
        return "".join(sent) + (_RESET if any(now) else "")


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
