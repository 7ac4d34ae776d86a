"""What the check found: one row for each comparison or measurement, and the table of all of them."""

from __future__ import annotations

import statistics
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"
NEEDS_CUDA = "needs a CUDA device"
Figure = float | int | str
_HEAD = ("part", "what was compared or measured", "figures", "tolerance", "result")


@dataclass(frozen=True)
class Row:
    """One comparison or measurement. Every figure was measured in this run."""

    compared: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    tolerance: str = ""
    """empty where a speed was measured, which nothing is compared with"""
    result: str = OK
    reason: str = ""
    """of a failure, or why it was skipped"""
    part: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row's columns in the table."""
        figures = ", ".join(f"{name} {_spelled(value)}" for name, value in self.figures.items())
        result = f"{self.result}: {self.reason}" if self.reason else self.result
        cells = (self.part, self.compared, figures, self.tolerance, result)
        return tuple(printable(cell).replace("|", "/") for cell in cells)


def judged(compared: str, good: bool, tolerance: str, reason: str, **figures: Figure) -> Row:
    """A comparison; ``reason`` says what is wrong where it is not ``good``. In names of figures ``_`` is a space."""
    return Row(compared, _named(figures), tolerance, OK if good else FAILED, "" if good else reason)


def within(compared: str, difference: float, limit: float, **figures: Figure) -> Row:
    """A comparison whose largest ``difference`` must not exceed ``limit``; NaN fails."""
    reason = "the difference is too large"
    return judged(compared, difference <= limit, f"{limit:g}", reason, largest_difference=difference, **figures)


def measured(compared: str, **figures: Figure) -> Row:
    """A measurement that is compared with nothing."""
    return Row(compared, _named(figures))


def spread(name: str, values: Sequence[float], scale: float = 1.0) -> dict[str, float]:
    """Median, least and greatest of what was measured several times, each multiplied by ``scale``."""
    found = {name: statistics.median(values), f"{name}_least": min(values), f"{name}_most": max(values)}
    return {name: scale * value for name, value in found.items()}


def skipped(compared: str, reason: str) -> Row:
    """What could not be compared or measured here, and why."""
    return Row(compared, result=SKIPPED, reason=reason)


def table(rows: Sequence[Row]) -> list[str]:
    """The lines of a Markdown table."""
    cells = [_HEAD, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells]
    padded.insert(1, ["-" * width for width in widths])
    return [f"| {' | '.join(line)} |" for line in padded]


def printable(text: str) -> str:
    """``text`` in ASCII, with everything that a terminal could act on escaped."""
    return "".join(c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in text)


def place_of(error: BaseException) -> str:
    """Where ``error`` was raised: the innermost line of the engine, else of what a part ran."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.endswith("bench/gpu.py")]
    last = ([one for one in frames if "/engine/" in one.filename] or frames)[-1]
    return f"{'/'.join(Path(last.filename).parts[-2:])}:{last.lineno}"


def _spelled(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def _named(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    return {name.replace("_", " "): value for name, value in figures.items()}
