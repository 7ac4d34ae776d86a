"""The form that a ranking starts from: questions, methods, and the models that they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Static

from tui.choosing import values
from tui.choosing.looking import Seen, look
from tui.choosing.values import CHOICES, DEFAULTS, METHODS
from tui.classify.choices import Ticks
from tui.classify.values import Wrong
from tui.field import Field
from tui.form import Choice
from tui.text import safe

REST = 0.4  # seconds that typing rests before the questions are looked at
FIELDS = (
    ("questions", ("data", "limit")),
    ("methods", ("methods", "seed")),
    ("trained", ("encoder", "pooling", "margin", "seeds")),
    ("zero-shot", ("model",)),
)
LABELS = {"limit": "items at most", "methods": "run", "model": "language model"}
HINTS = {
    "data": "everyday, a file, a folder, or owner/name on the Hub",
    "limit": "of each split; 0 for all",
    "encoder": "auto, minilm, a folder, or a name on the Hub",
    "margin": "by which the right choice should lead",
    "seeds": "trainings of each scorer",
    "model": "bundled, gpt2, a run, a folder, or a name",
    "seed": "decides splits, batches and dropout",
}
EXPLAINED = (
    "A ranker gives every choice a score and takes the highest. Zero-shot: how probable a causal language model finds "
    "it after the question. Margin and cross-entropy: a small scorer on features of an encoder that stays as it is. "
    "Fine-tuning trains all of the encoder: best, and slowest by far without a GPU. Chance, the longest choice and the "
    "question hidden always run beside them.\n"
    "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
)


class ChooseForm(Container):
    """Fields to the left; what the questions are, and everything that is wrong, beside them."""

    BINDINGS = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
    ]
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = """
    ChooseForm { layout: horizontal; height: 1fr; }
    ChooseForm #ch-fields { width: 1fr; max-width: 62; padding: 0 1; scrollbar-size-vertical: 1; }
    ChooseForm #ch-side { width: 1fr; padding: 0 2; border-left: solid $panel; scrollbar-size-vertical: 1; }
    ChooseForm .section { color: $primary; text-style: bold; margin-top: 1; }
    ChooseForm .field { height: 1; }
    ChooseForm .field Label { width: 15; color: $text-muted; }
    ChooseForm .field Input { width: 1fr; background: $surface; }
    ChooseForm .field Input:focus { background: $primary 25%; }
    ChooseForm .field.-bad Label { color: $error; text-style: bold; }
    ChooseForm #ch-go { width: 100%; margin: 1 0 0 0; }
    ChooseForm #ch-go:focus { text-style: bold; background: $success; }
    ChooseForm #ch-problems { color: $error; }
    ChooseForm #ch-why { color: $text-muted; }
    .-narrow ChooseForm { layout: vertical; }
    .-narrow ChooseForm #ch-fields { height: auto; max-height: 60%; max-width: 100%; }
    .-narrow ChooseForm #ch-side { max-width: 100%; width: 1fr; height: 1fr; border-left: none;
        border-top: solid $panel; padding: 0 1; }
    .-low ChooseForm #ch-go { margin: 0; }
    .-low ChooseForm .section { margin: 0; }
    .-low.-narrow ChooseForm .section { display: none; }
    """

    @dataclass
    class Wanted(Message):
        """The user wants these values to be run."""

        values: dict[str, str]

    def __init__(self) -> None:
        super().__init__(id="ch-form")
        self._wrong: list[Wrong] = []
        self._seen = Seen()
        self._rest: Timer | None = None
        self._filling = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="ch-fields", can_focus=False):
            yield Button("Run the methods   F5", id="ch-go", variant="primary", compact=True)
            for title, names in FIELDS:
                yield Label(title, classes="section")
                for name in names:
                    with Horizontal(classes="field", id=f"ch-row-{name}"):
                        yield Label(LABELS.get(name, name))
                        yield self._widget(name)
        with VerticalScroll(id="ch-side", can_focus=False):
            yield Static(id="ch-problems")
            yield Static(id="ch-seen")
            yield Static(Content(f"\n{EXPLAINED}"), id="ch-why")

    def _widget(self, name: str) -> Widget:
        value, ident = DEFAULTS[name], f"ch-field-{name}"
        if name == "methods":
            return Ticks(METHODS, value, id=ident)
        if name in CHOICES:
            return Choice(CHOICES[name], value, id=ident)
        return Field(value, id=ident, compact=True, select_on_focus=False, placeholder=HINTS[name])

    def on_mount(self) -> None:
        for field in self.query(Input):
            field.cursor_blink = False  # a blinking cursor is traffic
        self._recall()

    @work(thread=True, group="recall", exit_on_error=False)
    def _recall(self) -> None:
        kept = values.recall()
        self.app.call_from_thread(self.fill, kept)

    # -- values ------------------------------------------------------------------------------------------------------

    def given(self) -> dict[str, str]:
        """What the fields say."""
        found: dict[str, str] = {}
        for name in DEFAULTS:
            widget: Any = self.query_one(f"#ch-field-{name}")
            found[name] = str(widget.value)
        return found

    def fill(self, new: dict[str, str]) -> None:
        """Show these values."""
        self._filling = True
        for name, value in new.items():
            widget: Any = self.query_one(f"#ch-field-{name}")
            widget.value = value
        self._filling = False
        self._refresh()
        self._look_soon(0.05)

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
        """To the first field that has one."""
        if self._wrong:
            self.query_one(f"#ch-field-{self._wrong[0].field}").focus()
            self.app.bell()

    @work(thread=True, group="remember", exit_on_error=False)
    def _remember(self, given: dict[str, str]) -> None:
        values.remember(given)

    # -- reactions ---------------------------------------------------------------------------------------------------

    @on(Button.Pressed, "#ch-go")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if not self.start():
            self.show_problem()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self.start():
            self.show_problem()

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        self._changed((event.input.id or "").removeprefix("ch-field-"))

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        event.stop()
        self._changed("")

    @on(Ticks.Changed)
    def _ticked(self, event: Ticks.Changed) -> None:
        event.stop()
        self._changed("")

    def _changed(self, name: str) -> None:
        if self._filling:
            return
        if name == "data":
            self._seen = Seen()
        self._refresh()
        if name in ("data", "limit", "seed"):
            self._look_soon(REST)

    def _look_soon(self, seconds: float) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(seconds, lambda: self._look(self.given()))

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def _look(self, given: dict[str, str]) -> None:
        """Read the questions off the event loop; the Hub is asked only when they are run."""
        from textual.worker import get_current_worker

        worker = get_current_worker()
        seen = look(given)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._know, given, seen)

    def _know(self, given: dict[str, str], seen: Seen) -> None:
        if self.is_attached and given["data"] == self.given()["data"]:
            self._seen = seen
            self._refresh()

    def _refresh(self) -> None:
        """Show what is wrong, and what the questions are."""
        self._wrong = values.problems(self.given())
        if self._seen.problem and not any(one.field == "data" for one in self._wrong):
            self._wrong.append(Wrong("data", self._seen.problem))
        bad = {one.field for one in self._wrong}
        for row in self.query(".field"):
            row.set_class((row.id or "").removeprefix("ch-row-") in bad, "-bad")
        told = "\n".join(f"✗ {LABELS.get(one.field, one.field)}: {one.message}" for one in self._wrong)
        self.query_one("#ch-problems", Static).update(Content(safe(told)))
        self.query_one("#ch-seen", Static).update(self._seen.facts())
