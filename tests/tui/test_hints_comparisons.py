"""F1 in Classify, Choose and Retrieve: every figure of every view of runs that were computed has a hint."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
import tiny
from classifying import GOLD, GUESSES, TEXTS, FakeRuns, fake_runs, loaded, probabilities, report, told
from explaining import unexplained
from retrieving import collection
from stage import at_sizes, until
from textual.pilot import Pilot

from checkpoints.run import Run
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.classify.spec import ClassifySpec
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.spec import RetrieveSpec
from engine.runs.events import ContenderDone, ContenderStep, Encoded
from engine.runs.messages import Control
from tui.app import LabApp
from tui.choose.pane import ChoosePane
from tui.classify.pane import ClassifyPane
from tui.follow.comparison import ComparePane
from tui.follow.hints import VIEWS, of_view
from tui.follow.scatter import Mapped
from tui.hints import Hint, Row
from tui.retrieve.pane import RetrievePane
from tui.widgets.line_table import Drawn

__all__ = ["fake_runs"]
WIDE = (200, 50)
"""where every column has room"""
ALL = ((80, 24), (120, 40), WIDE)
RARE = {"seeds", "more", "lines", "mean of", "encoding", "correct", "step", "zero-shot", "partial", "truncated"}
RARE |= {"could not be scored", "documents", "95%"}
"""hints of figures that these runs have not, at this size: of a stopped run, of long texts, of many classes"""
ALLOWED = {
    r"(?:classify|choose|retrieve)-[\w-]+": "the name of the run",
    r"(?m)(?<=│)[ \d.,k]{8,}(?=│)|^[ \d.,k]+$": "ticks of a horizontal axis",
    r"[\d.,k]+ ┤": "a tick of a vertical axis",
    r"(?m)method .*$": "names of columns, and the axis of the intervals",
    r"row \d of the test split": "a text of the data",
    r"\w+-wordpiece-\d+|/\S+": "a path",
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.bert(tmp_path_factory.mktemp("tiny") / "bert"))


def unnumbered(text: str) -> str:
    """A text of the data in which no figure stands."""
    return re.sub(r"\d", lambda digit: "abcdefghij"[int(digit[0])], text)


@pytest.fixture(scope="module")
def ranked(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("ranked")
    words = tiny.WORDS[9:]
    rows = [
        {
            "question": unnumbered(f"where is {words[number % 9]} {number}"),
            "choices": [words[number % 9], words[(number + 3) % 9], "a card"],
            "answer": 0,
        }
        for number in range(60)
    ]
    data = home / "questions.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    spec = ChooseSpec(data=str(data), encoder=encoder, methods=("zero-shot", "margin"), model="bundled", seeds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(home / "home"))
        run = choose_runs.create(spec)
        assert list(choose_runs.drive(run, Control()))
        return run


@pytest.fixture(scope="module")
def retrieved(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("retrieved")
    folder = collection(home / "small", train=30, test=20)
    for name in ("corpus.jsonl", "queries.jsonl"):
        lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        rows = [{**line, "text": unnumbered(line["text"])} for line in lines]
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    spec = RetrieveSpec(str(folder), encoder, epochs=3, learning_rate=3e-3, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(home / "home"))
        run = retrieve_runs.create(spec)
        assert list(retrieve_runs.drive(run, Control()))
        return run


async def opened(pilot: Pilot[int], key: str, kind: type[ComparePane], run: Run) -> Any:
    """The pane with a run that was told to its end."""
    await pilot.press(key)
    await until(pilot, lambda: pilot.app.query(kind))
    pane = pilot.app.query_one(kind)
    pane.open(run)
    await until(pilot, lambda: pane.story.finished is not None and not pane.background.active, 60)
    return pane


async def look(
    pilot: Pilot[int], pane: ComparePane, view: str, *keys: str, sizes: Sequence[tuple[int, int]] = ALL
) -> list[str]:
    """What the hints of a view lack at each size, the one first at which the keys are pressed."""
    app: Any = pilot.app
    if view:
        pane.action_view(view)
    await pilot.press(*keys)
    await pilot.pause(0.3)
    await until(pilot, lambda: not pane.background.active, 60)
    wrong = []
    async for size in at_sizes(pilot, sizes):
        await pilot.pause(0.05)
        pane.redraw()
        await pilot.pause(0.05)
        if size == WIDE:
            told = getattr(pane, "told", set()) | {hint.name for hint in pane.hints()}
            pane.told = told  # type: ignore[attr-defined]
        wrong += [f"{size} {view} {keys}: {one}" for one in unexplained(app, ALLOWED)]
    await pilot.resize_terminal(*sizes[0])
    return wrong


def untold(pane: Any) -> set[str]:
    """Names of hints that no view had, of those that are not named after something in it."""
    rows = [row for view, rows in VIEWS.items() if view.startswith(pane.id) for row in rows]
    return {row.name for row in rows if "name" not in row.pattern} - pane.told


async def test_every_figure_of_a_classification_is_explained(fake_runs: FakeRuns) -> None:
    fake_runs.play = told
    async with LabApp().run_test(size=ALL[0]) as pilot:
        pane = await opened(pilot, "4", ClassifyPane, fake_runs.create(ClassifySpec()))
        await until(pilot, lambda: pane.findings is not None)
        wrong = []
        pane.view_state.method = "mlp"
        for view in ("overview", "matrix", "classes", "calibration", "labels", "suspects", "sentence"):
            wrong += await look(pilot, pane, view)
        pane.typed[0].value = "my bill is wrong"
        await until(pilot, lambda: pane.judged is not None and pane.judged.words)
        wrong += await look(pilot, pane, "")
        pane.mapped = Mapped([(number % 3, number % 4) for number in range(len(TEXTS))], 0.63)
        wrong += await look(pilot, pane, "map", "right")
        pane.story.fold(loaded())
        for event in (
            Encoded("minilm", 40, 100, 10, 123.0, 2.0),
            ContenderStep("mlp", 3, 100, 0.9, 1.1, 0.7, 3.0, "epoch 3", 0.7),
            ContenderDone("tfidf", report("tfidf")),
        ):
            pane.story.fold(event)
            wrong += await look(pilot, pane, "overview")
        assert not wrong
        assert untold(pane) <= RARE


async def test_every_figure_of_a_ranking_of_choices_is_explained(ranked: Run) -> None:
    async with LabApp().run_test(size=ALL[0]) as pilot:
        pane = await opened(pilot, "5", ChoosePane, ranked)
        await until(pilot, lambda: pane.items)
        wrong = []
        for view, *keys in (["overview"], ["overview", "down"], ["items"], ["", "s", "s"], ["", "enter"], ["own"]):
            wrong += await look(pilot, pane, view, *keys)
        pane.typed[0].value += " now"
        await until(pilot, lambda: pane.own.item is not None and pane.own.item.question.endswith("now"))
        wrong += await look(pilot, pane, "")
        assert not wrong
        assert untold(pane) <= RARE


async def test_every_figure_of_a_retrieval_is_explained(retrieved: Run) -> None:
    async with LabApp().run_test(size=ALL[0]) as pilot:
        pane = await opened(pilot, "6", RetrievePane, retrieved)
        await until(pilot, lambda: pane.gains and pane.library is not None)
        wrong = []
        for view, *keys in (["figures"], ["", "pagedown"], ["gains"], ["", "enter"], ["", "enter"], ["batch"], ["map"]):
            wrong += await look(pilot, pane, view, *keys)
        assert not wrong
        assert untold(pane) <= RARE


async def test_every_figure_beside_a_form_is_explained() -> None:
    allowed = {r"advanced: \d+ fields": "a count of fields", "UTF-8": "a name"}
    async with LabApp().run_test(size=(120, 40)) as pilot:
        app: Any = pilot.app
        for key, name, seen in (
            ("4", "classify", "80 test"),
            ("5", "choose", "chance 0."),
            ("6", "retrieve", "grade 1"),
        ):
            await pilot.press(key)
            await until(pilot, lambda name=name: app.here.id == name)
            await until(pilot, lambda seen=seen: seen in app.here.form.query_one(".seen").content.plain)
            async for size in at_sizes(pilot, [(120, 40), (80, 60)]):
                await pilot.pause(0.1)
                assert not unexplained(app, allowed), (name, size)
                assert not any(".." in hint.text for hint in app.here.hints())


async def test_hints_have_the_figures_of_the_results(fake_runs: FakeRuns) -> None:
    """Against what scikit-learn and scipy compute of the same predictions."""
    from scipy.stats import binomtest
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    fake_runs.play = told
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, "4", ClassifyPane, fake_runs.create(ClassifySpec()))
        await until(pilot, lambda: pane.findings is not None)
        for method, name in (("lr", "logistic reg."), ("mlp", "MLP")):
            pane.view_state.method = method
            assert await look(pilot, pane, "overview", sizes=[(120, 40)]) == []
            texts = {hint.name: hint.text for hint in pane.hints()}
            guesses, gold = GUESSES[method], GOLD
            assert f"{name} classifies a share of {accuracy_score(gold, guesses):.3f} correctly" in texts["accuracy"]
            assert f"classes is {f1_score(gold, guesses, average='macro'):.3f}" in texts["macro-F1"]
            assert f"is {log_loss(gold, probabilities(guesses)):.3f} nats" in texts["log loss"]
            assert f"would have {math.log(3):.3f} nats" in texts["log loss"]
            right = sum(one == other for one, other in zip(gold, guesses, strict=True))
            wilson = binomtest(right, len(gold)).proportion_ci(0.95, "wilson")
            assert f"{name} is {wilson.low:.3f}–{wilson.high:.3f}" in texts["95% interval"]
            only = [
                sum((one == truth) > (other == truth) for one, other, truth in zip(*both, gold, strict=True))
                for both in ((guesses, GUESSES["majority"]), (GUESSES["majority"], guesses))
            ]
            assert f"{only[0]}:{only[1]} are the numbers" in texts["against"]
        pane.action_view("matrix")
        pane.redraw()
        assert any("7 of 10 in all" in hint.text for hint in pane.hints())


def test_a_column_that_has_no_room_leaves_its_hint_to_the_line_with_its_name() -> None:
    rows = (Row("log loss", "It is {value}.", "Guessing has {uniform}."),)
    drawn = [Drawn({"method": "MLP", "log loss": "0.412"}, ("method", "log loss"), True)]
    seen = of_view(rows, drawn, "method log loss\nMLP 0.412", {"uniform": "1.099"})
    assert seen == [Hint("log loss", ("0.412",), "It is 0.412. Guessing has 1.099.")]
    hidden = [Drawn(drawn[0].cells, ("method",), True)]
    assert of_view(rows, hidden, "time 3 s   log loss 0.50 nats", {}) == [
        Hint("log loss", ("0.50",), "It is 0.50. Guessing has –.")
    ]
    assert of_view(rows, hidden, "nothing", {}) == []


def test_the_row_of_the_cursor_gives_the_values_and_every_drawn_cell_is_shown() -> None:
    rows = (
        Row("lead", "{row} leads by {value} with {p-value}.", ""),
        Row("softmax", "{title}: {value} of {row}.", others=True),
    )
    titles = ("", "lead", "▸ MLP")
    drawn = [
        Drawn({"": "a", "lead": "-0.10", "p-value": "0.5", "▸ MLP": " 40% ✓ ██"}, titles, False),
        Drawn({"": "b", "lead": "2.50", "p-value": "0.01", "▸ MLP": " 60% ▎"}, titles, True),
        Drawn({"": "c", "lead": "9.99", "p-value": "0.01", "▸ MLP": "–"}, titles, False),
    ]
    first, softmax = of_view(rows, drawn, "lead -0.10 2.50\nMLP 40% 60%", {})
    assert first.shown == ("-0.10", "2.50")
    assert first.text == "b leads by 2.50 with 0.01."
    assert softmax == Hint("softmax", ("40%", "60%"), "MLP: 60% of b.")
