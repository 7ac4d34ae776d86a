"""What a pane draws, beside what it says about it: every value of a hint is drawn, every number drawn is in a hint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from textual.widget import Widget

from engine.lab.glossary import TERMS
from tui.app import LabApp
from tui.hints import Hint

SIZES = [(120, 40), (80, 24)]
NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")
AXES = {
    r"(?m)^[│ ]*[\d.,]+[kM]? ┤": "a tick of the vertical axis",
    r"(?m)^[│ ]*└[┬─┴┘ │]*\n[│ ]*[\d.,kMe+ ]+[│ ]*$": "ticks of the horizontal axis",
}
"""what needs no hint, and why"""


def panel_of(widget: Widget) -> Widget:
    """The panel that a widget fills, alone or with others; else the widget."""
    panel = widget.parent
    return panel if isinstance(panel, Widget) and panel.has_class("panel") else widget


def drawn(widget: Widget) -> str:
    """What stands on the screen in a widget, or in the panel that it fills, the titles included."""
    region = panel_of(widget).region
    strips = widget.screen._compositor.render_strips(widget.screen.size)[region.y : region.bottom]
    return "\n".join(strip.crop(region.x, region.right).text.rstrip() for strip in strips)


def unexplained(app: LabApp, allowed: Mapping[str, str] | None = None, where: Any = None) -> list[str]:
    """What is wrong with the hints of the pane on the screen, or of another screen ``where``.

    ``allowed`` are patterns of what may be drawn without a hint, each with the reason.
    """
    wrong = []
    panels: dict[Widget, list[Hint]] = {}
    for widget, hints in (where or app.here).hinted():
        panels.setdefault(panel_of(widget), []).extend(hints)
    for widget, found in panels.items():
        text = drawn(widget)
        for hint in found:
            wrong += [f"{widget.id}: {hint.name}: {one!r} is not drawn" for one in hint.shown if not _has(text, one)]
            numbers = {number for one in hint.shown for number in NUMBER.findall(one)}
            if numbers and numbers.isdisjoint(NUMBER.findall(hint.text)):
                wrong.append(f"{widget.id}: {hint.name}: none of {hint.shown} is in {hint.text!r}")
            if hint.term and hint.term not in TERMS:
                wrong.append(f"{widget.id}: {hint.name}: {hint.term!r} is not in the glossary")
            if len(re.findall(r"[.:;](?= |$)", hint.text)) < 1 or "{" in hint.text:
                wrong.append(f"{widget.id}: {hint.name}: {hint.text!r} is no sentence")
        for pattern in {**AXES, **(allowed or {})}:
            text = re.sub(pattern, " ", text)
        told = {number for hint in found for one in (hint.name, *hint.shown) for number in NUMBER.findall(one)}
        for line in text.splitlines():
            wrong += [f"{widget.id}: {one} has no hint: {line}" for one in NUMBER.findall(line) if one not in told]
    return wrong


def _has(text: str, value: str) -> bool:
    """Whether a value stands in ``text`` by itself, not as a part of another one."""
    return re.search(rf"(?<![\w.]){re.escape(_line(value))}(?!\w)", _line(text)) is not None


def _line(text: str) -> str:
    """``text`` without its line breaks."""
    return " ".join(re.sub("[│▁-█]", " ", text).split())
