"""The top line: panes by number, what trains, and how busy the machine is."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from engine.machine import CpuGauge, Gpus, available_memory, cpu_name, total_memory
from tui import panes, units
from tui.widgets.styles import style_sheet

PANES = tuple((entry.name, entry.key, entry.title) for entry in panes.PANES)
WHOLE = len(" llmlab ") + sum(len(f" {key} {title} ") for _, key, title in PANES) - 1
"""columns that all titles take, but for the blank after the last one"""


class Tab(Static):
    """The name of a pane; a click shows it."""

    @dataclass
    class Chosen(Message):
        """A pane was asked for."""

        pane: str

    def __init__(self, pane: str, key: str, title: str) -> None:
        super().__init__(id=f"tab-{pane}")
        self._pane, self._key, self._title = pane, key, title

    def spell(self, *, whole: bool) -> None:
        """With the title, or the number alone."""
        number = (f" {self._key} ", "bold")
        self.update(Text.assemble(number, f"{self._title} ") if whole else Text.assemble(number))

    def on_click(self) -> None:
        self.post_message(self.Chosen(self._pane))


class Bar(Horizontal):
    """Gauges are read only while something trains, so an idle screen sends nothing."""

    DEFAULT_CSS = style_sheet(__file__)

    def __init__(self) -> None:
        super().__init__()
        self._gpus, self._cpu = Gpus(), CpuGauge()
        self._shown = ""
        self._pane = PANES[0][0]
        self._spelled: tuple[bool, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static("llmlab", id="brand")
        for pane, key, title in PANES:
            yield Tab(pane, key, title)
        yield Static(id="gauges")

    def on_mount(self) -> None:
        self.read()
        self._spell()

    def on_resize(self) -> None:
        self._spell()

    def show(self, pane: str) -> None:
        """Mark the pane that is on the screen."""
        self._pane = pane
        for name, _, _ in PANES:
            self.query_one(f"#tab-{name}").set_class(name == pane, "-on")
        self._spell()

    def _spell(self) -> None:
        """Titles where there is room for all of them, else that of the pane that is on the screen."""
        room = self.app.size.width >= WHOLE
        if (room, "" if room else self._pane) != self._spelled:
            self._spelled = (room, "" if room else self._pane)
            for name, _, _ in PANES:
                self.query_one(f"#tab-{name}", Tab).spell(whole=room or name == self._pane)

    def read(self, *, busy: bool = False) -> None:
        """Show the device, and while ``busy`` its load and memory."""
        text = self._text(busy, self.app.size.width)
        if text != self._shown:
            self._shown = text
            self.query_one("#gauges", Static).update(Text(text, no_wrap=True, overflow="ellipsis"), layout=False)

    def _text(self, busy: bool, width: int) -> str:
        gauges = self._gpus.read()
        if gauges:
            gauge = gauges[0]
            name = gauge.name.removeprefix("NVIDIA ")
            load = f" {gauge.load:4.0%} {units.size(gauge.used)}/{units.size(gauge.total)}" if busy else ""
            return f"{name}{load}" + (f" +{len(gauges) - 1}" if len(gauges) > 1 else "")
        load_now = self._cpu.read()
        total, free = total_memory(), available_memory()
        if not busy or load_now is None:
            return cpu_name() if width >= 80 else ""
        memory = f"  mem {units.size(total - free)}/{units.size(total)}" if total and free and width >= 80 else ""
        return f"CPU {load_now:4.0%}{memory}"
