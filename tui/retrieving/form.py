"""The form that a retrieval starts from: a collection, an encoder, and the rankers to compare."""

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

from tui.classify.choices import Ticks
from tui.field import Field
from tui.form import Choice
from tui.retrieving import values
from tui.retrieving.looking import Seen, look
from tui.retrieving.values import CHOICES, DEFAULTS, METHODS, Wrong
from tui.text import safe

REST = 0.4  # seconds that typing rests before the collection is looked at
FIELDS = (
    ("collection", ("data",)),
    ("encoder", ("encoder", "length")),
    ("rankers", ("methods", "mode", "hard_negatives", "epochs", "seed")),
)
LABELS = {"methods": "compare", "mode": "train", "hard_negatives": "hard negatives", "length": "tokens at most"}
HINTS = {
    "data": "workshop, a folder, or owner/name on the Hub",
    "encoder": "auto, minilm, a folder, or a name on the Hub",
    "length": "of a document",
    "hard_negatives": "for each query, found by BM25; 0 for none",
    "epochs": "at most; 0 for what suits",
    "seed": "decides what is held out, and the batches",
}
EXPLAINED = (
    "BM25 counts words. The frozen encoder compares vectors: of its first token ([CLS]), or the mean of all. Hybrid "
    "fuses the ranks of BM25 and mean. Trained learns from the train queries: a projection takes seconds, the whole "
    "encoder minutes and, without a GPU, patience. A folder of your own texts (.txt, .md) can be searched too.\n"
    "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
)


class RetrieveForm(Container):
    """Fields to the left; what the collection holds, and everything that is wrong, beside them."""

    BINDINGS = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
    ]
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = """
    RetrieveForm { layout: horizontal; height: 1fr; }
    RetrieveForm #re-fields { width: 3fr; max-width: 66; padding: 0 1; scrollbar-size-vertical: 1; }
    RetrieveForm #re-side { width: 2fr; padding: 0 2; border-left: solid $panel; scrollbar-size-vertical: 1; }
    RetrieveForm .section { color: $primary; text-style: bold; margin-top: 1; }
    RetrieveForm .field { height: 1; }
    RetrieveForm .field Label { width: 15; color: $text-muted; }
    RetrieveForm .field Input { width: 1fr; background: $surface; }
    RetrieveForm .field Input:focus { background: $primary 25%; }
    RetrieveForm .field.-bad Label { color: $error; text-style: bold; }
    RetrieveForm #re-go { width: 100%; margin: 1 0 0 0; }
    RetrieveForm #re-go:focus { text-style: bold; background: $success; }
    RetrieveForm #re-problems { color: $error; }
    RetrieveForm #re-why { color: $text-muted; }
    .-narrow RetrieveForm { layout: vertical; }
    .-narrow RetrieveForm #re-fields { height: auto; max-height: 60%; max-width: 100%; }
    .-narrow RetrieveForm #re-side { max-width: 100%; width: 1fr; height: 1fr; border-left: none;
        border-top: solid $panel; padding: 0 1; }
    .-low RetrieveForm #re-go { margin: 0; }
    .-low RetrieveForm .section { margin: 0; }
    .-low.-narrow RetrieveForm .section { display: none; }
    """

    @dataclass
    class Wanted(Message):
        """The user wants these values to be run."""

        values: dict[str, str]

    def __init__(self) -> None:
        super().__init__(id="re-form")
        self._wrong: list[Wrong] = []
        self._seen = Seen()
        self._rest: Timer | None = None
        self._filling = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="re-fields", can_focus=False):
            yield Button("Build and judge the rankers   F5", id="re-go", variant="primary", compact=True)
            for title, names in FIELDS:
                yield Label(title, classes="section")
                for name in names:
                    with Horizontal(classes="field", id=f"re-row-{name}"):
                        yield Label(LABELS.get(name, name))
                        yield self._widget(name)
        with VerticalScroll(id="re-side", can_focus=False):
            yield Static(id="re-problems")
            yield Static(id="re-seen")
            yield Static(Content(f"\n{EXPLAINED}"), id="re-why")

    def _widget(self, name: str) -> Widget:
        value, ident = DEFAULTS[name], f"re-field-{name}"
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
            widget: Any = self.query_one(f"#re-field-{name}")
            found[name] = str(widget.value)
        return found

    def fill(self, new: dict[str, str]) -> None:
        """Show these values."""
        self._filling = True
        for name, value in new.items():
            widget: Any = self.query_one(f"#re-field-{name}")
            widget.value = value
        self._filling = False
        self._refresh()
        self._look_soon(0.05)

    def start(self) -> bool:
        """Ask for these values to be run; False when something is wrong with them."""
        given = self.given()
        self._refresh()
        if self._wrong:
            self.query_one(f"#re-field-{self._wrong[0].field}").focus()
            self.app.bell()
            return False
        self._remember(given)
        self.post_message(self.Wanted(given))
        return True

    @work(thread=True, group="remember", exit_on_error=False)
    def _remember(self, given: dict[str, str]) -> None:
        values.remember(given)

    # -- reactions ---------------------------------------------------------------------------------------------------

    @on(Button.Pressed, "#re-go")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.start()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.start()

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        self._changed((event.input.id or "").removeprefix("re-field-"))

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        event.stop()
        self._changed("mode")

    @on(Ticks.Changed)
    def _ticked(self, event: Ticks.Changed) -> None:
        event.stop()
        self._changed("methods")

    def _changed(self, name: str) -> None:
        if self._filling:
            return
        self._refresh()
        if name == "data":
            self._look_soon(REST)

    def _look_soon(self, seconds: float) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(seconds, lambda: self._look(self.given()["data"]))

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def _look(self, name: str) -> None:
        """Read the collection off the event loop."""
        from textual.worker import get_current_worker

        worker = get_current_worker()
        seen = look(name)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._know, name, seen)

    def _know(self, name: str, seen: Seen) -> None:
        if name == self.given()["data"]:
            self._seen = seen
            self._refresh()

    def _refresh(self) -> None:
        """Show what is wrong, and what the collection holds."""
        self._wrong = values.problems(self.given())
        if self._seen.problem and not any(one.field == "data" for one in self._wrong):
            self._wrong.append(Wrong("data", self._seen.problem))
        bad = {one.field for one in self._wrong}
        for row in self.query(".field"):
            row.set_class((row.id or "").removeprefix("re-row-") in bad, "-bad")
        told = "\n".join(f"✗ {LABELS.get(one.field, one.field)}: {one.message}" for one in self._wrong)
        self.query_one("#re-problems", Static).update(Content(safe(told)))
        self.query_one("#re-seen", Static).update(self._seen.facts())
