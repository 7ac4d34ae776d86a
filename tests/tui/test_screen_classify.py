"""The Classify pane on the screen: what keys do, what is shown while methods run, and one run for real."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from classifying import CLASSES, FakeRuns, begun, fake_runs, findings, loaded, report, told
from pseudoterminal import PROJECT
from stage import HOSTILE, SIZES, at_sizes, controls, shown, shows, until, view
from textual.events import MouseScrollUp
from textual.pilot import Pilot
from textual.widgets import Input

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run
from engine.classify import runs as classify_runs
from engine.classify.export import suspects_csv
from engine.classify.spec import ClassifySpec
from engine.runs import owner
from engine.runs.events import Classified, ContenderDone, ContenderStep, Event, Finished, Notice
from engine.runs.messages import Continue, Pause, Stop
from engine.runs.worker import Task
from tui.app import LabApp
from tui.classify.pane import ClassifyPane
from tui.classify.runs import Classifications
from tui.follow import last_values
from tui.widgets.line_table import TableView

__all__ = ["fake_runs"]


async def go(pilot: Pilot[int]) -> ClassifyPane:
    """Show the pane, with the form as it was kept."""
    await shows(pilot, "Start training")
    await pilot.press("4")
    await shows(pilot, "Run comparison")
    await until(pilot, lambda: pilot.app.query_one("#cl-field-data", Input).value)
    return pilot.app.query_one(ClassifyPane)


async def finished(pilot: Pilot[int], fake: FakeRuns) -> ClassifyPane:
    """Run everything that the stand-in tells."""
    fake.play = told
    pane = await go(pilot)
    await pilot.press("f5")
    await until(pilot, lambda: pane.story.finished is not None and pane.findings is not None)
    await shows(pilot, "logistic reg.", "finished")
    return pane


async def test_the_form_shows_the_bundled_data_set_and_starts_with_it_at_once(fake_runs: FakeRuns) -> None:
    fake_runs.play = told
    async with LabApp().run_test(size=SIZES[1]) as pilot:
        await go(pilot)
        async for _ in at_sizes(pilot):
            await shows(pilot, "helpdesk", "bundled with the program", "4 classes")
        await pilot.press("f5")
        async for _ in at_sizes(pilot):
            await shows(pilot, "TF-IDF + LR", "macro-F1", "finished")
        assert fake_runs.asked == [ClassifySpec(curve=True, suspects=True)]


async def test_results_appear_as_they_come_with_progress_and_time_left(fake_runs: FakeRuns) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await go(pilot)
        await pilot.press("f5")
        await shows(pilot, "encoding", "40 / 100", "123 sequences/s", "2 s left", "waiting")
        assert pilot.app.query_one(ClassifyPane).trains.endswith("classify-helpdesk")
        for event in (
            ContenderDone("tfidf", report("tfidf")),
            ContenderStep("mlp", 3, 100, 0.8, 0.9, 0.75, 7.0, "epoch 3, the best so far"),
        ):
            pane.story.fold(event)
        pane.redraw()
        await shows(pilot, "1.000", "epoch 3, the best so far", "step 3 of 100", "7 s left", "MLP, loss by epoch")


async def test_keys_pause_go_on_and_stop_and_a_second_start_only_says_so(fake_runs: FakeRuns) -> None:
    fake = fake_runs
    async with LabApp().run_test(size=(80, 24)) as pilot:
        pane = await go(pilot)
        await pilot.press("f5", "f5")
        await shows(pilot, "encoding")
        await pilot.press("f6")
        await shows(pilot, "paused")
        await pilot.press("f6")
        await until(pilot, lambda: not pane.story.paused)
        await pilot.press("f5")  # beside the results it is no key
        await pilot.press("n", "f5")
        await shows(pilot, "the run is not finished")
        assert len(fake.asked) == 1
        await pilot.press("f7")
        await shows(pilot, "■ stopped", "not run", "Stopped: 0 of 4 methods have results")
        assert [type(message) for message in fake.messages] == [Pause, Continue, Stop]
        assert not pane.running
        await pilot.press("n", "f5")  # and now another may start
        await until(pilot, lambda: len(fake.asked) == 2)


async def test_a_pause_is_heard_at_once_and_a_second_key_takes_it_back(
    fake_runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run may take seconds to answer: here it never does."""
    async with LabApp().run_test(size=(80, 24)) as pilot:
        pane = await go(pilot)
        await pilot.press("f5")
        await shows(pilot, "encoding")
        assert pane.job is not None
        asked: list[object] = []
        monkeypatch.setattr(pane.job.control, "send", asked.append)
        await pilot.press("f6")
        await shows(pilot, "pausing")
        await pilot.press("f6")
        await shows(pilot, "encoding")
        assert [type(one) for one in asked] == [Pause, Continue]
        monkeypatch.undo()


