"""The settings of the draw as a strip of rows: arrows step, digits type, a wrong value says why and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding
from textual.events import Key
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Static

from engine.lm.sampling import Sampling
from engine.runs.spec import options
from tui.generate.token_view import BOLD, DIM, PLAIN
from tui.widgets.dialogs import Dialog, box
from tui.widgets.lines import FocusLines
from tui.widgets.styled import BAD, SELECTED, window

NAMES = {
    "greedy": "greedy",
    "temperature": "temperature",
    "top_k": "top-k",
    "top_p": "top-p",
    "min_p": "min-p",
    "repetition_penalty": "repetition",
    "max_new_tokens": "new tokens",
    "seed": "seed",
}
OFF: dict[str, Any] = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
"""values that leave everything as it is"""
_LADDERS: dict[str, tuple[float, ...]] = {
    "temperature": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0, 3.0, 5.0, 10.0),
    "top_k": (0, 1, 2, 3, 5, 10, 20, 30, 40, 50, 100, 200, 500, 1000),
    "top_p": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0),
    "min_p": (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5),
    "repetition_penalty": (0.8, 0.9, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0),
    "max_new_tokens": (1, 5, 10, 20, 50, 100, 200, 300, 500, 1000),
}
_WRONG = Style(color=BAD, bold=True)
_ROW = Style.parse(SELECTED)


def step(sampling: Sampling, name: str, by: int) -> Sampling:
    """``sampling`` with one setting a sensible step up or down."""
    value = getattr(sampling, name)
    if name == "greedy":
        return replace(sampling, greedy=not value)
    if name == "seed":
        return replace(sampling, seed=max(0, value + by))
    ladder = _LADDERS[name]
    if by > 0:
        target = next((rung for rung in ladder if rung > value + 1e-9), value)
    else:
        target = next((rung for rung in reversed(ladder) if rung < value - 1e-9), value)
    return replace(sampling, **{name: type(value)(target)})


def read(sampling: Sampling, name: str, text: str) -> tuple[Sampling, str]:
    """``sampling`` with one setting as it was typed, or as it was with what is wrong."""
    value = getattr(sampling, name)
    try:
        typed = type(value)(text)
    except ValueError:
        kind = "a whole number" if isinstance(value, int) else "a number"
        return sampling, f"must be {kind}"
    changed = replace(sampling, **{name: typed})
    wrong = next((problem for problem in changed.validate() if problem.field == name), None)
    return (sampling, wrong.message) if wrong else (changed, "")


def spell(sampling: Sampling, name: str) -> str:
    """A setting as it is shown."""
    value = getattr(sampling, name)
    if name == "greedy":
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _on(sampling: Sampling, name: str) -> bool:
    return bool(getattr(sampling, name) != OFF.get(name))


class SettingsStrip(FocusLines):
    """One row for each setting."""

    DEFAULT_CSS = "SettingsStrip { height: 10; width: 1fr; padding: 0 1; }"
    BINDINGS = [
        Binding("up", "row(-1)", "Row before", show=False),
        Binding("down", "row(1)", "Next row", show=False),
        Binding("left,minus", "step(-1)", "Less", show=False),
        Binding("right,plus", "step(1)", "More", show=False),
        Binding("space", "step(1)", "More", show=False),
    ]

    @dataclass
    class Changed(Message):
        """The settings are now these."""

        sampling: Sampling

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.sampling = Sampling()
        self._row = 0
        self._typed = ""
        self._wrong = ""

    @property
    def name_of_row(self) -> str:
        """The setting that the keys act on."""
        return list(NAMES)[self._row]

    def show(self, sampling: Sampling) -> None:
        """Show these settings."""
        self.sampling = sampling
        self.draw()

    def draw(self) -> None:
        """Bring the lines up to date."""
        if self.size:
            width, height = self.size
            title = Segment(" settings ", BOLD)
            help_ = " ←→ step, 0–9 type, Enter" if self.has_focus else " Tab"
            foot = [Segment(f" ✗ {self._wrong}", _WRONG)] if self._wrong else []
            if not foot and self.has_focus:
                meaning = options(Sampling)[self.name_of_row].help
                foot = [Segment(f" {meaning}"[:width], DIM)]
            rows = [self._line(name, width) for name in NAMES]
            room = height - 1 - len(foot)
            first = window(len(rows), self._row, max(1, height - 2)).start if height < len(rows) + 1 else 0
            strips = [Strip([title, Segment(help_, DIM)]), *rows[first:]][: room + 1] + ([Strip(foot)] if foot else [])
            self.set_strips([strip.adjust_cell_length(width) for strip in strips])

    def _line(self, name: str, width: int) -> Strip:
        mine = self.has_focus and name == self.name_of_row
        back = _ROW if mine else PLAIN
        value = spell(self.sampling, name)
        if mine and self._typed:
            value = f"{self._typed}▏"
        idle = self.sampling.greedy and name in ("temperature", "top_k", "top_p", "min_p", "seed")
        style = _WRONG if mine and self._wrong else DIM if idle or not _on(self.sampling, name) else BOLD
        marks = ("◂ ", " ▸") if mine else ("  ", "  ")
        room = max(5, min(12, width - 18))
        segments = [
            Segment(f" {NAMES[name]:<12}", (PLAIN if mine else DIM) + back),
            Segment(marks[0], back),
            Segment(f"{value:>{room}}", style + back),
            Segment(marks[1], back),
        ]
        if name in OFF and not _on(self.sampling, name) and width > room + 22:
            segments.append(Segment(" off", DIM + back))
        return Strip(segments).adjust_cell_length(width, back)

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_row(self, by: int) -> None:
        """Another row."""
        self.accept()
        self._row = (self._row + by) % len(NAMES)
        self._wrong = ""
        self.draw()

    def action_step(self, by: int) -> None:
        """A step up or down."""
        self._typed = self._wrong = ""
        self._change(step(self.sampling, self.name_of_row, by))

    def on_key(self, event: Key) -> None:
        """Digits type a value; they are no keys of the program here."""
        character = event.character or ""
        if self.name_of_row != "greedy" and ((character.isdigit() and character.isascii()) or character == "."):
            self._typed = (self._typed + character)[:19]
            self._wrong = ""
        elif event.key == "backspace" and self._typed:
            self._typed = self._typed[:-1]
        elif event.key == "escape" and (self._typed or self._wrong):
            self._typed = self._wrong = ""
        elif event.key == "enter" and self._typed:
            self.accept()
        else:
            return
        event.stop()
        event.prevent_default()
        self.draw()

    def on_blur(self) -> None:
        self.accept()
        self._wrong = self._typed = ""

    def accept(self) -> Sampling | None:
        """Take over what has been typed; returns the settings when it is right."""
        if self._typed:
            sampling, self._wrong = read(self.sampling, self.name_of_row, self._typed)
            if not self._wrong:
                self._typed = ""
                self._change(sampling)
                return sampling
        return None

    def _change(self, sampling: Sampling) -> None:
        if sampling != self.sampling:
            self.sampling = sampling
            self.post_message(self.Changed(sampling))
        self.draw()


class SettingsDialog(Dialog[Sampling | None]):
    """Settings to compare with those of the pane."""

    BINDINGS = [Binding("enter,f5", "accept", "Compare", priority=False)]
    DEFAULT_CSS = """
    SettingsDialog SettingsStrip { margin: 1 0; background: $surface; }
    .-low SettingsDialog SettingsStrip { margin: 0; }
    """

    def __init__(self, title: str, text: str, sampling: Sampling) -> None:
        super().__init__()
        self._title, self._text, self._sampling = title, text, sampling

    def compose(self) -> ComposeResult:
        with box(self._title, "↑↓ row · ←→ step · digits type · Enter compare · Esc cancel"):
            yield Static(self._text)
            yield SettingsStrip(id="settings-other")

    def on_mount(self) -> None:
        strip = self.query_one(SettingsStrip)
        strip.show(self._sampling)
        strip.focus()

    def action_accept(self) -> None:
        """Compare with these."""
        self.dismiss(self.query_one(SettingsStrip).sampling)
