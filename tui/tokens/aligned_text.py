"""The same text in several vocabularies, row under row: every character stands in the same columns in each of them.

Tokens cut the text differently, ids want more room than their tokens, and a code point may fall to several tokens. So
columns belong to characters: each is as wide as the row that needs most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.tokenization.spans import Token, Tokenized
from tui.text import safe
from tui.tokens.palette import CURRENT, SPECIAL, UNKNOWN, Palette, colour
from tui.widgets.glyphs import PART, Rows, Span, glyph
from tui.widgets.styled import BOLD, DIM, cut


@dataclass(frozen=True)
class Look:
    """How rows are drawn: ``width`` of the text in cells, ``gutter`` of the names before it."""

    width: int
    gutter: int
    ids: bool
    marks: bool
    palette: Palette


@dataclass
class _Row:
    """The tokens of one vocabulary over one piece of the text."""

    tokens: list[Token]
    holders: dict[int, list[int]] = field(default_factory=dict)
    """places in ``tokens`` of those that hold a character, by its offset"""
    cells: dict[int, list[int]] = field(default_factory=dict)
    """cells of each holder's part of a character that several hold"""


class AlignedText:
    """A text with its views, laid out. Only the pieces that are asked for cost anything."""

    def __init__(self, text: str, views: Sequence[Tokenized], names: Sequence[str], look: Look) -> None:
        self.text, self.views, self.names, self.look = text, tuple(views), tuple(names), look
        self.rows = Rows(text, self._split)
        self._wide: dict[int, int] = {}
        self._of: dict[int, list[_Row]] = {}

    @property
    def height(self) -> int:
        """Lines of one row of text in all vocabularies, with the space below it."""
        return max(1, sum(1 + self.id_lines(view) for view in self.views) + 1)

    def id_lines(self, view: Tokenized) -> int:
        """Lines for ids under a vocabulary's spans: none under single characters, whose ids would not fit."""
        return int(self.look.ids and view.tokenizer.kind != "characters")

    def strips(self, row: Span, current: Sequence[Token | None], bold: int = 0) -> list[Strip]:
        """The lines of one row of text.

        ``current`` is the caret's token in each vocabulary. Only in one of them, ``bold``, its id is set off: every
        line that changes as the caret walks is sent to the terminal.
        """
        self.rows.at(row[0])
        lines: list[Strip] = []
        pieces = self._of.get(row[0], [])
        for number, (view, piece) in enumerate(zip(self.views, pieces, strict=False)):
            now = current[number]
            lines.append(self._spans(row, view, piece, self.names[number], now))
            lines += self._ids(row, view, piece, now if number == bold else None)
        if lines:
            lines.append(Strip.blank(self.look.gutter + self.look.width))
        return lines

    def offset(self, row: Span, column: int) -> int | None:
        """The character that stands at a column of the screen, None beside the text."""
        column -= self.look.gutter
        for offset in range(*row):
            if 0 <= column < self._wide[offset]:
                return offset
            column -= self._wide[offset]
        return None

    # -- columns -----------------------------------------------------------------------------------------------------

    def _split(self, start: int, end: int) -> list[Span]:
        """Rows of a piece: the widths of its characters first, then as many as fit."""
        pieces = [_hold(list(view.between(start, end)), start, end) for view in self.views]
        for offset in range(start, end):
            self._wide[offset] = glyph(self.text[offset], self.look.marks)[1]
        for view, piece in zip(self.views, pieces, strict=True):
            self._widen(view, piece, start, end)
        tokens = [token for piece in pieces for token in piece.tokens]
        cuts = Counter(offset for token in tokens for offset in range(max(token.start + 1, start), min(token.end, end)))
        rows: list[Span] = []
        while start < end:
            edge = self._edge(start, end, cuts)
            rows.append((start, edge))
            self._of[start] = pieces
            start = edge
        return rows

    def _widen(self, view: Tokenized, piece: _Row, start: int, end: int) -> None:
        """Give every part of a character a cell, and every id its digits and a space."""
        wide = self._wide
        for offset, holders in piece.holders.items():
            if len(holders) > 1:
                parts = [glyph(self.text[offset], self.look.marks)[1]] + [1] * (len(holders) - 1)
                piece.cells[offset] = parts
                wide[offset] = max(wide[offset], sum(parts))
        if not self.look.ids or view.tokenizer.kind == "characters":
            return
        for place, token in enumerate(piece.tokens):
            inside = range(max(token.start, start), min(token.end, end))
            if not inside or token.start < start:
                continue
            lacking = len(str(token.id)) + 1 - sum(self._cells(piece, offset, place) for offset in inside)
            if lacking > 0:
                last = inside[-1]
                if last in piece.cells:
                    parts = piece.cells[last]
                    parts[piece.holders[last].index(place)] += lacking
                    wide[last] = max(wide[last], sum(parts))
                else:
                    wide[last] += lacking

    def _cells(self, piece: _Row, offset: int, place: int) -> int:
        """Cells of a character that belong to one of its tokens; what is left over belongs to the last."""
        if offset not in piece.cells:
            return self._wide[offset]
        parts, holders = piece.cells[offset], piece.holders[offset]
        number = holders.index(place)
        return parts[number] + (self._wide[offset] - sum(parts) if number == len(parts) - 1 else 0)

    def _edge(self, start: int, end: int, cuts: Counter[int]) -> int:
        """Where the row from ``start`` ends: best before a space, else where it cuts the fewest tokens."""
        used, edge = 0, start
        while edge < end and (edge == start or used + self._wide[edge] <= self.look.width):
            used += self._wide[edge]
            edge += 1
        if edge == end:
            return edge
        near = range(edge, start + (edge - start) // 2, -1)
        begins = (place for place in near if self.text[place].isspace() and not self.text[place - 1].isspace())
        return next((place for place in begins if not cuts[place]), min(near, key=lambda place: cuts[place]))

    # -- lines -------------------------------------------------------------------------------------------------------

    def _spans(self, row: Span, view: Tokenized, piece: _Row, name: str, now: Token | None) -> Strip:
        segments = [Segment(set_cell_size(name, self.look.gutter - 1) + " ", DIM)]
        used = 0
        for offset in range(*row):
            shown, _ = glyph(self.text[offset], self.look.marks)
            holders = piece.holders.get(offset)
            wide = self._wide[offset]
            used += wide
            if not holders:
                segments.append(Segment(set_cell_size(shown, wide), DIM))
                continue
            for number, place in enumerate(holders):
                token = piece.tokens[place]
                cells = self._cells(piece, offset, place)
                text = PART if number else shown
                style = self._style(view, token, now)
                if offset == token.end - 1:  # room for an id behind a token is no part of it
                    segments += [Segment(text, style), Segment(" " * (cells - cell_len(text)))]
                else:
                    segments.append(Segment(set_cell_size(text, cells), style))
        return _strip(segments, self.look.gutter + used)

    def _ids(self, row: Span, view: Tokenized, piece: _Row, now: Token | None) -> list[Strip]:
        if not self.id_lines(view):
            return []
        marks: list[tuple[int, int, str, Style]] = []  # column, cells, id, style
        column = 0
        begun: set[int] = set()
        for offset in range(*row):
            inside = 0
            for place in piece.holders.get(offset, ()):
                token, cells = piece.tokens[place], self._cells(piece, offset, place)
                if place in begun:
                    marks[-1] = (marks[-1][0], marks[-1][1] + cells, *marks[-1][2:])
                else:
                    begun.add(place)
                    style = BOLD if _is(token, now) else DIM
                    text = "" if token.start < row[0] else str(token.id) if token.id >= 0 else "?"
                    marks.append((column + inside, cells, text, style))
                inside += cells
            column += self._wide[offset]
        return [self._under([(x, w, text if len(text) < w or w == len(text) else "…", s) for x, w, text, s in marks])]

    def _under(self, marks: list[tuple[int, int, str, Style]]) -> Strip:
        segments = [Segment(" " * self.look.gutter, DIM)]  # spaces too: what looks the same is sent in one piece
        reached = 0
        for column, _, text, style in marks:
            if text:
                segments += [Segment(" " * (column - reached), DIM), Segment(text, style)]
                reached = column + len(text)
        return _strip(segments, self.look.gutter + reached)

    def _style(self, view: Tokenized, token: Token, now: Token | None) -> Style:
        style = UNKNOWN if token.unknown else self.look.palette[colour(view, token.index)]
        if token.special:
            style += SPECIAL
        return style + CURRENT if _is(token, now) else style


def short(name: str, width: int) -> str:
    """A name for a narrow column: the last part of a path or of a repository's name, cut with an ellipsis."""
    name = safe(name, lines=False).rstrip("/").rpartition("/")[2] or name
    return cut(name, width)


def _hold(tokens: list[Token], start: int, end: int) -> _Row:
    row = _Row(tokens)
    for place, token in enumerate(tokens):
        for offset in range(max(token.start, start), min(token.end, end)):
            row.holders.setdefault(offset, []).append(place)
    return row


def _is(token: Token, now: Token | None) -> bool:
    return now is not None and token.index == now.index


def _strip(segments: list[Segment], cells: int) -> Strip:
    return Strip(Segment.simplify([segment for segment in segments if segment.text]), cells)
