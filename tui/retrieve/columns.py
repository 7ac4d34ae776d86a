"""Rankings of one query side by side: what rose and fell from column to column, and which documents are relevant."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.strip import Strip

from engine.retrieve.metrics import Ranked
from tui.retrieve.searching import Answer
from tui.retrieve.views import ViewState, name_of
from tui.text import safe
from tui.widgets.styled import BAD, CURSOR, DIM, FAIR, GOOD, TITLE, fit, paragraph, side_by_side, strip, wrap

MARK = "●"  # a relevant document, told by shape as well as by colour
MOST = 3  # lines of a document in a column

Title = Callable[[int], tuple[str, str]]
"""title and text of a row of the collection"""


def columns(
    answer: Answer | None, state: ViewState, title: Title, waiting: str, width: int, height: int
) -> list[Strip]:
    """Three columns, best documents first, in exactly ``height`` lines or fewer."""
    if answer is None:
        told = waiting or "Type a query (/ goes into the box): results update as you type."
        return [Strip.blank(width), *paragraph(told, width)][:height]
    count = len(state.columns)
    each = (width - count + 1) // count
    head = Text(no_wrap=True)
    if answer.known:
        head.append(f"{answer.known}: ", TITLE)
        there = len(answer.relevant)
        head.append(f"{there} relevant document{'' if there == 1 else 's'} {MARK}", GOOD)
    else:
        head.append("a query of your own: no document is known to be relevant", DIM)
    if answer.terms:
        head.append("   BM25 terms: ", DIM).append(safe(" ".join(answer.terms), lines=False))
    lines = _lines_each(height - 2)
    made = [_column(answer, state, place, title, lines, each, height - 1) for place in range(count)]
    rows = side_by_side([part for one in made for part in ((one, each), ([], 1))][:-1], height - 1)
    return [strip(head, width), *(row.adjust_cell_length(width) for row in rows)][:height]


def document(answer: Answer | None, state: ViewState, title: Title, width: int, height: int) -> list[Strip]:
    """The whole document under the cursor, with its place in every ranking."""
    row = under_cursor(answer, state)
    if answer is None or row is None:
        return [strip(Text("no document here", DIM), width)]
    name, content = title(row)
    where = []
    for method, ranked in answer.found.items():
        place = ranked.rows.index(row) + 1 if row in ranked.rows else 0
        where.append(f"{name_of(method)} {place or '>100'}")
    head = Text(f"{MARK} relevant   " if row in answer.relevant else "", GOOD)
    head.append("rank in " + "   ".join(where), DIM)
    body = Text(safe(content, lines=False))
    for word in answer.terms:
        body.highlight_regex(rf"(?i)\b{word}\b" if word.isalnum() else r"(?!)", f"bold {FAIR}")
    lines = [Text(safe(name, lines=False) or "(no title)", TITLE), head, Text(""), *wrap(body, width)]
    state.scroll = max(0, min(state.scroll, len(lines) - 1))
    return [strip(line, width) for line in lines[state.scroll : state.scroll + height]]


def under_cursor(answer: Answer | None, state: ViewState) -> int | None:
    """The row of the document that the cursor is on."""
    if answer is None:
        return None
    ranked = answer.found.get(state.columns[state.column])
    if ranked is None or not ranked.rows:
        return None
    state.row = max(0, min(state.row, len(ranked.rows) - 1))
    return ranked.rows[state.row]


def moved(row: int, here: int, before: Ranked | None) -> tuple[str, str]:
    """How a document moved from the column before, and the colour of that: ``↑12``, ``↓3``, ``=``, ``new``."""
    if before is None:
        return "", DIM
    if row not in before.rows:
        return "new", FAIR
    by = before.rows.index(row) - here
    return ("=", DIM) if by == 0 else (f"↑{by}", GOOD) if by > 0 else (f"↓{-by}", BAD)


def _column(
    answer: Answer, state: ViewState, place: int, title: Title, lines: int, width: int, height: int
) -> list[Strip]:
    method = state.columns[place]
    ranked = answer.found.get(method)
    before = answer.found.get(state.columns[place - 1]) if place else None
    head = Text(name_of(method), "bold underline" if place == state.column else "bold")
    if method in answer.seconds and width >= 26:
        head.append(f"  {answer.seconds[method] * 1000:.0f} ms", DIM)
    if (note := answer.notes.get(method)) and ranked is not None:
        head.append(f"  {safe(note, lines=False)}", DIM)
    made = [strip(head, width)]
    if ranked is None:
        told = answer.notes.get(method) or "…"
        return made + paragraph(safe(told, lines=False), width)
    if not ranked.rows:
        return [*made, strip(Text("no query word occurs in any document", DIM), width)]
    shown = max(1, (height - 1) // lines)
    first = max(0, state.row - shown + 1) if place == state.column else 0
    for here in range(first, min(len(ranked.rows), first + shown)):
        row = ranked.rows[here]
        relevant = row in answer.relevant
        arrow, colour = moved(row, here, before)
        name, content = title(row)
        text = Text(no_wrap=True)
        text.append(f"{here + 1:>2} ", DIM)
        text.append(MARK if relevant else " ", f"bold {GOOD}")
        if place:
            text.append(f"{arrow:<4}", colour)
        rest = " ".join((name or content).split())
        text.append(fit(rest, max(4, width - text.cell_len)), f"bold {GOOD}" if relevant else "")
        if place == state.column and here == state.row:
            text.stylize(CURSOR)
        made.append(strip(text, width))
        body = " ".join((content if name else content[max(0, width - 4) :]).split())[: width * 3]
        for extra in wrap(Text(safe(body, lines=False)), max(8, width - 4))[: lines - 1]:
            made.append(strip(Text.assemble("    ", (extra.plain, DIM)), width))
    return made


def _lines_each(height: int) -> int:
    """Lines that a document may have so that ten of them fit."""
    return max(1, min(MOST, height // 10))
