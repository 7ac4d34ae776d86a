"""Keys, clicks, sizes and errors that come while something is being opened, closed or left."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from rich.style import Style
from stage import FakeTrainers, recorded, shows, until
from textual import events
from textual.app import ComposeResult
from textual.command import CommandList, CommandPalette
from textual.geometry import Size
from textual.pilot import Pilot
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher, LoadingIndicator, OptionList, Static

from checkpoints import trash
from checkpoints.run import Run
from tui import panes
from tui.app import LabApp
from tui.pane import Pane
from tui.runs.pane import RunsPane
from tui.train.runs import Trainings
from tui.widgets.key_bar import KeyBar


def packet(pilot: Pilot[Any], *keys: str) -> None:
    """Keys that the terminal sends at once: the next one is there before the one before has done anything."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))


def dialog(pilot: Pilot[Any]) -> bool:
    return isinstance(pilot.app.screen, ModalScreen)


async def show_runs(pilot: Pilot[Any]) -> None:
    """The Runs pane with the cursor on a run."""
    await shows(pilot, "Start training")
    await pilot.press("7")
    await until(pilot, lambda: any(pane.selected for pane in pilot.app.query(RunsPane)))


class SlowPane(Pane):
    """Needs its widgets when it is shown, and gets them when ``ready`` is set."""

    ready: asyncio.Event

    def compose(self) -> ComposeResult:
        yield Static(id="inside")

    async def mount_composed_widgets(self, widgets: list[Widget]) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ready.wait(), 5.0)
        await super().mount_composed_widgets(widgets)

    def arrive(self) -> None:
        self.query_one("#inside")


