"""The Choose pane on a screen: start, browse, a question of one's own, hostile text, every size."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tiny
from stage import HOSTILE, SIZES, at_sizes, controls, shown, shows, until
from textual.widgets import Input

from checkpoints.run import Run
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.runs import owner
from engine.runs.events import ItemJudged, Loaded
from engine.runs.messages import Control
from tui.app import LabApp
from tui.choose import story as stories
from tui.choose.pane import ChoosePane
from tui.choose.runs import Rankings
from tui.choose.story import ChooseStory
from tui.text import safe

WORDS = tiny.WORDS[9:]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A small encoder, and questions some of which are hostile."""
    folder = tmp_path_factory.mktemp("workshop")
    rows = []
    for number in range(50):
        own, other = WORDS[number % len(WORDS)], WORDS[(number + 3) % len(WORDS)]
        rows.append(
            {"question": f"where is {own}? {number} {HOSTILE}", "choices": [own, other, f"a {HOSTILE}"], "answer": 0}
        )
    path = folder / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return {"data": str(path), "encoder": str(tiny.bert(folder / "bert"))}


@pytest.fixture(autouse=True)
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done in the follower's thread; no process is started."""
    monkeypatch.setattr(owner, "spawn", lambda run: None)
    monkeypatch.setattr(
        owner, "attend", lambda run, process, control, told, **_: choose_runs.drive(run, Control(control.take))
    )


@pytest.fixture(scope="module")
def run(workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of two methods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(tmp_path_factory.mktemp("home")))
        return ranked(workshop)


def ranked(workshop: dict[str, str], **changes: Any) -> Run:
    """A finished run."""
    spec = ChooseSpec(**workshop, **{"methods": ("zero-shot", "margin"), "seeds": 1, "limit": 12, **changes})
    run = choose_runs.create(spec)
    assert list(choose_runs.drive(run, Control()))
    return run


async def opened(pilot: Any, run: Run) -> ChoosePane:
    """The pane with a run that was told to its end."""
    await pilot.press("5")
    await until(pilot, lambda: pilot.app.query("ChoosePane"))
    pane: ChoosePane = pilot.app.query_one(ChoosePane)
    pane.open(run)
    await until(pilot, lambda: pane.story.finished is not None and pane.items)
    return pane


async def test_f5_runs_the_methods_and_shows_them(workshop: dict[str, str]) -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("5")
        await shows(pilot, "Run comparison", "48 items to train on")  # the bundled questions are looked at
        pane = app.query_one(ChoosePane)
        pane.form.fill(ChooseSpec(**workshop, seeds=1, limit=16))
        await pilot.press("f5")
        await until(pilot, lambda: pane.story.finished is not None)
        await shows(pilot, "margin ranker", "cross-entropy", "chance", "longest choice", "question hidden", "finished")
        assert pane.run_shown is not None
        assert pane.run_shown.read_json("spec.json")["methods"] == ["margin", "cross-entropy"]
        assert {"margin", "cross-entropy"} <= set(pane.run_shown.read_json("results.json"))
        assert controls(app) == []
        await pilot.press("n")
        await shows(pilot, "Run comparison")
        assert pane.form.text("limit") == "16"
        await pilot.press("n")
        assert pane.showing_results


async def test_what_is_wrong_is_told_and_nothing_starts(workshop: dict[str, str]) -> None:
    app = LabApp()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: app.query("ChoosePane"))
        pane = app.query_one(ChoosePane)
        pane.form.fill(ChooseSpec(margin=0, methods=()))
        await pilot.press("f5")
        await shows(pilot, "✗ margin", "✗ methods: name at least one")
        assert pane.run_shown is None


