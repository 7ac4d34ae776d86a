"""The Lab pane in the program: keys walk through the exercises, and what they do is on the disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakemodel import FakeModels
from pseudoterminal import Terminal
from stage import FakeTrainers, shown, shows, story, until
from test_bytes_sent import Sent
from textual.events import MouseScrollDown
from textual.pilot import Pilot
from textual.screen import ModalScreen

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run
from engine.lab import plan, progress, record, tokens
from engine.lab.exercise import Work
from engine.lab.exercises import LAB, WORKS
from engine.lab.results import Temperatures, Tokenized, Tokens
from engine.lm.sweep import PROMPT
from engine.runs import owner
from engine.runs.messages import Stop
from engine.runs.spec import to_dict
from engine.tokenization.find import bundled
from tui import start
from tui.app import LabApp
from tui.generate.pane import GeneratePane
from tui.lab import pane as pane_module
from tui.lab import views
from tui.lab.pane import LabPane
from tui.lab.writing import Guessing, Writing
from tui.tokens.pane import TokensPane
from tui.train.pane import TrainPane
from tui.widgets.field import Field

pytestmark = pytest.mark.usefixtures("trainers")


@pytest.fixture(autouse=True)
def _offline(verse: Path) -> None:
    """The corpus of the lab is a small file."""
    record.save_settings(record.Settings(corpus=str(verse)))


def lab(pilot: Pilot[int]) -> LabPane:
    return pilot.app.query_one(LabPane)


async def opened(pilot: Pilot[int], step: str = "") -> LabPane:
    """Wait until the lab has been read, and put the cursor on a step."""
    await until(pilot, lambda: pilot.app.query(LabPane) and lab(pilot).lab is not None)
    made = lab(pilot)
    if step:
        made._select([one.name for _, one in made.shown.steps].index(step))
    await pilot.pause()
    return made


async def arrives(pilot: Pilot[int], pane: str) -> None:
    await until(pilot, lambda: pilot.app.here.id == pane)  # type: ignore[attr-defined]
    await pilot.pause()


def trained(end: Any = story) -> Run:
    """The run of the first exercise, as it is after its end."""
    run = runs.create(places.runs(), "inferno", to_dict(plan.spec(WORKS["inferno"], record.settings())), {})
    list(owner.record(run, iter(end(run.name))))
    return run


# -- the first start -------------------------------------------------------------------------------------------------


def test_the_lab_is_first_where_nothing_was_done_before(home: Path) -> None:
    (home / "lab" / "settings.json").unlink()
    (home / "lab" / "machine.json").write_text("{}")  # an estimate alone is nothing done
    assert start.first_pane() == "lab"
    for done in (home / "lab" / "answers.json", home / "runs" / "one", home / "classify.json"):
        done.parent.mkdir(exist_ok=True)
        done.write_text("{}")
        assert start.first_pane() == "train"
        done.unlink()


def test_the_program_opens_with_the_lab_at_its_first_start(home: Path) -> None:
    shutil.rmtree(home / "lab")
    with Terminal(size=(80, 24), first=True) as terminal:
        terminal.shows(views.ABOUT, views.FIRST)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40)])
async def test_a_first_start_says_what_this_is_and_enter_begins(size: tuple[int, int], trainers: FakeTrainers) -> None:
    async with LabApp(pane="lab").run_test(size=size) as pilot:
        await opened(pilot)
        await shows(pilot, "Enter starts", "Enter Do it", "about")
        assert views.ABOUT.split()[0] in shown(pilot.app)
        await pilot.press("enter")
        await until(pilot, lambda: trainers.started)
        await arrives(pilot, "train")
        await until(pilot, lambda: pilot.app.query_one(TrainPane).running)
        assert [run.path for run in trainers.started] == [run.path for run in runs.every(places.runs())]
        spec = json.loads((trainers.started[0].path / "spec.json").read_text())
        assert spec.items() >= to_dict(plan.spec(WORKS["inferno"], record.settings())).items()
        await shows(pilot, "F3 Lab")


# -- one step after the other ----------------------------------------------------------------------------------------


async def test_arrows_and_clicks_move_one_cursor_over_the_steps_of_all_exercises() -> None:
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        made = await opened(pilot)
        names = [step.name for _, step in made.shown.steps]
        first = [exercise.steps[0].name for exercise in LAB]

        def here() -> str:
            return made.shown.here[1].name

        for key, there in (("down", names[1]), ("up", names[0]), ("up", names[0]), ("right", first[1]),
                           ("down", names[names.index(first[1]) + 1]), ("right", first[2]), ("left", first[1]),
                           ("up", names[names.index(first[1]) - 1]), ("k", names[names.index(first[1]) - 2]),
                           ("j", names[names.index(first[1]) - 1])):  # fmt: skip
            await pilot.press(key)
            assert here() == there, key
            assert made.shown.here[1].title in shown(pilot.app)
        await pilot.click(made.view, offset=(6, 3))  # the third exercise of the list
        assert here() == first[2]
        made.view.post_message(MouseScrollDown(made.view, 60, 10, 0, 1, 0, False, False, False))
        await pilot.press("right", "right", "right", "right")
        assert here() == first[-1]


async def test_a_run_that_has_ended_checks_its_step_off_and_enter_shows_it(trainers: FakeTrainers) -> None:
    run = trained()
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        made = await opened(pilot, "1 train")
        await shows(pilot, "▌ ✓ Train a GPT on Dante")
        assert made.shown.done(LAB[0]) >= 1
        for key in ("enter", "space"):
            await pilot.press(key)
            await arrives(pilot, "train")
            await until(pilot, lambda: pilot.app.query_one(TrainPane).run_shown == run)
            await pilot.press("f3")
            await arrives(pilot, "lab")
        assert not trainers.started
        assert len(runs.every(places.runs())) == 1


async def test_a_run_that_was_interrupted_is_resumed(trainers: FakeTrainers) -> None:
    run = trained(lambda name: story(name)[:5])
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        await opened(pilot, "1 bigrams")  # a claim starts what it needs
        await pilot.press("enter")
        await until(pilot, lambda: trainers.started == [run])
        await arrives(pilot, "train")


async def test_a_start_beside_a_run_that_is_at_work_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeModels(monkeypatch)
    other = runs.create(places.runs(), "other", to_dict(plan.spec(WORKS["inferno"], record.settings())), {})
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        with other.lock():
            await opened(pilot, "2.2 ladder")
            await pilot.press("enter")
            await shows(pilot, "Start another?", other.name, "slows all of them down")
            await pilot.press("escape")
            await pilot.pause()
            assert pilot.app.here.id == "lab"  # type: ignore[attr-defined]
            await pilot.press("enter")
            await shows(pilot, "Start another?")
            await pilot.press("s")
            await arrives(pilot, "generate")


async def test_a_run_that_ends_while_the_lab_is_shown_is_checked_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pane_module, "REFRESH", 0.05)
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "1 train")
        await shows(pilot, "▌ ○ Train a GPT on Dante")
        trained()
        await shows(pilot, "▌ ✓ Train a GPT on Dante")


async def test_space_fills_the_form_and_starts_nothing(trainers: FakeTrainers) -> None:
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        for step, task in (("1 train", "train"), ("1 verse", "train"), ("3.1 weighted", "classify")):
            await opened(pilot, step)
            await pilot.press("space")
            await arrives(pilot, task)
            wanted = plan.spec(WORKS[{"train": "inferno", "classify": "weighted"}[task]], record.settings())
            await until(pilot, lambda wanted=wanted: pilot.app.here.form.spec() == wanted)
            await pilot.press("f3")
            await arrives(pilot, "lab")
        assert not trainers.started
        assert not runs.every(places.runs())


async def test_the_way_back_works_inside_a_text_and_is_shown_only_after_the_lab_has_sent_there() -> None:
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2.1 tokens")
        await pilot.press("2")
        await arrives(pilot, "tokens")
        assert "F3 Lab" not in shown(pilot.app)
        await pilot.press("f3")
        assert pilot.app.here.id == "tokens"
        await pilot.press("8")
        await arrives(pilot, "lab")
        assert "F3 Lab" not in shown(pilot.app)
        await pilot.press("space")
        await arrives(pilot, "tokens")
        await until(pilot, lambda: pilot.app.query_one(TokensPane).editor.buffer.text == "\n".join(tokens.EXAMPLES))
        await pilot.press("e", "x")
        await shows(pilot, "F3 Lab")
        await pilot.press("f3")
        await arrives(pilot, "lab")


# -- guesses and texts -----------------------------------------------------------------------------------------------


@pytest.fixture
def _quick_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer without the library that makes tensors of its ids, which takes seconds to import."""

    def measure(own: Sequence[str] = ()) -> Tokens:
        tokenizer = bundled("gpt2")
        made = [
            tuple(Tokenized(text, tuple(tokenizer.encode(text).ids), ()) for text in texts)
            for texts in (tokens.EXAMPLES, own)
        ]
        return Tokens("gpt2", "bundled", *made, (), (1, 2), made[0][0].ids)

    monkeypatch.setattr(tokens, "measure", measure)


