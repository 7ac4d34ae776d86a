"""What became of runs while nobody looked, and how the end of a run is announced."""

from __future__ import annotations

import os

import pytest
from pseudoterminal import Terminal
from stage import (
    HOSTILE,
    FakeTrainers,
    at_sizes,
    controls,
    evaluated,
    recorded,
    shown,
    shows,
    started,
    step,
    story,
    until,
)
from textual.screen import ModalScreen

from checkpoints import home as places
from checkpoints.run import Run
from engine.runs.events import Event, Finished
from tui import away
from tui.app import LabApp
from tui.config import AtEnd
from tui.follow import state as states

TITLE = "While you were away"
CTRL_Q = b"\x11"
SIZES = [(60, 20), (80, 24), (120, 40)]


def looked_before() -> None:
    """Let the last look be a while ago."""
    away.look()
    path = places.home() / away.FILE
    os.utime(path, (path.stat().st_mtime - 100,) * 2)


def ended_at(run: Run, seconds: float) -> None:
    """Let the last line of the journal be so many seconds after the last look."""
    when = (places.home() / away.FILE).stat().st_mtime + seconds
    os.utime(run.events, (when, when))


def interrupted(name: str) -> list[Event]:
    return [started(name), *(step(number) for number in range(1, 42)), evaluated(41, 2.5)]


def failed(name: str) -> list[Event]:
    return [*interrupted(name), Finished("failed", 41, 2.5, name, 1.0)]


@pytest.mark.usefixtures("trainers")
async def test_runs_that_ended_since_the_last_look_are_told_once_and_open_by_a_number() -> None:
    looked_before()
    for seconds, (name, events) in enumerate([("seen", story), ("overnight", interrupted), ("broken", failed)]):
        ended_at(recorded(name, events), seconds - 0.5)
    app = LabApp()
    async with app.run_test(size=SIZES[1]) as pilot:
        async for _ in at_sizes(pilot, SIZES):
            await shows(pilot, TITLE, "overnight: interrupted, 41 of 100", "broken: failed, 41 of 100, loss 2.50")
            assert "seen" not in shown(app)
        number = next(line.split("Open")[0].split()[-1] for line in shown(app).splitlines() if "overnight" in line)
        await pilot.press(number)
        await until(pilot, lambda: app.pane.run_shown is not None and app.pane.state == states.INTERRUPTED)
        assert app.pane.run_shown is not None
        assert app.pane.run_shown.name.endswith("overnight")
    again = LabApp()
    async with again.run_test(size=SIZES[1]) as pilot:
        await shows(pilot, "Start training")
        await pilot.pause(0.3)
        assert TITLE not in shown(again)


@pytest.mark.usefixtures("trainers")
async def test_a_first_start_tells_nothing_and_more_runs_than_keys_are_counted() -> None:
    made = [recorded(f"run{number:02}") for number in range(12)]
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.pause(0.3)
        assert TITLE not in shown(app)
    looked_before()
    for run in made:
        ended_at(run, 1)
    (made[-1].path / "spec.json").write_text(f'{{"task": "{HOSTILE}"', encoding="utf-8")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, TITLE, "3 more are in the pane Runs", "run11: ", "run03: finished, 100 of 100")
        assert not controls(app)
        assert "run02" not in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ModalScreen))


async def test_the_end_of_a_run_rings_and_notifies_but_not_when_it_was_asked_for(
    trainers: FakeTrainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(LabApp, "bell", lambda self: rung.append("bell"))
    app = LabApp(at_end=AtEnd(bell=True, notify="777"))
    async with app.run_test(size=(80, 24)) as pilot:
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", rung.append)

        async def runs_until(reason: str) -> None:
            trainers.play = lambda run: [started(run), step(1), *([Finished(reason, 1, 2.0, run)] if reason else [])]
            await pilot.press("n", "f5") if app.pane.run_shown else await pilot.press("f5")
            if not reason:
                await until(pilot, lambda: app.pane.state == states.RUNNING)
                await pilot.press("f7")
                await until(pilot, lambda: app.pane.state == states.STOPPED)

        await shows(pilot, "Start training")
        await runs_until("")
        assert not rung
        await runs_until("steps")
        await until(pilot, lambda: rung)
        assert app.pane.run_shown is not None
        assert rung == ["bell", f"\x1b]777;notify;llmlab-tui;{app.pane.run_shown.name} finished\x07"]


def test_leaving_with_a_run_alive_says_how_to_see_it_again() -> None:
    run = recorded("alive", interrupted)
    with run.lock(), Terminal(size=(80, 24)) as terminal:
        terminal.shows("alive", "running")
        terminal.press(CTRL_Q)
        terminal.shows("Quit while training")
        terminal.press(b"k")
        terminal.shows(f"{run.name} goes on")
        assert "llmlab-tui runs" in " ".join(terminal.text.split())
        assert terminal.ended() == 0
