"""F1: hints are compared with what is drawn, in both directions, in every view of every pane."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from explaining import SIZES, unexplained
from stage import evaluated, sample, shown, shows, started, step, until
from states import stand
from textual.pilot import Pilot

from engine.runs.events import Event, Finished, Saved
from tui.app import LabApp
from tui.train.pane import TrainPane
from tui.widgets.field import Field

TEXT = r"sample-\d+"  # of samples


def under_way() -> list[Event]:
    """A training that has come below the bigrams."""
    told: list[Event] = [started(steps=2000), evaluated(0, 2.9), *sample(0, "sample-0")]
    for number in range(1, 1201):
        told.append(step(number, 2.9 - number / 600))
        if number % 200 == 0:
            told += [evaluated(number, 2.95 - number / 640), *sample(number, f"sample-{number}")]
    return [*told, Saved(1000, "/somewhere", 1000, 0.1, 0.01, True)]


async def train(pilot: Pilot[int], told: list[Event]) -> TrainPane:
    pane = await stand(pilot, "train", "running")
    assert isinstance(pane, TrainPane)
    pane.fresh()
    for event in told:
        pane.story.fold(event)
    pane.redraw()
    await pilot.pause()
    return pane


@pytest.mark.parametrize("size", SIZES)
async def test_every_figure_of_a_training_is_explained_with_the_numbers_that_are_drawn(size: tuple[int, int]) -> None:
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        pane = await train(pilot, under_way())
        allowed = {TEXT: "text of a sample"}
        assert not unexplained(app, allowed)
        names = [hint.name for hint in pane.hints()]
        assert {"validation", "bigrams", "best", "sample"} <= {*names}
        pane.action_cursor(-1)
        pane.action_cursor(-1)
        await pilot.pause()
        assert not unexplained(app, allowed)
        pane.action_cursor_off()
        pane.story.fold(Finished("steps", 1200, 1.075, "run", 12.0))
        pane.redraw()
        await pilot.pause()
        assert not unexplained(app, {**allowed, r"Finished at step .*": "a sentence that explains itself"})


@pytest.mark.parametrize("width", [80, 120, 200])
async def test_the_gauges_are_explained_where_they_are_drawn(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.widgets.bar.Gpus.read", lambda gpus: [])
    monkeypatch.setattr("tui.widgets.bar.CpuGauge.read", lambda gauge: 0.37)
    monkeypatch.setattr(TrainPane, "busy", True)
    monkeypatch.setattr("tui.app.GAUGES", 0.05)
    app = LabApp()
    async with app.run_test(size=(width, 40)) as pilot:
        await until(pilot, lambda: "37%" in app.bar.plain or ("37%" in app.bar._readings and width < 100))
        where = SimpleNamespace(hinted=lambda: [(app.bar, app.bar.hints())])
        assert not unexplained(app, {r" \d [A-Z][a-z]+": "a pane"}, where)
        assert ["37%" in hint.shown for hint in app.bar.hints()] == [True] * (width >= 100)
        await pilot.press("f1")
        await shows(pilot, "help", *["All programs together use 37% of CPU"] * (width == 200))


async def test_derived_numbers_are_those_of_the_drawn_ones() -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await train(pilot, [started(), step(1), evaluated(1, 1.78)])
        (hint,) = [hint for hint in pane.hints() if hint.name == "validation"]
        assert f"1.780 nats = {1.78 / math.log(2):.2f} bits per character" in hint.text
        assert "bigrams reaches 1.20 nats; the model's 1.780 nats lie 0.58 above" in hint.text
        assert hint.term == "cross-entropy"


@pytest.mark.parametrize("size", SIZES)
async def test_the_help_begins_with_what_is_in_focus(size: tuple[int, int]) -> None:
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        await train(pilot, under_way())
        await pilot.press("f1")
        await shows(pilot, "On this screen", "validation")
        lines = shown(app).splitlines()
        place = next(number for number, line in enumerate(lines) if "On this screen" in line)
        assert place < 6
        assert "1.075 nats" in " ".join(lines[place : place + 4])
        await pilot.press("k")
        await shows(pilot, "Keys of this pane", "New run")
        await pilot.press("escape")
        await pilot.press("n")
        app.query_one("#field-learning_rate").focus()
        await pilot.press("f1")
        await shows(pilot, "On this screen", "Peak learning rate. It is 0.02")
        first = app.here.hints()[0].text
        assert first.endswith(" It is 0.02; the default is 0.02; it must lie in 0 < the value ≤ 1.")


@pytest.mark.parametrize("size", [(120, 40), (80, 60)])
async def test_the_form_explains_its_fields_and_the_facts_beside_them(size: tuple[int, int]) -> None:
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        app.query_one("#field-corpus", Field).value = "dantesque"
        await shows(pilot, "uniform", "whole run")
        allowed = {
            r"(?s)what you can do here.*?(?=cost)": "keys",
            r"(?s)encoding.*": "names, text of the corpus, and sentences that explain themselves",
        }
        assert not unexplained(app, allowed)
        for field in app.query("Field, Choice"):
            if field.is_on_screen:
                app.screen.set_focus(field, scroll_visible=False)
                await pilot.pause()
                assert not unexplained(app, allowed)
                (hint,) = app.here.hinted()[0][1]
                assert f"the default is {hint.shown[0] or 'empty'}" in hint.text or field.id == "field-corpus"