@pytest.mark.usefixtures("_quick_tokens")
async def test_guesses_come_first_then_the_tokens_are_measured_and_compared(home: Path) -> None:
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        made = await opened(pilot, "2.1 tokens")
        await pilot.press("enter")  # not before the guesses
        await until(pilot, lambda: isinstance(pilot.app.screen, Guessing))
        await pilot.press("escape")
        await pilot.pause()
        assert not (home / "lab" / "guesses.json").exists()
        await opened(pilot, "2.1 guess")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Guessing))
        await pilot.press("x", "enter")
        await shows(pilot, "must be a whole number from 1")
        for number, guess in enumerate("22223"):
            pilot.app.screen.query_one(f"#guess-{number}", Field).value = guess
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ModalScreen))
        await until(pilot, lambda: made.shown.state_of(made.shown.here[1]) == "done")
        assert record.guesses() == dict(zip(tokens.EXAMPLES, (2, 2, 2, 2, 3), strict=True))
        await until(pilot, lambda: isinstance(record.measured("tokens"), Tokens))
        await shows(pilot, "“hello World”", "31373 2159", "15496 2159 220 ")
        await pilot.press("enter")  # other guesses: what was measured is there, and the lab stays
        await until(pilot, lambda: isinstance(pilot.app.screen, Guessing))
        await pilot.press("3", "enter")
        await until(pilot, lambda: record.guesses()[tokens.EXAMPLES[0]] == 3)
        await pilot.pause()
        assert pilot.app.here.id == "lab"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_quick_tokens")
