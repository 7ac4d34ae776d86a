"""The mouse: text is selected and copied without borders, a click on the curve puts the cursor on that step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stage import recorded, shown, shows, until
from textual.geometry import Offset
from textual.screen import Screen

from tui.app import LabApp
from tui.widgets.lines import Lines


def place_of(app: LabApp, text: str) -> Offset:
    """Where a text stands on the screen."""
    for y, line in enumerate(shown(app).splitlines()):
        if text in line:
            return Offset(line.index(text), y)
    raise AssertionError(text)


async def drag(pilot: Any, start: Offset, end: Offset) -> None:
    """Press the button at one cell and release it behind another."""
    await pilot.mouse_down(offset=start)
    await pilot.hover(offset=end)
    await pilot.mouse_up(offset=end)
    await pilot.pause()


async def test_selected_text_is_copied_without_borders_and_is_seen(home: Path) -> None:
    run = recorded("past")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        app.pane.open(run)
        await shows(pilot, "sample-100", "told at the end")
        at = place_of(app, "sample-100")
        await drag(pilot, at, at + Offset(5, 0))
        await until(pilot, lambda: app.clipboard == "sample")
        view = app.query_one("#run-sample", Lines)
        drawn = [segment for line in view.render_lines(view.size.region) for segment in line]
        grounds = {segment.text.strip("│ "): segment.style.bgcolor for segment in drawn if segment.style}
        assert grounds["sample"] != grounds["-100"]
        await until(pilot, lambda: (home / "copied.txt").read_text("utf-8") == "sample")
        at = place_of(app, "told at the end")
        await drag(pilot, at, at + Offset(3, 0))
        await until(pilot, lambda: app.clipboard == "told")
        await drag(pilot, at, at)  # a click selects nothing and copies nothing
        assert app.clipboard == "told"
        await pilot.press("7")
        await shows(pilot, "newest first")
        await pilot.press("f4")
        await until(pilot, lambda: "finished" in app.clipboard)
        assert "│" not in app.clipboard
        assert "dantesque" not in app.clipboard.splitlines()[0]


async def test_a_click_on_a_name_in_the_first_line_shows_that_pane() -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        for name in ("Runs", "Train"):
            await pilot.click(offset=place_of(app, f" {name} "))
            await until(pilot, lambda name=name: app.here.id == name.lower())


async def test_a_click_on_the_curve_shows_the_step_under_the_pointer() -> None:
    run = recorded("past")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        app.pane.open(run)
        await shows(pilot, "sample-100", "  40  ")
        lines = shown(app).splitlines()
        y, axis = next((y, line) for y, line in enumerate(lines) if " 20 " in line and " 40 " in line)
        await pilot.click(offset=Offset(axis.index(" 40 ") + 2, y - 5))
        assert app.pane.options.cursor == 40
        await shows(pilot, "sample-40", "Step 40")
        await pilot.click(offset=Offset(2, y - 5))  # among the labels of the losses
        assert app.pane.options.cursor == 40


async def test_a_widget_that_was_taken_away_and_is_still_in_the_picture_is_not_selected_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        gone = Lines()
        monkeypatch.setattr(Screen, "get_widget_and_offset_at", lambda self, x, y: (gone, Offset(0, 0)))
        await drag(pilot, Offset(10, 10), Offset(20, 10))
        assert app.is_running
        assert app.screen.selections == {}