async def test_after_escape_letters_stay_keys_until_the_sentence_is_asked_for_again(
    fake_runs: FakeRuns,
) -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await finished(pilot, fake_runs)
        await pilot.press("e", "b")
        await until(pilot, lambda: "Esc Back" in shown(pilot.app))
        await pilot.press("escape", "n", "n", "m")
        await shows(pilot, "predicted")
        await until(pilot, lambda: "Esc Back" not in shown(pilot.app))
        await pilot.press("e", "c")
        assert pilot.app.query_one("#cl-sentence", Input).value == "bc"
        await pilot.press("f2", "4", "x")
        await shows(pilot, "Nothing to export", "tick fine-tune")


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]])
async def test_every_view_is_a_key_away_and_back(size: tuple[int, int], fake_runs: FakeRuns) -> None:
    async with LabApp().run_test(size=size) as pilot:
        await finished(pilot, fake_runs)
        for key, *texts in (
            ("m", "predicted", "billing"),
            ("c", "precision", "recall"),
            ("k", "calibration error", "log loss"),
            ("l", "labels per class", "0.800"),
            ("s", "2 suspicious labels", "train.csv row 8", "my parcel was charged twice"),
            ("a", "macro-F1", "Counting words"),
        ):
            await pilot.press(key)
            await shows(pilot, *texts)
        await pilot.press("c", "escape")
        await shows(pilot, "macro-F1")


async def test_arrows_choose_a_cell_enter_walks_over_its_texts_and_escape_goes_back(
    fake_runs: FakeRuns,
) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await finished(pilot, fake_runs)
        await pilot.press("down")  # the method after the best: logistic regression
        assert pane.method == "lr"
        await pilot.press("m")  # it starts on the largest confusion
        await shows(pilot, "confusion matrix, logistic reg.", "billing as delivery: 1 of 3")
        await pilot.press("down")
        await shows(pilot, "delivery correct: 2 of 3")
        await pilot.press("right")
        await shows(pilot, "delivery as technical: 1 of 3", "row 5 of the test split")
        await pilot.press("left", "enter", "down")
        assert (pane.view_state.true, pane.view_state.predicted, pane.view_state.row) == (1, 1, 1)
        await pilot.press("escape", "up")
        assert (pane.view_state.true, pane.view_state.predicted) == (0, 1)
        for _ in range(9):
            await pilot.press("right", "up")
        assert (pane.view_state.true, pane.view_state.predicted) == (0, 2)
        await shows(pilot, "billing as technical: 0 of 3", "no texts in this cell")
        await pilot.press("r")
        assert pane.method == "mlp"


async def test_mcnemar_is_shown_for_the_route_that_the_cursor_is_on(fake_runs: FakeRuns) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await finished(pilot, fake_runs)
        await shows(pilot, "TF-IDF + LR against")
        await pilot.press("down", "down")
        await shows(pilot, "MLP against", "▌ MLP")


