"""What the shell knows of a pane, and what a pane may ask of the shell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from checkpoints.run import Run
from tui.actions import ACTIONS, key_name
from tui.hints import Hint, seen
from tui.widgets import dialogs
from tui.widgets.lines import Lines

if TYPE_CHECKING:
    from engine.runs.events import Compared


@dataclass
class UsePrompt(Message):
    """Take this text to the Generate pane, or to another that works with texts."""

    text: str
    pane: str = "generate"


@dataclass
class UseModel(Message):
    """Load this model, the name of a run, in the Generate pane."""

    name: str


@dataclass
class UseRun(Message):
    """Take this run to the pane of its task."""

    run: Run
    what: Literal["opened", "resumed", "copied"]


@dataclass
class UseSpec(Message):
    """Show this spec in the form of its task."""

    spec: Any


@dataclass
class UseLadder(Message):
    """Compare greedy and rising temperatures in the Generate pane."""

    models: tuple[str, ...]
    """names, of which the first that can be loaded is taken"""
    prompts: tuple[str, ...]
    """of which the first is taken that the model has all characters for"""
    tokens: int
    """of a completion, at most"""
    begin: bool = True
    """whether to compare now; else the model is loaded and the prompt shown"""


@dataclass
class Swept(Message):
    """The Generate pane has run a comparison to its end."""

    model: str
    source: str
    prompt: str
    results: tuple[Compared, ...]


@dataclass
class RunEnded(Message):
    """The run that a pane shows has finished, failed or been interrupted while it was shown."""

    run: Run
    state: str
    """one of :mod:`tui.follow.state`"""


def bindings(where: str) -> list[BindingType]:
    """Textual's bindings for the actions of one pane, or of everywhere."""
    made: list[BindingType] = []
    for action in ACTIONS:
        if action.where != where:
            continue
        for number, key in enumerate(action.keys):
            binding = Binding(
                key,
                action.target,
                action.title,
                tooltip=action.help,
                id=f"{action.name}/{key}",
                show=action.shown and number == 0,
                key_display=key_name(key) if number == 0 else None,
                priority=bool(re.fullmatch(r"f\d+|ctrl\+[qcl]", key)),
            )
            made.append(binding)
    return made


class Pane(Container):
    """One pane of the screen. Its own actions are methods ``action_…``, named in the table of actions.

    A pane with work of its own sets ``WORKS``: the keys that act everywhere (start, pause, stop, sample) then reach it
    while it is shown. From the others they reach the run that is trained.
    """

    WORKS = False
    START = "Start"
    """what F5 does here, on the key bar"""
    ABOUT: tuple[tuple[str, str], ...] = ()
    """sections of the help: title and text"""

    def arrive(self) -> None:
        """The pane has been put on the screen: take the focus, catch up with what happened meanwhile."""

    def take(self, text: str) -> None:
        """Work with this text, which another pane sent."""

    def take_model(self, name: str) -> None:
        """Work with the model of this name."""

    def take_ladder(self, wanted: UseLadder) -> None:
        """Compare greedy and rising temperatures."""

    def keep(self, pane: str, picture: str) -> None:
        """Take a picture of another pane, as SVG."""

    def open(self, run: Run) -> None:
        """Show this run, which did this pane's task."""

    def resume(self, run: Run) -> None:
        """Go on with this run, which did this pane's task."""

    def copy(self, run: Run) -> None:
        """Show the form with what this run was asked for."""

    def fill(self, spec: Any) -> None:
        """Show the form of this pane's task with this spec."""

    @property
    def trains(self) -> str:
        """The run that a process of its own works on for this pane; empty when there is none."""
        return ""

    async def stop_and_wait(self) -> None:
        """Ask that run to keep what it made and to end, and wait until it has, though not for ever."""

    @property
    def busy(self) -> bool:
        """Whether work goes on that the gauges should be read for."""
        return False

    def start(self) -> None:
        """Do what this pane is for."""

    def pause(self) -> None:
        """Let the work wait, or go on."""

    def stop(self) -> None:
        """End the work, keeping what it made."""

    def sample(self) -> None:
        """Give another sample."""

    def lit(self, action: str) -> bool:
        """Whether the key bar shows the key of an action of the pane; one that it does not show says why it cannot."""
        return True

    def allows(self, action: str) -> bool:
        """Whether start, pause, stop or sample make sense now; what does not has no key."""
        return action == "start"

    def tell(self, title: str, text: str) -> None:
        """Say something that must be read."""
        dialogs.tell(self.app, title, text)

    def explain(self, view: Lines) -> Sequence[Hint]:
        """The hints of a view: its own, unless the pane draws it."""
        return view.hints()

    def hinted(self) -> list[tuple[Widget, Sequence[Hint]]]:
        """The widgets on the screen that draw figures, that in focus first, with the hints of what is drawn now."""
        views = sorted(self.query(Lines), key=lambda view: not view.has_focus)
        return [(view, seen(self.explain(view), view.entitled)) for view in views if view.is_on_screen]

    def hints(self) -> list[Hint]:
        """What F1 explains: the field or the panel in focus, then every other figure on the screen."""
        found: dict[str, Hint] = {}
        for _, hints in self.hinted():
            for hint in hints:
                found.setdefault(hint.text, hint)
        return [*found.values()]

    def help(self) -> Content:
        """What the screen shows, for F1."""
        parts = [
            Content.assemble(Content.styled(f"{title}\n", "bold $bright"), Content(f"{text}\n"))
            for title, text in self.ABOUT
        ]
        return Content.assemble(*parts)
