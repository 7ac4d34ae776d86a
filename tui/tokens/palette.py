"""Colours of tokens: one per token, kept while the text around it changes, never equal beside each other.

The six of a palette fall into three classes of different lightness, and neighbours are always of different classes,
so spans differ for eyes and terminals that know no colours. Where there are none at all, the classes are attributes.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style

from engine.tokenization.spans import Tokenized

CLASSES = 3
_LOOK_BACK = 64  # equal tokens in a row after which the count starts from the text's beginning


@dataclass(frozen=True)
class Palette:
    """Styles for six kinds of span, the caret's token, and what is to be noticed."""

    spans: tuple[Style, ...]
    current: Style
    unknown: Style
    special: Style
    quiet: Style
    label: Style
    strong: Style


def _palette(spans: str, current: str, unknown: str, special: str) -> Palette:
    return Palette(
        tuple(Style.parse(span.strip()) for span in spans.split(",")),
        Style.parse(current),
        Style.parse(unknown),
        Style.parse(special),
        Style.parse("bright_black"),
        Style.parse("bright_black"),
        Style.parse("bold"),
    )


# Dark and light use colours that every terminal with 256 of them shows exactly.
DARK = _palette(
    "#d7d7ff on #00005f, #d7ffd7 on #005f5f, #ffffff on #5f5faf, "
    "#ffd7d7 on #5f0000, #ffffd7 on #5f5f00, #ffffff on #875f87",
    "bold #000000 on #ffaf5f",
    "bold #ffffff on #d70000",
    "bold #000000 on #d787ff",
)
LIGHT = _palette(
    "#000000 on #d7d7ff, #000000 on #afd7d7, #000000 on #87afff, "
    "#000000 on #ffd7d7, #000000 on #d7d7af, #000000 on #ffaf87",
    "bold #ffffff on #af5f00",
    "bold #ffffff on #d70000",
    "bold #ffffff on #8700af",
)
SIXTEEN = _palette(
    "white on blue, underline black on green, black on white, "
    "white on magenta, underline black on cyan, black on yellow",
    "bold black on bright_yellow",
    "bold white on red",
    "bold black on bright_magenta",
)
NONE = _palette("none, underline, bold, none, underline, bold", "bold reverse", "bold reverse", "reverse")


def palette(theme: str, *, dark: bool, no_colour: bool) -> Palette:
    """The palette for a theme of this program."""
    if no_colour:
        return NONE
    if theme.startswith("ansi"):
        return SIXTEEN
    return DARK if dark else LIGHT


def colour(view: Tokenized, index: int) -> int:
    """The number of a token's span style, 0 to 5.

    It follows from the id alone, but for tokens that stand beside one of the same class: every second of those takes
    the next class that is free on both sides.
    """
    base = _base(view.id(index))
    start = index
    while start > 0 and index - start < _LOOK_BACK and _same(_base(view.id(start - 1)), base):
        start -= 1
    behind = index - start if index - start < _LOOK_BACK else index
    if behind % 2 == 0:
        return base
    after = _base(view.id(index + 1)) if index + 1 < len(view) else base
    other = (base + 1) % 6
    return other if not _same(other, after) else (base + 2) % 6


def _base(ident: int) -> int:
    return ((ident + 1) * 2654435761 >> 9) % 6


def _same(one: int, other: int) -> bool:
    return one % CLASSES == other % CLASSES
