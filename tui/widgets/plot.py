"""Plots in braille dots, two across and four down in every cell, between axes whose ticks stand at equal distances."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.widgets.styled import BORDER, MUTED, strip

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character, by row and column
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Axis:
    """Values along an axis. ``low`` lies in the middle of the first cell, and every cell adds ``per_cell``."""

    low: float
    per_cell: float
    ticks: tuple[tuple[float, str], ...]
    """values to label, with their labels"""
    log: bool = False

    def cells(self, value: float) -> float:
        """Where a value lies, in cells from the middle of the first."""
        return ((math.log10(max(value, 1e-30)) if self.log else value) - self.low) / self.per_cell


def axis(low: float, high: float, cells: int, each: tuple[int, int], digits: int = 0) -> Axis:
    """An axis of ``cells`` cells that holds ``low`` to ``high``, with ticks at steps of 1, 2 or 5.

    Two ticks are between ``each[0]`` and ``each[1]`` cells apart, all the same, and have at least ``digits`` decimals.
    As little as possible is left free, at the end. The limits move in steps of a cell, so that a plot of new values
    mostly stays still.
    """
    span = max(high - low, 1e-9 * max(abs(low), abs(high), 1e-9))
    power = math.floor(math.log10(span / max(1, cells)))
    best: tuple[float, float, int] | None = None
    for step in (mantissa * 10.0**exponent for exponent in range(power, power + 5) for mantissa in _STEPS):
        for apart in range(each[0], each[1] + 1):
            unit = step / apart
            taken = math.ceil(high / unit - 1e-9) - math.floor(low / unit + 1e-9)
            if taken <= cells - 1 and (best is None or unit < best[0]):
                best = (unit, step, apart)
    unit, step, apart = best or (span / max(1, cells - 1), span, cells)
    first = math.floor(low / unit + 1e-9)
    numbers = range(math.ceil(first / apart), (first + cells - 1) // apart + 1)
    return Axis(first * unit, unit, tuple((number * step, _label(number * step, step, digits)) for number in numbers))


def tick_labels(ticks: Iterable[tuple[int, str]], cells: int) -> str:
    """Labels in a line of ``cells``, each centred at its cell as far as the edges allow; none touches another."""
    names = [" "] * (cells + 1)
    for cell, label in ticks:
        start = max(0, min(cell - len(label) // 2, cells - len(label)))
        if "".join(names[max(0, start - 1) : start + len(label) + 1]).isspace():
            names[start : start + len(label)] = label
    return "".join(names)[:cells]


def log_axis(low: float, high: float, cells: int, each: tuple[int, int], digits: int = 0) -> Axis:
    """A logarithmic axis for positive values: ticks at 1, 2 and 5 times powers of ten, or those of a linear one."""
    low = max(low, 1e-30)
    start, end = math.log10(low), math.log10(max(high, low * 1.001))
    made = Axis(start, (end - start) / max(1, cells - 1), (), log=True)
    powers = range(math.floor(start), math.ceil(end) + 1)
    wide = [(value, _label(value, value, digits)) for value in (m * 10.0**power for power in powers for m in _STEPS)]
    ticks: list[tuple[float, str]] = []
    for value, label in wide if high > 10 * low else axis(low, high, cells, each, digits).ticks:
        if low <= value <= high and (not ticks or made.cells(value) - made.cells(ticks[-1][0]) >= each[0]):
            ticks.append((value, label))
    return Axis(made.low, made.per_cell, tuple(ticks), log=True)


def _label(value: float, step: float, digits: int) -> str:
    """A tick with the digits that its step needs."""
    if abs(value) >= 1e4 or (value and step < 1e-3):
        return units.count(value).replace(" ", "") if 1e4 <= abs(value) < 1e15 else f"{value:.0e}"
    return f"{value:,.{max(digits if step < 100 else 0, -math.floor(math.log10(step) + 1e-9))}f}"


class Plot:
    """What is drawn later lies on what was drawn before: in a cell the last to touch it decides colour and dots."""

    def __init__(self, width: int, height: int, margin: int) -> None:
        """``margin`` cells to the left hold the labels of the vertical axis, and one the axis."""
        self.width, self.height, self._margin = width, height, margin
        self.columns, self.rows = max(1, width - margin - 1), max(1, height - 2)
        self._cells: dict[tuple[int, int], tuple[str, str]] = {}
        self._labels: list[tuple[int, str]] = []
        self.x = self.y = Axis(0.0, 1.0, ())

    def scale(self, x: Axis, y: Axis) -> None:
        """The axes: ``x`` over :attr:`columns`, ``y`` over :attr:`rows` upwards."""
        self.x, self.y = x, y

    def _dot(self, x: float, y: float) -> tuple[int, int]:
        """The dot that a point falls on: across from the left, down from the top, kept within the plot."""
        across, up = round(self.x.cells(x) * 2), self.y.cells(y) * 4
        down = round(4 * (self.rows - 1) + 1.5 - max(-8.0, min(4.0 * self.rows + 8, up)))
        return max(0, min(2 * self.columns - 1, across)), max(0, min(4 * self.rows - 1, down))

    def rule(self, y: float, label: str) -> None:
        """A reference across the plot, labelled where no curve is in the end."""
        row = self._dot(0, y)[1] // 4
        self._cells.update({(column, row): ("╌", BORDER) for column in range(self.columns)})
        self._labels.append((row, f" {label}"))

    def upright(self, x: float, mark: str, style: str) -> None:
        """A line from top to bottom."""
        column = self._dot(x, 0)[0] // 2
        self._cells.update({(column, row): (mark, style) for row in range(self.rows)})

    def mark(self, x: float, y: float, mark: str, style: str) -> None:
        """One character at a point."""
        across, down = self._dot(x, y)
        self._cells[across // 2, down // 4] = (mark, style)

    def band(self, points: Iterable[tuple[float, float, float]], style: str) -> None:
        """The area between the two values of ``(x, low, high)``, connected from point to point."""
        ends = [(*self._dot(x, high), self._dot(x, low)[1]) for x, low, high in points]
        dots: dict[tuple[int, int], None] = {}
        for (x0, top0, low0), (x1, top1, low1) in zip(ends[:1] + ends, ends, strict=False):
            for across in range(x0, x1 + 1):
                share = (across - x0) / max(1, x1 - x0)
                top, bottom = round(top0 + (top1 - top0) * share), round(low0 + (low1 - low0) * share)
                dots.update(dict.fromkeys((across, down) for down in range(top, bottom + 1)))
        self._paint(dots, style)

    def line(self, points: Sequence[tuple[float, float]], style: str, *, thick: bool = False) -> None:
        """A connected line through points, one dot thick or two."""
        places = [self._dot(*point) for point in points]
        dots = dict.fromkeys(places[:1])
        for (x0, y0), (x1, y1) in pairwise(places):
            count = max(abs(x1 - x0), abs(y1 - y0), 1)
            for n in range(count + 1):
                x, y = round(x0 + (x1 - x0) * n / count), round(y0 + (y1 - y0) * n / count)
                dots[x, y] = None
                if thick:
                    dots[(x, min(y + 1, 4 * self.rows - 1)) if abs(x1 - x0) >= abs(y1 - y0) else (x + 1, y)] = None
        self._paint(dots, style)

    def _paint(self, dots: Iterable[tuple[int, int]], style: str) -> None:
        """Set dots of one colour, in cells of their own."""
        cells: dict[tuple[int, int], int] = {}
        for across, down in dots:
            cell = (min(across // 2, self.columns - 1), down // 4)
            cells[cell] = cells.get(cell, 0) | _DOTS[down % 4][across % 2]
        self._cells.update({cell: (chr(0x2800 + bits), style) for cell, bits in cells.items()})

    def dots(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """A dot at each point."""
        self._paint(dict.fromkeys(self._dot(*point) for point in points), style)

    def cells(self) -> list[Strip]:
        """The plot without axes, in :attr:`rows` lines of :attr:`columns` cells."""
        blank = (" ", "")
        lines = [
            Text.assemble(*(self._cells.get((column, row), blank) for column in range(self.columns)))
            for row in range(self.rows)
        ]
        return [strip(line, self.columns) for line in lines]

    def lines(self) -> list[Strip]:
        """The plot with its axes, in exactly ``height`` lines of ``width`` cells."""
        for row, label in self._labels:
            self._place(row, label)
        origin = 10**self.x.low if self.x.log else self.x.low
        ticks = {self._dot(origin, value)[1] // 4: label for value, label in self.y.ticks}
        lines = []
        for row in range(self.rows):
            line = Text(f"{ticks.get(row, ''):>{self._margin - 1}} ", MUTED)
            line.append("┤" if row in ticks else "│", BORDER)
            for column in range(self.columns):
                line.append(*self._cells.get((column, row), (" ", "")))
            lines.append(line)
        return [strip(line, self.width) for line in [*lines, *self._foot()]]

    def _place(self, row: int, label: str) -> None:
        """Write a label over the dashes of its line: as far to the right as no curve is in the way, or nowhere."""
        for end in range(self.columns, len(label) - 1, -1):
            cells = range(end - len(label), end)
            if all(self._cells.get((column, row), ("╌", ""))[0] in "╌│╎" for column in cells):
                self._cells.update({(column, row): (char, MUTED) for column, char in zip(cells, label, strict=True)})
                return

    def _foot(self) -> list[Text]:
        """The horizontal axis, and its labels centred below the ticks as far as the edges allow."""
        rule, ticks = ["─"] * self.columns, []
        for value, label in self.x.ticks:
            column = self._dot(value, 0)[0] // 2
            rule[column] = "┬"
            ticks.append((self._margin + 1 + column, label))
        return [
            Text.assemble(" " * self._margin, ("└" + "".join(rule), BORDER)),
            Text(tick_labels(ticks, self.width).rstrip(), MUTED),
        ]
