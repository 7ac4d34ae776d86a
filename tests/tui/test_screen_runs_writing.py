"""What the Runs pane writes about runs and makes of them: each by key, read back from the files."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from stage import HOSTILE, SIZES, FakeTrainers, controls, evaluated, recorded, shown, shows, started, step, until
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run
from engine.report.compare import compare
from engine.runs import notes
from tui.app import LabApp
from tui.runs.pane import RunsPane
from tui.widgets.key_bar import KeyBar

pytestmark = pytest.mark.usefixtures("trainers")


async def list_runs(pilot: Pilot[int], first: str = "") -> RunsPane:
    """Go to the list, and in it to the run whose name ends so."""
    await pilot.press("7")
    await until(pilot, lambda: bool(pilot.app.query(RunsPane)) and bool(pilot.app.query_one(RunsPane).table.entries))
    pane = pilot.app.query_one(RunsPane)
    names = [one.name for one in pane.table.entries]
    pane.table.move(next(place for place, name in enumerate(names) if name.endswith(first)))
    await pilot.pause()
    return pane


async def mark(pilot: Pilot[int], *names: str) -> None:
    """Mark the runs whose names end so."""
    await shows(pilot, "Start training")
    for name in names:
        await list_runs(pilot, name)
        await pilot.press("space")
    await until(pilot, lambda: len(pilot.app.query_one(RunsPane)._losses) == len(names))


async def asked(pilot: Pilot[int], title: str) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, ModalScreen))
    await shows(pilot, title)


async def answer(pilot: Pilot[int], text: str) -> None:
    """Enter a line in the dialog."""
    await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
    pilot.app.screen.query_one(Input).value = text
    await pilot.pause()
    await pilot.press("enter")


def keys(pilot: Pilot[int]) -> list[str]:
    """What the key bar shows."""
    return [shown.title for shown in pilot.app.query_one(KeyBar).keys]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.usefixtures("older_runs")
async def test_a_branch_is_made_by_key_and_what_is_wrong_is_corrected_in_the_dialog(
    size: tuple[int, int], trainers: FakeTrainers
) -> None:
    parent = Run(places.runs() / "verse")
    async with LabApp().run_test(size=size) as pilot:
        await shows(pilot, "Start training")
        await list_runs(pilot, "verse")
        await pilot.press("b")
        await asked(pilot, "Branch")
        await answer(pilot, "999 steps=99")
        await shows(pilot, "has no checkpoint 999")
        assert pilot.app.screen.query_one(Input).value == "999 steps=99"
        await answer(pilot, "last steps=1")
        await shows(pilot, "done 30 steps; give a")
        await answer(pilot, "last steps=99 learning-rate=0.005")
        await until(pilot, lambda: bool(trainers.started))
        made = trainers.started[0].read_json("spec.json")
        last = max(int(one.name.split("-")[-1]) for one in (parent.path / "checkpoints").iterdir())
        assert made["parent"] == f"verse@{last}"
        assert (made["steps"], made["learning_rate"]) == (99, 0.005)
        assert not isinstance(pilot.app.screen, ModalScreen)


@pytest.mark.usefixtures("older_runs")
async def test_metrics_of_the_marked_runs_are_exported_by_key(tmp_path: Path) -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await list_runs(pilot, "verse")
        await pilot.press("X")
        await asked(pilot, "Export metrics")
        await shows(pilot, "TensorBoard")  # no answer is cut
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ModalScreen))
        await pilot.press("space", "X")
        await asked(pilot, "Export metrics")
        await pilot.press("c")
        await asked(pilot, "CSV, in a folder")
        await answer(pilot, str(tmp_path / "figures"))
        await until(pilot, lambda: any("metrics of 1 run" in one.message for one in pilot.app._notifications))
    journal = (places.runs() / "verse" / "events.jsonl").read_text().splitlines()
    steps = [one["step"] for one in map(json.loads, journal) if one["event"] == "step"]
    with (tmp_path / "figures" / "verse" / "steps.csv").open() as file:
        read = [int(row["step"]) for row in csv.DictReader(file)]
    assert read == steps


async def test_a_format_that_is_not_installed_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded("alone")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await list_runs(pilot, "alone")
        await pilot.press("X")
        await asked(pilot, "Export metrics")
        await pilot.press("t")
        await asked(pilot, "TensorBoard, in a folder")
        await answer(pilot, str(tmp_path / "out"))
        await shows(pilot, "The export failed", "pip install")


@pytest.mark.usefixtures("older_runs")
async def test_a_report_is_written_by_key_and_a_title_in_it_is_text(tmp_path: Path) -> None:
    notes.change(Run(places.runs() / "verse"), title="<b>*base*", note=f"why\x1b]0;x\x07 {HOSTILE}")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await list_runs(pilot, "verse")
        await shows(pilot, "<b>*base*", "note")
        assert not controls(pilot.app)  # type: ignore[arg-type]
        await pilot.press("o")
        await asked(pilot, "Export a report")
        await answer(pilot, str(tmp_path / "page"))
        await until(pilot, lambda: any("the report is" in one.message for one in pilot.app._notifications))
    page = (tmp_path / "page" / "report.md").read_text()
    assert page.startswith("# \\<b\\>\\*base\\*")
    assert (tmp_path / "page" / "loss.svg").exists()


async def test_tags_that_cannot_be_are_corrected_in_the_dialog() -> None:
    run = recorded("tagged")
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await list_runs(pilot)
        await pilot.press("g")
        await asked(pilot, "Tags")
        await answer(pilot, f"fine {'x' * 31}")
        await shows(pilot, "longer than 30 characters")
        assert notes.read(run).tags == ()
        await answer(pilot, "slow,old  slow")
        await until(pilot, lambda: notes.read(run).tags == ("slow", "old"))
        await shows(pilot, "#slow #old")
        notes.change(run, title="from outside")  # as another process does
        await shows(pilot, "from outside")


async def test_of_several_runs_those_in_use_are_kept_and_named() -> None:
    busy, free = recorded("busy"), recorded("free")
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await mark(pilot, "busy", "free")
        await until(pilot, lambda: "Compare" in keys(pilot))
        with busy.lock():
            await pilot.press("d")
            await asked(pilot, "Delete these 2 runs?")
            await pilot.press("d")
            await shows(pilot, f"{busy.name}: ", "in use by process")
            await pilot.press("escape")
        await until(pilot, lambda: "Compare" not in keys(pilot))
        assert busy.path.is_dir()
        assert not free.path.exists()
        await pilot.press("u")
        await until(pilot, lambda: any("Restored free" in one.message for one in pilot.app._notifications))
        assert free.path.is_dir()


@pytest.mark.usefixtures("older_runs")
async def test_two_comparisons_of_the_same_items_are_tested_in_pairs_in_one_table() -> None:
    first, second = Run(places.runs() / "texts"), Run(places.runs() / "texts-again")
    shutil.copytree(first.path, second.path)
    folder = second.path / "predictions"
    shutil.copy(folder / "finetune.safetensors", folder / "tfidf.safetensors")
    best, tests = compare([first, second]).against_best()
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await mark(pilot, "texts", "again")
        await pilot.press("v")
        await shows(pilot, "Compare 2 runs", "methods, accuracy", "p (Holm)")
        rows = [line.strip(" │").split() for line in shown(app).splitlines()]
        drawn = {f"{row[0]}: {row[1]}": row for row in rows if len(row) > 4 and f"{row[0]}: {row[1]}" in {best, *tests}}
        assert drawn.keys() == {best, *tests}
        assert drawn[best][-1] == "best"
        for name, test in tests.items():
            assert float(drawn[name][-2 if test.p >= 0.001 else -3]) == pytest.approx(test.mean, abs=6e-4)
            assert test.p < 0.001 or float(drawn[name][-1]) == pytest.approx(test.p, abs=6e-4)


async def test_a_marked_run_that_became_unreadable_is_named_in_compare() -> None:
    def told(run: str) -> list:  # type: ignore[type-arg]
        return [started(run), step(1), evaluated(1, 2.0)]

    first, second = recorded("good", told), recorded("broken", told)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await mark(pilot, "good", "broken")
        (second.path / "spec.json").write_text("{")
        await pilot.press("v")
        await shows(pilot, "The runs cannot be compared", second.name)
        await pilot.press("a", "s", "g", "left", "escape")  # nothing is there to draw
        await until(pilot, lambda: not isinstance(pilot.app.screen, ModalScreen))
    assert first.path.is_dir()
    assert runs.every(places.runs())
