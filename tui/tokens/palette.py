"""Colours of tokens: even places take a dark hue and odd ones a lighter, or the reverse, and the id picks the hue.

So neighbours differ in lightness for every kind of colour vision; where there are no colours, in an attribute.
"""

from __future__ import annotations

from typing import TypeAlias

from rich.style import Style

from engine.tokenization.spans import Tokenized
from tui.widgets.styled import BAD

HUES = 4
UNKNOWN = Style(color=BAD, underline=True)
"""a token that the vocabulary lacks: no background"""
SPECIAL = Style(italic=True)
CURRENT = Style(reverse=True, bold=True)
"""the caret's token; both are added to the style of a span"""


Palette: TypeAlias = tuple[Style, ...]
"""styles of spans: ``HUES`` for even places, then as many for odd ones"""


def _palette(text: str, backgrounds: str) -> Palette:
    return tuple(Style.parse(f"{text} on {colour}") for colour in backgrounds.split())


DARK = _palette("#ffffff", "#262c6b #123a30 #3b3512 #43203f #3e52a8 #305e56 #635427 #7b436b")
LIGHT = _palette("#0d1016", "#d3ddff #b5f2d2 #f3eaa0 #fbd9e3 #8fb2ee #72c79c #d6ae52 #d79bc0")
SIXTEEN = _palette("bright_white", "blue red blue red") + _palette("black", "green yellow cyan white")
NONE = (Style.null(),) * HUES + (Style(underline=True),) * HUES
PALETTES = {"dark": DARK, "light": LIGHT, "16": SIXTEEN, "none": NONE}
"""by the colours that are shown, see :func:`tui.themes.colours_of`"""


def colour(view: Tokenized, index: int) -> int:
    """The place in a palette of a token's style."""
    return ((view.id(index) + 1) * 2654435761 >> 9) % HUES + HUES * (index % 2)
