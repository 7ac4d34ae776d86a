"""A run on the screen: curve, numbers and sample of a recorded run, and what happens to hostile text."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from stage import (
    HOSTILE,
    SIZES,
    at_sizes,
    controls,
    evaluated,
    recorded,
    sample,
    shown,
    shows,
    started,
    step,
    story,
    until,
    view,
)
from textual.pilot import Pilot

from checkpoints.run import Run
from engine.runs.events import Event, Finished, Notice, Progress, SampleText, Started
from tui.app import LabApp
from tui.runs.pane import RunsPane
from tui.train import views


async def open_first(pilot: Pilot[int]) -> None:
    """Show the newest run from the list."""
    await shows(pilot, "Start training")
    await pilot.press("7")
    await until(pilot, lambda: any(pane.selected for pane in pilot.app.query(RunsPane)))
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.pane.showing_results and pilot.app.pane.story.finished)  # type: ignore[attr-defined]


def tell(app: LabApp, name: str, events: list[Event]) -> None:
    """Show a run of this name that has told these events."""
    app.pane.run_shown = Run(Path(name))
    app.pane.fresh()
    for event in events:
        app.pane.story.fold(event)
    app.pane.show_results()
    app.pane.redraw()


def numbers(app: LabApp) -> dict[str, str]:
    """The figures by name."""
    return views.values(app.pane.story, app.pane.options.cursor)


def below(app: LabApp) -> str:
    """The legend of the curve."""
    return str(app.query_one("#run-curve").border_subtitle)


async def test_a_recorded_run_shows_its_state_curve_numbers_and_sample() -> None:
    run = recorded("past")
    app = LabApp()
    async with app.run_test(size=SIZES[1]) as pilot:
        await open_first(pilot)
        assert run.name.endswith("-past")
        async for size in at_sizes(pilot):
            await shows(pilot, "finished", "past")
            await until(pilot, lambda size=size: "sample-100" in view(app, "run-sample") or size[0] < 70)
            await until(pilot, lambda: any("⠀" < mark <= "⣿" for mark in view(app, "run-curve")))
            await until(pilot, lambda: all(value in view(app, "run-numbers") for value in ("2.500", "3.61")))
            # The lines below the curve get their room with the next layout.
            await until(pilot, lambda: "✓ Finished at step 100, saved." in view(app, "run-notices"))
            assert "told at the end" in view(app, "run-notices")
        assert not app.pane.running


async def test_the_curve_is_drawn_anew_when_the_lines_below_it_take_room() -> None:
    app = LabApp()

    def whole() -> bool:
        """Whether the axis of steps and its labels are the last two lines."""
        return any("└" in line for line in view(app, "run-curve").splitlines()[-2:-1])

    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        tell(app, "run", [event for event in story() if not isinstance(event, Finished)])
        await until(pilot, whole)
        height = app.query_one("#run-curve").size.height
        app.pane.story.fold(Notice("word " * 60, "warning"))
        app.pane.redraw_lines()
        await until(pilot, lambda: app.query_one("#run-curve").size.height < height)
        await until(pilot, whole)


async def test_the_cursor_shows_values_and_sample_of_its_step_and_goes_away_again() -> None:
    recorded("past")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        assert numbers(app)["step"] == "100"
        await pilot.press("left")
        await pilot.press("left")
        await until(pilot, lambda: numbers(app)["step"] == "80")
        assert numbers(app)["batch loss"] == "2.200"
        assert numbers(app)["validation"] == "2.600"
        assert "sample-80" in view(app, "run-sample")
        await pilot.press("right")
        await until(pilot, lambda: "sample-100" in view(app, "run-sample"))
        await pilot.press("home")
        await until(pilot, lambda: "sample-0" in view(app, "run-sample"))
        assert numbers(app)["validation"] == "3.000"
        await pilot.press("left")  # there is nothing before it
        await pilot.pause()
        assert numbers(app)["step"] == "0"
        await pilot.press("escape")
        await until(pilot, lambda: numbers(app)["step"] == "100")
        assert app.pane.options.cursor is None


async def test_the_axis_and_the_smoothing_can_be_changed_and_the_legend_says_so() -> None:
    recorded("past")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        for log in (True, False):  # a key draws the whole story, which the first picture may not have had yet
            await pilot.press("g")
            await until(pilot, lambda log=log: ("log" in below(app)) == log)
        linear = view(app, "run-curve")
        await pilot.press("g")
        await until(pilot, lambda: "log" in below(app))
        assert view(app, "run-curve") != linear
        seen = set()
        for _ in range(4):
            before = app.pane.options.smoothing
            await pilot.press("s")
            await until(pilot, lambda before=before: app.pane.options.smoothing != before)
            seen.add(below(app))
        assert len(seen) == 4
        await pilot.press("g")
        await until(pilot, lambda: view(app, "run-curve") == linear)


async def test_the_figures_on_the_screen_are_those_of_the_run_under_their_names() -> None:
    recorded("past")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        await shows(pilot, "validation")
        last = app.pane.story.evaluations[-1]
        best = min(app.pane.story.evaluations, key=lambda point: point.val_loss)
        first, second = view(app, "run-numbers").splitlines()
        for line, name, value in (
            (first, "validation", last.val_loss),
            (second, "best", best.val_loss),
            (second, "at step", best.step),
            (first, "bits/char", last.val_loss / math.log(2)),
        ):
            assert float(line.partition(name)[2].split()[0].replace(",", "")) == pytest.approx(value, abs=0.006)


@pytest.mark.parametrize("size", [(60, 20), (69, 24)])
async def test_where_curve_and_sample_have_no_room_beside_each_other_a_key_shows_the_other(
    size: tuple[int, int],
) -> None:
    recorded("past")
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        await open_first(pilot)
        await shows(pilot, "loss, nats/char")
        assert "sample-100" not in shown(app)
        await pilot.press("v")
        await shows(pilot, "sample-100")
        assert "loss, nats/char" not in shown(app)
        await pilot.press("left", "v")
        await shows(pilot, "loss, nats/char", "▸ Step 100")


async def test_a_run_is_redrawn_to_fit_whatever_size_the_terminal_takes() -> None:
    recorded("past")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        for width, height in (*SIZES, (61, 19), (30, 8), (10, 3), (120, 40)):
            await pilot.resize_terminal(width, height)
            await until(pilot, lambda width=width, height=height: app.size == (width, height))
            await pilot.pause()
            assert all(len(line) == width for line in shown(app).splitlines())
        await shows(pilot, "sample-100", "finished", "2.500")
        await until(pilot, lambda: any("⠀" < mark <= "⣿" for mark in view(app, "run-curve")))


@pytest.mark.parametrize("size", [SIZES[0], SIZES[-1]])
async def test_nothing_that_a_run_says_is_taken_as_markup_or_as_a_command(size: tuple[int, int]) -> None:
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "Start training")
        tell(app, HOSTILE, [])
        told: list[Event] = [
            Progress(HOSTILE, 0, 0),
            started(HOSTILE, corpus=HOSTILE),
            evaluated(0, 3.0),
            step(1),
            *sample(1, HOSTILE + "[/red]\ud800 end", HOSTILE),
            SampleText(2, HOSTILE, HOSTILE, HOSTILE),
            Notice(HOSTILE, "error", HOSTILE),
        ]
        for number in range(1, len(told) + 1):
            tell(app, HOSTILE, told[:number])
            await pilot.pause()
            assert controls(app) == []
        await shows(pilot, "␛]0;PAYLOAD␇[red]")
        assert "✗ ␛]0;PAYLOAD" in view(app, "run-notices")
        shown(app).encode("utf-8")
        app.pane.action_cursor(-1)
        app.pane.story.fold(Finished(HOSTILE, 2, None, HOSTILE))
        app.pane.redraw()
        await pilot.pause()
        assert controls(app) == []
        assert app.is_running


async def test_losses_that_are_no_numbers_are_survived_and_the_divergence_is_told() -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        bad = [step(2, float("nan")), step(3, float("inf")), step(4, float("-inf")), step(5, 1e30)]
        lost = Notice("the loss became NaN or infinite", "error", "divergence", 5)
        tell(app, "run", [started(), step(1), *bad, lost, Finished("diverged", 5, None, "run")])
        await shows(pilot, "✗ failed", "Failed at step 5", "became NaN or infinite")
        await pilot.press("g")
        await pilot.pause()
        assert app.is_running


async def test_a_damaged_journal_shows_what_can_be_read() -> None:
    run = recorded("past")
    whole = run.events.read_bytes().splitlines(keepends=True)
    extra = [b"\xff\xfe not json\n", b'{"event": "step"}\n', b'{"event": "unknown"}\n', b"[1, 2]\n", b"\n", b"null\n"]
    run.events.write_bytes(b"".join([*whole[:30], *extra, *whole[30:], b'{"event":"step","st']))
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        await shows(pilot, "finished", "sample-100")
        assert numbers(app)["step"] == "100"


async def test_a_resumed_run_forgets_what_was_said_about_later_steps() -> None:
    def told(run: str) -> list[Event]:
        return [*story(run)[:-1], started(run, step=60), *(step(n, 1.0) for n in range(61, 71)), story(run)[-1]]

    recorded("resumed", told)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        await shows(pilot, "sample-60")
        assert [point.step for point in app.pane.story.evaluations] == [0, 20, 40, 60]
        assert numbers(app)["step"] == "70"


async def test_a_run_that_nobody_owns_and_that_never_finished_is_interrupted() -> None:
    recorded("lost", lambda run: [started(run), step(1), step(2)])
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        await shows(pilot, "▲ interrupted", "Interrupted at step 2, not saved")
        assert app.pane.story.started is not None
        assert isinstance(app.pane.story.started, Started)


@pytest.mark.parametrize("number", ["1e308", "-1e308", "NaN", "-Infinity", "1" + "0" * 400, '"many"', "-7", "0"])
async def test_a_journal_of_impossible_numbers_is_shown(number: str) -> None:
    """Each of them in every place of every event, among events as they should be."""
    run = recorded("past")
    whole = [json.loads(line) for line in run.events.read_text("utf-8").splitlines()]
    with run.events.open("a", encoding="utf-8") as journal:
        for record in {record["event"]: record for record in whole}.values():
            for field in record.keys() - {"event"}:
                journal.write(json.dumps({**record, field: "HERE"}).replace('"HERE"', number) + "\n")
        journal.write(json.dumps(whole[-1]) + "\n")
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_first(pilot)
        for key in ("g", "left", "left", "s", "g", "home", "right", "escape"):
            await pilot.press(key)
        await shows(pilot, "finished")
        assert app.is_running
