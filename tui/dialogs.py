"""Small questions over the screen, the help, and the doctor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from tui.actions import table
from tui.field import Field
from tui.text import safe

CSS = """
ModalScreen { align: center middle; background: $background 60%; }
ModalScreen > Vertical { width: 64; max-width: 95%; height: auto; max-height: 95%; padding: 1 2;
    background: $surface; border: round $primary; }
ModalScreen .title { text-style: bold; color: $primary; width: 100%; }
ModalScreen .text { margin: 1 0; width: 100%; }
ModalScreen Horizontal { height: auto; align-horizontal: right; }
ModalScreen Button { margin-left: 1; min-width: 10; }
ModalScreen .problem { color: $error; width: 100%; }
ModalScreen VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
ModalScreen.wide > Vertical { width: 96; height: 90%; }
ModalScreen.wide VerticalScroll { height: 1fr; }
.-low ModalScreen > Vertical { padding: 0 1; }
"""


@dataclass(frozen=True)
class Option:
    """One answer to a question: what it returns, what it says, the letter that gives it."""

    value: str
    label: str
    key: str
    variant: str = "default"


class Question(ModalScreen[str]):
    """A question with a few answers. Escape gives the last, which changes nothing."""

    BINDINGS = [
        Binding("escape", "answer_last", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, text: str, options: tuple[Option, ...]) -> None:
        super().__init__()
        self._title, self._text, self._options = title, text, options

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(safe(self._title)), classes="title")
            yield Static(Content(safe(self._text)), classes="text")
            with Horizontal():
                for option in self._options:
                    yield Button(
                        Content.assemble(Content.styled(option.key, "bold underline"), f" {option.label}"),
                        id=option.value,
                        variant=option.variant,  # type: ignore[arg-type]
                        compact=True,
                    )

    def on_key(self, event: Key) -> None:
        for option in self._options:
            if event.key == option.key:
                event.stop()  # the screen below has a use for the same letter
                self.dismiss(option.value)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id or self._options[-1].value)

    def action_answer_last(self) -> None:
        """Give the answer that changes nothing."""
        self.dismiss(self._options[-1].value)


class Entry(ModalScreen[str | None]):
    """Ask for one line of text; ``check`` returns what is wrong with it, or an empty string."""

    BINDINGS = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, title: str, text: str, value: str, check: Callable[[str], str]) -> None:
        super().__init__()
        self._title, self._text, self._value, self._check = title, text, value, check

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(safe(self._title)), classes="title")
            yield Static(Content(safe(self._text)), classes="text")
            yield Field(self._value, compact=True)
            yield Static(classes="problem")
            yield Static(Content.styled("Enter to go on, Esc to leave it", "$foreground 60%"))

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self.query_one(".problem", Static).update(Content(safe(self._check(event.value))))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if problem := self._check(event.value):
            self.query_one(".problem", Static).update(Content(safe(problem)))
            self.app.bell()
        else:
            self.dismiss(event.value)

    def action_cancel(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)


class Page(ModalScreen[None]):
    """Something to read. Any of Escape, q, F1 closes it."""

    BINDINGS = [Binding("escape,q,f1,f12,enter", "app.pop_screen", "Close", priority=True)]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__(classes="wide")
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(self._title), classes="title")
            with VerticalScroll():
                yield Static(self._text)
            yield Static(Content.styled("Esc closes, ↑↓ scroll", "$foreground 60%"))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


def help_page(where: str, about: Content) -> Page:
    """The help: keys from the table of actions, and what the pane ``where`` says about itself."""
    parts = []
    for title, place in ((f"Keys of this pane ({where})", where), ("Keys everywhere", "everywhere")):
        parts.append(Content.styled(f"{title}\n", "bold $primary"))
        for keys, name, text in table(place):
            parts.append(Content.styled(f"  {keys:<16}", "bold"))
            parts.append(Content.assemble(f"{name:<12}", Content.styled(f"{text}\n", "$foreground 60%")))
        parts.append(Content("\n"))
    return Page("llmlab-tui: help", Content.assemble(*parts, about))