async def test_texts_of_ones_own_are_stored_and_measured() -> None:
    record.save_guesses(dict.fromkeys(tokens.EXAMPLES, 2))
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2.1 tokens")
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, Writing))
        await pilot.press("a", "b", "enter", "enter", "c", "escape")
        await until(pilot, lambda: record.own_texts() == ("ab", "c"))
        await until(pilot, lambda: [one.text for one in getattr(record.measured("tokens"), "own", ())] == ["ab", "c"])


async def test_a_measurement_shows_how_far_it_is_and_f7_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.lab import run
    from engine.runs.events import Progress

    stopped: list[bool] = []

    def measure(work: Work, lab: progress.Lab, control: Any) -> Any:
        while not stopped:
            yield Progress("drawing", 3, 10)
            stopped.extend(True for message in control.take() if isinstance(message, Stop))
            control.wait(0.01)

    monkeypatch.setattr(run, "measure", measure)
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        made = await opened(pilot, "2.2 temperatures")
        await pilot.press("enter")
        await shows(pilot, "▌ ● Several seeds", "drawing 30%", "F7 Stop")
        record.save_guesses(dict.fromkeys(tokens.EXAMPLES, 2))
        await until(pilot, lambda: made.lab is not None and made.lab.guesses)
        await opened(pilot, "2.1 tokens")
        await pilot.press("enter")
        await shows(pilot, "Start another?", "temperatures. This measurement ends")
        await pilot.press("escape")
        await opened(pilot, "2.2 temperatures")
        assert not stopped
        await pilot.press("f7")
        await until(pilot, lambda: stopped and not made.busy)
        await shows(pilot, "▌ ○ Several seeds")


async def test_what_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.lab import run

    def measure(work: Work, lab: progress.Lab, control: Any) -> Any:
        raise OSError("no space left [bold")
        yield

    monkeypatch.setattr(run, "measure", measure)
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "2.2 temperatures")
        await pilot.press("enter")
        await shows(pilot, "no space left [bold")


# -- answers ---------------------------------------------------------------------------------------------------------


async def test_an_answer_is_on_the_disk_as_it_is_typed_and_checks_its_step_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tui.lab.writing.SAVE", 0.01)
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "3.3 answer")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Writing))
        await shows(pilot, LAB[-1].question[:40])
        await pilot.press(*"it", "space", *"ranks")
        await until(pilot, lambda: record.answers() == {"3.3": "it ranks"})
        await pilot.press("enter", *"well", "escape")
        await until(pilot, lambda: record.answers() == {"3.3": "it ranks\nwell"})
        await shows(pilot, "▌ ✓")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, Writing))
        await pilot.press("x")
    assert record.answers() == {"3.3": "it ranks\nwellx"}


# -- the ladder ------------------------------------------------------------------------------------------------------


