"""Three themes: dark, light, and one that uses the terminal's own 16 colours."""

from __future__ import annotations

from rich.terminal_theme import TerminalTheme
from textual.theme import Theme

DARK = Theme(
    name="lab-dark",
    primary="#7aa2f7",
    secondary="#bb9af7",
    accent="#ff9e64",
    foreground="#c8d0e0",
    background="#12141c",
    surface="#171a24",
    panel="#1f2432",
    success="#9ece6a",
    warning="#e0af68",
    error="#f7768e",
    dark=True,
)
LIGHT = Theme(
    name="lab-light",
    primary="#2f5fc4",
    secondary="#7847bd",
    accent="#b15c00",
    foreground="#2a2f3a",
    background="#f6f7f9",
    surface="#eef0f4",
    panel="#e1e5ec",
    success="#3f7d20",
    warning="#8f5e15",
    error="#c0304c",
    dark=False,
)


def _colours(background: str, foreground: str, normal: str, bright: str) -> TerminalTheme:
    """What the 16 colour names mean where more colours can be shown: the names are all that drawing code uses."""
    ground, text, *colours = (
        (red, green, blue)
        for red, green, blue in map(bytes.fromhex, [background, foreground, *normal.split(), *bright.split()])
    )
    return TerminalTheme(ground, text, colours[:8], colours[8:])


# In the terminal's order: black, red, green, yellow, blue, magenta, cyan, white.
ANSI_DARK = _colours(
    "12141c",
    "c8d0e0",
    "1f2432 f7768e 9ece6a e0af68 7aa2f7 bb9af7 7dcfff a9b1d6",
    "747d97 f7768e 9ece6a e0af68 7aa2f7 bb9af7 7dcfff e6ebf7",
)
ANSI_LIGHT = _colours(
    "f6f7f9",
    "2a2f3a",
    "2a2f3a c0304c 3f7d20 8f5e15 2f5fc4 7847bd 00727d 5b6374",
    "737b8c c0304c 3f7d20 8f5e15 2f5fc4 7847bd 00727d 14171d",
)
SIXTEEN = "ansi-dark"
"""Textual's own theme for terminals with 16 colours."""
CYCLE = (DARK.name, LIGHT.name, SIXTEEN)
