"""Tokens coloured by how probable the model held them, and the view in which they are walked over."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.strip import Strip

from tui.generate.token_layout import Item, TokenLayout
from tui.generate.token_tree import RAW, Node, TokenTree
from tui.text import safe
from tui.widgets.lines import Lines


@dataclass(frozen=True)
class Step:
    """One step of the ramp: probabilities from ``least`` on."""

    least: float
    name: str
    style: Style


RAMP = (
    Step(0.9, "≥90%", Style(color="bright_blue")),
    Step(0.5, "≥50%", Style(color="bright_cyan")),
    Step(0.2, "≥20%", Style(color="bright_green")),
    Step(0.05, "≥5%", Style(color="bright_yellow")),
    Step(0.01, "≥1%", Style(color="bright_red")),
    Step(0.0, "<1%", Style(color="bright_red", underline=True)),
)
"""From expected to surprising; the last differs without colour too."""
PLAIN = Style()
DIM = Style(color="bright_black")
BOLD = Style(bold=True)
CURSOR = Style(color="black", bgcolor="bright_white", bold=True)
MARKS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
NOTHING = "◌"  # stands for a token that adds no text
SHOWN = 4_000  # characters of a piece without tokens
CALM = 1.5  # seconds between two turns of the page while text streams


def probability_style(logprob: float | None) -> Style:
    """The style of a token by its log-probability; plain where there is none."""
    if logprob is None:
        return PLAIN
    probability = math.exp(min(0.0, logprob))
    return next((step.style for step in RAMP if probability >= step.least), RAMP[-1].style)


def legend(width: int) -> Strip:
    """What the colours and marks mean."""
    segments = [Segment("probability ", DIM)]
    for step in RAMP:
        segments += [Segment(step.name, step.style), Segment(" ", PLAIN)]
    segments += [Segment(" prompt", BOLD), Segment("  "), Segment("²", Style(color="bright_magenta"))]
    segments.append(Segment(" branches", DIM))
    return Strip(segments).adjust_cell_length(width)


def glyphs(node: Node, branches: int) -> str:
    """What a token is shown as: never nothing, and marked with the number of its branches."""
    text = node.text if len(node.text) <= SHOWN else f"…{node.text[-SHOWN:]}"
    shown = safe(text) or NOTHING
    if branches < 2:
        return shown
    spaces = len(shown) - len(shown.lstrip(" "))
    return f"{shown[:spaces]}{MARKS[min(branches, 9)]}{shown[spaces:]}"


class TokenView(Lines, can_focus=True):
    """The text as tokens, with a cursor on one of them. Builds only the lines that are seen."""

    DEFAULT_CSS = "TokenView { height: 1fr; width: 1fr; padding: 0 1; }"

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
        self.hint = ""
        """what an empty text shows"""

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

    def scroll(self, rows: int) -> None:
        """Look further up or down; the cursor stays where it is."""
        self._top = max(0, min(self._top + rows, len(self._layout.rows) - self.size.height))
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
        for number in tree.path:
            node = tree.nodes[number]
            branches = len(tree.nodes[node.parent].children)
            items.append(Item((number, branches > 1 and branches), glyphs(node, branches)))
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
            self.set_strips([Strip([Segment(line, DIM)]) for line in self.hint.splitlines()])
            return
        rows = self._layout.rows[self._top : self._top + self.size.height]
        self.set_strips([Strip(Segment.simplify(Segment(text, self._style(at)) for at, text in row)) for row in rows])

    def _style(self, place: int) -> Style:
        tree = self._tree
        node = tree.at(place)
        if node is None:
            at_end = place == len(tree.path) + bool(tree.draft)
            return (Style(reverse=True) if self.writing else CURSOR) if at_end and self._at_end else DIM
        style = DIM if node.model == RAW else probability_style(node.logprob)
        if node.prompt:
            style += BOLD
        return style + CURSOR if place == tree.cursor else style

    def on_resize(self) -> None:
        self.show(self._tree, writing=self.writing)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.scroll(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.scroll(-3)

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        place = self._layout.place_at(self._top + offset.y, offset.x)
        self.post_message(self.Walked(len(self._tree.path) if place is None else place))
