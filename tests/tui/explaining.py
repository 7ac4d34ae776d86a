"""What a pane draws, beside what it says about it: every value of a hint is drawn, every number drawn is in a hint."""

from __future__ import annotations

import re
from collections.abc import Mapping

from textual.pilot import Pilot
from textual.widget import Widget

from tui.app import LabApp
from tui.hints import seen
from tui.widgets.lines import Lines

SIZES = [(120, 40), (80, 24)]
NUMBER = re.compile(r"(?<![A-Za-z\d])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
AXES = {
    r"(?m)^[│ ]*[\d.,]+[kM]? ┤": "a tick of the vertical axis",
    r"(?m)^[│ ]*└[┬─┴┘ │]*\n[│ ]*[\d.,kMe+ ]+[│ ]*$": "ticks of the horizontal axis",
}
"""what needs no hint, and why"""


def drawn(app: LabApp, widget: Widget) -> str:
    """What stands on the screen in a widget, or in the panel that it fills, the titles included."""
    panel = widget.parent
    region = (panel if isinstance(panel, Widget) and panel.has_class("panel") else widget).region
    strips = app.screen_stack[0]._compositor.render_strips(app.size)[region.y : region.bottom]
    return "\n".join(strip.crop(region.x, region.right).text.rstrip() for strip in strips)


def unexplained(app: LabApp, allowed: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with the hints of the pane on the screen.

    ``allowed`` are patterns of what may be drawn without a hint, each with the reason.
    """
    wrong = []
    for widget, found in app.here.hinted():
        text = drawn(app, widget)
        for hint in found:
            wrong += [
                f"{widget.id}: {hint.name}: {one!r} is not drawn" for one in hint.shown if _line(one) not in _line(text)
            ]
            if len(re.findall(r"[.:;](?= |$)", hint.text)) < 1 or "{" in hint.text:
                wrong.append(f"{widget.id}: {hint.name}: {hint.text!r} is no sentence")
        for pattern in {**AXES, **(allowed or {})}:
            text = re.sub(pattern, " ", text)
        told = {number for hint in found for one in hint.shown for number in NUMBER.findall(one)}
        for line in text.splitlines():
            wrong += [f"{widget.id}: {one} has no hint: {line}" for one in NUMBER.findall(line) if one not in told]
    return wrong


def _line(text: str) -> str:
    """``text`` without its line breaks."""
    return " ".join(re.sub("[│▁-█]", " ", text).split())


def unlabelled(app: LabApp) -> list[str]:
    """Lines that draw numbers and have no hint at all."""
    views = [view for view in app.here.query(Lines) if view.is_on_screen]
    return [
        f"{view.id}" for view in views if NUMBER.search(view.plain) and not seen(app.here.explain(view), view.entitled)
    ]


async def resized(pilot: Pilot[int], size: tuple[int, int]) -> None:
    """Let the screen have another size, and draw."""
    await pilot.resize_terminal(*size)
    await pilot.pause(0.05)
