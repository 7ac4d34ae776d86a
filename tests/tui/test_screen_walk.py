"""Every pane, view, dialog and state that keys reach, at four sizes: no word is cut without "…", all that is said fits.

One program walks through the states, and each is drawn at all sizes. Which words there are is read from the same states
on a screen with room for everything: a word that ends at the edge of a panel, is not among those, and is the beginning
of one of them, has been cut.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import tiny
from classifying import fake_runs, told
from fakemodel import LETTERS, FakeModels
from retrieving import collection
from stage import SIZES, recorded, shown, until
from states import stand
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input

from checkpoints.run import Run
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.classify.spec import ClassifySpec
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.spec import RetrieveSpec
from engine.runs.messages import Control
from tui import panes
from tui.app import LabApp
from tui.ending import ANSWERS
from tui.widgets.dialogs import Question
from tui.widgets.lines import Lines

__all__ = ["fake_runs"]
ROOM = (240, 80)  # a screen on which nothing has to be cut
EDGE = 2  # cells between a cut word and the edge of its panel at most
COMPLETING = "completing"  # the state in which the model waits before its next token
IDLE = SimpleNamespace(active=False)  # the background of a pane without one
SHORTEST = 3  # letters of a word that is looked at
CONTINUED = {"tokens-card"}  # goes on beyond its lines on small screens; Space shows it on a page of its own
FRAME = re.compile("[│╭╮╰╯─┤├▐▌▎▏█┬└┴]+")


class State(NamedTuple):
    """What keys lead to, from the state before."""

    name: str
    keys: tuple[str, ...]
    show: str = ""
    """the task whose prepared run is opened first"""
    stands: str = ""
    """the state of a run that is shown then, in a pane that follows runs"""


STANDING = tuple(State(state, (), stands=state) for state in ("running", "paused", "failed"))
"""a run that is not finished, in every state that looks different"""
STATES = {
    "train": (
        State("form", ()),
        *STANDING,
        State("a finished run", (), "train"),
        State("log axis", ("g",)),
        State("sample", ("v",)),
        State("prompt", ("f8",)),
        State("back", ("escape",)),
        State("help", ("f1",)),
        State("palette", ("escape", "ctrl+p")),
        State("quit", ("escape", "escape", "q")),
    ),
    "tokens": (
        State("text", ("escape",)),
        State("the lab's texts", ("l",)),
        State("next vocabulary", ("k",)),
        State("card", ("space",)),
    ),
    "generate": (
        State("empty", ("escape",)),
        State("editor", ("e", "a", "b", "c")),
        State("completed", ("f5",)),
        State("settings", ("tab",)),
        State("sweep", ("escape", "w")),
        State("A/B", ("escape", "a")),
        State("model", ("escape", "m")),
        State("help", ("escape", "f1")),
        State(COMPLETING, ("escape", "f8")),
    ),
    "classify": (
        State("form", ()),
        *STANDING,
        State("all", ("a",), "classify"),
        *(
            State(name, (key,))
            for key, name in zip("mckls", ("matrix", "classes", "calibration", "labels", "suspects"), strict=True)
        ),
        State("texts of a cell", ("m", "enter")),
        State("map", ("escape", "p")),
        State("sentence", ("e",)),
        State("open", ("escape", "o")),
    ),
    "choose": (
        State("form", ()),
        *STANDING,
        State("all", ("a",), "choose"),
        State("all, scrolled", ("pagedown",)),
        State("questions", ("i",)),
        State("most confident", ("s", "s")),
        State("a question", ("enter",)),
        State("zero-shot", ("m",)),
        State("own", ("escape", "e")),
    ),
    "retrieve": (
        State("form", ()),
        *STANDING,
        State("search", (), "retrieve"),
        State("figures", ("escape", "a")),
        State("figures, scrolled", ("pagedown",)),
        State("batch", ("m",)),
        State("gains", ("g",)),
        State("a query", ("enter",)),
        State("a document", ("enter",)),
        State("map", ("escape", "p")),
    ),
    "runs": (
        State("table", ()),
        State("delete", ("delete",)),
    ),
    "lab": (
        State("exercises", ()),
        State("a claim", ("down",)),
        State("last exercise", ("right",) * 5),
        State("guesses", ("left",) * 4 + ("enter",)),
        State("answer", ("escape", "e")),
        State("data", ("escape", "d")),
    ),
}
"""what is seen of each pane, one after the other"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes an encoder and a collection, once, where they are needed: that loads transformers."""

    @cache
    def made() -> Path:
        path = tmp_path_factory.mktemp("walk")
        tiny.bert(path / "bert")
        collection(path / "small")
        return path

    return made


@pytest.fixture
def finished(folder: Callable[[], Path], home: Path, fake_runs: Any) -> dict[str, Callable[[], Run]]:
    """What makes a finished run, by task."""
    fake_runs.play = told

    def driven(runs: Any, spec: ChooseSpec | RetrieveSpec) -> Run:
        run: Run = runs.create(spec)
        assert list(runs.drive(run, Control()))
        return run

    def choose() -> Run:
        spec = ChooseSpec(encoder=str(folder() / "bert"), methods=("zero-shot", "margin"), seeds=1, limit=12)
        return driven(choose_runs, spec)

    def retrieve() -> Run:
        spec = RetrieveSpec(str(folder() / "small"), str(folder() / "bert"), epochs=1, device="cpu")
        return driven(retrieve_runs, spec)

    return {
        "train": lambda: recorded("walk"),
        "classify": lambda: fake_runs.create(ClassifySpec()),
        "choose": choose,
        "retrieve": retrieve,
    }


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    """No weights are read by this test."""
    return FakeModels(monkeypatch)


