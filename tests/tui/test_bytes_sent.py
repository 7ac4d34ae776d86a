"""How many bytes a terminal gets while a run is followed: over SSH each of them counts."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from stage import evaluated, recorded, shows, started, step
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult
from textual.screen import Screen
from textual.strip import Strip

from checkpoints.run import Run
from tui.app import LabApp
from tui.changes import Changes
from tui.themes import DARK, SIXTEEN
from tui.widgets.lines import Lines
from tui.widgets.styled import strip

EACH = 20  # steps from one drawing of the curve to the next


class Sent:
    """What Textual would have written to a terminal, and what stands there then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int, rows: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        stream, self._bytes = pyte.Stream(self.screen), 0

        def display(app: App[Any], _: object, update: object) -> None:
            if isinstance(update, CompositorUpdate):
                sent = update.render_segments(app.console)
                stream.feed(sent)
                self._bytes += len(sent.encode())

        monkeypatch.setattr(App, "_display", display)
        monkeypatch.setenv("COLORTERM", "truecolor")
        monkeypatch.setenv("TERM", "xterm-256color")

    def since(self) -> int:
        """The bytes since this was asked last."""
        found, self._bytes = self._bytes, 0
        return found

    def shows(self, app: App[Any]) -> None:
        """Assert that every cell is as if all had been sent anew."""
        anew = pyte.Screen(self.screen.columns, self.screen.lines)
        update = app.screen._compositor.render_full_update()
        pyte.Stream(anew).feed(update.render_segments(app.console))
        same(self.screen, anew)


def same(one: pyte.Screen, other: pyte.Screen) -> None:
    """Assert that all cells have the same character and, where one is seen, the same colours."""
    assert one.display == other.display
    for row in range(other.lines):
        for column in range(other.columns):
            here, wanted = one.buffer[row][column], other.buffer[row][column]
            if wanted.data in " " and not wanted.underscore:
                here = here._replace(fg=wanted.fg)
            assert here == wanted, (row, column)


async def test_a_training_sends_few_bytes_for_its_figures_and_its_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, 120, 40)
    rng = random.Random(1)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        pane = app.pane
        pane.run_shown = Run(Path("/nowhere/run"))
        pane.fresh()
        pane.story.fold(replace(started(steps=3000), uniform_entropy=4.28, unigram_entropy=2.96, bigram_entropy=2.19))
        pane.show_results()
        await shows(pilot, "waiting for the first steps")
        await pilot.pause(0.1)
        sent.since()
        figures: list[int] = []
        curves: list[int] = []
        for number in range(1, 1201):
            loss = 1.8 + 2.4 * math.exp(-number / 200)
            made = step(number, loss + rng.gauss(0, 0.05))
            speed, gradient = 40_000 + rng.gauss(0, 2000), 0.5 + rng.random() / 2
            pane.story.fold(replace(made, tokens_per_second=speed, gradient_norm=gradient))
            if number % 100 == 0:
                pane.story.fold(evaluated(number, loss))
            for half in (EACH // 2, 0):
                if number % EACH == half:
                    (pane.redraw_lines if half else pane.redraw)()
                    await pilot.pause()
                    (figures if half else curves).append(sent.since())
        sent.shows(app)
    assert statistics.median(figures) < 150
    assert max(figures[1:]) < 500  # the machine's gauges are read meanwhile
    assert statistics.median(curves) < 500
    assert sum(curves) / len(curves) < 1200
    assert max(curves[1:]) < 5000  # an axis moves


async def test_a_layout_sends_the_cells_that_it_changes_and_the_terminal_shows_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded("one")
    sent = Sent(monkeypatch, 120, 40)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training", "parameters")
        most = {"tab": 4_000, "x": 4_000, "7": 25_000, "down": 2_000, "f1": 45_000}
        there, back = ["tab", "tab", "x", "escape", "escape", "7", "down", "up", "f1", "pagedown"], ["escape", "t", "4"]
        for key in (*there, *back, "tab", "space", "escape", "ctrl+p", "c", "escape", "1"):
            await pilot.pause(0.1)
            sent.since()
            await pilot.press(key)
            await pilot.pause(0.1)
            sent.shows(app)
            assert (came := sent.since()) < most.get(key, 60_000), (key, came)
        sent.screen.resize(24, 80)
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.1)
        sent.shows(app)
        sent.screen.reset()
        await pilot.press("ctrl+l")
        await pilot.pause(0.1)
        sent.shows(app)


class Words(Screen[None]):
    """One view of lines."""

    def compose(self) -> ComposeResult:
        yield Lines()


@pytest.mark.parametrize("theme", [DARK.name, SIXTEEN.name])
async def test_lines_with_wide_characters_and_many_styles_arrive_as_they_are(
    theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent(monkeypatch, 30, 6)
    rng = random.Random(2)
    styles = ("", "red", "bold", "bold green on blue", "reverse", "underline", "on yellow", "default on default", "dim")
    app = LabApp(theme=theme)
    async with app.run_test(size=(30, 6)) as pilot:
        await app.push_screen(Words())
        lines = app.screen.query_one(Lines)
        lines.styles.height = 6
        for _ in range(60):
            made = [
                Text.assemble(
                    *(
                        (rng.choice(["a", "b", " ", "日", "本", "é", "e\u0301", "⣿", "  "]), rng.choice(styles))
                        for _ in range(rng.randrange(20))
                    )
                )
                for _ in range(6)
            ]
            lines.set_strips([strip(line, 30) for line in made])
            await pilot.pause()
            sent.shows(app)


@pytest.mark.parametrize("colours", ["standard", "256", "truecolor", None])
def test_a_style_that_sets_less_than_the_one_before_it_leaves_nothing_of_it(colours: Any) -> None:
    rng = random.Random(3)
    styles = ("", "red", "on blue", "red on blue", "bold", "bold red", "underline on blue", "red link http://x")
    console = Console(color_system=colours, force_terminal=True)
    for _ in range(200):
        made = Strip([Segment(rng.choice("ab "), Style.parse(rng.choice(styles))) for _ in range(20)])
        whole, part = pyte.Screen(20, 1), pyte.Screen(20, 1)
        pyte.Stream(whole).feed(made.render(console))
        for begin, end in ((0, 7), (7, 20)):
            pyte.Stream(part).feed(Changes([{0: made}], [(0, begin, end)], [[20]]).render_segments(console))
        same(part, whole)
