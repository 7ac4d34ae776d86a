"""Dialogs: questions, one line of text, pages to read, and the command palette."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.command import CommandList, CommandPalette
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click, Key, Resize
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.visual import VisualType
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static
from textual.worker import Worker

from tui.actions import table
from tui.hints import Hint, definition
from tui.text import safe
from tui.widgets.field import Field
from tui.widgets.styled import ACCENT, MUTED

Result = TypeVar("Result")
VALUES = 4  # of a figure that the help repeats

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


class BaseScreen(Screen[Result]):
    """The base of all screens: what Textual's does wrong when keys or sizes come faster than they are handled."""

    def on_resize(self, event: Resize) -> None:
        """Textual lays out for a size that has passed too; two that take turns in its queue never come to an end."""
        if event.size != self.app.size:
            event.prevent_default()

    def on_screen_resume(self) -> None:
        """What keys do may have changed while a dialog lay over this screen."""
        self.refresh_bindings()

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """Where a selection begins: in no widget that was taken away and is still in the picture."""
        widget, offset = super().get_widget_and_offset_at(x, y)
        gone = widget is not None and widget.parent is None
        return (None, None) if gone else (widget, offset)

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close this screen and end its workers; Textual's closes whatever is on top when a key came twice."""
        if not self.is_active:
            return AwaitComplete()
        self.workers.cancel_node(self)
        return super().dismiss(result)


class Dialog(ModalScreen[Result], BaseScreen[Result]):
    """The base of all dialogs: a box over the dimmed pane. Escape closes it with None."""

    BINDINGS = [Binding("escape", "dismiss", "Cancel")]


def box(title: str, keys: str) -> Vertical:
    """The box of a dialog, with its title and below what its keys do."""
    made = Vertical(classes="box")
    made.border_title, made.border_subtitle = Content(safe(title, lines=False)), Content(keys)
    return made


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
    """A question with a few answers. The last changes nothing: it stands first, has the focus, and Escape gives it."""

    BINDINGS = [
        Binding("escape", "answer_last", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, text: str, options: tuple[Option, ...], *, stacked: bool = False) -> None:
        """``stacked`` puts each answer on a line of its own also where there is room for all in one."""
        super().__init__(classes="stacked wide" if stacked else None)
        self._title, self.text, self._options = title, text, options

    def compose(self) -> ComposeResult:
        *others, safest = self._options
        with box(self._title, f"Esc {safest.label}"):
            yield Static(Content(safe(self.text)), classes="text")
            with Horizontal():
                for option in (safest, *others):
                    label = safe(option.label, lines=False)
                    text = Content.assemble((option.key, "bold"), f" {label[:1].upper()}{label[1:]}")
                    yield Button(text, id=option.value, compact=True)

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
        app.push_screen(Question(title, text, (Option("close", "close", "c"),)))


class Entry(Dialog[str | None]):
    """Ask for one line of text; ``check`` returns what is wrong with it, or an empty string.

    ``problem`` is what was wrong with ``value``, when the user has entered that before.
    """

    def __init__(self, title: str, text: str, value: str, check: Callable[[str], str], problem: str = "") -> None:
        super().__init__()
        self._title, self._text, self._value, self._check, self._problem = title, text, value, check, problem

    def compose(self) -> ComposeResult:
        with box(self._title, "Enter confirm · Esc cancel"):
            yield Static(Content(safe(self._text)), classes="text")
            yield Field(self._value, compact=True)
            yield Static(Content(safe(self._problem)), classes="problem")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        before = self._problem if event.value == self._value else ""
        self.query_one(".problem", Static).update(Content(safe(self._check(event.value) or before)))

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

    BINDINGS = [Binding("escape,q,f1,f12,enter", "dismiss", "Close", priority=True), Binding("k", "keys", "Keys")]
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, title: str, *parts: VisualType, keys: int = 0) -> None:
        """``keys`` is the place of the first part about keys, if there are any behind other parts."""
        super().__init__(classes="wide")
        self._title, self._parts, self._keys = title, parts, keys

    def compose(self) -> ComposeResult:
        with box(self._title, f"↑↓ scroll{' · k Keys' * bool(self._keys)} · Esc close"), VerticalScroll():
            for part in self._parts:
                yield Static(part)

    def action_keys(self) -> None:
        """Scroll to the keys."""
        parts = self.query_one(VerticalScroll)
        parts.scroll_to_widget(parts.children[self._keys], top=True)


def hint_parts(hints: Sequence[Hint]) -> list[VisualType]:
    """The figures on the screen with their values; a term is defined where it is first used."""
    parts: list[Content] = []
    defined: set[str] = set()
    for hint in hints:
        told = dict.fromkeys(value for value in hint.shown if value != hint.name)
        values = "  ".join([*list(told)[:VALUES], *["…"] * (len(told) > VALUES)])
        parts += [
            Content.styled(safe(hint.name, lines=False), "bold $bright"),
            Content(f"  {safe(values, lines=False)}\n"),
        ]
        parts.append(Content(f"{safe(hint.text)}\n"))
        if hint.term not in defined and (about := definition(hint.term)):
            defined.add(hint.term)
            parts.append(Content.styled(f"{hint.term}: {about}\n", "$muted"))
    return [Content.styled("On this screen", "bold $bright"), Content.assemble(*parts)] if hints else []


def help_page(where: str, about: Content, hints: Sequence[Hint] = ()) -> Page:
    """The help: the figures on the screen, keys from the table of actions, and about the pane ``where``."""
    parts: list[VisualType] = hint_parts(hints)
    begin = len(parts)
    for title, place in (("Keys of this pane", where), ("Keys everywhere", "everywhere")):
        keys = Table.grid(padding=(0, 2, 0, 0))
        keys.add_column(style=f"bold {ACCENT}", min_width=16)
        keys.add_column(min_width=14)
        keys.add_column(style=MUTED)
        for row in table(place):
            keys.add_row(*map(Text, row))
        parts += [Content.styled(title, "bold $bright"), keys, ""]
    return Page("llmlab-tui: help", *parts, about, keys=begin)


def doctor_page(report: Mapping[str, Mapping[str, str]]) -> Page:
    """Versions, device, terminal and paths."""
    parts: list[Content] = []
    width = max(len(key) for entries in report.values() for key in entries) + 2
    for section, entries in report.items():
        parts.append(Content.styled(f"{section}\n", "bold $bright"))
        for key, value in entries.items():
            parts += [Content.styled(f"  {key:<{width}}", "$muted"), Content(f"{safe(value, lines=False)}\n")]
    return Page("doctor", Content.assemble(*parts))


def glossary_page() -> Page:
    """The terms of the field, what each means, and its source."""
    from engine.lab.glossary import page

    parts: list[Content | str | tuple[str, str]] = []
    for term in page():
        parts += [(term.name, "bold $bright"), f"  {term.definition}\n", (f"{term.source}\n\n", "$muted")]
    return Page("glossary", Content.assemble(*parts))
