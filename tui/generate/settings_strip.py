"""The settings of the draw in one or two lines: arrows choose and step, digits type.

A wrong value says why and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding
from textual.events import Key
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Static

from engine.lm.sampling import Sampling
from engine.runs.spec import options
from tui.hints import Hint, setting
from tui.widgets.dialogs import Dialog, box
from tui.widgets.lines import FocusLines
from tui.widgets.styled import BAD, BOLD, DIM, PLAIN, SELECTED, cut

NAMES = {
    "greedy": ("greedy", "greedy"),
    "temperature": ("T", "temperature"),
    "top_k": ("top-k", "top-k"),
    "top_p": ("top-p", "top-p"),
    "min_p": ("min-p", "min-p"),
    "repetition_penalty": ("repetition", "repetition penalty"),
    "max_new_tokens": ("new", ""),
    "seed": ("seed", ""),
}
"""the label of each setting and its term of the glossary"""
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
CHAT = "chat"
CHATS = {
    "on": "the model's chat template is around the message; e edits it, s writes a system message",
    "off": "put the prompt into the model's chat template, as a user's message",
    "none": "this model has no chat template; instruct models have one",
}
"""the setting that is no part of the draw, and what its values mean"""
HINT = "Tab edits"
KEYS = "  ←→ setting  ↑↓ step  0–9 type", "  ←→ setting  ↑↓ step", "  ←→ ↑↓"
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


def drawn(sampling: Sampling, name: str) -> str:
    """A setting as it is drawn: one that changes nothing is off."""
    return "off" if getattr(sampling, name) == OFF.get(name) else spell(sampling, name)


class SettingsStrip(FocusLines):
    """Settings in as many lines as they need; with the focus one more, about the chosen setting."""

    DEFAULT_CSS = "SettingsStrip { height: auto; width: 1fr; padding: 0 1; }"
    BINDINGS = [
        Binding("left", "choose(-1)", "Previous setting", show=False),
        Binding("right", "choose(1)", "Next setting", show=False),
        Binding("down,minus", "step(-1)", "Less", show=False),
        Binding("up,plus", "step(1)", "More", show=False),
        Binding("space", "step(1)", "More", show=False),
    ]

    @dataclass
    class Changed(Message):
        """The settings are now these."""

        sampling: Sampling

    class ChatChanged(Message):
        """The chat template is wanted, or no longer."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.sampling = Sampling()
        self._chat = ""
        self._place = 0
        self._typed = ""
        self._wrong = ""

    @property
    def chosen(self) -> str:
        """The setting that the keys act on."""
        return self._names[self._place]

    @property
    def _names(self) -> list[str]:
        return [*NAMES, CHAT] if self._chat else [*NAMES]

    def show(self, sampling: Sampling, chat: str = "") -> None:
        """Show these settings, and whether there is a chat template around the prompt: one of ``CHATS``."""
        if (sampling, chat) != (self.sampling, self._chat):
            self.sampling, self._chat = sampling, chat
            self.draw()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width)) + self.has_focus

    def watch_has_focus(self, focused: bool) -> None:
        super().watch_has_focus(focused)
        self.refresh(layout=True)

    def draw(self) -> None:
        """Bring the lines up to date."""
        if not self.size:
            return
        width, height = self.size
        lines = self._lines(width)
        if len(lines) + self.has_focus != height:
            self.refresh(layout=True)
        if self.has_focus:
            lines = [*lines[: height - 1], self._foot(width)]
        elif lines[-1].cell_length + len(HINT) <= width:
            gap = Segment(" " * (width - lines[-1].cell_length - len(HINT)))
            lines[-1] = Strip([*lines[-1], gap, Segment(HINT, DIM)])
        self.set_strips([line.adjust_cell_length(width) for line in lines])

    def _lines(self, width: int) -> list[Strip]:
        """The settings, broken between two of them into lines of at most ``width`` cells."""
        lines, room = [list[Segment]()], width
        for place, name in enumerate(self._names):
            item = self._setting(place, name)
            length = Segment.get_line_length(item)
            if length > room and lines[-1]:
                lines.append([])
                room = width
            lines[-1] += item
            room -= length
        return [Strip(line) for line in lines]

    def _setting(self, place: int, name: str) -> list[Segment]:
        mine = self.has_focus and place == self._place
        back = _ROW if mine else PLAIN
        label = CHAT if name == CHAT else NAMES[name][0]
        head = Segment(f"{'▌' if mine else ' '}{label} ", (PLAIN if mine else DIM) + back)
        if name == CHAT:
            return [head, Segment(f"{self._chat} ", (BOLD if self._chat == "on" else DIM) + back)]
        shown = drawn(self.sampling, name)
        value = f"{self._typed}▏" if mine and self._typed else shown
        idle = self.sampling.greedy and name in ("temperature", "top_k", "top_p", "min_p", "seed")
        style = _WRONG if mine and self._wrong else DIM if idle or shown == "off" else BOLD
        return [head, Segment(f"{value} ", style + back), Segment(" ")]

    def _foot(self, width: int) -> Strip:
        """What is wrong with what was typed, else what the chosen setting means and the keys."""
        if self._wrong:
            return Strip([Segment(f" ✗ {self._wrong}", _WRONG)])
        meaning = cut(f" {CHATS[self._chat] if self.chosen == CHAT else options(Sampling)[self.chosen].help}", width)
        room = width - len(meaning)
        keys = next((keys for keys in KEYS if len(keys) <= room), "")
        return Strip([Segment(f"{meaning}{keys:>{room}}", DIM)])

    def hints(self) -> list[Hint]:
        known, default = options(Sampling), Sampling()
        names = sorted(NAMES, key=lambda name: self.has_focus and name != self.chosen)
        found = [
            Hint(
                NAMES[name][0],
                (drawn(self.sampling, name),),
                setting(known[name], spell(self.sampling, name), spell(default, name)),
                NAMES[name][1],
            )
            for name in names
        ]
        return [*found, *[Hint(CHAT, (self._chat,), CHATS.get(self._chat, ""))] * bool(self._chat)]

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_choose(self, by: int) -> None:
        """Another setting."""
        self.accept()
        self._place = (self._place + by) % len(self._names)
        self._wrong = ""
        self.draw()

    def action_step(self, by: int) -> None:
        """A step up or down."""
        self._typed = self._wrong = ""
        if self.chosen == CHAT:
            self.post_message(self.ChatChanged())
            return
        self._change(step(self.sampling, self.chosen, by))

    def on_key(self, event: Key) -> None:
        """Digits type a value; they are no keys of the program here."""
        character = event.character or ""
        if self.chosen not in ("greedy", CHAT) and ((character.isdigit() and character.isascii()) or character == "."):
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
            sampling, self._wrong = read(self.sampling, self.chosen, self._typed)
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
        with box(self._title, "←→ setting · ↑↓ value · Enter compare · Esc cancel"):
            yield Static(self._text)
            yield SettingsStrip(id="settings-other")

    def on_mount(self) -> None:
        strip = self.query_one(SettingsStrip)
        strip.show(self._sampling)
        strip.focus()

    def action_accept(self) -> None:
        """Compare with these."""
        self.dismiss(self.query_one(SettingsStrip).sampling)
