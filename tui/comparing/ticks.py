"""Fields of the form that choose: one of many values, or several of a few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.binding import Binding
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.form import Choice
from tui.text import safe


class Picker(Choice):
    """A choice of many values, of which only the chosen one is shown, with what it means."""

    def __init__(self, all_of: tuple[str, ...], value: str, *, id: str, help: Mapping[str, str] | None = None) -> None:
        super().__init__(all_of, value, id=id)
        self._help = help or {}

    def offer(self, names: tuple[str, ...]) -> None:
        """Offer these names beside auto; a value that is none of them goes."""
        self._values = ("auto", *names)
        if self.value not in self._values:
            self.value = "auto"
        self.refresh()

    def render(self) -> Content:
        room = max(8, self.size.width - 7)
        name = safe(self.value, lines=False)
        name = name if len(name) <= room else name[: room - 1] + "…"
        about = self._help.get(self.value, "") if room - len(name) > 14 else ""
        told = " ◂ ▸" * (len(self._values) > 1) + (f"  {about}" if about else "")
        return Content.assemble(Content.styled(f" {name} ", "reverse bold"), Content.styled(told, "$foreground 60%"))


class Ticks(Widget, can_focus=True):
    """Several of a few values, in as many lines as they need: left and right move, space ticks."""

    DEFAULT_CSS = """
    Ticks { height: auto; width: 1fr; padding: 0 1; background: $surface; }
    Ticks:focus { background: $primary 25%; }
    """
    BINDINGS = [
        Binding("left", "step(-1)", "Previous", show=False),
        Binding("right", "step(1)", "Next", show=False),
        Binding("space,x", "tick", "Tick", show=False),
    ]
    value: reactive[str] = reactive("")
    place: reactive[int] = reactive(0)

    @dataclass
    class Changed(Message):
        """Something was ticked or not."""

        ticks: Ticks

        @property
        def control(self) -> Ticks:
            return self.ticks

    def __init__(
        self, all_of: tuple[str, ...], value: str, *, id: str, names: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        """``names`` are those that people read: the long and the short one."""
        super().__init__(id=id)
        self._all, self._names = all_of, names or {}
        self.set_reactive(Ticks.value, value)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join([Content(" ").join(line) for line in self._lines(self.size.width)])

    def _lines(self, width: int) -> list[list[Content]]:
        """The values in lines of at most ``width`` cells, by their short names where that saves a line."""
        long, short = (self._broken(width, which) for which in (0, 1))
        return long if len(long) == len(short) else short

    def _broken(self, width: int, which: int) -> list[list[Content]]:
        lines: list[list[Content]] = [[]]
        room = width
        for place, name in enumerate(self._all):
            ticked = name in self.value.split()
            here = self.has_focus and place == self.place
            spelled = f"{'■' if ticked else '□'} {self._names.get(name, (name, name))[which]}"
            style = "bold" if ticked else "$foreground 60%"
            if len(spelled) > room and lines[-1]:
                lines.append([])
                room = width
            lines[-1].append(Content.styled(spelled, f"{style} underline" if here else style))
            room -= len(spelled) + 1
        return lines

    def watch_value(self) -> None:
        self.post_message(self.Changed(self))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_step(self, by: int) -> None:
        """The value before or after."""
        self.place = (self.place + by) % len(self._all)

    def action_tick(self) -> None:
        """Take the value in, or out."""
        name = self._all[self.place]
        ticked = set(self.value.split()) ^ {name}
        self.value = " ".join(one for one in self._all if one in ticked)

    def on_click(self) -> None:
        self.action_step(1)
