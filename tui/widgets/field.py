"""Widgets for the fields of a form: a line to type into, one of many values, several of a few."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input

from tui.text import safe
from tui.widgets.styled import cut

ENTRIES = 5_000  # of a folder that are looked at to complete a path


class Field(Input):
    """Textual's input draws what was pasted into it as it is; here control characters become visible as they come.

    The cursor does not blink: every blink is traffic.
    """

    def on_mount(self) -> None:
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """What of ``value`` can be shown."""
        return safe(value, lines=False)


class PathField(Field):
    """For text that may be a path: what could follow is shown dimmed, and Tab or → takes it."""

    BINDINGS = [Binding("tab", "complete", show=False)]

    def __init__(self, value: str, *, id: str) -> None:
        super().__init__(value, id=id, compact=True, suggester=_Paths(use_cache=False, case_sensitive=True))

    async def action_complete(self) -> None:
        """Take what could follow, else go to the next field."""
        before = self.value
        longer = await asyncio.to_thread(completed, before) if self.cursor_at_end else None
        if self.value != before:
            return  # typed meanwhile
        if longer is None:
            self.screen.focus_next()
        else:
            self.value, self.cursor_position = longer, len(longer)


class _Paths(Suggester):
    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(completed, value)


def completed(text: str) -> str | None:
    """``text`` with what all paths that begin with it share, or the whole of the only one; None where it is as long.

    Reads a folder: not for the thread of a screen. A folder ends with a slash.
    """
    folder, start = os.path.split(text)
    place = os.path.expanduser(folder or ".")
    try:
        with os.scandir(place) as entries:
            some = islice(entries, ENTRIES)
            names = [entry.name for entry in some if entry.name.startswith(start) and safe(entry.name) == entry.name]
    except (OSError, ValueError):
        return None
    if not start.startswith("."):
        names = [name for name in names if not name.startswith(".")]
    shared = os.path.commonprefix(names)  # noqa: RUF071 - characters, not folders
    if len(names) == 1 and os.path.isdir(os.path.join(place, shared)):
        shared += "/"
    longer = text[: len(text) - len(start)] + shared
    return longer if len(longer) > len(text) else None


class Values(Widget, can_focus=True):
    """A few values of which some are chosen. ``value`` is text, as of every field."""

    DEFAULT_CSS = """
    Values { height: auto; width: 1fr; padding: 0 1; background: $surface; }
    Values:focus { background: $primary 25%; }
    """
    value: reactive[str] = reactive("")

    @dataclass
    class Changed(Message):
        """Another value was chosen, or one more."""

        values: Values

        @property
        def control(self) -> Values:
            return self.values

    def __init__(self, able: Sequence[str], value: str, *, id: str) -> None:
        super().__init__(id=id)
        self.able = tuple(able)
        self.set_reactive(Values.value, value)

    def watch_value(self) -> None:
        self.post_message(self.Changed(self))

    def watch_has_focus(self, focused: bool) -> None:
        super().watch_has_focus(focused)
        self.refresh()

    @property
    def pointed(self) -> str:
        """The value that help is wanted for."""
        return self.value

    @property
    def drawn(self) -> tuple[str, ...]:
        """What is chosen, as it is drawn."""
        return (self.value,)


class Choice(Values):
    """One of many values: all in a line where there is room, else the chosen one. Left and right choose."""

    BINDINGS = [
        Binding("left", "step(-1)", "Previous", show=False),
        Binding("right,space", "step(1)", "Next", show=False),
    ]

    def offer(self, able: Sequence[str]) -> None:
        """Offer these values; one that is none of them goes."""
        self.able = tuple(able)
        if self.value not in self.able:
            self.value = self.able[0]
        self.refresh()

    @property
    def _wide(self) -> bool:
        return sum(len(value) + 1 for value in self.able) - 1 <= self.size.width

    @property
    def _gap(self) -> int:
        """Cells around each value."""
        return 1 if sum(len(value) + 3 for value in self.able) - 1 <= self.size.width else 0

    def render(self) -> Content:
        if not self._wide or self.value not in self.able:
            room = max(8, self.size.width - 6)
            name = cut(safe(self.value, lines=False), room)
            arrows = Content.styled(" ◂ ▸" * (len(self.able) > 1), "$foreground 60%")
            return Content.assemble(Content.styled(f" {name} ", "reverse bold"), arrows)
        gap = " " * self._gap
        styles = ["reverse bold" if value == self.value else "$foreground 60%" for value in self.able]
        spelled = [safe(f"{gap}{value}{gap}", lines=False) for value in self.able]
        return Content(" ").join([Content.styled(*one) for one in zip(spelled, styles, strict=True)])

    def action_step(self, by: int) -> None:
        """Choose the value ``by`` places on."""
        here = self.able.index(self.value) + by if self.value in self.able else 0
        self.value = self.able[here % len(self.able)]

    def on_click(self, event: Click) -> None:
        """The value under the pointer; where only one is shown, the next."""
        if not self._wide:
            self.action_step(1)
            return
        start = 1
        for value in self.able:
            end = start + len(value) + 2 * self._gap
            if start <= event.x < end:
                self.value = value
            start = end + 1


class Ticks(Values):
    """Several of a few values, in as many lines as they need: left and right move, space ticks."""

    BINDINGS = [
        Binding("left", "step(-1)", "Previous", show=False),
        Binding("right", "step(1)", "Next", show=False),
        Binding("space,x", "tick", "Tick", show=False),
    ]
    place: reactive[int] = reactive(0)

    def __init__(self, able: Sequence[str], value: str, *, id: str, names: Mapping[str, str]) -> None:
        """``names`` are what people read where there is room, for values that have longer names."""
        super().__init__(able, value, id=id)
        self._names = names

    @property
    def pointed(self) -> str:
        return self.able[self.place]

    @property
    def drawn(self) -> tuple[str, ...]:
        ticked = self.value.split()
        return tuple(name for line in self._lines(self.size.width) for at, name in line if self.able[at] in ticked)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> Content:
        shown = [Content(" ").join([self._draw(*one) for one in line]) for line in self._lines(self.size.width)]
        return Content("\n").join(shown)

    def _draw(self, place: int, name: str) -> Content:
        ticked = self.able[place] in self.value.split()
        style = "bold" if ticked else "$foreground 60%"
        here = self.has_focus and place == self.place
        return Content.styled(f"{'■' if ticked else '□'} {name}", f"{style} underline" if here else style)

    def _lines(self, width: int) -> list[list[tuple[int, str]]]:
        """Places and names in lines of at most ``width`` cells, the short names where they save a line."""
        long = self._broken(width, [self._names.get(value, value) for value in self.able])
        short = self._broken(width, self.able)
        return long if len(long) == len(short) else short

    def _broken(self, width: int, names: Sequence[str]) -> list[list[tuple[int, str]]]:
        lines: list[list[tuple[int, str]]] = [[]]
        room = width
        for place, name in enumerate(names):
            if len(name) + 2 > room and lines[-1]:
                lines.append([])
                room = width
            lines[-1].append((place, name))
            room -= len(name) + 3
        return lines

    def action_step(self, by: int) -> None:
        """The value before or after."""
        self.place = (self.place + by) % len(self.able)

    def watch_place(self) -> None:
        self.post_message(self.Changed(self))

    def action_tick(self) -> None:
        """Take the value in, or out."""
        ticked = set(self.value.split()) ^ {self.able[self.place]}
        self.value = " ".join(one for one in self.able if one in ticked)

    def on_click(self, event: Click) -> None:
        """Tick the value under the pointer."""
        lines = self._lines(self.size.width)
        start = 1
        for place, name in lines[event.y] if 0 <= event.y < len(lines) else ():
            end = start + len(name) + 2
            if start <= event.x < end:
                self.place = place
                self.action_tick()
            start = end + 1