@pytest.fixture
async def composed(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Panes are not composed until it is set."""
    SlowPane.ready = asyncio.Event()
    make = panes.make
    monkeypatch.setattr(panes, "make", lambda name: make(name) if name == "train" else SlowPane(id=name))
    return SlowPane.ready


# -- panes -----------------------------------------------------------------------------------------------------------


async def test_a_pane_asked_for_again_while_it_is_composed_is_shown_when_it_is(composed: asyncio.Event) -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_pane("runs")
        while not app.query("#panes > #runs"):
            await asyncio.sleep(0)
        app.action_show_pane("runs")
        for _ in range(100):
            await asyncio.sleep(0)
        assert app.here.id == "train"
        composed.set()
        await until(pilot, lambda: app.here.id == "runs")


async def test_two_presses_of_f2_show_the_second_next_pane_and_a_later_wish_replaces_them(
    composed: asyncio.Event,
) -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        packet(pilot, "f2", "f2")
        await until(pilot, lambda: app.query("#panes > #tokens"))
        composed.set()
        await until(pilot, lambda: app.here.id == "generate")
        packet(pilot, "4", "1")
        await until(pilot, lambda: app.query("#panes > #classify"))
        await pilot.pause(0.1)
        assert app.here.id == "train"


# -- dialogs ---------------------------------------------------------------------------------------------------------


async def test_an_answer_given_twice_in_one_packet_answers_once(trainers: FakeTrainers) -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("f5")
        await until(pilot, lambda: app.pane.running)
        await pilot.press("q")
        await shows(pilot, "Quit while training?")
        packet(pilot, "c", "c")
        await until(pilot, lambda: not dialog(pilot))
        await pilot.press("f1")
        await shows(pilot, "On this screen")
        packet(pilot, "escape", "escape", "escape")
        await until(pilot, lambda: not dialog(pilot))
        assert app.is_running
        assert app.pane.running


async def test_a_run_is_kept_and_exported_once_when_the_answer_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = recorded("past")
    exported: list[Path] = []

    def export(_: Trainings, run: Run, folder: Path) -> str:
        exported.append(folder)
        return f"written to {folder}"

    monkeypatch.setattr(Trainings, "export", export)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await show_runs(pilot)
        await pilot.press("d")
        await shows(pilot, "Delete this run?")
        packet(pilot, "k", "k")
        await until(pilot, lambda: not dialog(pilot))
        await pilot.press("x")
        await until(pilot, lambda: dialog(pilot))
        packet(pilot, "enter", "enter")
        await until(pilot, lambda: exported and not dialog(pilot))
        await pilot.pause(0.1)
        assert len(exported) == 1
        assert run.path.is_dir()


# -- the palette -----------------------------------------------------------------------------------------------------


async def test_a_double_click_beside_the_palette_closes_it_alone() -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: CommandPalette.is_open(app))
        await pilot.pause()
        for kind in (events.MouseDown, events.MouseUp) * 2:
            app.post_message(kind(None, 2, 38, 0, 0, 1, False, False, False, 2, 38))  # type: ignore[abstract]
        await until(pilot, lambda: not dialog(pilot))
        await pilot.pause()
        assert app.is_running


async def test_a_click_beside_a_screen_that_has_shrunk_under_the_palette_does_nothing() -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: CommandPalette.is_open(app))
        await pilot.pause()
        app.screen.post_message(events.Click(app.screen, 100, 40, 0, 0, 1, False, False, False, 100, 40))
        await pilot.press("escape")
        await until(pilot, lambda: not dialog(pilot))


@pytest.mark.usefixtures("trainers")  # an Enter that comes when the palette has closed starts a training
@pytest.mark.parametrize("keys", [("pagedown", "pageup"), ("t", "enter", "enter", "x"), ("a", "escape", "b")])
async def test_keys_for_a_palette_whose_list_has_no_height_or_that_is_closing(
    keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def linger(_: Widget) -> None:
        await asyncio.sleep(0.2)

    monkeypatch.setattr(LoadingIndicator, "on_unmount", linger, raising=False)  # the list is gone, the palette not yet
    app = LabApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("ctrl+p")
        app.screen.query_one(CommandList).styles.height = 0
        await pilot.pause(0.1)
        packet(pilot, *keys)
        await pilot.pause(0.1)
        packet(pilot, *keys, "escape", *keys, "escape", "escape")
        await pilot.pause(0.3)
        app.exit(0)
        await until(pilot, lambda: not app.is_running)
    assert app.return_code == 0


async def test_the_palette_in_a_terminal_of_a_few_columns() -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: app.screen.query_one(CommandList).option_count)
        for width in (9, 7, 6, 5, 3, 1, 80):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
        await shows(pilot, "Search")


async def test_a_click_on_an_option_that_is_gone_and_a_choice_that_comes_when_the_palette_is_closing() -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("ctrl+p")
        options = app.screen.query_one(CommandList)
        await until(pilot, lambda: options.option_count)
        chosen = OptionList.OptionSelected(options, options.get_option_at_index(0), 0)
        late = Style(meta={"option": options.option_count + 5})
        x, y = options.region.x + 1, options.region.y + 1
        options.post_message(events.Click(options, 1, 1, 0, 0, 1, False, False, False, x, y, late))
        await pilot.pause()
        await options.remove()
        app.screen.post_message(chosen)
        await pilot.pause()
        assert app.is_running
        assert CommandPalette.is_open(app)


# -- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("ctrl+q", "f12"), ("ctrl+q", "ctrl+p", "f1", "5")])
async def test_keys_that_wait_behind_the_one_that_leaves_open_nothing(keys: tuple[str, ...]) -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        packet(pilot, *keys)
        await until(pilot, lambda: not app.is_running)
    assert app.return_code == 0


@pytest.mark.parametrize("action", ["doctor", "show_pane('choose')", "command_palette"])
async def test_what_is_opened_in_the_moment_of_leaving_is_not_left_half_made(action: str) -> None:
    app = LabApp()

    async def both() -> None:
        await app.run_action(action)
        await asyncio.sleep(0)
        app.exit(0)

    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        app.call_later(both)
        await until(pilot, lambda: not app.is_running)
    assert app.return_code == 0


# -- sizes -----------------------------------------------------------------------------------------------------------


async def test_sizes_that_have_passed_are_not_laid_out_in_turn_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[Size] = []
    before = Screen._screen_resized
    monkeypatch.setattr(Screen, "_screen_resized", lambda self, size: laid_out.append(size) or before(self, size))
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        laid_out.clear()
        for size in (Size(90, 30), Size(120, 40)):
            app.screen.post_message(events.Resize(size, size))
            app.screen.call_later(lambda: None)  # so that Textual does not merge the two
        for _ in range(300):
            await asyncio.sleep(0)
        assert len(laid_out) <= 2
        assert app.screen.has_class("-wide", "-high")


# -- errors ----------------------------------------------------------------------------------------------------------


async def test_an_error_in_the_worker_of_a_pane_is_shown_once_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded("past")

    def fail(_: Run) -> None:
        raise RuntimeError("the disk is made of cheese")

    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await show_runs(pilot)
        monkeypatch.setattr(trash, "delete", fail)
        await pilot.press("d")
        await shows(pilot, "Delete this run?")
        await pilot.press("d")
        await shows(pilot, "RuntimeError: the disk is made of cheese", "screen.log")
        app.tell("again", app.screen.text)  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: not dialog(pilot))
        assert app.is_running


async def test_a_burst_of_changed_keys_draws_the_last_line_a_few_times_and_ends_with_the_keys_of_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = LabApp()
    drawn = 0
    draw = KeyBar._look

    def counted(bar: KeyBar) -> None:
        nonlocal drawn
        drawn += 1
        draw(bar)

    def shown() -> set[str]:
        return {key.action for key in app.query_one(KeyBar).keys}

    monkeypatch.setattr(KeyBar, "_look", counted)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, shown)
        await pilot.pause(0.2)
        drawn, training = 0, shown()
        for _ in range(100):
            app.screen.bindings_updated_signal.publish(app.screen)
        await pilot.press("2")
        await until(pilot, lambda: shown() and shown() != training)
        await pilot.pause(0.2)
        assert shown() <= {active.binding.action for active in app.screen.active_bindings.values() if active.enabled}
        assert 0 < drawn < 20


async def test_keys_are_looked_up_before_the_first_pane_is_on_the_screen() -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)):
        switcher = app.query_one("#panes", ContentSwitcher)
        shown = switcher.current
        switcher.set_reactive(ContentSwitcher.current, None)  # as while the panes are being mounted
        assert app.screen.active_bindings
        switcher.set_reactive(ContentSwitcher.current, shown)
