"""F1 in Runs and Compare: hints are compared with what is drawn, in both directions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from explaining import SIZES, unexplained
from stage import evaluated, recorded, sample, shown, shows, started, step, until
from textual.pilot import Pilot

from engine.comparison.statistics import PairedTest
from engine.report.methods import Method
from engine.runs.events import Event
from tui.app import LabApp
from tui.runs.compare import CompareScreen
from tui.runs.pane import RunsPane
from tui.widgets.line_table import TableView

NAMES = {
    r"\b[a-z]*-?\d{8}-\d{6}\S*": "name of a run",
    r" in [/…].*": "a path, in a line that is compared by its figures",
    r"written-\d+": "text of a sample",
}


def told(seed: int) -> Any:
    def events(run: str) -> list[Event]:
        made: list[Event] = [started(run)]
        for number in range(1, 41):
            made.append(step(number, 3.0 - number / 20 + seed / 10))
            if number % 10 == 0:
                made += [evaluated(number, 3.0 - number / 25 + seed / 10), *sample(number, f"written-{number}")]
        return made

    return events


async def listed(pilot: Pilot[int]) -> RunsPane:
    for seed, name in enumerate(("small", "large"), 1):
        recorded(name, told(seed), seed=str(seed), learning_rate=str(seed / 1000))
    await shows(pilot, "Start training")
    await pilot.press("7")
    await until(pilot, lambda: [len(table.entries) for table in pilot.app.query(TableView)] == [2])
    await pilot.pause()
    return pilot.app.query_one(RunsPane)


@pytest.mark.parametrize("size", [*SIZES, (200, 50)])
async def test_every_figure_of_runs_is_explained_with_the_numbers_that_are_drawn(size: tuple[int, int]) -> None:
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        pane = await listed(pilot)
        assert not unexplained(app, NAMES)
        (best,) = [hint for hint in pane.hints() if hint.name == "best" and len(hint.shown) == 2]
        name = pane.selected.title or pane.selected.name if pane.selected else ""
        loss = 1.5 if "small" in name else 1.6
        assert f"{loss:.4f} nats at step 40 = {loss / math.log(2):.3f} bits per character" in best.text
        await pilot.press("space", "down", "space", *["l"] * (size[0] < 100))
        await until(pilot, lambda: len(pane._losses) == 2)
        await shows(pilot, "differs from")
        assert not unexplained(app, NAMES)
        (differs,) = [hint for hint in pane.hints() if hint.name == "differs"]
        assert "0.100 nats" in differs.shown[-1]
        assert differs.shown[-1] in " ".join(shown(app).split())


def with_methods(screen: CompareScreen) -> None:
    """Show figures of methods too."""
    compared = screen._compared
    assert compared is not None
    methods = tuple(
        Method("small", name, "accuracy", figure, figure - 0.03, figure + 0.02, 1200)
        for name, figure in (("lr", 0.761), ("mlp", 0.75), ("finetune", 0.93))
    )
    test = PairedTest(0.169, 0.14, 0.2, 300, 90, 0.0004, 1200)
    pairs = {
        ("small: finetune", f"small: {name}"): replace(test, mean=mean) for name, mean in (("lr", 0.169), ("mlp", 0.18))
    }
    screen._compared = replace(compared, methods=methods, pairs=pairs)
    screen._draw()


@pytest.mark.parametrize("size", [(120, 90), (80, 90)])
async def test_every_figure_of_a_comparison_is_explained_with_the_numbers_that_are_drawn(size: tuple[int, int]) -> None:
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        await listed(pilot)
        await pilot.press("space", "down", "space", "v")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await shows(pilot, "settings that differ", "loss at 40")
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        with_methods(screen)
        await shows(pilot, "p (Holm)")
        await pilot.pause(0.2)  # the tables are laid out
        assert not unexplained(app, NAMES, screen)
        await pilot.press("left", "s")
        await shows(pilot, "loss at 30", *["smoothed 0.9"] * (size[0] > 100))
        with_methods(screen)
        await pilot.pause()
        assert not unexplained(app, NAMES, screen)
        await pilot.press("f1")
        await shows(pilot, "On this screen", "validation loss")
        await pilot.press("escape")
        assert app.screen is screen
