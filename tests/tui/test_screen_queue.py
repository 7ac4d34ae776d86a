"""Several values in the form make a queue, which Runs shows, moves and cancels, and which a start goes on with."""

from __future__ import annotations

import os

import pytest
from stage import SIZES, controls, shown, shows, until
from textual.screen import ModalScreen

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run
from engine.gpt import runs as gpt_runs
from engine.gpt.spec import build
from engine.runs import queue
from tui import away
from tui.app import LabApp
from tui.follow import last_values

pytestmark = pytest.mark.usefixtures("spawned")


def three() -> list[Run]:
    base = {"corpus": "dantesque", "steps": 100}
    return gpt_runs.create_each([build({**base, "seed": seed}, preset_for_auto="nano") for seed in (1, 2, 3)])


@pytest.mark.parametrize("size", SIZES)
async def test_several_values_are_counted_started_and_listed(size: tuple[int, int], spawned: list[str]) -> None:
    last_values.write("form.json", {"corpus": "dantesque", "preset": "nano", "seed": "1..2", "learning_rate": "1e-3"})
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "2 runs, one after the other   F5")
        app.pane.form._widgets["learning_rate"].value = "1e-3, 3e-3, 9"
        await shows(pilot, "learning rate: ", "Start training")  # 9 is too much
        app.pane.form._widgets["learning_rate"].value = "1e-3, 3e-3"
        await shows(pilot, "4 runs, one after the other   F5")
        await pilot.press("f5")
        await until(pilot, lambda: app.pane.run_shown is not None and app.pane.state == "starting")
        assert spawned == [queue.names()[0]]
        found = [Run(places.runs() / name).spec() for name in queue.names()]
        assert [(one["seed"], one["learning_rate"]) for one in found] == [
            (1, 0.001), (1, 0.003), (2, 0.001), (2, 0.003),
        ]  # fmt: skip
        await pilot.press("7")
        await shows(pilot, "queued 1", "queued 2", "queued 3")
        assert not controls(app)
        await pilot.press("q")
        await shows(pilot, "Quit while training?", "Others are queued")


async def test_keys_of_runs_move_and_cancel_what_waits(spawned: list[str]) -> None:
    a, b, c = three()
    queue.add([a, b, c])
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("7")
        await shows(pilot, "queued 1", "queued 2", "queued; r starts it now")  # the newest, c, is selected
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: queue.names() == (a.name, c.name, b.name))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: queue.names() == (a.name, b.name, c.name))
        await pilot.press("left_curly_bracket")
        await until(pilot, lambda: queue.names() == (a.name, c.name, b.name))
        await pilot.press("enter")
        await shows(pilot, "in the queue", "It starts when the runs before it have ended.")
        await pilot.press("escape")
        await pilot.press("k")
        await until(pilot, lambda: queue.names() == (a.name, b.name))
        await until(pilot, lambda: "queued 2" not in shown(app) and "queued 1" in shown(app))
        assert not c.path.exists()
        (places.runs() / queue.FILE).write_text("{")
        await pilot.press("left_square_bracket")
        await shows(pilot, "The queue was not changed", "cannot be used", "is lost")
    assert spawned == [a.name]


async def test_a_start_goes_on_with_the_queue_and_shows_the_run(spawned: list[str]) -> None:
    away.look()
    a, b, c = three()
    queue._write([queue.Entry(run.name) for run in (b, c)])
    for run in (b, c):
        os.utime(run.events, (2e9, 2e9))
    a.delete()
    app = LabApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.pane.run_shown == b)
        assert spawned == [b.name]
        await pilot.pause()
        assert not isinstance(app.screen, ModalScreen)  # none of them ended while nobody looked


async def test_a_damaged_queue_is_told_at_the_start(spawned: list[str]) -> None:
    three()
    (places.runs() / queue.FILE).write_text('{"runs": 1}')
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "The queue of runs does not go on", "cannot", "aside")
        await pilot.press("escape")
        await pilot.press("7")
        await shows(pilot, "3 runs")
    assert spawned == []
    assert len(runs.every(places.runs())) == 3
