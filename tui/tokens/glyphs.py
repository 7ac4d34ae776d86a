"""Every code point as a glyph of its own: tokens cut where a terminal would join, so nothing is joined or hidden."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len

from tui.text import safe

NEWLINE = "⏎"
SPACE = "·"
TAB = "→"
PART = "┊"
"""stands for what a token holds of a code point whose glyph stands in another token"""


@lru_cache(maxsize=1 << 16)
def glyph(character: str, marks: bool = True) -> tuple[str, int]:
    """What shows ``character``, and how many cells that takes: at least 1.

    Marks that combine stand on a dotted circle, halves of flags and shades of skin become symbols; what no terminal
    should get is replaced as :func:`tui.text.safe` does. ``marks`` shows spaces, too.
    """
    if " " <= character <= "~":
        return (SPACE if character == " " and marks else character), 1
    if character == "\n":
        return NEWLINE, 1
    if character == "\t":
        return (TAB if marks else " "), 1
    code = ord(character)
    if 0x1F1E6 <= code <= 0x1F1FF:
        return chr(0x24B6 + code - 0x1F1E6), 1
    if 0x1F3FB <= code <= 0x1F3FF:
        return "▒", 1
    shown = safe(character, lines=False)
    if unicodedata.category(character) in ("Mn", "Me") and shown == character:
        variation = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
        return ("·" if variation else "◌" + character), 1
    width = cell_len(shown)
    if width == 0:
        return "·", 1
    if unicodedata.category(character) == "Zs":
        return ("␣" if marks else " " * width), (1 if marks else width)
    return shown, width


def plain(text: str, marks: bool = True) -> str:
    """``text`` as glyphs, in one piece."""
    return "".join(glyph(character, marks)[0] for character in text)


def columns(text: str, marks: bool = True) -> int:
    """Cells that ``text`` takes as glyphs."""
    if text.isascii():
        return len(text)
    return sum(glyph(character, marks)[1] for character in text)
