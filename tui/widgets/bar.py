"""The top line: panes by number, and how busy the machine is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from rich.text import Text
from textual import work

from engine.machine import CpuGauge, Gpus, available_memory, cpu_name, total_memory
from tui import panes, units
from tui.hints import Hint
from tui.widgets.lines import Lines, doing
from tui.widgets.styled import ACCENT, BRIGHT, MUTED, cut, sparkline, strip

PANES = tuple((entry.name, entry.key, entry.title) for entry in panes.PANES)
ROOMY = 100  # columns from which the name of the program and the gauges are shown
READINGS = 8  # in the sparkline


class Bar(Lines):
    """Gauges are read only while something trains, so an idle screen sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._gpus: Gpus | None = None
        self._cpu = CpuGauge()
        self._loads: deque[float] = deque(maxlen=READINGS)
        self._gauges: tuple[str, ...] = ()
        """what to show of the machine, from the longest to the shortest"""
        self._readings = "", "", ""
        """of the machine: its name, load and memory as they are shown; without the last two where nothing is at work"""
        self._pane = PANES[0][0]

    def on_mount(self) -> None:
        self.set_timer(0.2, self.read)  # after the first picture: it imports what asks the driver

    def on_resize(self) -> None:
        self._draw()

    def show(self, pane: str) -> None:
        """Mark the pane that is on the screen."""
        self._pane = pane
        self._draw()

    @work(thread=True, exclusive=True, group="gauges", exit_on_error=False)
    def read(self, *, busy: bool = False) -> None:
        """Show the device, and while ``busy`` its load and memory: off the event loop, since a driver may be slow."""
        self._gpus = self._gpus or Gpus()
        gauges = tuple(self._texts(busy))
        if gauges != self._gauges:
            self._gauges = gauges
            self.app.call_from_thread(self._draw)

    def _texts(self, busy: bool) -> list[str]:
        gauges, load = self._gpus.read() if self._gpus else [], self._cpu.read()
        if gauges:
            name = gauges[0].name.removeprefix("NVIDIA ") + (f" +{len(gauges) - 1}" if len(gauges) > 1 else "")
            load, used = gauges[0].load, units.size(gauges[0].used)
        else:
            name, total, free = "CPU" if busy else cpu_name(), total_memory(), available_memory()
            used = units.size(total - free) if total and free else ""
        if not busy or load is None:
            self._readings = cut(name, 24), "", ""
            return [cut(name, 24)]
        self._loads.append(load)
        share = f"{load:5.0%}"
        self._readings = name, share.strip(), used
        return [f"{name} {sparkline(self._loads, READINGS)}{share}  {used:>9}", f"{name}{share}  {used:>9}", share]

    def hints(self) -> Sequence[Hint]:
        """Of the gauges, as far as there is room for them."""
        name, load, used = self._readings
        drawn = tuple(one for one in (load, used) if one and one in self.plain)
        if not load:
            about = "Runs compute on it; its load and memory are shown while something is at work."
            return [Hint(name, (name,), about)] if name and name in self.plain else []
        memory = f" and {used} of its memory" if used in drawn else ""
        bars = f" The bars are the last {READINGS} readings." if self._gauges and self._gauges[0] in self.plain else ""
        text = f"All programs together use {load} of {name}{memory}.{bars or ' It is read every two seconds.'}"
        return [Hint(name if name in self.plain else "load", drawn, text)] if drawn else []

    def _draw(self) -> None:
        width = self.size.width
        line = Text(no_wrap=True).append(" llmlab  " if width >= ROOMY else "", f"bold {BRIGHT}")
        whole = width >= line.cell_len + sum(len(f" {key} {title} ") for _, key, title in PANES) - 1
        for pane, key, title in PANES:
            here = pane == self._pane
            name = Text(f" {key}", f"bold {ACCENT}" if here else MUTED)
            name.append(f" {title} " if whole or here else " ", f"bold {BRIGHT}" if here else MUTED)
            line.append_text(doing(name, f"show_pane('{pane}')"))
        room = width - line.cell_len - 2
        shown = next((text for text in self._gauges if len(text) <= room), "") if width >= ROOMY else ""
        line.pad_right(max(0, width - line.cell_len - len(shown) - 1))
        self.set_strips([strip(line.append(shown, MUTED), width)])