async def test_a_sentence_is_judged_while_it_is_typed(fake_runs: FakeRuns) -> None:
    fake = fake_runs
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await finished(pilot, fake)
        await pilot.press("e")
        await shows(pilot, "Type a sentence")
        await pilot.press(*"app")
        await shows(pilot, "technical", "80%")
        await pilot.press("space", *"bill")
        await shows(pilot, "leave-one-out effect on billing", "bill +0.40")
        assert fake.classifier.asked[-1] == "app bill"
        await pilot.press("escape", "m")
        await shows(pilot, "predicted")
        await pilot.press("e")
        await shows(pilot, "app bill")


async def test_hostile_names_texts_and_notices_reach_no_terminal(fake_runs: FakeRuns) -> None:
    fake = fake_runs
    names = (HOSTILE, "[red]", CLASSES[2])
    fake.found = findings(names, (HOSTILE,) * 10)

    def play(name: str) -> list[Event]:
        return [loaded(names, HOSTILE), Notice(HOSTILE, "error"), *told(name, names)[1:]]

    async with LabApp().run_test(size=(120, 40)) as pilot:
        fake.play = play
        pane = await go(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: pane.findings is not None)
        for key in "amckls":
            await pilot.press(key)
            await pilot.pause(0.05)
            assert "PAYLOAD" in shown(pilot.app) or key in "kl"  # type: ignore[arg-type]
            assert not controls(pilot.app)  # type: ignore[arg-type]


