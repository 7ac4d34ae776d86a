"""Pictures of curves, read back as XML: where points lie is compared with the ticks beside them."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from engine.report import svg
from engine.report.svg import Line, plot

SPACE = "{http://www.w3.org/2000/svg}"
HOSTILE = '</text><script>alert("1")</script>\x1b]0;title\x07 & \u202e "quotes"'


def ticks_of(root: ElementTree.Element, *, across: bool) -> list[tuple[float, float]]:
    """Place and value of each tick of an axis, by its label."""
    anchor = "middle" if across else "end"
    found = []
    for text in root.iter(f"{SPACE}text"):
        if text.get("class") == "tick" and text.get("text-anchor") == anchor and not text.text.endswith("uniform"):
            value = float(text.text.replace(",", ""))
            found.append((float(text.get("x")) if across else float(text.get("y")) - 4, value))
    return found


def read_back(root: ElementTree.Element, line: int) -> list[tuple[float, float]]:
    """The points of a line in the units of the axes, from the first and the last tick of each."""
    points = [*root.iter(f"{SPACE}polyline")][line].get("points").split()
    maps = []
    for across in (True, False):
        (first, low), *_, (last, high) = ticks_of(root, across=across)
        maps.append(
            lambda at, first=first, last=last, low=low, high=high: low + (at - first) / (last - first) * (high - low)
        )
    pairs = [tuple(map(float, point.split(","))) for point in points]
    return [(maps[0](x), maps[1](y)) for x, y in pairs]


@pytest.mark.parametrize(("most", "low", "high"), [(1500, 1.4, 4.2), (0.5, -2e-3, 5e-3), (3e6, 100, 90000)])
def test_points_lie_where_the_ticks_say(most: float, low: float, high: float) -> None:
    rng = np.random.default_rng(1)
    lines = []
    for number in range(3):
        x = np.sort(rng.random(50)) * most
        lines.append(Line(f"run {number}", [*zip(x.tolist(), rng.uniform(low, high, 50).tolist(), strict=True)]))
    root = ElementTree.fromstring(plot(lines, "tokens", "loss, nats per character"))
    for number, line in enumerate(lines):
        found = read_back(root, number)
        assert len(found) == 50
        for (x, y), (at, to) in zip(found, line.points, strict=True):
            assert x == pytest.approx(at, abs=most / 1000)
            assert y == pytest.approx(to, abs=(high - low) / 500)
    for across in (True, False):
        values = [value for _, value in ticks_of(root, across=across)]
        assert 3 <= len(values) <= 8
        step = values[1] - values[0]
        assert np.allclose(np.diff(values), step)
        assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)


def test_steps_are_whole() -> None:
    for last, wanted in ((2, [0, 1, 2]), (30, [0, 5, 10, 15, 20, 25, 30])):
        root = ElementTree.fromstring(plot([Line("run", [(0, 1), (last, 2)])], "step", "loss"))
        assert [value for _, value in ticks_of(root, across=True)] == wanted


def test_hostile_names_are_text_and_nothing_else() -> None:
    made = plot([Line(HOSTILE, [(0, 1), (1, 2)])], HOSTILE, HOSTILE, title=HOSTILE, rules=[(1.5, HOSTILE)])
    root = ElementTree.fromstring(made)
    assert {element.tag.removeprefix(SPACE) for element in root.iter()} <= {
        "svg", "title", "style", "rect", "line", "text", "polyline",
    }  # fmt: skip
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    assert "\x1b" not in made
    assert "\u202e" not in made
    assert sum('alert("1")' in (text.text or "") for text in root.iter(f"{SPACE}text")) == 5


def test_points_that_are_not_finite_rules_out_of_reach_and_single_points() -> None:
    line = Line(
        "run", [(0, 3.0), (1, math.nan), (2, math.inf), (3, 2.0)], [(0, 2.5, 3.5), (3, 1.5, math.nan)], dots=True
    )
    made = plot([line], "step", "loss", rules=[(2.4, "shown"), (4.2, "uniform")])
    root = ElementTree.fromstring(made)
    assert len(next(root.iter(f"{SPACE}polyline")).get("points").split()) == 2
    assert len([*root.iter(f"{SPACE}circle")]) == 2
    assert ("shown" in made, "uniform" in made, "nan" in made, "inf" in made) == (True, False, False, False)
    for points in ([], [(0, math.nan)]):
        assert "no points yet" in plot([Line("run", points)], "step", "loss")
    for value in (0.0, 2.5, -1e-12, 1e12):
        root = ElementTree.fromstring(plot([Line("run", [(5, value)])], "step", "loss"))
        x, y = next(root.iter(f"{SPACE}polyline")).get("points").split(",")
        assert (0 < float(x) < svg.WIDTH, 0 < float(y) < svg.HEIGHT) == (True, True)


def test_every_colour_is_there_for_light_and_dark_pages() -> None:
    """Contrast of text and lines with the page, by WCAG's formula."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    made = plot([Line("run", [(0, 1), (1, 2)])], "step", "loss")
    assert "@media (prefers-color-scheme: dark)" in made
    for theme, series in ((svg._LIGHT, svg._SERIES_LIGHT), (svg._DARK, svg._SERIES_DARK)):
        page = luminance(theme["page"])
        for colour in (theme["text"], theme["muted"], *series):
            ends = sorted((page, luminance(colour)))
            assert (ends[1] + 0.05) / (ends[0] + 0.05) >= 4.5
            assert colour in made