async def walk(
    pilot: Pilot[int], entry: panes.Entry, finished: Mapping[str, Callable[[], Run]], models: FakeModels | None
) -> AsyncIterator[tuple[str, tuple[int, int]]]:
    """The name of every state of a pane, and each size at which it is there, the smallest first."""
    app: Any = pilot.app
    await until(pilot, lambda: app.query("TrainPane"))
    await pilot.press(entry.key)
    await until(pilot, lambda: app.here.id == entry.name, 60)
    pane = app.here
    await until(pilot, lambda: getattr(pane, "lab", pane) is not None, 60)
    for state in STATES[entry.name]:
        if state.stands:
            await stand(pilot, entry.name, state.stands)
        if state.show:
            pane.job = None
            pane.open(finished[state.show]())
            await until(pilot, lambda: pane.story.finished is not None, 60)
        if models is not None and state.name == COMPLETING:
            models.hold()
        await pilot.press(*state.keys)
        if state.name != COMPLETING:
            await until(pilot, lambda: not getattr(pane, "background", IDLE).active, 60)
        for size in (*SIZES, ROOM):
            await pilot.resize_terminal(*size)
            for _ in range(50):  # what is drawn anew after a resize takes a moment
                if not without_room(app):
                    break
                await pilot.pause(0.02)
            yield state.name, size


def words(text: str) -> set[str]:
    return {word.strip(".,:;()\"'“”") for word in re.split(r"[\s│]+", text)}


def cut_words(screen: str, known: set[str]) -> list[str]:
    """Words at the edge of a panel that are only the beginning of a known one."""
    found = []
    for line in screen.splitlines():
        for part in FRAME.split(line):
            if len(part) - len(part.rstrip()) > EDGE or not part.strip():
                continue
            word = part.split()[-1].strip(".,:;()\"'“”")
            if len(word) < SHORTEST or word in known or "…" in part.split()[-1] or not word.isalpha():
                continue
            if word in 3 * LETTERS:  # the alphabet as the model of this test writes it: no words
                continue
            if any(other.startswith(word) for other in known):
                found.append(f"{word!r} in {line.strip()!r}")
    return found


def in_front(app: LabApp) -> str:
    """What stands on the screen; of a dialog only what is in it, since it covers parts of words."""
    lines = shown(app).splitlines()
    if isinstance(app.screen, ModalScreen) and app.screen.children:
        box = app.screen.children[0].region
        return "\n".join(line[box.x : box.right] for line in lines[box.y : box.bottom])
    return "\n".join(lines)


def without_room(app: LabApp) -> list[str]:
    """Widgets on the screen that do not show all that they are given."""
    found = []
    for widget in app.screen.query("*"):
        if not widget.is_on_screen or not widget.size:
            continue
        if isinstance(widget, Input) and not widget.value and widget.placeholder:
            if len(widget.placeholder) > widget.content_size.width:
                found.append(f"placeholder of {widget.id}: {widget.placeholder!r} in {widget.content_size.width} cells")
        elif isinstance(widget, Lines):
            strips = widget._strips
            if widget.id in CONTINUED:
                continue
            if len(strips) > widget.size.height or any(one.cell_length > widget.size.width for one in strips):
                found.append(f"{widget.id}: {len(strips)} lines in {widget.size}")
    return found


@pytest.mark.parametrize("entry", panes.PANES, ids=lambda entry: entry.name)
async def test_every_state_fits_every_size(
    entry: panes.Entry, finished: dict[str, Callable[[], Run]], request: pytest.FixtureRequest
) -> None:
    models = request.getfixturevalue("models") if entry.name == "generate" else None
    if entry.name == "runs":
        recorded("listed")
        finished["classify"]()
    known: set[str] = set()
    problems: list[str] = []
    drawn: list[tuple[str, str]] = []
    async with LabApp().run_test(size=SIZES[0]) as pilot:
        app: Any = pilot.app
        async for name, size in walk(pilot, entry, finished, models):
            if size == ROOM:
                known |= words(shown(app))
            else:
                where = f"{size[0]}×{size[1]}, {name}: "
                drawn.append((where, in_front(app)))
                problems += [where + one for one in without_room(app)]
    problems += [where + one for where, screen in drawn for one in cut_words(screen, known)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("size", SIZES)
async def test_the_answers_of_a_question_are_whole_and_arrows_walk_over_them(size: tuple[int, int]) -> None:
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        app.push_screen(Question("Quit while training?", "verse trains in its own process.", ANSWERS))
        await pilot.pause()
        labels = ("c Cancel", "k Quit, keep training", "s Stop and quit")
        await until(pilot, lambda: all(label in in_front(app) for label in labels))
        for key, focused in (("right", "keep"), ("down", "stop"), ("up", "keep"), ("left", "stay")):
            await pilot.press(key)
            await until(pilot, lambda focused=focused: app.focused is not None and app.focused.id == focused)


def test_a_cut_word_is_found_and_a_whole_one_or_one_with_an_ellipsis_is_not() -> None:
    known = {"calibration", "matrix", "cal"}
    assert cut_words("│ the calibra │", known) == ["'calibra' in '│ the calibra │'"]
    assert cut_words("│ the calibra… ││ matrix │\n cal\n calibra     and", known) == []
