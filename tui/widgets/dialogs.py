"""Dialogs: questions, one line of text, pages to read, and the command palette."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from textual import on
from textual.app import App, ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.command import CommandList, CommandPalette
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click, Key, Resize
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Input, Label, OptionList, Static
from textual.worker import Worker

from tui.actions import table
from tui.text import safe
from tui.widgets.field import Field

Result = TypeVar("Result")

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


_on_click = OptionList._on_click


async def _click(options: OptionList, event: Click) -> None:
    """A click counts for the option that was drawn there, which a list that became shorter has no longer."""
    if event.style.meta.get("option", 0) < options.option_count:
        await _on_click(options, event)


OptionList._on_click = _click  # type: ignore


@dataclass(frozen=True)
class Option:
    """One answer to a question: what it returns, what it says, the letter that gives it."""

    value: str
    label: str
    key: str
    variant: str = "default"


class BaseScreen(Screen[Result]):
    """The base of all screens: what Textual's does wrong when keys or sizes come faster than they are handled."""

    def on_resize(self, event: Resize) -> None:
        """Textual lays out for a size that has passed too; two that take turns in its queue never come to an end."""
        if event.size != self.app.size:
            event.prevent_default()

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close this screen and end its workers; Textual's closes whatever is on top when a key came twice."""
        if not self.is_active:
            return AwaitComplete()
        self.workers.cancel_node(self)
        return super().dismiss(result)


class Dialog(ModalScreen[Result], BaseScreen[Result]):
    """The base of all dialogs. Escape closes it with None."""

    BINDINGS = [Binding("escape", "dismiss", "Cancel")]


def hint(keys: str) -> Static:
    """The last line of a dialog: what its keys do."""
    return Static(Content.styled(keys, "$foreground 60%"))


class Choices(OptionList):
    """A list to choose from. Textual's raises an error when it is paged before it has been laid out."""

    def _move_page(self, direction: Literal[-1, 1]) -> None:
        if self._lines:
            super()._move_page(direction)


class Palette(CommandPalette, BaseScreen[None]):
    """Textual's command palette, which searches and pages only while it is open and laid out."""

    def _gather_commands(self, search_value: str) -> Worker[None] | None:  # type: ignore[override]
        return super()._gather_commands(search_value) if self.is_active else None

    def on_click(self, event: Click) -> None:
        """A click that lies beside the screen since that became smaller closes nothing."""
        if not self.region.contains_point(event.screen_offset):
            event.prevent_default()

    @on(OptionList.OptionSelected)
    def _ignore_when_closing(self, event: OptionList.OptionSelected) -> None:
        if not self.query(CommandList):
            event.prevent_default()

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList)._lines:
            super()._action_command_list(action)


class Question(Dialog[str]):
    """A question with a few answers. Escape gives the last, which changes nothing."""

    BINDINGS = [
        Binding("escape", "answer_last", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, text: str, options: tuple[Option, ...]) -> None:
        super().__init__()
        self._title, self.text, self._options = title, text, options

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(safe(self._title)), classes="title")
            yield Static(Content(safe(self.text)), classes="text")
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


def tell(app: App[Any], title: str, text: str) -> None:
    """Show something that must be read, unless it is shown already."""
    if not any(isinstance(screen, Question) and screen.text == text for screen in app.screen_stack):
        app.push_screen(Question(title, text, (Option("close", "close", "c", "primary"),)))


class Entry(Dialog[str | None]):
    """Ask for one line of text; ``check`` returns what is wrong with it, or an empty string."""

    def __init__(self, title: str, text: str, value: str, check: Callable[[str], str]) -> None:
        super().__init__()
        self._title, self._text, self._value, self._check = title, text, value, check

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(safe(self._title)), classes="title")
            yield Static(Content(safe(self._text)), classes="text")
            yield Field(self._value, compact=True)
            yield Static(classes="problem")
            yield hint("Enter to go on, Esc to leave it")

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


async def ask(app: App[Any], title: str, text: str, value: str = "", *, blank: str) -> str | None:
    """Ask for a line of text that is not blank, and say ``blank`` while it is; None when the user leaves it."""
    return await app.push_screen_wait(Entry(title, text, value, lambda line: "" if line.strip() else blank))


async def ask_path(app: App[Any], title: str, text: str, value: str = "", *, blank: str) -> Path | None:
    """Ask for a file or folder, as :func:`ask` does; ``~`` is the user's home."""
    path = await ask(app, title, text, value, blank=blank)
    return Path(os.path.expanduser(path)) if path is not None else None


class Page(Dialog[None]):
    """Something to read. Any of Escape, q, F1 closes it."""

    BINDINGS = [Binding("escape,q,f1,f12,enter", "dismiss", "Close", priority=True)]
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, title: str, text: Content) -> None:
        super().__init__(classes="wide")
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(self._title), classes="title")
            with VerticalScroll():
                yield Static(self._text)
            yield hint("Esc closes, ↑↓ scroll")


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
