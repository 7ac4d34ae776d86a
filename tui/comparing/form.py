"""The form that a comparison starts from: fields, what the data hold, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from textual import on, work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.runs.spec import Problem
from tui.comparing.ticks import Picker, Ticks
from tui.comparing.values import Fields, Seen
from tui.field import Field
from tui.form import Choice, Form
from tui.styles import style_sheet

REST = 0.4  # seconds that typing rests before the data are looked at


@dataclass(frozen=True)
class Layout:
    """What a form shows, and how its values are judged."""

    go: str
    """on the button"""
    sections: tuple[tuple[str, tuple[str, ...]], ...]
    """titles, and the fields below each"""
    labels: Mapping[str, str]
    """of fields whose name does not tell enough"""
    hints: Mapping[str, str]
    """of fields into which text is typed, while they are empty"""
    explained: str
    fields: Fields
    problems: Callable[[Mapping[str, str]], list[Problem]]
    nothing: Seen
    """before the first look"""
    look: Callable[[Mapping[str, str]], Seen]
    """reads the data of these values: called off the event loop"""
    looked_at: tuple[str, ...]
    """fields that a look depends on"""
    meanings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """of the values of fields whose values do not tell enough: one is shown at a time, with what it means"""
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """long and short names of the values that are ticked, where they have others than their own"""


class CompareForm(Form):
    """Fields to the left; what the data hold, and everything that is wrong, beside them."""

    LAYOUT: Layout
    SCOPED_CSS = False  # as of Form, from which it is not inherited
    DEFAULT_CSS = style_sheet(__file__)

    @dataclass
    class Wanted(Message):
        """The user wants these values to be run."""

        values: dict[str, str]

    def __init__(self) -> None:
        super().__init__(id=f"{self.PREFIX}form")
        self.seen = self.LAYOUT.nothing
        self._wrong: list[Problem] = []
        self._rest: Timer | None = None
        self._filling = False

    def compose(self) -> ComposeResult:
        layout = self.LAYOUT
        with VerticalScroll(classes="fields", can_focus=False):
            yield from self.fields(layout.go, layout.sections)
        with VerticalScroll(classes="side", can_focus=False):
            yield Static(classes="problems")
            yield Static(classes="seen")
            yield from self.more_facts()
            yield Static(Content(f"\n{layout.explained}"), classes="why")

    def label(self, name: str) -> str:
        return self.LAYOUT.labels.get(name, super().label(name))

    def widget(self, name: str, ident: str) -> Widget:
        fields = self.LAYOUT.fields
        value = fields.defaults[name]
        if name == fields.several:
            return Ticks(fields.able, value, id=ident, names=self.LAYOUT.names)
        if name in fields.choices and name in self.LAYOUT.meanings:
            return Picker(fields.choices[name], value, id=ident, help=self.LAYOUT.meanings[name])
        if name in fields.choices:
            return Choice(fields.choices[name], value, id=ident)
        return Field(value, id=ident, compact=True, select_on_focus=False, placeholder=self.LAYOUT.hints[name])

    def more_facts(self) -> ComposeResult:
        """More about the data, below the facts."""
        yield from ()

    def on_mount(self) -> None:
        self._recall()

    @work(thread=True, group="recall", exit_on_error=False)
    def _recall(self) -> None:
        kept = self.LAYOUT.fields.recall()
        self.app.call_from_thread(self.fill, kept)

    # -- values ------------------------------------------------------------------------------------------------------

    def given(self) -> dict[str, str]:
        """What the fields say."""
        return {name: str(self.field(name).value) for name in self.LAYOUT.fields.defaults}

    def fill(self, new: Mapping[str, str]) -> None:
        """Show these values."""
        self._filling = True
        for name, value in new.items():
            self.put(name, value)
        self._filling = False
        self._refresh()
        self._look_soon(0.05)

    def put(self, name: str, value: str) -> None:
        """Show this value in a field."""
        self.field(name).value = value

    def start(self) -> bool:
        """Ask for these values to be run; False when something is wrong with them."""
        given = self.given()
        self._refresh()
        if self._wrong:
            return False
        self._remember(given)
        self.post_message(self.Wanted(given))
        return True

    def show_problem(self) -> None:
        """To the first field that is wrong."""
        if self._wrong:
            self.field(self._wrong[0].field).focus()
            self.app.bell()

    @work(thread=True, group="remember", exit_on_error=False)
    def _remember(self, given: dict[str, str]) -> None:
        self.LAYOUT.fields.remember(given)

    # -- reactions ---------------------------------------------------------------------------------------------------

    def start_or_tell(self) -> None:
        if not self.start():
            self.show_problem()

    @on(Input.Changed)
    @on(Choice.Changed)
    @on(Ticks.Changed)
    def _edited(self, event: Input.Changed | Choice.Changed | Ticks.Changed) -> None:
        event.stop()
        if self._filling or event.control is None:
            return
        name = self.name_of(event.control)
        if name == "data":
            self.seen = self.LAYOUT.nothing
        self._refresh()
        if name in self.LAYOUT.looked_at:
            self._look_soon(REST)

    # -- the data ----------------------------------------------------------------------------------------------------

    def _look_soon(self, seconds: float) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(seconds, lambda: self.look(self.given(), self.LAYOUT.look))

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def look(self, given: dict[str, str], read: Callable[[Mapping[str, str]], Seen]) -> None:
        """Read the data off the event loop."""
        from textual.worker import get_current_worker

        worker = get_current_worker()
        seen = read(given)
        if not worker.is_cancelled:
            self.app.call_from_thread(self.know, given, seen)

    def know(self, given: Mapping[str, str], seen: Seen) -> None:
        """Take in what a look at the data of these values found."""
        if self.is_attached and given["data"] == self.given()["data"]:
            self.seen = seen
            self.saw()
            self._refresh()

    def saw(self) -> None:
        """There is something new about the data."""

    def _refresh(self) -> None:
        """Show what is wrong, and what the data hold."""
        layout = self.LAYOUT
        self._wrong = layout.problems(self.given())
        if self.seen.problem and not any(one.field == "data" for one in self._wrong):
            self._wrong.append(Problem("data", self.seen.problem))
        told = "\n".join(f"✗ {self.label(one.field)}: {one.message}" for one in self._wrong)
        self.show_problems(self._wrong, told)
        self.query_one(".seen", Static).update(self.seen.facts())
