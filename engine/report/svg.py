"""Curves as SVG: polylines between axes with round ticks, in colours that read on a light page and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from engine.markdown import visible

WIDTH, HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 44, 48  # free space around the plot, for labels
_LIGHT = {"page": "#fafbfc", "text": "#272c38", "muted": "#566072", "border": "#a0a9bc"}
_DARK = {"page": "#0f1118", "text": "#ccd3e4", "muted": "#929bb4", "border": "#4a5373"}
_SERIES_LIGHT = ("#1f739d", "#772c19", "#207257", "#781c59", "#966105", "#2000d2")
_SERIES_DARK = ("#59d4fb", "#b97240", "#a8f2c8", "#b86c8a", "#d9d206", "#4f7af9")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 2")
"""so that lines differ without their colours too"""


@dataclass(frozen=True)
class Line:
    """One curve. Points that are not finite are left out."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    """x, lowest and highest of what is drawn around it"""
    dots: bool = False
    """whether every point has a dot"""


def plot(lines: Sequence[Line], x: str, y: str, *, title: str = "", rules: Sequence[tuple[float, str]] = ()) -> str:
    """A picture of ``lines``; ``x`` and ``y`` are the labels of the axes, with their units; steps are whole.

    ``rules`` are labelled horizontal lines; those outside of what the curves reach are left out.
    """
    kept = [[point for point in line.points if all(map(math.isfinite, point))] for line in lines]
    bands = [[part for part in line.band if all(map(math.isfinite, part))] for line in lines]
    everything = [point for points in kept for point in points]
    parts = [f'<text class="title" x="{_LEFT}" y="18">{_safe(title)}</text>'] if title else []
    if not everything:
        parts.append(f'<text class="label" x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no points yet</text>')
        return _page(parts, title)
    reached = [to for _, to in everything] + [end for band in bands for _, *ends in band for end in ends]
    room = (max(reached) - min(reached)) * 0.04
    across = _Axis([at for at, _ in everything], _LEFT, WIDTH - _RIGHT, 7, 1.0 if x == "step" else 0.0)
    up = _Axis([min(reached) - room, max(reached) + room], HEIGHT - _BOTTOM, _TOP, 5)
    shown = [(at, name) for at, name in rules if min(reached) <= at <= max(reached)]
    parts += [*_axes(across, up, x, y), *_rules(shown, up)]
    for number, (line, points, band) in enumerate(zip(lines, kept, bands, strict=True)):
        series = number % len(_SERIES_LIGHT)
        if band:
            edge = [(at, high) for at, _, high in band] + [(at, low) for at, low, _ in reversed(band)]
            parts.append(f'<polygon class="band s{series}" points="{_points(edge, across, up)}"/>')
        dash = f' stroke-dasharray="{_DASHES[series]}"' if _DASHES[series] else ""
        parts.append(f'<polyline class="line s{series}"{dash} points="{_points(points, across, up)}"/>')
        if line.dots:
            places = ((across(at), up(to)) for at, to in points)
            parts += [f'<circle class="dot s{series}" cx="{at:.1f}" cy="{to:.1f}" r="2.5"/>' for at, to in places]
    return _page([*parts, *_legend([line.name for line in lines])], title)


def ticks(low: float, high: float, most: int, least: float = 0.0) -> list[float]:
    """At most ``most`` values from ``low`` to ``high`` at equal distances of 1, 2 or 5 times a power of ten.

    The distances are at least ``least``.
    """
    span = high - low
    power = math.floor(math.log10(span / most))
    for step in (mantissa * 10.0**exponent for exponent in range(power, power + 3) for mantissa in (1, 2, 5)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most and step >= least:
            return [number * step for number in range(first, last + 1)]
    return [low, high]


class _Axis:
    """Places values between two ends of the picture."""

    def __init__(self, values: Sequence[float], start: float, end: float, most: int, least: float = 0.0) -> None:
        room = abs(max(values)) * 0.1 or 1.0 if max(values) - min(values) <= 1e-9 * abs(max(values)) else 0.0
        self._low, self._high = min(values) - room, max(values) + room
        self._start, self._end = start, end
        self.ticks = [(at, _label(at)) for at in ticks(self._low, self._high, most, least)]

    def __call__(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def _axes(across: _Axis, up: _Axis, x: str, y: str) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    found = []
    for at, label in up.ticks:
        found.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{up(at):.1f}" y2="{up(at):.1f}"/>')
        found.append(f'<text class="tick" x="{_LEFT - 6}" y="{up(at) + 4:.1f}" text-anchor="end">{label}</text>')
    for at, label in across.ticks:
        found.append(
            f'<line class="grid" x1="{across(at):.1f}" x2="{across(at):.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        )
        found.append(f'<text class="tick" x="{across(at):.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    found.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle, side = (_LEFT + right) / 2, (_TOP + bottom) / 2
    found.append(f'<text class="label" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{_safe(x)}</text>')
    turned = f'transform="rotate(-90 14 {side})"'
    return [*found, f'<text class="label" x="14" y="{side}" text-anchor="middle" {turned}>{_safe(y)}</text>']


def _rules(shown: Iterable[tuple[float, str]], up: _Axis) -> list[str]:
    found = []
    for at, name in shown:
        place = up(at)
        found.append(f'<line class="rule" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{place:.1f}" y2="{place:.1f}"/>')
        found.append(
            f'<text class="tick" x="{WIDTH - _RIGHT}" y="{place - 4:.1f}" text-anchor="end">{_safe(name)}</text>'
        )
    return found


def _legend(names: Sequence[str]) -> list[str]:
    """A sample of each line with its name, in a row above the plot; long names are cut."""
    found, left = [], float(_LEFT)
    each = (WIDTH - _LEFT - _RIGHT) / max(1, len(names))
    room = max(6, int(each / 7) - 5)
    for number, name in enumerate(names):
        series = number % len(_SERIES_LIGHT)
        dash = f' stroke-dasharray="{_DASHES[series]}"' if _DASHES[series] else ""
        shown = name if len(name) <= room else f"{name[: room - 1]}…"
        found.append(f'<line class="line s{series}"{dash} x1="{left:.0f}" x2="{left + 22:.0f}" y1="32" y2="32"/>')
        found.append(f'<text class="tick" x="{left + 27:.0f}" y="36">{_safe(shown)}</text>')
        left += min(each, 42 + 7 * len(shown))
    return found


def _page(parts: Iterable[str], title: str) -> str:
    rules = [_theme(_LIGHT, _SERIES_LIGHT), f"@media (prefers-color-scheme: dark) {{ {_theme(_DARK, _SERIES_DARK)} }}"]
    style = (
        "text { font: 12px system-ui, sans-serif } .title { font-weight: 600; font-size: 13px } "
        ".line { fill: none; stroke-width: 1.8; stroke-linejoin: round } .band { opacity: .18; stroke: none } "
        ".dot { stroke: none } .rule { stroke-dasharray: 4 4 } " + " ".join(rules)
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
            f"<title>{_safe(title)}</title>",
            f"<style>{style}</style>",
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _theme(colours: dict[str, str], series: Sequence[str]) -> str:
    lines = " ".join(
        f".line.s{number} {{ stroke: {colour} }} .band.s{number}, .dot.s{number} {{ fill: {colour} }}"
        for number, colour in enumerate(series)
    )
    return (
        f".page {{ fill: {colours['page']} }} .title, .label {{ fill: {colours['text']} }} "
        f".tick {{ fill: {colours['muted']} }} .axis, .rule {{ stroke: {colours['muted']} }} "
        f".grid {{ stroke: {colours['border']}; stroke-width: .5 }} {lines}"
    )


def _points(points: Iterable[tuple[float, float]], across: _Axis, up: _Axis) -> str:
    return " ".join(f"{across(at):.1f},{up(to):.1f}" for at, to in points)


def _label(value: float) -> str:
    """A tick as people read it: thousands grouped, as many digits as it needs."""
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    rounded = round(value, 6)
    return f"{rounded:,.0f}" if rounded == int(rounded) else f"{rounded:,.6g}"


def _safe(text: str) -> str:
    """Text of users as content of an element: it can neither end it nor hold what XML forbids."""
    return escape(visible(text), quote=False)
