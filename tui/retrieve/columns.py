"""Rankings of one query side by side: what rose and fell against BM25, and which documents are relevant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from rich.text import Text
from textual.strip import Strip

from engine.comparison.scripts import bigrams
from engine.retrieve.metrics import Ranked
from tui.follow.overview import scrolled
from tui.retrieve.searching import DEPTH, Answer
from tui.retrieve.views import ViewState, name_of
from tui.text import safe
from tui.widgets.panel import Frame
from tui.widgets.styled import (
    BRIGHT,
    GOOD,
    MUTED,
    SELECTED,
    SELECTED_MARK,
    cut,
    message,
    paragraph,
    side_by_side,
    strip,
    wrap,
)

MARK = "●"  # a relevant document, told by shape as well as by colour
MOST = 3  # lines of a document in a column
ARROW = 4  # cells of what it moved

Title = Callable[[int], tuple[str, str]]
"""title and text of a row of the collection"""


def columns(
    answer: Answer | None,
    state: ViewState,
    title: Title,
    figures: Mapping[str, str],
    waiting: str,
    width: int,
    height: int,
) -> list[Strip]:
    """Three columns, best documents first; ``figures`` says of a method what stands below its column."""
    if answer is None:
        return message(waiting or "Type a query (/ focuses the search box); results update as you type.", width, height)
    frame, head = Frame(width), Text(no_wrap=True)
    if answer.known:
        there = len(answer.relevant)
        head.append(f" {safe(answer.known, lines=False)}, {there} relevant document{'' if there == 1 else 's'} {MARK}")
    else:
        head.append(" your own query, relevance unknown", MUTED)
    marks = "   ▲▼ rank change from BM25 "
    if answer.terms and (room := width - head.cell_len - len(marks) - 16) > 8:
        head.append("   BM25 terms: ", MUTED).append(cut(safe(" ".join(answer.terms), lines=False), room))
    head.truncate(max(1, width - len(marks)), overflow="ellipsis", pad=True)
    head.append(marks, MUTED)
    each, left = divmod(width, len(state.columns))
    wide = [each, each, each + left]
    lines = max(1, min(MOST, (height - 1 - frame.down) // 10))
    made = []
    for place, method in enumerate(state.columns):
        rows = _column(answer, state, place, title, lines, wide[place] - frame.across, height - 1 - frame.down)
        name = name_of(method) + (" ✓ best" if figures.get("best") == method else "")
        below = figures.get(method, "")
        made.append(
            frame.panel(name, rows, wide[place], height - 1, below if frame.boxed else "", active=place == state.column)
        )
    return [strip(head, width), *side_by_side(list(zip(made, wide, strict=True)), height - 1)][:height]


def document(answer: Answer | None, state: ViewState, title: Title, width: int, height: int) -> list[Strip]:
    """The whole document under the cursor, with its place in every ranking."""
    row, frame = under_cursor(answer, state), Frame(width)
    if answer is None or row is None:
        return paragraph("no document selected", width)
    name, content = title(row)
    ranks = []
    for method, ranked in answer.found.items():
        place = ranked.rows.index(row) + 1 if row in ranked.rows else 0
        ranks.append(f"{name_of(method)} {place or f'>{DEPTH}'}")
    head = Text(f"{MARK} ", GOOD).append("relevant   ", "") if row in answer.relevant else Text()
    head.append("rank in " + "   ".join(ranks), MUTED)
    inside = width - frame.across
    lines = [head, Text(""), *wrap(highlighted(Text(safe(content, lines=False)), answer.terms), inside)]
    shown, where = scrolled(lines, state, height - frame.down)
    told = f"{where} · Esc back" if where else "Esc back"
    return frame.panel(safe(name, lines=False) or "(no title)", shown, width, height, told, active=True)


def under_cursor(answer: Answer | None, state: ViewState) -> int | None:
    """The row of the document that the cursor is on."""
    if answer is None:
        return None
    ranked = answer.found.get(state.columns[state.column])
    if ranked is None or not ranked.rows:
        return None
    return ranked.rows[state.within(len(ranked.rows))]


def moved(row: int, here: int, before: Ranked | None) -> str:
    """How many ranks a document stands above or below its place in another ranking: ``▲12``, ``▼3``, ``=``, ``new``."""
    if before is None:
        return ""
    if row not in before.rows:
        return "new"
    by = before.rows.index(row) - here
    return "=" if by == 0 else f"▲{by}" if by > 0 else f"▼{-by}"


def highlighted(text: Text, terms: Sequence[str]) -> Text:
    """``text`` with the words that BM25 looks for in bright; terms of scripts without spaces are found within words."""
    for term in terms:
        word = re.escape(term)
        pattern = word if bigrams(term)[0] else rf"(?<!\w){word}(?!\w)"
        text.highlight_regex(rf"(?i){pattern}", f"bold {BRIGHT}")
    return text


def _column(
    answer: Answer, state: ViewState, place: int, title: Title, lines: int, width: int, height: int
) -> list[Strip]:
    method = state.columns[place]
    ranked = answer.found.get(method)
    first_column = answer.found.get(state.columns[0]) if place else None
    if ranked is None:
        return paragraph(safe(answer.notes.get(method) or "…", lines=False), width)
    if not ranked.rows:
        return paragraph("no query word occurs in any document", width)
    shown = max(1, height // lines)
    first = max(0, state.row - shown + 1) if place == state.column else 0
    made = []
    for here in range(first, min(len(ranked.rows), first + shown)):
        row = ranked.rows[here]
        name, content = title(row)
        chosen = place == state.column and here == state.row
        arrow = moved(row, here, first_column)
        room = width - 6 - (ARROW if place else 0)
        text = Text("▌" if chosen else " ", no_wrap=True).append(f"{here + 1:>2} ", MUTED)
        text.append(f"{MARK if row in answer.relevant else ' '} ", GOOD)
        named = highlighted(Text(cut(safe(" ".join((name or content).split()), lines=False), room)), answer.terms)
        named.truncate(room, pad=True)
        text.append_text(named).append(f"{arrow:>{ARROW}}" if place else "", MUTED)
        if chosen:
            text.stylize(SELECTED)
            text.stylize(SELECTED_MARK.style, 0, 1)
        made.append(strip(text, width))
        body = " ".join((content if name else content[room:]).split())[: width * 3]
        rest = wrap(Text(safe(body, lines=False), MUTED), max(8, width - 6))
        for number, extra in enumerate(rest[: lines - 1]):
            if number == lines - 2 and len(rest) >= lines:
                extra = Text(cut(f"{extra.plain.rstrip()} …", width - 6), MUTED)
            made.append(strip(Text("      ").append_text(highlighted(extra, answer.terms)), width))
    return made
