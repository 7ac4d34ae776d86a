"""Tokens coloured by how probable the model held them, and the view in which they are walked over."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App
from textual.events import Click
from textual.message import Message
from textual.strip import Strip

from tui.generate.token_layout import Item, TokenLayout
from tui.generate.token_tree import RAW, Node, TokenTree
from tui.text import safe
from tui.themes import colours_of
from tui.widgets.lines import Lines
from tui.widgets.styled import DIM, PLAIN, strips, wrap

LEAST = (0.5, 0.1, 0.01, 0.0)
"""the probabilities from which a token has each style of a ramp: expected first, surprising last"""


def _ramp(*styles: str) -> tuple[Style, ...]:
    return tuple(map(Style.parse, styles))


RAMPS = {
    "dark": _ramp("none", "#ffffff on #2e2718", "#ffffff on #52401a", "underline #ffffff on #7a5010"),
    "light": _ramp("none", "#0d1016 on #fbe3ae", "#0d1016 on #f5bd74", "underline #0d1016 on #ee9270"),
    "16": _ramp("none", "yellow", "black on yellow", "underline black on bright_yellow"),
    "none": _ramp("none", "italic", "underline", "bold underline"),
}
"""surprise as a background of one hue, by the colours that are shown; the last differs without colour too"""
LEVELS = ("≥ 50 %", "≥ 10 %", "≥ 1 %", "< 1 %")
CURSOR = Style(reverse=True, bold=True)
PROMPT_END = "▏"
MARKS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
NOTHING = "◌"  # stands for a token that adds no text
SHOWN = 4_000  # characters of a piece without tokens
CALM = 1.5  # seconds between two turns of the page while text streams


def ramp(app: App[Any]) -> tuple[Style, ...]:
    """The styles of surprise in the theme of ``app``."""
    return RAMPS[colours_of(app)]


def surprise(logprob: float | None, styles: Sequence[Style]) -> Style:
    """The style of a token by its log-probability; plain where there is none."""
    if logprob is None:
        return PLAIN
    probability = math.exp(min(0.0, logprob))
    return next(style for least, style in zip(LEAST, styles, strict=True) if probability >= least)


def legend(width: int, styles: Sequence[Style], *, marks: bool = True) -> Strip:
    """What the backgrounds mean, then what of the marks of a text has room."""
    segments = [Segment("surprise  ", DIM)]
    for name, style in zip(LEVELS, styles, strict=True):
        segments += [Segment(f" {name} ", style), Segment(" ", PLAIN)]
    for part in (f" {PROMPT_END} end of the prompt", "   ² branches") if marks else ():
        if Segment.get_line_length(segments) + len(part) <= width:
            segments.append(Segment(part, DIM))
    return Strip(segments).adjust_cell_length(width)


def glyphs(node: Node, branches: int, mark: str = "") -> str:
    """What a token is shown as, with the number of its branches: never nothing, ``mark`` where it has no text."""
    text = node.text if len(node.text) <= SHOWN else f"…{node.text[-SHOWN:]}"
    shown = safe(text or mark) or NOTHING
    if branches < 2:
        return shown
    spaces = len(shown) - len(shown.lstrip(" "))
    return f"{shown[:spaces]}{MARKS[min(branches, 9)]}{shown[spaces:]}"


class TokenView(Lines, can_focus=True):
    """The text as tokens, with a cursor on one of them. Builds only the lines that are seen."""

    DEFAULT_CSS = "TokenView { height: 1fr; width: 1fr; }"

    @dataclass
    class Walked(Message):
        """The cursor was put on a token."""

        place: int

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._tree = TokenTree()
        self._layout = TokenLayout()
        self._laid = (0, -1, 0)
        self._top = 0
        self._turned = 0.0
        self._grown = 0
        self.writing = False
        """whether a completion streams: the end is marked and followed without haste"""
        self.hint: list[Text] = []
        """what an empty text shows, as paragraphs"""

    def show(self, tree: TokenTree, *, writing: bool) -> None:
        """Show the text of ``tree``, with the cursor in sight."""
        self._tree, self.writing = tree, writing
        if not self.size:
            return
        laid = (id(tree), tree.edition, self.size.width)
        if laid != self._laid:
            self._laid = laid
            self._layout.lay(self._items(), self.size.width)
        self._follow()
        self._draw()

    def line_from(self, place: int, by: int) -> int:
        """The place ``by`` lines from ``place``, at about the same column."""
        row = self._layout.row_of(place)
        target = max(0, min(row + by, len(self._layout.rows) - 1))
        if target == row:
            return 0 if by < 0 else len(self._tree.path)
        found = self._layout.place_at(target, self._layout.column_of(place, row))
        return place if found is None else min(found, len(self._tree.path))

    def line_start(self, place: int) -> int:
        """The first token of the line in which the one at ``place`` begins."""
        found = self._layout.place_at(self._layout.row_of(place), 0)
        return place if found is None else min(found, len(self._tree.path))

    def _items(self) -> list[Item]:
        tree = self._tree
        items = []
        prompt = False
        for number in tree.path:
            node = tree.nodes[number]
            branches = len(tree.nodes[node.parent].children)
            ends = prompt and not node.prompt
            prompt = node.prompt
            text = PROMPT_END * ends + glyphs(node, branches, tree.marks.get((node.model, node.id), ""))
            items.append(Item((number, branches > 1 and branches, ends), text))
        if tree.draft:
            items.append(Item("draft", safe(tree.draft[-SHOWN:])))
        items.append(Item("end", " "))
        return items

    def _follow(self) -> None:
        height, rows = self.size.height, len(self._layout.rows)
        row = self._layout.row_of(len(self._tree.path) + bool(self._tree.draft) if self._at_end else self._tree.cursor)
        if row < self._top:
            self._top = max(0, row - height // 3) if not self._at_end else max(0, row - height + 1)
        elif row >= self._top + height:
            room = height // 3
            if self.writing and self._at_end:
                # A turned page is sent whole: the faster the lines come, the more of them it gets room for.
                now = time.monotonic()
                rate = (rows - self._grown) / max(0.1, now - self._turned)
                self._turned, self._grown = now, rows
                room = max(room, min(height - 1, round(rate * CALM)))
            self._top = row - height + 1 + (room if self.writing or not self._at_end else 0)
        self._top = max(0, min(self._top, rows - 1))

    @property
    def _at_end(self) -> bool:
        return self._tree.cursor >= len(self._tree.path)

    def _draw(self) -> None:
        tree = self._tree
        if not tree.path and not tree.draft and self.hint and not self.writing:
            told = [line for part in self.hint for line in wrap(part, self.size.width)]
            self.set_strips(strips(told, *self.size))
            return
        rows = self._layout.rows[self._top : self._top + self.size.height]
        self.set_strips([Strip(Segment.simplify(Segment(text, self._style(at)) for at, text in row)) for row in rows])

    def _style(self, place: int) -> Style:
        tree = self._tree
        node = tree.at(place)
        if node is None:
            at_end = place == len(tree.path) + bool(tree.draft)
            return (Style(reverse=True) if self.writing else CURSOR) if at_end and self._at_end else DIM
        style = DIM if node.model == RAW else surprise(node.logprob, ramp(self.app))
        return style + CURSOR if place == tree.cursor else style

    def on_resize(self) -> None:
        self.show(self._tree, writing=self.writing)

    def on_lines_scrolled(self, event: Lines.Scrolled) -> None:
        """Look further up or down; the cursor stays where it is."""
        self._top = max(0, min(self._top + 3 * event.by, len(self._layout.rows) - self.size.height))
        self._draw()

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        place = self._layout.place_at(self._top + offset.y, offset.x)
        self.post_message(self.Walked(len(self._tree.path) if place is None else place))
