"""Tables of lines: every row is exactly as wide as its columns, whatever stands in it, and the cursor's is shown."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from rich.text import Text
from stage import CONTROLS, HOSTILE

from tui.widgets.line_table import Column, LineTable
from tui.widgets.styled import CURSOR

COLUMNS = (
    Column("name", 10, lambda row: row[0], left=True, named=True),
    Column("figure", 8, lambda row: (f"{row[1]:.3f}", "bold")),
    Column("seconds", 9, lambda row: f"{row[1]:,.0f}", wanted=40),
    Column("text", 0, lambda row: Text(row[2]), left=True),
)


@pytest.mark.parametrize("width", [28, 39, 40, 78])
@pytest.mark.parametrize("name", ["x", "a name that is much too long", HOSTILE, "漢字漢字漢字"])
def test_cells_are_aligned_cut_and_made_safe(width: int, name: str) -> None:
    table = LineTable(COLUMNS, width)
    row = table.row((name, 0.5, "the text"))
    assert row.cell_len == table.heading().cell_len == table.width == width
    assert not CONTROLS.findall(row.plain)
    assert row.plain.startswith("  " + name[:1] if name == "x" else "  ")
    assert ("…" in row.plain[:13]) == (name != "x")
    end = table.heading().plain.index("figure") + len("figure")  # figures end below the end of their title
    assert cell_len(row.plain[: row.plain.index("0.500") + 5]) == end
    assert ("seconds" in table.heading().plain) == (width >= 40)


def test_the_last_columns_give_way_where_not_all_fit() -> None:
    for width in range(1, 80):
        table = LineTable(COLUMNS[:3], width)
        assert [column.title for column in table.columns] == ["name", "figure", "seconds"][: len(table.columns)]
        assert table.width <= max(width, 2 + 10)


def test_the_row_of_the_cursor_is_among_those_shown_and_only_it_is_painted() -> None:
    rng = random.Random(5)
    for _ in range(50):
        count, height = rng.randrange(1, 40), rng.randrange(1, 15)
        cursor = rng.randrange(count)
        entries = [(f"row {number}", float(number), "") for number in range(count)]
        rows = LineTable(COLUMNS, 60).rows(entries, cursor, height)
        assert len(rows) == min(count, height)
        marked = [row for row in rows if row.plain.startswith("▸")]
        assert [row.plain.split()[2] for row in marked] == [str(cursor)]
        assert [any(span.style == CURSOR for span in row.spans) for row in rows].count(True) == 1
        whole = LineTable(COLUMNS, 60, marked=False).rows(entries, cursor, height)
        assert [row.plain.split()[1] for row in whole if any(span.style == CURSOR for span in row.spans)] == [
            str(cursor)
        ]
