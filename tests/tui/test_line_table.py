"""Tables of lines: every row is exactly as wide as its columns, whatever stands in it, and the cursor's is shown."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from rich.text import Text
from stage import CONTROLS, HOSTILE
from textual.app import App, ComposeResult
from textual.events import MouseScrollUp

from tui.widgets.line_table import Column, LineTable, TableView
from tui.widgets.styled import SELECTED

COLUMNS = (
    Column("name", 10, lambda row: row[0], left=True),
    Column("figure", 8, lambda row: (f"{row[1]:.3f}", "bold")),
    Column("seconds", 9, lambda row: f"{row[1]:,.0f}", priority=1),
    Column("text", 0, lambda row: Text(row[2]), left=True),
)


@pytest.mark.parametrize("width", [28, 36, 37, 78])
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
    assert ("seconds" in table.heading().plain) == (width >= 37)


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
        marked = [row for row in rows if row.plain.startswith("▌")]
        assert [row.plain.split()[2] for row in marked] == [str(cursor)]
        assert [any(span.style == SELECTED for span in row.spans) for row in rows].count(True) == 1


def test_columns_of_the_lowest_priority_give_way_first_and_the_rest_is_shared() -> None:
    columns = (
        Column("a", 6, str, left=True),
        Column("b", 6, str, priority=2),
        Column("c", 0, str, left=True, priority=1, least=10),
        Column("d", 6, str, priority=2),
        Column("e", 0, str, left=True, least=4),
    )
    shown = {width: LineTable(columns, width).heading().plain.replace(" ", "") for width in range(8, 60)}
    assert shown[34] == "abcde"
    assert shown[33] == "abce"
    assert shown[27] == "ace"
    assert shown[21] == "ae"
    widths = [column.width for column in LineTable(columns, 60).columns]
    assert widths == [6, 6, 20, 6, 20]


class Table(App[None]):
    """A table of a hundred rows, whose row Enter chooses, as a pane says it."""

    BINDINGS = [("enter", "choose", "Choose")]

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def compose(self) -> ComposeResult:
        yield TableView((Column("name", 0, str, left=True),))

    def on_mount(self) -> None:
        self.query_one(TableView).show([f"row {number}" for number in range(100)], 0)

    def action_choose(self) -> None:
        self.query_one(TableView).action_choose()

    def on_table_view_moved(self) -> None:
        self.told.append(f"moved to {self.query_one(TableView).here}")

    def on_table_view_chosen(self) -> None:
        self.told.append(f"took {self.query_one(TableView).here}")


async def test_a_row_is_pointed_at_clicked_and_scrolled_to() -> None:
    app = Table()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.click(TableView, offset=(30, 4))  # beyond the text of the row, below the heading
        await pilot.click(TableView, offset=(3, 4))
        await pilot.click(TableView, offset=(3, 0))  # the heading is no row
        app.query_one(TableView).focus()
        await pilot.press("end", "enter")
        await pilot._post_mouse_events([MouseScrollUp], TableView, offset=(3, 4))
        await pilot.click(TableView, offset=(3, 1))  # what was scrolled away is not what is clicked
        assert app.told == [
            "moved to row 3",
            "took row 3",
            "moved to row 99",
            "took row 99",
            "moved to row 98",
            "moved to row 91",
        ]