async def test_the_ladder_runs_in_generate_and_its_result_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    models = FakeModels(monkeypatch)
    models.missing = {"smollm2"}  # it cannot be downloaded
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        made = await opened(pilot, "2.2 ladder")
        await pilot.press("enter")
        await arrives(pilot, "generate")
        await until(pilot, lambda: isinstance(record.measured("temperatures"), Temperatures))
        found: Any = record.measured("temperatures")
        assert [rung.temperature for rung in found.rungs] == [0, 0.3, 0.7, 1.0, 1.3, 2.0]
        assert (found.model, found.prompt) == ("bundled", pilot.app.query_one(GeneratePane).tokens.prompt)
        assert models.asked[-1] == "bundled"
        await pilot.press("f3")
        await arrives(pilot, "lab")
        await until(pilot, lambda: made.shown.state_of(made.shown.here[1]) == "done")


async def test_space_shows_the_prompt_with_a_model_that_can_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    models = FakeModels(monkeypatch)
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        await opened(pilot, "2.2 ladder")
        await pilot.press("space")
        await arrives(pilot, "generate")
        await until(pilot, lambda: pilot.app.query_one(GeneratePane).tokens.prompt == PROMPT)
        assert models.asked[-1] == "smollm2"
        assert record.measured("temperatures") is None
        await pilot.press("f3")
        await arrives(pilot, "lab")
        pilot.app.query_one(GeneratePane).take("It comes late.")
        await pilot.pause()
        assert pilot.app.focused is lab(pilot).view


# -- settings, the quick lab, the report -----------------------------------------------------------------------------


async def test_the_form_stores_the_settings_and_escape_leaves_them(verse: Path) -> None:
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        made = await opened(pilot)
        await shows(pilot, "feelings")
        await pilot.press("d")
        await until(pilot, lambda: not made.showing_lab)
        made.form.query_one("#lab-field-emotion").value = "other"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: made.showing_lab)
        assert record.settings().emotion == "feelings"
        await pilot.press("d")
        await until(pilot, lambda: not made.showing_lab)
        made.form.query_one("#lab-field-emotion").value = "helpdesk"
        await pilot.press("f5")
        await until(pilot, lambda: made.showing_lab)
        assert record.settings() == record.Settings(corpus=str(verse), emotion="helpdesk")
        await until(pilot, lambda: made.lab is not None and made.lab.settings.emotion == "helpdesk")
        assert "feelings" not in shown(pilot.app)


async def test_the_quick_lab_is_remembered_and_makes_smaller_runs(trainers: FakeTrainers) -> None:
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("f")
        await shows(pilot, "the quick lab")
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "1 train")
        await shows(pilot, "the quick lab")
        await pilot.press("enter")
        await until(pilot, lambda: trainers.started)
        spec = json.loads((trainers.started[0].path / "spec.json").read_text())
        assert spec["steps"] == WORKS["inferno"].quick["steps"]


async def test_the_report_is_written_where_the_user_says(home: Path) -> None:
    record.save_answer("1", "It rhymes.")
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        await opened(pilot, "2.1 tokens")
        await pilot.press("space")
        await arrives(pilot, "tokens")
        await shows(pilot, "15496")
        await pilot.press("f3")
        await arrives(pilot, "lab")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModalScreen))
        await pilot.press("enter")
        await until(pilot, lambda: (home / "exports" / "lab" / "lab.md").exists())
        await until(pilot, lambda: any("the report is" in one.message for one in pilot.app._notifications))
    assert "15496" in (home / "exports" / "lab" / "pane-tokens.svg").read_text("utf-8")
    assert "It rhymes." in (home / "exports" / "lab" / "lab.md").read_text("utf-8")


# -- at rest ---------------------------------------------------------------------------------------------------------


async def test_looking_again_sends_nothing_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    trained()
    looks: list[bool] = []
    read = progress.read

    def counted(quick: bool = False) -> progress.Lab:
        looks.append(quick)
        return read(quick)

    monkeypatch.setattr(progress, "read", counted)
    monkeypatch.setattr(pane_module, "REFRESH", 0.05)
    sent = Sent(monkeypatch, 120, 40)
    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.pause(0.4)
        sent.since()
        before = len(looks)
        await until(pilot, lambda: len(looks) > before + 3)
        assert sent.since() == 0
        sent.shows(pilot.app)
        await pilot.press("1")
        await arrives(pilot, "train")
        await pilot.pause(0.1)
        before = len(looks)
        await pilot.pause(0.3)
        assert len(looks) == before  # it is not shown


async def test_a_home_that_cannot_be_read_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(quick: bool = False) -> progress.Lab:
        raise OSError("permission denied")

    monkeypatch.setattr(progress, "read", refuse)
    monkeypatch.setattr(pane_module, "REFRESH", 0.05)
    async with LabApp(pane="lab").run_test(size=(80, 24)) as pilot:
        await shows(pilot, "The lab could not be read", "permission denied")
        await pilot.press("c")
        await pilot.pause(0.3)
        assert len(pilot.app.screen_stack) == 1
