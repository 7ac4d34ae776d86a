"""The form that a classification starts from: a data set with its columns, an encoder, and the routes to compare."""

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

from engine.features import POOLING_HELP, POOLINGS
from tui.classify import values
from tui.classify.choices import Picker, Ticks
from tui.classify.looking import Seen, look
from tui.classify.values import CHOICES, DEFAULTS, HEADS, Wrong
from tui.field import Field
from tui.form import Choice
from tui.text import safe

REST = 0.4  # seconds that typing rests before the data set is looked at
FIELDS = (
    ("data set", ("data", "test", "text_column", "label_column", "limit")),
    ("features", ("encoder", "pooling")),
    ("routes", ("heads", "class_weights", "seed")),
)
COLUMNS = ("text_column", "label_column")
LABELS = {"test": "test file", "limit": "rows at most", "heads": "train"}
HINTS = {
    "data": "helpdesk, a file, a folder, or owner/name on the Hub",
    "test": "only if it lies in a file of its own",
    "limit": "of each split; 0 for all",
    "encoder": "auto, minilm, a folder, or a name on the Hub",
    "seed": "decides splits, batches and dropout",
}
EXPLAINED = (
    "The encoder stays as it is for logistic regression and MLP: their features are computed once and kept. "
    "Fine-tuning trains all of it: best, and slowest by far without a GPU. The majority class and TF-IDF with "
    "logistic regression always run beside them.\n"
    "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
)


