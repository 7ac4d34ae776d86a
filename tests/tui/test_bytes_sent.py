"""How many bytes a terminal gets while a run is followed: over SSH each of them counts."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from stage import evaluated, started, step
from textual._compositor import CompositorUpdate
from textual.app import App

from checkpoints.run import Run
from tui.app import LabApp

EACH = 20  # steps from one drawing of the curve to the next


class Sent:
    """The bytes of the updates that Textual would have written to a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0

        def display(app: App[Any], _: object, update: object) -> None:
            if isinstance(update, CompositorUpdate):
                self.bytes += len(update.render_segments(app.console).encode())

        monkeypatch.setattr(App, "_display", display)
        monkeypatch.setenv("COLORTERM", "truecolor")
        monkeypatch.setenv("TERM", "xterm-256color")

    def since(self) -> int:
        """The bytes since this was asked last."""
        found, self.bytes = self.bytes, 0
        return found


async def test_a_training_sends_little_for_its_curve_and_less_for_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch)
    rng = random.Random(1)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        pane = app.pane
        pane.run_shown = cast(Run, SimpleNamespace(name="run"))
        pane.fresh()
        pane.story.fold(replace(started(steps=3000), uniform_entropy=4.28, unigram_entropy=2.96, bigram_entropy=2.19))
        pane.show_results()
        figures, curves = [], []
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
    print(sum(figures) / len(figures), max(figures[1:]), figures)
    print(sum(curves) / len(curves), curves)