async def test_many_questions_are_put_in_order_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    count, looks, kept = 20_000, Counter[bool](), stories._kept
    story = ChooseStory()
    story.fold(Loaded("choose", "d", "s", 9, 3, count, "test", "f", ("margin", "cross-entropy"), (), ()))

    def judged(method: str, number: int) -> ItemJudged:
        scores = (float(number % 7), float(number % (5 if method == "margin" else 11)), 1.0)
        return ItemJudged(method, number, number + 1, count, number % 3, scores, 0.5, 0.4, 0.6)

    def looked(*given: Any) -> bool:
        looks[threading.current_thread() is threading.main_thread()] += 1
        return kept(*given)

    def choice(event: ItemJudged) -> int:
        return max(range(3), key=lambda place: (event.scores[place], -place))

    for method in ("margin", "cross-entropy"):
        for number in range(count):
            story.fold(judged(method, number))
    monkeypatch.setattr(stories, "_kept", looked)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: app.query("ChoosePane"))
        pane = app.query_one(ChoosePane)
        pane.story, pane.view_state.view, pane.view_state.method = story, "items", "margin"
        pane.view_state.kept, pane.view_state.order = "disagreed", "most confident first"
        assert pane._listed is None
        assert pane.under_cursor is None
        await until(pilot, lambda: pane._ordering is None)
        listed = pane._listed
        assert listed is not None
        assert looks == {False: count}
        ones, others = (story.methods[name].ranked for name in ("margin", "cross-entropy"))
        assert {one.item for one in listed} == {n for n in range(count) if choice(ones[n]) != choice(others[n])}
        sure = [stories.confidence(one) for one in listed]
        assert sure == sorted(sure, reverse=True)
        for number in range(3):
            story.fold(judged("margin", number))
        assert pane._listed is listed
        assert looks == {False: count, True: 3}


async def test_browsing(run: Run) -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, run)
        await pilot.press("i")
        await shows(pilot, "12 questions, worst first", "✓ A")
        before = pane.under_cursor
        await pilot.press("down", "down")
        assert pane.under_cursor != before
        await pilot.press("end")
        assert pane.under_cursor is not None
        await pilot.press("f")
        await shows(pilot, "wrong questions, worst first")
        await pilot.press("f", "s")
        await shows(pilot, "right questions, closest first")
        await pilot.press("f", "f")
        while pane.method != "zero-shot":
            await pilot.press("m")
        await shows(pilot, "zero-shot scores by normalization", "character", "pmi")
        await pilot.press("enter")
        assert pane.view_state.reading
        await pilot.press("escape", "escape")
        await shows(pilot, "95% interval")
        assert controls(app) == []


async def test_a_question_of_ones_own(run: Run) -> None:
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, run)
        await pilot.press("i", "e")
        question = app.query_one("#ch-question", Input)
        event = pane.under_cursor
        assert event is not None
        assert question.value == safe(pane.items[event.item].stem, lines=False)
        question.value = "where is the card?"
        app.query_one("#ch-choices", Input).value = "card | *bill | login"
        await until(pilot, lambda: set(pane.own.answers) == {"zero-shot", "margin"} and pane.own.item is not None
                    and pane.own.item.question == "where is the card?")  # fmt: skip
        first: ItemJudged = pane.own.answers["margin"]
        assert len(first.scores) == 3
        assert first.gold == 1
        await shows(pilot, "✓ B bill", "A card", "margin ")
        app.query_one("#ch-choices", Input).value = "card"
        await shows(pilot, "2 to 10 choices")
        app.query_one("#ch-choices", Input).value = f"card | {HOSTILE}"
        await until(pilot, lambda: pane.own.item is not None and len(pane.own.item.choices) == 2 and pane.own.answers)
        await pilot.pause(0.3)
        assert controls(app) == []
        await pilot.press("escape", "a")
        assert pane.view_state.view == "overview"


async def test_every_size(run: Run) -> None:
    app = LabApp()
    async with app.run_test(size=SIZES[1]) as pilot:
        await pilot.press("5")
        async for _ in at_sizes(pilot):
            await shows(pilot, "Run comparison")
        pane = await opened(pilot, run)
        async for _ in at_sizes(pilot):
            await shows(pilot, "margin ranker", "chance")
            for key in ("i", "enter", "enter", "e", "escape", "a"):
                await pilot.press(key)
                await pilot.pause(0.05)
                assert controls(app) == []
            assert pane.view_state.view == "overview"
            assert shown(app)


async def test_earlier_runs_are_offered(workshop: dict[str, str]) -> None:
    run = ranked(workshop, methods=("margin",))
    assert [offer.run for offer in Rankings().offers()] == [run]
    assert Rankings().spec_of(run).methods == ("margin",)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: app.query("ChoosePane"))
        await pilot.press("o")
        await shows(pilot, run.name)
        await pilot.press("enter")
        await shows(pilot, "margin ranker", "finished")


async def test_a_question_that_cannot_be_read(workshop: dict[str, str]) -> None:
    run = ranked(workshop, methods=("margin",))
    Path(run.path / "items.jsonl").write_text("{broken", "utf-8")
    app = LabApp()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: app.query("ChoosePane"))
        pane = app.query_one(ChoosePane)
        pane.open(run)
        await until(pilot, lambda: pane.story.finished is not None)
        await pilot.press("i")
        await pilot.pause(0.1)
        await pilot.press("e")
        await pilot.pause(0.1)
        assert pane.items == ()
