"""Three themes: dark, light, and one that uses the terminal's own 16 colours; and what shows without any colour."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

_COLOURS = {
    "background": ("#0f1118", "#fafbfc"),
    "panel": ("#151822", "#f1f3f7"),
    "raised": ("#1e2331", "#e6e9f0"),
    "selection": ("#2a2c4a", "#e2ddfa"),
    "border": ("#4a5373", "#a0a9bc"),
    "accent": ("#a99cff", "#5b3fc4"),
    "bright": ("#f3f5fb", "#0d1016"),
    "text": ("#ccd3e4", "#272c38"),
    "muted": ("#929bb4", "#566072"),
    "good": ("#8ee6cf", "#13695f"),
    "warn": ("#ffd24a", "#945200"),
    "bad": ("#f4838a", "#7a1230"),
    "series": (
        "#59d4fb #b97240 #a8f2c8 #b86c8a #d9d206 #4f7af9",
        "#1f739d #772c19 #207257 #781c59 #966105 #2000d2",
    ),
}
PALETTES = {
    name: {role: pair[place] for role, pair in _COLOURS.items()} for place, name in enumerate(("lab-dark", "lab-light"))
}
"""hexadecimal colours by role; the six of ``series`` differ for every kind of colour vision"""


def _variables(border: str, accent: str, bright: str, muted: str, selection: str, raised: str) -> dict[str, str]:
    """What style sheets call the colours: ours, and Textual's own names for parts of its widgets."""
    return {
        "bright": bright,
        "muted": muted,
        "selection": selection,
        "raised": raised,
        "border": border,
        "border-blurred": border,
        "text-muted": muted,
        "text-disabled": muted,
        "foreground-muted": muted,
        "foreground-disabled": muted,
        "block-cursor-background": selection,
        "block-cursor-foreground": bright,
        "block-cursor-blurred-background": selection,
        "block-cursor-blurred-foreground": bright,
        "block-hover-background": raised,
        "input-selection-background": selection,
        "scrollbar": border,
        "scrollbar-hover": border,
        "scrollbar-active": accent,
        "button-focus-text-style": "bold",
    }


def _theme(name: str) -> Theme:
    """A theme of Textual with the colours of a palette."""
    colours = PALETTES[name]
    roles = ("border", "accent", "bright", "muted", "selection", "raised")
    ground = colours["panel"]
    return Theme(
        name=name,
        primary=colours["accent"],
        accent=colours["accent"],
        foreground=colours["text"],
        background=colours["background"],
        surface=ground,
        panel=colours["raised"],
        success=colours["good"],
        warning=colours["warn"],
        error=colours["bad"],
        dark=name == "lab-dark",
        variables={
            **_variables(*(colours[role] for role in roles)),
            "scrollbar-background": ground,
            "scrollbar-background-hover": ground,
            "scrollbar-background-active": ground,
            "button-foreground": colours["text"],
            "button-color-foreground": colours["background"],
        },
    )


def _names(name: str) -> TerminalTheme:
    """What the 16 colour names, all that drawing code uses, mean in a palette: see :mod:`tui.widgets.styled`."""
    colours = PALETTES[name]
    series = colours["series"].split()
    by_role = [colours[role] for role in ("border", "bad", "good", "warn", "accent", "selection", "raised", "text")]
    by_role += [colours["muted"], series[5], series[4], series[1], series[0], series[3], series[2], colours["bright"]]
    ground, text, *sixteen = [
        (red, green, blue)
        for red, green, blue in (bytes.fromhex(one[1:]) for one in (colours["panel"], colours["text"], *by_role))
    ]
    return TerminalTheme(ground, text, sixteen[:8], sixteen[8:])


DARK, LIGHT = _theme("lab-dark"), _theme("lab-light")
ANSI_DARK, ANSI_LIGHT = _names("lab-dark"), _names("lab-light")
SIXTEEN = Theme(
    name="lab-16",
    ansi=True,
    primary="ansi_bright_blue",
    secondary="ansi_bright_blue",
    accent="ansi_bright_blue",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        **_variables(
            "ansi_bright_black", "ansi_bright_blue", "ansi_default", "ansi_bright_black", "ansi_magenta", "ansi_default"
        ),
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "input-cursor-text-style": "reverse",
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
    },
)
"""for terminals with 16 colours, whatever they are"""
CYCLE = (DARK.name, LIGHT.name, SIXTEEN.name)


def colours_of(app: App[Any]) -> str:
    """The colours that are shown: ``dark``, ``light``, ``16`` for the terminal's own, or ``none``."""
    if app.no_color:
        return "none"
    theme = app.current_theme
    return "16" if theme.name == SIXTEEN.name else "dark" if theme.dark else "light"


class FewColours(LineFilter):
    """Draws with the terminal's own 16 colours, or with none at all: what has a background of ours is reversed."""

    def __init__(self, *, none: bool) -> None:
        super().__init__()
        self._none = none

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, style and few_colours(style, none=self._none), control) for text, style, control in segments
        ]


_DEFAULT = RichColor.default()
_BLACK, _MAGENTA, _CYAN, _BRIGHT_WHITE = 0, 5, 6, 15
_READABLE = {
    0: RichColor.parse("bright_black"),
    4: RichColor.parse("bright_blue"),
    7: _DEFAULT,
    _BRIGHT_WHITE: _DEFAULT,
}
"""by number, for those that cannot be read on some terminal's own background"""


@lru_cache(2048)
def few_colours(style: Style, *, none: bool) -> Style:
    """``style`` for a terminal with 16 colours, or with ``none``: selection reversed, nothing on its own colour."""
    front, back = style.color or _DEFAULT, style.bgcolor or _DEFAULT
    painted = not back.is_default and back.number not in (_BLACK, _CYAN)
    if none or not painted or back.number == _MAGENTA:
        bold = front.number == _BRIGHT_WHITE
        plain = _DEFAULT if none or painted else front if front.number is None else _READABLE.get(front.number, front)
        return style + Style.from_color(plain, _DEFAULT) + Style(reverse=painted or None, bold=bold or None)
    return style + Style.from_color(RichColor.parse("black")) if front == back else style
