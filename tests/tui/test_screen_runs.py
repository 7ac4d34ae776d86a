"""The list of runs, and the questions that stand before what cannot be undone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pseudoterminal import PROJECT
from rich.cells import cell_len
from stage import (
    HOSTILE,
    SIZES,
    FakeTrainers,
    at_sizes,
    controls,
    evaluated,
    recorded,
    sample,
    shown,
    shows,
    started,
    step,
    until,
)
from textual.events import MouseScrollDown
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints import store, trash
from checkpoints.journal import Reader
from checkpoints.run import Run
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.gpt.spec import build
from engine.runs import notes, owner, queue
from engine.runs.events import Classified, Event, Step
from engine.runs.listing import Summary
from engine.runs.messages import Continue, Pause, SampleNow, SaveNow, SetLearningRate, Stop
from engine.runs.spec import to_dict
from tui.app import LabApp
from tui.runs import views
from tui.runs.pane import RunsPane
from tui.themes import PALETTES
from tui.tokens.pane import TokensPane
from tui.widgets.key_bar import KeyBar
from tui.widgets.line_table import TableView
from tui.widgets.lines import Lines

pytestmark = pytest.mark.usefixtures("trainers")


async def list_runs(pilot: Pilot[int], count: int) -> None:
    """Go to the list and wait until it shows ``count`` runs."""
    await shows(pilot, "Start training")
    await pilot.press("7")
    await until(pilot, lambda: [len(table.entries) for table in pilot.app.query(TableView)] == [count])
    await pilot.pause()


async def asked(pilot: Pilot[int], text: str) -> None:
    """Wait for a question."""
    await until(pilot, lambda: isinstance(pilot.app.screen, ModalScreen))
    await shows(pilot, text)


async def begin(pilot: Pilot[int], trainers: FakeTrainers) -> None:
    """Start a run of the stand-in."""
    await shows(pilot, "Start training")
    await pilot.press("f5")
    await until(pilot, lambda: pilot.app.pane.running and pilot.app.pane.story.step == 5)  # type: ignore[attr-defined]


def lit(pilot: Pilot[int]) -> list[str]:
    """The keys of the key bar."""
    return [f"{key.name} {key.title}" for key in pilot.app.query_one(KeyBar).keys]


async def test_a_run_that_a_process_owns_has_no_key_that_resumes_it() -> None:
    run = recorded("owned")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        with run.lock():
            await list_runs(pilot, 1)
            await until(pilot, lambda: "c Copy" in lit(pilot))
            assert "Enter Open" in lit(pilot)
            assert "r Resume" not in lit(pilot)
        await until(pilot, lambda: "r Resume" in lit(pilot))


async def test_without_runs_the_list_says_how_to_begin() -> None:
    async with LabApp().run_test(size=SIZES[1]) as pilot:
        await list_runs(pilot, 0)
        async for _ in at_sizes(pilot):
            await shows(pilot, "No runs yet", "F5")
        for key in ("enter", "r", "x", "d", "delete"):  # nothing is selected, nothing happens
            await pilot.press(key)
        await pilot.pause()
        assert len(pilot.app.screen_stack) == 1


async def test_every_run_is_listed_with_state_steps_and_best_loss() -> None:
    recorded("first")
    recorded("second", lambda run: [started(run), step(1), step(7)])
    async with LabApp().run_test(size=SIZES[1]) as pilot:
        await list_runs(pilot, 2)
        async for size in at_sizes(pilot):
            steps = ("100 / 100", "7 / 100") if size[0] >= 80 else ()
            await shows(pilot, "✓ finished", "▲ interrupted", "first", "second", "2.5000 nats", *steps)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_marked_trainings_are_compared_in_one_plot_and_in_a_sentence(size: tuple[int, int]) -> None:
    def falling(by: float) -> Callable[[str], list[Event]]:
        return lambda run: [started(run), *(evaluated(20 * n, 4.0 - by * n) for n in range(1, 6))]

    recorded("slow", falling(0.2)).write_json("spec.json", {"corpus": "x", "width": 64, "steps": 100, "name": "slow"})
    recorded("fast", falling(0.4)).write_json("spec.json", {"corpus": "x", "width": 96, "steps": 100, "name": "fast"})
    async with LabApp().run_test(size=size) as pilot:
        await list_runs(pilot, 2)
        pane, plot = pilot.app.query_one(RunsPane), pilot.app.query_one("#runs-plot", Lines)
        if size[0] < 100:
            assert not plot.display
            await pilot.press("l")
        await shows(pilot, "Space marks a training")
        names = [summary.name[-4:] for summary in pane.table.entries]
        pane.table.move(names.index("slow"))
        await pilot.press("space")
        await until(pilot, lambda: len(pane._losses) == 1)
        pane.table.move(names.index("fast"))
        await pilot.press("space")
        await shows(pilot, "fast differs from slow: width 64 → 96. Its best is 1.000 nats lower.")
        rows = {mark: [y for y, line in enumerate(plot._strips) if mark in line.text] for mark in "●◆"}
        assert min(rows["◆"]) < max(rows["◆"])  # the loss falls
        assert max(rows["●"]) < max(rows["◆"])  # and further with the second
        assert "● slow 3.0000  ◆ fast 2.0000" in shown(pilot.app) or size[0] < 100
        await pilot.press("space")
        await until(pilot, lambda: len(pane._losses) == 1)
        assert "differs" not in shown(pilot.app)


async def test_enter_in_a_question_changes_nothing_and_the_pane_stays_visible_behind_it() -> None:
    run = recorded("kept")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        await pilot.press("d")
        await asked(pilot, "Delete this run?")
        focused = pilot.app.focused
        assert focused is not None
        assert focused.id == "keep"
        assert focused.styles.background.hex.lower() == PALETTES["lab-dark"]["accent"]
        await until(pilot, lambda: "newest" in pilot.app.export_screenshot())
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        assert run.events.exists()


@pytest.mark.parametrize(
    ("size", "told"), [(None, "/runs/verse"), (900, "< 1 MiB in /runs/verse"), (5 << 20, "5 MiB in /runs/verse")]
)
def test_the_facts_of_a_run_have_its_place_on_the_disk(size: int | None, told: str) -> None:
    known = Summary("verse", "/runs/verse", "finished", parameters=803_000, preset="fast", checkpoints=2, size=size)
    lines = views.about(known, 100).plain.splitlines()
    assert f"on disk  2 checkpoints, {told}" in lines
    assert any(line.startswith("model    fast, 803 k parameters, trained on") for line in lines)
    compared = replace(known, task="classify", accuracy=0.9)
    assert f"on disk  {told}" in views.about(compared, 100).plain.splitlines()


def test_the_path_of_a_run_is_shortened_at_its_beginning() -> None:
    known = Summary("verse", "/有/" + "deep/" * 30 + "runs/verse", "finished", checkpoints=2, size=900)
    for width in range(60, 200):
        for about in (known, replace(known, task="choose"), replace(known, why="spec.json is damaged")):
            (line,) = (line for line in views.about(about, width).plain.splitlines() if "verse" in line)
            assert line.endswith("runs/verse")
            assert cell_len(line) <= width
            assert line.endswith(known.path) or cell_len(line) >= width - 1


@pytest.mark.parametrize("cells", [80, 120])
async def test_the_name_of_a_run_in_a_deep_directory_is_on_the_screen(
    cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path / "/".join(["a-directory"] * 12)))
    run = recorded("poem")
    async with LabApp().run_test(size=(cells, 24)) as pilot:
        await list_runs(pilot, 1)
        (line,) = (line for line in shown(pilot.app).splitlines() if "on disk" in line)  # type: ignore[arg-type]
        assert line.rstrip().endswith(f"/runs/{run.name}")
        assert " in …" in line


def test_losses_are_read_as_they_were_evaluated_and_forgotten_where_a_run_went_back() -> None:
    run = recorded("past")
    assert views.LossReader(run).read().points == [(20 * n, pytest.approx(3.0 - n / 10)) for n in range(6)]
    with run.events.open("ab") as journal:
        for line in (b'{"event":"evaluated","step":"x"}', b"[1]", b'{"evaluated"', b'{"event":"started","step":40}'):
            journal.write(line + b"\n")
    assert [step for step, _ in views.LossReader(run).read().points] == [0, 20, 40]


async def test_a_look_at_the_runs_reads_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [recorded(f"run{number}") for number in range(12)]
    trash.delete(made.pop())
    opened: list[Path] = []
    open_file, lines = store.open_file, Reader.lines
    read: list[bytes] = []
    monkeypatch.setattr("tui.runs.pane.REFRESH", 1e6)  # the looks are those below
    monkeypatch.setattr(store, "open_file", lambda path: opened.append(path) or open_file(path))
    monkeypatch.setattr(Reader, "lines", lambda self: read.extend(found := lines(self)) or found)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, len(made))
        pane = pilot.app.query_one(RunsPane)
        await pilot.press("space")
        await until(pilot, lambda: len(pane._losses) == 1)
        (marked,) = pane._marked

        async def look() -> list[str]:
            opened.clear()
            read.clear()
            await pane.look().wait()
            return sorted(f"{path.parent.name}/{path.name}" for path in opened)

        assert await look() == [f"{places.runs().name}/{queue.FILE}"]
        assert not read
        with Run(places.runs() / marked).events.open("ab") as journal:
            journal.write(b'{"event":"evaluated","step":120,"val_loss":1.25}\n')
        assert {path.split("/")[0] for path in await look()} == {marked, places.runs().name}
        assert len(read) == 1
        assert pane._losses[0].points[-1] == (120, 1.25)


async def test_runs_that_cannot_be_read_are_listed_beside_the_others_and_say_why(home: Path) -> None:
    recorded("good")
    bad = {name: recorded(name) for name in ("a-newer", "b-listed", "c-blocked", "d-odd")}
    bad["a-newer"].write_json("spec.json", {"task": "rank"})
    bad["b-listed"].write_json("spec.json", {"task": ["train"]})
    (bad["c-blocked"].path / "spec.json").unlink()
    os.mkfifo(bad["c-blocked"].path / "spec.json")
    bad["d-odd"].events.write_text('{"event":"finished"}\n{"event":"step","step":"ten"}\n' + "[" * 100_000)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 5)
        await shows(pilot, "finished", "interrupted")
        assert shown(pilot.app).count("unreadable") == 3
        table = pilot.app.query_one(TableView)
        rows = {summary.name: row for row, summary in enumerate(table.entries)}
        whys = {"a-newer": "the task 'rank'", "b-listed": "['train']", "c-blocked": "spec.json: not a regular file"}
        for name, why in whys.items():
            table.move(rows[bad[name].name])
            await shows(pilot, "unreadable: ", why)
            await until(pilot, lambda: not {"r Resume", "c Copy", "x Export"} & set(lit(pilot)))
        for key in ("enter", "r", "c", "x"):
            await pilot.press(key)
            await asked(pilot, "This run cannot be read")
            await pilot.press("escape")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        (bad["c-blocked"].path / "spec.json").unlink()
        bad["c-blocked"].write_json("spec.json", bad["d-odd"].read_json("spec.json"))
        table.move(rows[bad["a-newer"].name])
        await until(pilot, lambda: shown(pilot.app).count("unreadable") == 2 + 1)  # the panel tells of this one


async def test_a_run_that_becomes_unreadable_is_not_opened_as_another_task(trainers: FakeTrainers) -> None:
    run = recorded("good")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        run.write_json("spec.json", {"task": "rank"})  # the list does not know yet
        for key in ("enter", "c"):
            await pilot.press(key)
            await asked(pilot, "The run cannot be opened" if key == "enter" else "The run cannot be copied")
            await shows(pilot, "the task 'rank'")
            await pilot.press("escape")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        (run.path / "spec.json").write_text("{")
        await pilot.press("r")
        await shows(pilot, "The run cannot be resumed", "spec.json is damaged")
        assert (run.path / "spec.json").read_text() == "{"  # no default spec is trained in its place
        assert not trainers.started


async def test_the_table_takes_the_columns_that_a_new_width_has_room_for() -> None:
    recorded("first")
    recorded("second", lambda run: [started(run), step(1), step(7)])
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 2)
        await pilot.press("down")
        table, chosen = pilot.app.query_one(TableView), pilot.app.query_one(RunsPane).selected
        for width, columns in ((60, "state name best"), (80, "state name steps best age")):
            await pilot.resize_terminal(width, 24)
            await until(
                pilot,
                lambda columns=columns: columns == " ".join(one.title.strip() for one in table.table.columns),
            )
            await shows(pilot, " first ", "2.5000")
            assert table.table.width <= table.size.width
            assert pilot.app.query_one(RunsPane).selected == chosen
        await pilot.resize_terminal(120, 40)
        await shows(pilot, "age", "second", "2.5000")


@pytest.mark.parametrize("size", SIZES[1:3])
async def test_a_filter_and_an_order_choose_what_the_table_shows(size: tuple[int, int]) -> None:
    for number in range(12):
        recorded(
            f"run-{number:02}",
            lambda name, loss=3.0 - number / 10: [started(name), step(1), evaluated(1, loss)],  # type: ignore[misc]
            seed=str(number),
        )
    async with LabApp().run_test(size=size) as pilot:
        await list_runs(pilot, 12)
        table = pilot.app.query_one(RunsPane).table

        def names() -> list[str]:
            return [entry.name[-2:] for entry in table.entries]

        await pilot.press("s")
        assert names() == [f"{number:02}" for number in range(11, -1, -1)]
        await shows(pilot, "12 runs, by best,")
        await pilot.press("s")
        assert names() == [f"{number:02}" for number in range(12)]
        await pilot.press("slash", *"best<2.5 seed!=7")
        await shows(pilot, "5 of 12 runs, by name,")
        assert names() == ["06", "08", "09", "10", "11"]
        await pilot.press("backspace", *"x1")
        await pilot.press(*" seed<")
        await shows(pilot, "there is no number after <")
        assert len(names()) == 12
        assert pilot.app.query_one(RunsPane).is_on_screen
        await pilot.press("escape")
        await shows(pilot, "12 runs, by name")
        assert pilot.app.focused is table


def compared_run(name: str, seed: int) -> runs.Run:
    """A run whose losses depend on its seed."""

    def told(run: str) -> list[Event]:
        events: list[Event] = [started(run)]
        for number in range(1, 41):
            events.append(step(number, 3.0 - number / 20 + seed / 10))
            if number % 10 == 0:
                events += [
                    evaluated(number, 3.0 - number / 25 + seed / 10),
                    *sample(number, f"{name}-{number} {HOSTILE}"),
                ]
        return events

    return recorded(name, told, seed=str(seed))


@pytest.mark.parametrize("size", SIZES[1:3])
async def test_marked_runs_are_compared_with_one_cursor(size: tuple[int, int]) -> None:
    for seed in (1, 2):
        compared_run(f"run{seed}", seed)
    async with LabApp().run_test(size=size) as pilot:
        await list_runs(pilot, 2)
        assert not pilot.app.query_one(RunsPane).check_action("compare", ())
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: pilot.app.query_one(RunsPane).check_action("compare", ()))
        await pilot.press("v")
        await asked(pilot, "Compare 2 runs")
        await shows(pilot, "loss at 40", "1.5000", "1.6000", "seed", "run1-40" if size[0] > 100 else "run2")
        assert not controls(pilot.app)  # type: ignore[arg-type]
        await pilot.press("left", "left")
        await shows(pilot, "loss at 20", "2.3000", "2.4000")
        if size[0] > 100:
            await shows(pilot, "run1-20", "run2-20")
        await pilot.press("left", "left", "left", "right")
        await shows(pilot, "loss at 20", "2.3000")
        await pilot.press("a")
        await shows(pilot, "by epoch", "loss at")
        await pilot.press("s", "g")
        await shows(pilot, "training loss smoothed", ", log") if size[0] > 100 else None
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ModalScreen))


async def test_runs_are_renamed_tagged_pinned_deleted_together_and_restored() -> None:
    for seed in (1, 2, 3):
        compared_run(f"run{seed}", seed)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 3)
        pane = pilot.app.query_one(RunsPane)

        def listed() -> list[str]:
            return [entry.name[-4:] for entry in pane.table.entries]

        assert listed() == ["run3", "run2", "run1"]
        await pilot.press("end", "e")
        await asked(pilot, "Title")
        await pilot.press(*"base", "enter")
        await shows(pilot, "base")
        await pilot.press("g")
        await asked(pilot, "Tags")
        await pilot.press(*"slow", "space", *"old", "enter")
        await shows(pilot, "base #slow #old")
        await pilot.press("p")
        await until(pilot, lambda: listed() == ["run1", "run3", "run2"])
        await pilot.press("m")
        await asked(pilot, "Note")
        await pilot.press(*"why", "enter")
        (first,) = [run for run in runs.every(places.runs()) if run.name.endswith("run1")]
        await until(pilot, lambda: notes.read(first) == notes.Notes("base", ("slow", "old"), "why", True))
        await pilot.press("slash", *"old", "enter")
        await until(pilot, lambda: listed() == ["run1"])
        await pilot.press("escape", "home", "down", "space", "down", "space", "d")
        await asked(pilot, "Delete these 2 runs?")
        await pilot.press("d")
        await until(pilot, lambda: listed() == ["run1"])
        await until(pilot, lambda: pane.check_action("restore", ()))
        await pilot.press("u")
        await until(pilot, lambda: len(listed()) == 2)
        await pilot.press("u")
        await until(pilot, lambda: listed() == ["run1", "run3", "run2"])
        assert not pane.check_action("restore", ())


async def test_clicks_the_wheel_and_keys_move_the_cursor_and_rows_beyond_the_screen_come_into_view() -> None:
    for number in range(30):
        recorded(f"run-{number:02}")
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await list_runs(pilot, 30)
        pane = pilot.app.query_one(RunsPane)

        def chosen() -> str:
            assert pane.selected is not None
            return pane.selected.name[-6:]

        listed = [entry.name[-6:] for entry in pane.table.entries]
        assert chosen() == listed[0]
        await pilot.click(TableView, offset=(5, 5))  # below the border and the heading
        assert chosen() == listed[3]
        pane.table.post_message(MouseScrollDown(pane.table, 5, 5, 0, 1, 0, False, False, False))
        await until(pilot, lambda: chosen() == listed[4])
        assert listed[29] not in shown(pilot.app)  # type: ignore[arg-type]
        await pilot.press("end")
        await shows(pilot, listed[29])
        assert (chosen(), pane.table.cursor) == (listed[29], 29)
        await pilot.press("pageup", "up", "home")
        assert chosen() == listed[0]
        await shows(pilot, listed[0])
        await pilot.click(TableView, offset=(5, 2))  # the row of the cursor: it is opened
        await shows(pilot, "sample-100")


async def test_runs_with_hostile_names_and_corpora_are_listed_as_text(home: Path) -> None:
    run = recorded("plain", lambda name: [started(name, corpus=HOSTILE), step(1)])
    run.path.rename(run.path.with_name("20990101-000000-[red]x\x1b]0;PAYLOAD\x07[bold"))
    async with LabApp().run_test(size=(200, 50)) as pilot:
        await list_runs(pilot, 1)
        await shows(pilot, "␛]0;PAYLOAD")
        await pilot.press("d")
        await asked(pilot, "Delete this run?")
        assert controls(pilot.app) == []  # type: ignore[arg-type]
        await pilot.press("escape")
        await pilot.press("x")
        await asked(pilot, "Export")
        await pilot.pause()
        assert controls(pilot.app) == []  # type: ignore[arg-type]


async def test_a_run_is_deleted_only_after_a_yes() -> None:
    run = recorded("kept")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        for answer in ("escape", "k"):
            await pilot.press("d")
            await asked(pilot, "Delete this run?")
            assert run.name in shown(pilot.app)  # type: ignore[arg-type]
            await pilot.press(answer)
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
            await pilot.pause(0.1)
            assert run.path.is_dir()
        await pilot.press("delete")
        await asked(pilot, "Delete this run?")
        await pilot.press("d")
        await until(pilot, lambda: not run.path.exists())
        await shows(pilot, "No runs yet")
    assert trash.restore(places.runs(), "latest") == run
    assert run.path.is_dir()


async def test_a_run_in_use_is_not_deleted_and_its_owner_is_named() -> None:
    run = recorded("busy")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        with run.lock():
            await pilot.press("d")
            await asked(pilot, "Delete this run?")
            await pilot.press("d")
            await asked(pilot, "in use by process")
        assert run.path.is_dir()
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


async def test_a_finished_run_is_resumed_only_to_a_later_step(trainers: FakeTrainers) -> None:
    run = recorded("done")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        await pilot.press("r")
        await asked(pilot, "is finished")
        box = pilot.app.screen.query_one(Input)
        for wrong in ("50", "soon"):
            box.value = wrong
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(pilot.app.screen, ModalScreen)
        box.value = "150"
        await pilot.press("enter")
        await until(pilot, lambda: trainers.started)
        assert trainers.started[0] == run
        assert json.loads((run.path / "spec.json").read_text())["steps"] == 150


async def test_an_interrupted_run_is_resumed_without_a_question(trainers: FakeTrainers) -> None:
    run = recorded("lost", lambda name: [started(name), step(1)])
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        await pilot.press("r")
        await until(pilot, lambda: trainers.started == [run])
        await shows(pilot, "● running", "lost")


async def test_keys_of_the_run_send_messages_to_its_trainer(trainers: FakeTrainers) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await begin(pilot, trainers)
        await pilot.press("f6")
        await shows(pilot, "paused")
        await pilot.press("f6")
        await shows(pilot, "● running")
        await pilot.press("w")
        await pilot.press("f8")
        await asked(pilot, "Sample now")
        await pilot.press(*"mare", "enter")
        await until(pilot, lambda: SampleNow("mare") in trainers.messages)
        await pilot.press("l")
        await asked(pilot, "Learning rate")
        box = pilot.app.screen.query_one(Input)
        box.value = "7"
        await pilot.press("enter")
        await shows(pilot, "must be above 0")
        box.value = "2e-4"
        await pilot.press("enter")
        await until(pilot, lambda: SetLearningRate(2e-4) in trainers.messages)
        await pilot.press("f7")
        await shows(pilot, "stopped")
        assert trainers.messages == [
            Pause(), Continue(), SaveNow(), SampleNow("mare"), SetLearningRate(2e-4), Stop(),
        ]  # fmt: skip


async def test_keys_of_a_run_do_nothing_when_nothing_trains(trainers: FakeTrainers) -> None:
    recorded("past")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        await pilot.press("enter")
        await shows(pilot, "sample-100")
        for key in ("f6", "f7", "w", "l"):
            await pilot.press(key)
        await pilot.pause()
        assert len(pilot.app.screen_stack) == 1
        assert not trainers.messages


@pytest.mark.parametrize(("answer", "stops", "leaves"), [("k", False, True), ("s", True, True), ("c", False, False)])
async def test_leaving_asks_about_a_run_that_trains(
    trainers: FakeTrainers,
    answer: str,
    stops: bool,
    leaves: bool,
) -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await begin(pilot, trainers)
        await pilot.press("q")
        await asked(pilot, "Quit while training?")
        await pilot.press(answer)
        if leaves:
            await until(pilot, lambda: app.return_value == 0)
        else:
            await until(pilot, lambda: len(app.screen_stack) == 1)
            await pilot.pause(0.1)
            assert app.return_value is None
        assert (Stop() in trainers.messages) is stops


async def test_leaving_twice_leaves_without_an_answer(trainers: FakeTrainers) -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await begin(pilot, trainers)
        await pilot.press("ctrl+c")
        await asked(pilot, "Quit while training?")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.return_value == 0)
        assert Stop() not in trainers.messages


async def test_without_a_training_run_leaving_does_not_ask() -> None:
    app = LabApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("q")
        await until(pilot, lambda: app.return_value == 0)


async def test_a_second_run_is_started_only_after_a_question(trainers: FakeTrainers) -> None:
    other = recorded("other", lambda name: [started(name), step(1)])
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        with other.lock():
            await pilot.press("f5")
            await asked(pilot, "A run is already training")
            await pilot.press("c")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
            assert not trainers.started
            await pilot.press("f5")
            await asked(pilot, "A run is already training")
            await pilot.press("s")
            await until(pilot, lambda: trainers.started)


async def test_a_start_that_is_asked_for_twice_at_once_is_one_run(trainers: FakeTrainers) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("f5", "f5", "f5")
        await until(pilot, lambda: pilot.app.pane.running)  # type: ignore[attr-defined]
        await pilot.pause(0.2)
        assert len(trainers.started) == len(runs.every(places.runs())) == 1
        await pilot.press("f5")  # beside its curve, F5 starts nothing
        await pilot.press("n", "f5")  # its process does not own it yet, but everybody can see that it is there
        await asked(pilot, "A run is already training")
        await pilot.press("c")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        await pilot.pause(0.1)
        assert len(trainers.started) == 1


@pytest.mark.parametrize("size", [SIZES[0], SIZES[-1]])
async def test_help_doctor_and_palette_open_and_close(size: tuple[int, int]) -> None:
    async with LabApp().run_test(size=size) as pilot:
        await shows(pilot, "Start training")
        for key, text in (("f1", "Keys"), ("question_mark", "Keys"), ("f12", "versions"), ("ctrl+p", "Search")):
            await pilot.press(key)
            await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
            await shows(pilot, text)
            await pilot.press("escape")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        for key in ("f1", "f12"):  # the key that opens a page closes it
            await pilot.press(key)
            await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
            await pilot.press(key)
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


async def test_the_palette_carries_out_what_is_chosen() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        theme = pilot.app.theme
        await pilot.press("ctrl+p")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await pilot.press(*"theme")
        listed = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: listed.highlighted_option and "Theme" in str(listed.highlighted_option.prompt))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.theme != theme)


async def test_the_palette_offers_what_can_be_done_now_and_finds_what_other_panes_can_do() -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        offered = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"Start", "Screenshot", "Theme", "Defaults"} <= offered.keys()
        assert not {"Pause", "Stop", "Resume", "Rate", "Save"} & offered.keys()
        assert offered["Start"].discover
        assert not offered["Tokens: Dante"].discover
        await pilot.press("ctrl+p")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await pilot.press(*"tokens dante")
        listed = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: listed.highlighted_option and "Dante" in str(listed.highlighted_option.prompt))
        await pilot.press("enter")
        await until(pilot, lambda: app.here.id == "tokens")
        await until(pilot, lambda: app.query_one(TokensPane).editor.buffer.text.count("\n") > 3)


async def test_a_screenshot_is_a_picture_of_the_screen(home: Path) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("f9")
        await until(pilot, lambda: list(home.glob("screenshots/*.svg")))
        await until(pilot, lambda: "training" in next(home.glob("screenshots/*.svg")).read_text())


async def test_a_question_is_answered_before_anything_else_is_done(trainers: FakeTrainers) -> None:
    recorded("kept")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        await pilot.press("d")
        await asked(pilot, "Delete this run?")
        for key in ("f5", "f1", "f12", "7", "1", "t"):
            await pilot.press(key)
        await pilot.pause(0.2)
        assert len(pilot.app.screen_stack) == 2
        assert not trainers.started


async def test_the_theme_goes_round_and_every_one_can_draw_the_screen() -> None:
    recorded("past")
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await list_runs(pilot, 1)
        await pilot.press("enter")
        await shows(pilot, "sample-100")
        first, seen = pilot.app.theme, []
        for _ in range(3):
            await pilot.press("t")
            await until(pilot, lambda: pilot.app.theme != (seen[-1] if seen else first))
            seen.append(pilot.app.theme)
            await shows(pilot, "sample-100", "finished")
        assert len(set(seen)) == 3
        assert seen[-1] == first


@pytest.mark.parametrize("kind", ["a file in its place", "a file above it"])
async def test_a_home_that_cannot_hold_runs_is_explained_and_not_a_crash(
    home: Path,
    trainers: FakeTrainers,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    home.write_text("a file, not a folder")
    if kind == "a file above it":
        monkeypatch.setenv("LLMLAB_HOME", str(home / "below"))
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("f5")
        await asked(pilot, "The run could not be started")
        await shows(pilot, "LLMLAB_HOME")
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        await pilot.press("7")
        await shows(pilot, "No runs yet")
        await pilot.press("f12")
        await shows(pilot, "versions")
        assert not trainers.started


def test_opening_the_screen_does_not_import_torch() -> None:
    code = (
        "import sys, tui.app, tui.start; print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


async def test_figures_of_a_stopped_comparison_are_marked_as_partial() -> None:
    for name, judged in (("some", 33), ("all", 300)):
        run = choose_runs.create(ChooseSpec(name=name))
        list(owner.record(run, iter([Classified("stopped", 1, None, run.name, 1.0, {})])))
        run.write_json("results.json", {"zero-shot": {"accuracy": 0.512, "judged": judged, "of": 300}})
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 2)
        named = {
            summary.name.rpartition("-")[2]: row for row, summary in enumerate(pilot.app.query_one(TableView).entries)
        }
        await shows(pilot, "51.2% ", "51.2%*")
        pilot.app.query_one(TableView).move(named["some"])
        await shows(pilot, "accuracy 51.2%* on the evaluated questions (* partial: 33 of 300)")
        pilot.app.query_one(TableView).move(named["all"])
        await until(pilot, lambda: "partial" not in shown(pilot.app))


@pytest.mark.parametrize("preset", ["nano", "fast"])
async def test_the_rate_dialog_offers_the_peak_of_the_schedule(trainers: FakeTrainers, preset: str) -> None:
    """In warm-up, at the top and in the fall; the peak is what was set last, not what the run was asked for."""
    spec = build({"preset": preset, "steps": 100, "warmup": 20}, preset_for_auto="nano")
    assert spec.learning_rate != 3e-4
    told = [Step(number, 3.0, spec.rate(number - 1, 3e-4), 0.5, 1000.0, 0.1, 1.0) for number in range(1, 91)]
    trainers.play = lambda run: [started(run), told[0]]
    run = recorded("rates", preset=preset, steps=100, warmup=20)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 1)
        await pilot.press("r")
        await asked(pilot, "Continue to which step?")
        pilot.app.screen.query_one(Input).value = "101"
        await pilot.press("enter")
        story = pilot.app.pane.story  # type: ignore[attr-defined]
        await until(pilot, lambda: story.step == 1)
        run.write_json("spec.json", to_dict(spec))
        for reached in (1, 40, 90):
            for event in told[story.step : reached]:
                story.fold(event)
            assert story.step == reached
            await pilot.press("l")
            await asked(pilot, "New peak learning rate")
            assert pilot.app.screen.query_one(Input).value == "3e-4"
            await pilot.press("escape")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


async def test_runs_with_unknown_presets_are_copied_and_the_form_says_so() -> None:
    for number, preset in enumerate(("gigantic", "", "[red]")):
        run = recorded(f"newer{number}")
        run.write_json("spec.json", {**run.spec(), "preset": preset})
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await list_runs(pilot, 3)
        for row in range(3):
            pilot.app.query_one(TableView).move(row)
            await pilot.press("c")
            await until(pilot, lambda: pilot.app.here.id == "train")  # type: ignore[attr-defined]
            await until(pilot, lambda: "preset: " in str(pilot.app.query_one("#form .problems").render()))
            await pilot.press("f5")
            await until(pilot, lambda: pilot.app.focused is pilot.app.query_one("#field-preset"))
            await pilot.press("right")
            await until(pilot, lambda: pilot.app.query_one("#field-preset").value == "auto")  # type: ignore[attr-defined]
            await until(pilot, lambda: "preset: " not in str(pilot.app.query_one("#form .problems").render()))
            await pilot.press("7")
            await until(pilot, lambda: pilot.app.here.id == "runs")  # type: ignore[attr-defined]
