"""Every pane, view and dialog that keys reach, at four sizes: no word is cut without "…", and what is said has room.

Which words there are is read from the same states on a screen with room for everything: a word that ends at the edge of
a panel, is not among those, and is the beginning of one of them, has been cut.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny
from classifying import fake_runs, told
from retrieving import collection
from stage import SIZES, recorded, shown, until
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import ContentSwitcher, Input

from checkpoints import home as places
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
ROOM = (300, 100)  # a screen on which nothing has to be cut
EDGE = 2  # cells between a cut word and the edge of its panel at most
SHORTEST = 3  # letters of a word that is looked at
CONTINUED = {"tokens-card"}  # goes on beyond its lines on small screens; Space shows it on a page of its own
FRAME = re.compile("[│╭╮╰╯─┤├▐▌▎▏█┬└┴]+")


class State(NamedTuple):
    """What keys lead to, from the state before."""

    name: str
    keys: tuple[str, ...]
    show: str = ""
    """the task whose prepared run is opened first"""


STATES = (
    State("Train, form", ()),
    State("Train, a finished run", (), "train"),
    State("Train, log axis", ("g",)),
    State("Train, sample", ("v",)),
    State("Train, prompt", ("f8",)),
    State("Train, back", ("escape",)),
    State("Help", ("f1",)),
    State("Palette", ("escape", "ctrl+p")),
    State("Tokens", ("escape", "2", "escape")),
    State("Tokens, the lab's texts", ("l",)),
    State("Tokens, next vocabulary", ("k",)),
    State("Tokens, card", ("space",)),
    State("Classify, form", ("escape", "escape", "4")),
    State("Classify, all", ("a",), "classify"),
    *(
        State(f"Classify, {name}", (key,))
        for key, name in zip("mckls", ("matrix", "classes", "calibration", "labels", "suspects"), strict=True)
    ),
    State("Classify, texts of a cell", ("m", "enter")),
    State("Classify, map", ("escape", "p")),
    State("Classify, sentence", ("e",)),
    State("Classify, open", ("escape", "o")),
    State("Choose, form", ("escape", "escape", "5")),
    State("Choose, all", ("a",), "choose"),
    State("Choose, all, scrolled", ("pagedown",)),
    State("Choose, questions", ("i",)),
    State("Choose, most confident", ("s", "s")),
    State("Choose, a question", ("enter",)),
    State("Choose, zero-shot", ("m",)),
    State("Choose, own", ("escape", "e")),
    State("Retrieve, form", ("escape", "escape", "6")),
    State("Retrieve, search", (), "retrieve"),
    State("Retrieve, figures", ("escape", "a")),
    State("Retrieve, figures, scrolled", ("pagedown",)),
    State("Retrieve, batch", ("m",)),
    State("Retrieve, gains", ("g",)),
    State("Retrieve, a query", ("enter",)),
    State("Retrieve, a document", ("enter",)),
    State("Retrieve, map", ("escape", "p")),
    State("Runs", ("escape", "escape", "7")),
    State("Runs, delete", ("delete",)),
    State("Quit", ("escape", "q")),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder and a collection."""
    made = tmp_path_factory.mktemp("walk")
    tiny.bert(made / "bert")
    collection(made / "small")
    return made


@pytest.fixture
def prepared(folder: Path, home: Path, fake_runs: Any) -> dict[str, Run]:
    """A finished run of every task."""
    fake_runs.play = told
    encoder = str(folder / "bert")
    choose = choose_runs.create(ChooseSpec(encoder=encoder, methods=("zero-shot", "margin"), seeds=1, limit=12))
    retrieve = retrieve_runs.create(RetrieveSpec(str(folder / "small"), encoder, epochs=1, device="cpu"))
    assert list(choose_runs.drive(choose, Control()))
    assert list(retrieve_runs.drive(retrieve, Control()))
    return {
        "train": recorded("walk"),
        "classify": fake_runs.create(ClassifySpec()),
        "choose": choose,
        "retrieve": retrieve,
    }


def pane_of(app: LabApp) -> Any:
    """The pane that is shown, also beneath a dialog."""
    switcher = app.screen_stack[0].query_one("#panes", ContentSwitcher)
    return switcher.query_one(f"#{switcher.current}")


async def walk(pilot: Pilot[int], runs: dict[str, Run]) -> AsyncIterator[str]:
    """The name of every state, when it is there."""
    app: Any = pilot.app
    keys = {entry.key: entry.name for entry in panes.PANES}
    await until(pilot, lambda: app.query("TrainPane"))
    for state in STATES:
        if state.show:
            pane = pane_of(app)
            pane.open(runs[state.show])
            await until(pilot, lambda pane=pane: pane.story.finished is not None, 60)
        for key in state.keys:
            await pilot.press(key)
            if name := keys.get(key):
                await until(pilot, lambda name=name: pane_of(app).id == name, 60)
            await pilot.pause(0.02)
        if hasattr(pane_of(app), "background"):
            await until(pilot, lambda: not pane_of(app).background.active, 60)
        await pilot.pause(0.05)
        yield state.name


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


@pytest.fixture
def known(prepared: dict[str, Run]) -> set[str]:
    """Filled by the walk on the largest screen."""
    return set()


async def test_every_state_fits_every_size(prepared: dict[str, Run], known: set[str]) -> None:
    assert places.runs().is_dir()
    async with LabApp().run_test(size=ROOM) as pilot:
        async for _ in walk(pilot, prepared):
            known |= words(shown(pilot.app))  # type: ignore[arg-type]
    problems: list[str] = []
    for size in SIZES:
        async with LabApp().run_test(size=size) as pilot:
            async for name in walk(pilot, prepared):
                app: Any = pilot.app
                where = f"{size[0]}×{size[1]}, {name}: "
                problems += [where + one for one in (*cut_words(in_front(app), known), *without_room(app))]
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
