"""The form of a task, made from the fields of its spec, with the values of the last start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus, Key
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Static

from data import sources
from engine.runs.spec import BadSpec, Problem, changed, convert, options, spelled, typed
from tui.follow import last_values
from tui.hints import Hint, setting
from tui.text import safe
from tui.widgets.field import Choice, Field, PathField, Ticks, Values
from tui.widgets.styled import MUTED, TITLE
from tui.widgets.styles import style_sheet

KEYS = "↑↓ field, ←→ value, Space tick, Tab complete a path, Esc leave the field."


def groups(kind: type, *, advanced: bool = False) -> dict[str, list[str]]:
    """The fields of a spec by group, in order: those that a form shows at once, or those that it shows on demand."""
    found: dict[str, list[str]] = {}
    for name, known in options(kind).items():
        if known.advanced == advanced:
            found.setdefault(known.group, []).append(name)
    return found


def label(kind: type, name: str) -> str:
    """A field as people read it."""
    return options(kind)[name].label or name.replace("_", " ")


class Column(VerticalScroll, can_focus=False, inherit_bindings=False):
    """Fields below each other. It has no keys of its own: arrows walk from field to field instead of scrolling."""


class Form(Container):
    """Fields to the left; beside them everything that is wrong, and what is known of the data.

    A field that the user has not set follows the spec that the form begins with. Values are text until a run starts.
    """

    DEFAULT: ClassVar[Any]
    """the spec that the form begins with"""
    PREFIX: ClassVar[str] = ""
    """of the ids of its widgets"""
    GO: ClassVar[str]
    """on the button"""
    FILE: ClassVar[str]
    """under the home: what the form was started with last"""
    BUILT_IN: ClassVar[frozenset[str]] = frozenset()
    """values of fields for paths that never mean a file"""
    BINDINGS = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Previous field", show=False),
        Binding("escape", "leave", "Leave the field"),
    ]
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = style_sheet(__file__)

    @dataclass
    class Wanted(Message):
        """The user wants a run of this spec."""

        spec: Any
        more: tuple[Any, ...] = ()
        """specs of further runs"""

    def __init__(self) -> None:
        super().__init__(id=f"{self.PREFIX}form")
        self.kind = type(self.DEFAULT)
        self.known = options(self.kind)
        self.problems: list[Problem] = []
        self.more: tuple[Any, ...] = ()
        """where fields have several values: the specs that the form describes after the first"""
        self._touched: set[str] = set()
        self._put: dict[str, str] = {}
        """what the program wrote into each field; anything else there is the user's"""
        self._shown: dict[str, str] = {}
        """the same as it stands there, where that differs: control characters are made visible"""
        self._widgets: dict[str, Any] = {}
        kept = self._recall()
        self._touched.update(kept)
        self.put({**self.followed(kept), **kept})

    def compose(self) -> ComposeResult:
        with Column(classes="fields"):
            yield Button(f"{self.GO}   F5", id=f"{self.PREFIX}go", classes="go", variant="primary", compact=True)
            yield from self._rows(groups(self.kind))
            yield Button("", id=f"{self.PREFIX}fold", classes="fold", compact=True)
            yield Container(classes="advanced")
        with VerticalScroll(classes="side", can_focus=False):
            yield Static(classes="problems")
            yield from self.facts()
            yield Static(classes="why")
        yield Static(classes="hint")

    def _rows(self, shown: Mapping[str, Iterable[str]]) -> Iterable[Widget]:
        """The fields below the titles of their groups."""
        for title, names in shown.items():
            yield Label(title, classes="section")
            for name in names:
                self._widgets[name] = widget = self.widget(name, f"{self.PREFIX}field-{name}")
                self._shown[name] = str(widget.value)  # type: ignore[attr-defined]
                yield Horizontal(Label(label(self.kind, name)), widget, classes="field", id=f"{self.PREFIX}row-{name}")

    # -- what a subclass gives ---------------------------------------------------------------------------------------

    def facts(self) -> ComposeResult:
        """What is shown beside the fields."""
        yield from ()

    def followed(self, given: Mapping[str, str]) -> dict[str, str]:
        """The texts of all fields that the user has not set, when these are set."""
        return spelled(self.DEFAULT)

    def made(self, given: Mapping[str, Any]) -> Any:
        """The spec of these values. Raises :class:`engine.runs.spec.BadSpec`."""
        return changed(self.DEFAULT, given)

    def wrong(self, values: Mapping[str, str]) -> list[Problem]:
        """What is wrong with the texts of all fields, beside what the spec finds."""
        return []

    def explained(self) -> str:
        """What the form is for, beside its fields."""
        return ""

    def refreshed(self, spec: Any) -> None:
        """Something has changed; ``spec`` is what the form describes, None when something is wrong with it."""

    def entered(self, name: str) -> None:
        """Enter was pressed in a field that is typed into."""
        self.start_or_tell()

    def edited(self, name: str) -> None:
        """The user has changed a field."""

    # -- values ------------------------------------------------------------------------------------------------------

    def widget(self, name: str, ident: str) -> Widget:
        """The widget of a field; its ``value`` is text."""
        known, value, default = self.known[name], self._put[name], getattr(self.DEFAULT, name)
        if isinstance(default, tuple) and known.choices:
            return Ticks(known.choices, value, id=ident, names=known.meanings)
        if (known.choices and not known.numbered) or isinstance(default, bool):
            return Choice(known.choices or ("off", "on"), value, id=ident)
        return PathField(value, id=ident) if known.path else Field(value, id=ident, compact=True)

    def name_of(self, widget: Widget | None) -> str:
        """The field that a widget is of; empty when it is of none."""
        name = (widget.id or "" if widget else "").removeprefix(f"{self.PREFIX}field-")
        return name if name in self.known else ""

    def text(self, name: str) -> str:
        """The text of a field, whether it is on the screen or not."""
        value = str(self._widgets[name].value) if name in self._widgets else self._shown[name]
        return self._put[name] if value == self._shown[name] else value

    def put(self, texts: Mapping[str, str]) -> None:
        """Write into fields, without making it the user's."""
        self._put.update(texts)
        self._shown.update(texts)
        with self.prevent(Input.Changed, Values.Changed):
            for name in texts.keys() & self._widgets.keys():
                self._widgets[name].value = texts[name]
                self._shown[name] = str(self._widgets[name].value)

    def values(self) -> dict[str, str]:
        """The texts of all fields."""
        return {name: self.text(name) for name in self.known}

    def given(self) -> dict[str, str]:
        """What the user set, by field."""
        texts = self.values()
        return {name: text for name, text in texts.items() if name in self._touched or text != self._put[name]}

    def spec(self) -> Any:
        """The spec that the form describes. Raises :class:`engine.runs.spec.BadSpec` with everything that is wrong."""
        found, spec = {problem.field: problem for problem in self.wrong(self.values())}, None
        try:
            spec = self.made(typed(self.kind, self.given()))
        except BadSpec as error:
            found.update({problem.field: problem for problem in error.problems})
        if found:
            order = list(self.known)
            raise BadSpec(sorted(found.values(), key=lambda one: order.index(one.field) if one.field in order else -1))
        return spec

    def fill(self, spec: Any) -> None:
        """Show the values of a spec, as if the user had set those that differ from the defaults."""
        self._fill(spelled(spec))

    def reset(self) -> None:
        """The defaults: nothing of what the user set."""
        self._fill(self.followed({}))

    def _fill(self, texts: dict[str, str]) -> None:
        followed = self.followed(texts)
        self._touched = {name for name, text in texts.items() if text != followed[name]}
        self.put(texts)
        self.edited("")
        self.refresh_all()

    # -- the last start ----------------------------------------------------------------------------------------------

    def _recall(self) -> dict[str, str]:
        """What was set at the last start; what a damaged file cannot mean is passed over."""
        kept = last_values.read(self.FILE, self.known)
        for name, text in list(kept.items()):
            able, default = self.known[name].choices, getattr(self.DEFAULT, name)
            if isinstance(default, tuple) and able:
                kept[name] = " ".join(one for one in able if one in text.split())
            elif able and not self.known[name].allows(text):
                del kept[name]
            elif isinstance(default, bool):
                try:
                    kept[name] = "on" if convert(self.kind, name, text) else "off"
                except BadSpec:
                    del kept[name]
        return kept

    @work(thread=True, group="remember", exit_on_error=False)
    def _remember(self, given: dict[str, str]) -> None:
        """Keep what was set, but for the name; paths whole, since the next start may stand in another folder."""
        kept = {name: text for name, text in given.items() if name != "name"}
        for name, text in kept.items():
            if self.known[name].path and text not in self.BUILT_IN and sources.existing(text.strip()):
                kept[name] = str(Path(os.path.expanduser(text.strip())).absolute())
        last_values.write(self.FILE, kept)

    # -- starting ----------------------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Ask for a run of these values; False when something is wrong with them."""
        try:
            spec = self.spec()
        except BadSpec:
            self.refresh_all()
            return False
        self._remember(self.given())
        self.post_message(self.Wanted(spec, self.more))
        return True

    def show_problem(self) -> None:
        """Move to the first field that is wrong."""
        name = self.problems[0].field if self.problems else ""
        if name in self.known:
            if self.known[name].advanced:
                self.unfold()
            self.call_after_refresh(lambda: self._widgets[name].focus())
        self.app.bell()

    def start_or_tell(self) -> None:
        """Start with these values, or go to what is wrong with them."""
        if not self.start():
            self.show_problem()

    # -- reactions ---------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.refresh_all()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.has_class("fold"):
            self.unfold(not self.has_class("-unfolded"))
        else:
            self.start_or_tell()

    def unfold(self, open: bool = True) -> None:
        """Show the advanced fields, or hide them. They are made when they are first shown."""
        self.set_class(open, "-unfolded")
        fold = self.query_one(".advanced", Container)
        if open and not fold.children:
            fold.mount_all(self._rows(groups(self.kind, advanced=True)))
        self.call_after_refresh(self.refresh_all)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.entered(self.name_of(event.input))

    @on(Input.Changed)
    @on(Values.Changed)
    def _edited(self, event: Input.Changed | Values.Changed) -> None:
        event.stop()
        name = self.name_of(event.control)
        if name and (name in self._touched or self.text(name) != self._put[name]):
            self._touched.add(name)
            self.edited(name)
            self.refresh_all()
        self._help(event.control)

    def on_key(self, event: Key) -> None:
        """A letter beside the fields that are typed into acts only if the line of keys shows it."""
        if event.is_printable and (event.character or "").isalpha():
            active = self.screen.active_bindings.get(event.key)
            if active is None or not active.binding.show:
                event.stop()

    def lit(self, action: str) -> bool:
        """The way out is shown while letters are typed into a field."""
        return isinstance(self.screen.focused, Input)

    def action_leave(self) -> None:
        """Out of a field, so that letters and digits are keys again."""
        self.query_one(".go", Button).focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Say what the field in focus is for."""
        self._help(event.widget)

    def _help(self, widget: Widget | None) -> None:
        name = self.name_of(widget)
        text = KEYS
        if name and widget is not None and widget.has_focus:
            known = self.known[name]
            pointed = widget.pointed if isinstance(widget, Values) else ""
            about = f"{pointed}: {known.meanings[pointed]}" if pointed in known.meanings else known.help
            if known.numbered:  # is typed
                about = f"{about} ({', '.join(known.listed)})"
            text = f"{label(self.kind, name)}: {about}"
        self.query_one(".hint", Static).update(Content(safe(text)))

    def hinted(self) -> list[tuple[Widget, Sequence[Hint]]]:
        """The field in focus and what stands beside the fields, with their hints."""
        field, name = self.screen.focused, self.name_of(self.screen.focused)
        side: list[tuple[Widget, Sequence[Hint]]] = [(self.query_one(".side"), self.facts_hints())]
        return [(field, [self._hint(name)]), *side] if field is not None and name else side

    def facts_hints(self) -> Sequence[Hint]:
        """The hints of what is shown beside the fields."""
        return ()

    def _hint(self, name: str) -> Hint:
        """What a field is for; then its value with the unit, its default, and what it may be."""
        known, value, widget = self.known[name], self.text(name), self._widgets[name]
        default = self.followed({one: text for one, text in self.given().items() if one != name})[name]
        switch = ("off", "on") if isinstance(getattr(self.DEFAULT, name), bool) else ()
        drawn = widget.drawn if isinstance(widget, Values) else (widget.value,)
        return Hint(label(self.kind, name), drawn, setting(known, value, default, switch))

    def refresh_all(self) -> None:
        """Show what follows from the values: the fields that are not set, problems, and what a subclass shows."""
        given = self.given()
        followed = self.followed(given)
        self.put({name: text for name, text in followed.items() if name not in given and self._put[name] != text})
        try:
            spec, self.problems = self.spec(), []
        except BadSpec as error:
            spec, self.problems = None, error.problems
        wrong = {problem.field for problem in self.problems}
        for name, widget in self._widgets.items():
            if widget.parent is not None:
                widget.parent.set_class(name in wrong, "-bad")
        told = [
            f"✗ {label(self.kind, one.field) + ': ' if one.field in self.known else ''}{one.message}"
            for one in self.problems
        ]
        self.query_one(".problems", Static).update(Content(safe("\n".join(told))))
        back = "\nu resets the form to its defaults." if given else ""
        self.query_one(".why", Static).update(Content(f"\n{self.explained()}{back}"))
        self._label_fold(given)
        self.refreshed(spec)

    def _label_fold(self, given: Mapping[str, str]) -> None:
        hidden = [name for name, known in self.known.items() if known.advanced]
        changed = sum(name in given for name in hidden)
        mark, count = "▾" if self.has_class("-unfolded") else "▸", f"{len(hidden)} fields"
        self.query_one(".fold", Button).label = f"{mark} advanced: {count}{f', {changed} changed' * bool(changed)}"


def rows(title: str, entries: Iterable[tuple[str, str]]) -> Group:
    """Names and values below a title; what is long goes on below its value."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style=MUTED, no_wrap=True)
    for name, value in entries:
        table.add_row(Text(safe(name)), Text(safe(value)))  # text, since a plain string would be read as markup
    return Group(Text(title, TITLE), table, "")
