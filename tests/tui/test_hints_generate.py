"""F1 in Generate: hints are compared with what is drawn, in both directions."""

from __future__ import annotations

import math
import re

import pytest
from explaining import SIZES, drawn, unexplained
from fakemodel import FakeModels
from stage import shows, until
from textual.pilot import Pilot

from engine.lm.sampling import Sampling
from tui.app import LabApp
from tui.generate.candidate_view import CandidateView
from tui.generate.completion import SWEEP
from tui.generate.pane import GeneratePane
from tui.generate.sweep_view import SweepView

TEXTS = {
    r"(?m)^ *· .*": "a message that explains itself",
    r"temperature [\d.]+": "name of a setting",
    r"²": "a mark",
}


async def pane_with_text(pilot: Pilot[int]) -> GeneratePane:
    await pilot.pause()
    await pilot.press("3")
    await until(pilot, lambda: pilot.app.query(GeneratePane) and pilot.app.query_one(GeneratePane).lm is not None)
    pane = pilot.app.query_one(GeneratePane)
    await until(pilot, lambda: pane.settled)
    pane.session.sampling = Sampling(max_new_tokens=8, seed=0, top_k=20)
    await pilot.press("e", "a", "b", "c", "f5")
    await until(pilot, lambda: pane.tokens.text == "abcdefghijk" and pane.settled)
    await pilot.pause()
    return pane


@pytest.mark.parametrize("size", SIZES)
async def test_every_figure_of_a_text_and_a_sweep_is_explained_with_the_numbers_that_are_drawn(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    models = FakeModels(monkeypatch)
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        pane = await pane_with_text(pilot)
        view = app.query_one(CandidateView)
        assert not unexplained(app, TEXTS)
        await pilot.press("left", "left")
        await until(pilot, lambda: pane.settled and view.position.candidates)
        await pilot.pause()
        assert not unexplained(app, TEXTS)
        (chance,) = [hint for hint in pane.hints() if hint.name == "p"]
        percent = float(re.findall(r"p +([\d.]+) %", drawn(view))[0])
        nats = float(re.findall(r"([\d.]+) nats", chance.text)[0])
        assert 100 * math.exp(-nats) == pytest.approx(percent, rel=0.02)
        await pilot.press("f8")
        await until(pilot, lambda: pane.settled and pane.tokens.fork() is not None)
        await pilot.press("tab", "tab")
        await pilot.pause()
        assert pane.hints()[0].name == "greedy"
        assert not unexplained(app, {**TEXTS, r"(?m)^.*(keeps all|←→).*$": "help of the setting in focus"})
        await pilot.press("w")
        await until(pilot, lambda: pane.mode == SWEEP and app.query_one(SweepView).sweep.path)
        await shows(pilot, "greedy", "50.0")
        assert not unexplained(app, TEXTS)
        first = pane.hints()[0]
        assert first.name.startswith("repe")
        assert len(first.shown) == 6
    assert models.asked