async def test_what_is_wrong_is_told_while_it_is_typed_and_nothing_starts(fake_runs: FakeRuns, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text("words,kind\nsome text,x\nother text,y\n")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await go(pilot)
        field = pilot.app.query_one("#cl-field-data", Input)
        field.value = "/nowhere at all"
        await shows(pilot, "no such file or folder")
        await pilot.press("f5")
        await pilot.pause()
        assert fake_runs.asked == []
        assert field.has_focus
        field.value = str(file)
        await shows(pilot, "choose the column with the text and label", "some text")
        pilot.app.query_one("#cl-field-limit", Input).value = "many"
        await shows(pilot, "max rows: 'many' is not a whole number")


async def test_columns_are_offered_and_what_was_started_is_there_next_time(fake_runs: FakeRuns, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text("words,kind\n" + "".join(f"some text {n},{'xy'[n % 2]}\n" for n in range(30)))
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await go(pilot)
        pilot.app.query_one("#cl-field-data", Input).value = str(file)
        await shows(pilot, "choose the column")
        pilot.app.query_one("#cl-field-text_column").focus()
        await pilot.press("right", "down", "right", "right")
        await shows(pilot, "first rows: kind │ words", "2 classes")
        pilot.app.query_one("#cl-field-heads").focus()
        await pilot.press("left", "space")
        await pilot.press("f5")
        await until(pilot, lambda: fake_runs.asked)
        asked = fake_runs.asked[0]
        assert (asked.text_column, asked.label_column, asked.heads) == ("words", "kind", ("lr", "mlp", "finetune"))
        await until(pilot, lambda: (places.home() / "classify.json").exists())
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await go(pilot)
        await until(pilot, lambda: pane.form.spec() == asked)
        await pilot.press("u")
        await until(pilot, lambda: not pane.form.given())


async def test_a_failure_is_told_where_the_results_would_be(fake_runs: FakeRuns) -> None:
    fake_runs.play = lambda run: [
        Notice("there is no column 'x'. The columns are: 'a'", "error", "failure"),
        Finished("failed", 0, None, run),
        Classified("failed", 0, None, run),
    ]
    async with LabApp().run_test(size=(60, 20)) as pilot:
        await go(pilot)
        await pilot.press("f5")
        await shows(pilot, "failed", "✗ there is no column 'x'")


async def test_a_home_that_cannot_be_written_is_told(fake_runs: FakeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(task_runs: object, spec: object) -> None:
        raise PermissionError(13, "Permission denied", "/sealed")

    monkeypatch.setattr(Classifications, "create", refuse)
    async with LabApp().run_test(size=(80, 24)) as pilot:
        pane = await go(pilot)
        await pilot.press("f5")
        await shows(pilot, "The run could not be started", "Permission denied", "LLMLAB_HOME")
        await pilot.press("c")
        assert not pane.running


async def test_a_stopped_run_is_resumed_once_and_what_prevents_it_is_told(
    fake_runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = fake_runs
    run = fake.create(ClassifySpec())
    begun: list[str] = []

    def begin(task_runs: object, run: Run) -> Task:
        begun.append(run.name)
        time.sleep(0.2)
        if len(begun) == 1:
            raise PermissionError(13, "Permission denied", "/sealed")
        return fake.begin(run)

    monkeypatch.setattr(Classifications, "begin", begin)
    async with LabApp().run_test(size=(80, 24)) as pilot:
        pane = await go(pilot)
        pane.resume(run)
        await shows(pilot, "The run could not be started", "Permission denied")
        await pilot.press("c")
        pane.resume(run)
        pane.resume(run)
        await shows(pilot, "encoding")
        assert pane.run_shown == run
        assert len(begun) == 2


async def test_leaving_asks_about_a_classification_that_runs(fake_runs: FakeRuns) -> None:
    fake = fake_runs
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await go(pilot)
        await pilot.press("f5")
        await shows(pilot, "encoding")
        await pilot.press("q")
        await shows(pilot, "Quit while training?", "Quit, keep training")
        await pilot.press("c")
        await pilot.press("q")
        await shows(pilot, "Stop and quit")
        await pilot.press("s")
        await until(pilot, lambda: pilot.app.return_code is not None or not pilot.app.is_running)
    assert any(isinstance(message, Stop) for message in fake.messages)


async def test_a_classification_is_opened_from_the_list_of_runs_and_by_its_own_key(
    fake_runs: FakeRuns,
) -> None:
    fake = fake_runs
    fake.play = told
    run = fake.create(ClassifySpec(heads=("lr",)))
    assert len(list(owner.record(run, iter(told(run.name))))) == len(told())
    run.write_json("results.json", {"lr": {**report("lr"), "accuracy": 0.8125}})
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("7")
        await until(pilot, lambda: [len(table.entries) for table in pilot.app.query(TableView)] == [1])
        await shows(pilot, "finished", "81.2%", "helpdesk")
        await pilot.press("enter")
        await shows(pilot, "TF-IDF + LR", "Counting words")
        await pilot.press("7", "x")
        await shows(pilot, "Nothing to export", "tick fine-tune")
        await pilot.press("c", "4")
        await pilot.press("n", "o")
        await shows(pilot, "Open which classifier?", run.name, "lr 0.81")
        await pilot.press("enter")
        await shows(pilot, "TF-IDF + LR", "Counting words")
        await pilot.press("7")
        await pilot.press("c")
        await until(pilot, lambda: pilot.app.query_one(ClassifyPane).form.text("heads") == "lr")


async def test_without_any_classifier_views_say_how_to_begin(fake_runs: FakeRuns) -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await go(pilot)
        for key in ("m", "e", "r", "up", "escape"):
            await pilot.press(key)
        await pilot.press("o")
        await shows(pilot, "No earlier run")
        await pilot.press("escape", "m")
        await shows(pilot, "no results yet")


async def test_what_does_not_change_is_not_sent_again(fake_runs: FakeRuns) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await finished(pilot, fake_runs)
        await until(pilot, lambda: pane.job is None)
        await pilot.pause(0.2)
        assert pane._ticker is not None
        assert not pane._ticker._active.is_set()
        board = pilot.app.query_one("#cl-board")
        sent = []
        board.refresh = lambda *regions, **_: sent.append(regions)  # type: ignore[method-assign,assignment]
        pane.redraw()
        assert sent == []


async def test_the_bundled_example_runs_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny import bert

    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    folder = bert(tmp_path / "encoder")
    last_values.write("classify.json", {"encoder": str(folder), "limit": "24", "heads": "lr finetune"})
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await go(pilot)
        await until(pilot, lambda: pane.form.text("limit") == "24")
        await pilot.press("f5")
        await until(pilot, lambda: pane.story.finished is not None, 120)
        assert isinstance(pane.story.finished, Classified), [notice.text for notice in pane.story.notices]
        assert pane.story.finished.reason == "done"
        assert set(pane.story.methods) == {"majority", "tfidf", "lr", "finetune"}
        await until(pilot, lambda: pane.findings is not None and len(pane.findings.results.probabilities) == 4)
        await pilot.press("l")
        await shows(pilot, "labels per class")
        await pilot.press("e", *"my parcel is late")
        await until(pilot, lambda: pane.judged is not None and pane.judged.words, 60)
        await shows(pilot, "leave-one-out effect on")
        assert pane.judged is not None
        for row in pane.judged.probabilities.values():
            assert sum(row) == pytest.approx(1)
        await pilot.press("escape", "x")
        await shows(pilot, "Export the trained classifier")
        await pilot.press("enter")
        exported = places.home() / "exports"
        await until(pilot, lambda: list(exported.glob("*/config.json")))
        await pilot.press("s", "x")
        await shows(pilot, "Export the suspicious labels")
        await pilot.press("enter")
        await until(pilot, lambda: any(file.stat().st_size for file in exported.glob("*.csv")))
        assert view(pilot.app, "cl-head")  # type: ignore[arg-type]
    config = json.loads(next(exported.glob("*/config.json")).read_bytes())
    assert len(config["id2label"]) == 4
    run = runs.every(places.runs())[0]
    assert next(exported.glob("*-suspects.csv")).read_text() == suspects_csv(run)
    assert classify_runs.spec_of(run) == ClassifySpec(
        data="helpdesk", encoder=str(folder), limit=24, heads=("lr", "finetune"), curve=True, suspects=True
    )


async def test_a_method_that_finishes_later_answers_too(fake_runs: FakeRuns) -> None:
    fake = fake_runs
    fake.play = lambda run: [*begun(), ContenderDone("majority", report("majority"))]
    async with LabApp().run_test(size=(80, 24)) as pilot:
        pane = await go(pilot)
        await pilot.press("f5")
        await shows(pilot, "majority class", "1.5")
        await pilot.press("e", *"bill")
        await shows(pilot, "No trained method yet")
        assert pane.job is not None
        pane.job.channel.put(ContenderDone("tfidf", report("tfidf")))
        await shows(pilot, "billing", "80%")
        first = pane.opened
        pane.job.channel.put(ContenderDone("lr", report("lr")))
        await until(pilot, lambda: pane.opened is not None and pane.opened is not first)


async def test_views_rows_and_the_wheel_do_what_their_keys_do(fake_runs: FakeRuns) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await finished(pilot, fake_runs)

        async def click(widget: str, word: str) -> None:
            lines = view(pilot.app, widget).splitlines()  # type: ignore[arg-type]
            y = next(number for number, line in enumerate(lines) if word in line)
            await pilot.click(f"#{widget}", offset=(lines[y].index(word) + 1, y))
            await pilot.pause()

        assert pane.method != "majority"
        await click("cl-board", "majority class")
        assert pane.method == "majority"
        await click("cl-tabs", "Classes")
        assert pane.view_state.view == "classes"
        names = [one.name for one in pane.story.methods["majority"].report.classes]  # type: ignore[union-attr]
        await click("cl-board", f" {names[1]} ")
        assert pane.view_state.row == 1
        assert f"▌ {names[1]}" in view(pilot.app, "cl-board")  # type: ignore[arg-type]
        await pilot._post_mouse_events([MouseScrollUp], "#cl-board", offset=(5, 5))
        assert pane.view_state.row == 0
