"""Three themes: dark, light, and one that uses the terminal's own 16 colours."""

from __future__ import annotations

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
SIXTEEN = "ansi-dark"
"""Textual's own theme for terminals with 16 colours."""
CYCLE = (DARK.name, LIGHT.name, SIXTEEN)
