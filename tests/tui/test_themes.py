"""Colours: the palettes can be read and told apart, and nothing is drawn in the colour that it lies on."""

from __future__ import annotations

import contextlib
import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from pseudoterminal import Terminal
from rich.color import Color
from rich.style import Style
from stage import recorded

from tui.app import LabApp
from tui.generate.token_view import ramp
from tui.terminal import colours as terminal_colours
from tui.themes import PALETTES, colours_of, few_colours
from tui.tokens import palette
from tui.widgets import styled

Vector = NDArray[np.float64]
# What is left of linear RGB without one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1.
EYES: dict[str, Vector] = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> Vector:
    """Linear RGB of a hexadecimal colour."""
    shares = np.array(list(bytes.fromhex(colour[1:]))) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """By WCAG 2."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Vector) -> tuple[float, float, float]:
    """CIE L*a*b* of linear RGB, white D65."""
    xyz = TO_XYZ @ rgb / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return float(116 * y - 16), float(500 * (x - y)), float(200 * (y - z))


def difference(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """CIEDE2000 (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * math.sqrt(mean**7 / (mean**7 + 25**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = math.degrees(math.atan2(b1, a1)) % 360, math.degrees(math.atan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180
    hue, chroma, light = h1 + turn / 2, (c1 + c2) / 2, (l1 + l2) / 2 - 50
    terms = ((1, 30, -0.17), (2, 0, 0.24), (3, -6, 0.32), (4, 63, -0.20))
    weight = 1 + sum(share * math.cos(math.radians(times * hue - shift)) for times, shift, share in terms)
    lightness = (l2 - l1) / (1 + 0.015 * light**2 / math.sqrt(20 + light**2))
    colour = (c2 - c1) / (1 + 0.045 * chroma)
    tone = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / (1 + 0.015 * chroma * weight)
    rotation = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    rotation *= math.sin(math.radians(60 * math.exp(-(((hue % 360 - 275) / 25) ** 2))))
    return math.sqrt(lightness**2 + colour**2 + tone**2 + rotation * colour * tone)


def test_the_measure_of_colours_is_that_of_the_paper() -> None:
    assert difference((50, 2.6772, -79.7751), (50, 0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)
    assert difference((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514)) == pytest.approx(0.9082, abs=1e-4)
    assert difference((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387)) == pytest.approx(1.2644, abs=1e-4)


@pytest.mark.parametrize(("name", "least"), [("lab-dark", (27, 20, 20)), ("lab-light", (23, 15, 15))])
def test_the_colours_of_data_differ_for_every_kind_of_colour_vision(name: str, least: tuple[int, int, int]) -> None:
    for (eye, matrix), wanted in zip(EYES.items(), least, strict=True):
        seen = [lab(np.clip(matrix @ linear(colour), 0, 1)) for colour in PALETTES[name]["series"].split()]
        assert min(difference(*pair) for pair in itertools.combinations(seen, 2)) >= wanted, eye


@pytest.mark.parametrize("name", list(PALETTES))
def test_everything_that_is_text_can_be_read_on_everything_that_it_lies_on(name: str) -> None:
    colours = PALETTES[name]
    for ground in ("background", "panel", "selection"):
        for text in ("text", "bright", "muted", "accent", "good", "warn", "bad"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for colour in colours["series"].split():
        assert contrast(colour, colours["panel"]) >= 4.5, colour
    assert contrast(colours["background"], colours["accent"]) >= 4.5  # the label of the button that has the focus


@pytest.mark.parametrize("name", PALETTES)
def test_backgrounds_of_tokens_are_nearer_to_the_theme_s_own_background_than_to_its_text(name: str) -> None:
    app = LabApp(theme=name)
    styles = (*palette.PALETTES[colours_of(app)], *ramp(app))
    backgrounds = [style.bgcolor.name for style in styles if style.bgcolor is not None]
    assert len(backgrounds) == 11
    for colour in backgrounds:
        assert contrast(colour, PALETTES[name]["panel"]) < contrast(colour, PALETTES[name]["text"]), colour


def test_few_colours_have_palettes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert palette.PALETTES[colours_of(LabApp(theme="lab-16"))] is palette.SIXTEEN
    monkeypatch.setenv("NO_COLOR", "1")
    app = LabApp(theme="lab-dark")
    assert palette.PALETTES[colours_of(app)] is palette.NONE
    assert not any(style.color or style.bgcolor for style in ramp(app))


def test_every_name_has_one_role() -> None:
    roles = [
        styled.BORDER,
        styled.MUTED,
        styled.TEXT,
        styled.BRIGHT,
        styled.GOOD,
        styled.WARN,
        styled.BAD,
        styled.ACCENT,
    ]
    assert len({*roles, *styled.SERIES}) == len(roles) + len(styled.SERIES)


@pytest.mark.parametrize("none", [False, True])
def test_with_few_colours_selection_is_reversed_and_nothing_has_the_colour_of_its_background(none: bool) -> None:
    names = [*styled.SERIES, styled.BORDER, styled.MUTED, styled.TEXT, styled.BRIGHT, styled.ACCENT, "default", "red"]
    for front, back in itertools.product(names, [*names, "magenta", "cyan"]):
        drawn = few_colours(Style.parse(f"{front} on {back}"), none=none)
        assert drawn.color is not None
        assert drawn.color != drawn.bgcolor or drawn.color == Color.default()
        assert drawn.color.name != "black" or (drawn.bgcolor and not drawn.bgcolor.is_default)
        if none:
            assert drawn.color.is_default
            assert drawn.bgcolor is None or drawn.bgcolor.is_default
    assert few_colours(Style.parse(styled.SELECTED), none=none).reverse
    assert not few_colours(Style.parse(styled.TEXT), none=none).reverse


TERMINALS = [("xterm-256color", ""), ("xterm", ""), ("xterm-direct", "truecolor"), ("screen", "")]
"""TERM and COLORTERM"""


@pytest.mark.parametrize("no_color", [False, True])
def test_no_cell_is_drawn_in_the_colour_that_it_lies_on(no_color: bool) -> None:
    recorded("past")

    def check(terminal: Terminal, where: str) -> None:
        for character, front, back, _ in terminal.cells():
            assert front != back or front == "default", f"{where}: {character!r} is {front} on {back}"
            assert (front, back) != ("black", "default"), f"{where}: {character!r} is black"
            assert not no_color or (front, back) == ("default", "default"), f"{where}: {character!r} has a colour"

    with contextlib.ExitStack() as opened:  # side by side: most of the time each waits for what it has asked for
        terminals: dict[Terminal, tuple[str, int]] = {}
        for term, colorterm in TERMINALS:
            more = {"COLORTERM": colorterm} | ({"NO_COLOR": "1"} if no_color else {})
            terminal = opened.enter_context(Terminal(term=term, size=(100, 30), more=more))
            themes = 1 if no_color or terminal_colours({"TERM": term, "COLORTERM": colorterm}) == 16 else 3
            terminals[terminal] = term, themes
        for theme in range(3):
            steps = (
                ("form", b"", ("Start training", "parameters")),
                ("runs", b"7", ("newest first", "finished")),
                ("help", b"\x1bOP", ("On this screen",)),
                ("runs again", b"q", ("newest first", "finished")),
                ("form again", b"1", ("Start training", "parameters")),
            )
            for step, (name, key, texts) in enumerate(steps):
                now = {one: term for one, (term, themes) in terminals.items() if theme < themes or not step}
                for terminal in now:
                    terminal.press(key)
                for terminal, term in now.items():
                    terminal.shows(*texts)
                    terminal.settle(0.1)
                    check(terminal, f"{term}, {name}, theme {theme}")
            for terminal in terminals:
                terminal.press(b"t")