class ClassifyForm(Container):
    """Fields to the left; what the data set holds, and everything that is wrong, beside them."""

    BINDINGS = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
    ]
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = """
    ClassifyForm { layout: horizontal; height: 1fr; }
    ClassifyForm #cl-fields { width: 1fr; min-width: 42; max-width: 62; padding: 0 1; scrollbar-size-vertical: 1; }
    ClassifyForm #cl-side { width: 1fr; padding: 0 2; border-left: solid $panel; scrollbar-size-vertical: 1; }
    ClassifyForm .section { color: $primary; text-style: bold; margin-top: 1; }
    ClassifyForm .field { height: 1; }
    ClassifyForm .field Label { width: 14; color: $text-muted; }
    ClassifyForm .field Input { width: 1fr; background: $surface; }
    ClassifyForm .field Input:focus { background: $primary 25%; }
    ClassifyForm .field.-bad Label { color: $error; text-style: bold; }
    ClassifyForm #cl-go { width: 100%; margin: 1 0 0 0; }
    ClassifyForm #cl-go:focus { text-style: bold; background: $success; }
    ClassifyForm #cl-problems { color: $error; }
    ClassifyForm #cl-rows { text-wrap: nowrap; text-overflow: ellipsis; }
    ClassifyForm #cl-why { color: $text-muted; }
    .-narrow ClassifyForm { layout: vertical; }
    .-narrow ClassifyForm #cl-fields { min-width: 0; height: auto; max-height: 60%; max-width: 100%; }
    .-narrow ClassifyForm #cl-side { max-width: 100%; width: 1fr; height: 1fr; border-left: none;
        border-top: solid $panel; padding: 0 1; }
    .-low ClassifyForm #cl-go { margin: 0; }
    .-low ClassifyForm .section { margin: 0; }
    .-low.-narrow ClassifyForm .section { display: none; }
    """

    @dataclass
    class Wanted(Message):
        """The user wants these values to be run."""

        values: dict[str, str]

    def __init__(self) -> None:
        super().__init__(id="cl-form")
        self._start = dict(DEFAULTS)
        self._wrong: list[Wrong] = []
        self._seen = Seen()
        self._rest: Timer | None = None
        self._filling = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="cl-fields", can_focus=False):
            yield Button("Run the routes   F5", id="cl-go", variant="primary", compact=True)
            for title, names in FIELDS:
                yield Label(title, classes="section")
                for name in names:
                    with Horizontal(classes="field", id=f"cl-row-{name}"):
                        yield Label(LABELS.get(name, name.replace("_", " ")))
                        yield self._widget(name)
        with VerticalScroll(id="cl-side", can_focus=False):
            yield Static(id="cl-problems")
            yield Static(id="cl-seen")
            yield Static(id="cl-rows")
            yield Static(Content(f"\n{EXPLAINED}"), id="cl-why")

    def _widget(self, name: str) -> Widget:
        value, ident = self._start[name], f"cl-field-{name}"
        if name == "heads":
            return Ticks(HEADS, value, id=ident)
        if name == "pooling":
            return Picker(POOLINGS, value, id=ident, help=POOLING_HELP)
        if name in CHOICES:
            return Choice(CHOICES[name], value, id=ident)
        if name in COLUMNS:
            return Picker(("auto",), value, id=ident)
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
            widget: Any = self.query_one(f"#cl-field-{name}")
            found[name] = str(widget.value)
        return found

    def fill(self, new: dict[str, str]) -> None:
        """Show these values."""
        self._filling = True
        for name, value in new.items():
            widget: Any = self.query_one(f"#cl-field-{name}")
            if name in COLUMNS:
                widget.offer(tuple(dict.fromkeys([*self._seen.columns, *([value] if value != "auto" else [])])))
            widget.value = value
        self._filling = False
        self._refresh()
        self._look_soon(0.05)

    def start(self) -> bool:
        """Ask for these values to be run; False when something is wrong with them."""
        given = self.given()
        self._refresh()
        if self._wrong:
            self.show_problem()
            return False
        self._remember(given)
        self.post_message(self.Wanted(given))
        return True

    def show_problem(self) -> None:
        """Move to the first field that is wrong."""
        if self._wrong:
            self.query_one(f"#cl-field-{self._wrong[0].field}").focus()
            self.app.bell()

    @work(thread=True, group="remember", exit_on_error=False)
    def _remember(self, given: dict[str, str]) -> None:
        values.remember(given)

    # -- reactions ---------------------------------------------------------------------------------------------------

    @on(Button.Pressed, "#cl-go")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.start()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "cl-field-data" and values.kind_of(event.value) == "hub" and not self._seen.columns:
            self._look(self.given(), True)
        else:
            self.start()

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        self._changed((event.input.id or "").removeprefix("cl-field-"))

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        event.stop()
        self._changed((event.choice.id or "").removeprefix("cl-field-"))

    @on(Ticks.Changed)
    def _ticked(self, event: Ticks.Changed) -> None:
        event.stop()
        self._changed("heads")

    def _changed(self, name: str) -> None:
        if self._filling:
            return
        self._refresh()
        if name in ("data", "test", "text_column", "label_column", "limit", "seed"):
            self._look_soon(REST)

    def _look_soon(self, seconds: float) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(seconds, lambda: self._look(self.given(), False))

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def _look(self, given: dict[str, str], ask_hub: bool) -> None:
        """Read the data set off the event loop, from the Hub only when asked to."""
        from textual.worker import get_current_worker

        worker = get_current_worker()
        if ask_hub:
            self.app.call_from_thread(self._know, given, Seen(note="asking the Hub…"))
        seen = look(given, ask_hub=ask_hub)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._know, given, seen)

    def _know(self, given: dict[str, str], seen: Seen) -> None:
        if given["data"] != self.given()["data"]:
            return
        self._seen = seen
        if seen.columns:
            for name in COLUMNS:
                self.query_one(f"#cl-field-{name}", Picker).offer(seen.columns)
        self._refresh()

    def _refresh(self) -> None:
        """Show what is wrong, and what the data set holds."""
        self._wrong = values.problems(self.given())
        if self._seen.problem and not any(one.field == "data" for one in self._wrong):
            self._wrong.append(Wrong("data", self._seen.problem))
        bad = {one.field for one in self._wrong}
        for row in self.query(".field"):
            row.set_class((row.id or "").removeprefix("cl-row-") in bad, "-bad")
        told = "\n".join(
            f"✗ {LABELS.get(one.field, one.field.replace('_', ' '))}: {one.message}" for one in self._wrong
        )
        self.query_one("#cl-problems", Static).update(Content(safe(told)))
        self.query_one("#cl-seen", Static).update(self._seen.facts())
        self.query_one("#cl-rows", Static).update(self._seen.first_rows())
