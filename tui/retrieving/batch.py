"""The cosines of a batch: each query a row, each document a column, its own on the diagonal that training lights up."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip

from tui.comparing.ink import DIM, FAIR, GOOD, TITLE, paragraph, strip
from tui.retrieving.story import RetrieveStory

SHADES = " ·░▒▓█"
_LOW, _HIGH = 0.0, 0.9  # cosines of the faintest and the fullest shade


def batch(story: RetrieveStory, width: int, height: int) -> list[Strip]:
    """The matrix of the last batch, darkest where query and document are nearest."""
    rows = [row for row in story.similarity if isinstance(row, list | tuple)]
    if not rows:
        empty = "The matrix appears while a bi-encoder is trained: rows are queries, columns documents of the batch."
        return [Strip.blank(width), *paragraph(empty, width)][:height]
    step = story.step
    own = [float(row[place]) for place, row in enumerate(rows) if place < len(row)]
    others = [float(value) for place, row in enumerate(rows) for column, value in enumerate(row) if column != place]
    lines = [
        strip(Text("rows: queries of the batch   columns: documents   ◆ own document is not the nearest", DIM), width)
    ]
    told = Text("own ", DIM).append(f"{_mean(own):.3f}", f"bold {GOOD}").append("   others ", DIM)
    told.append(f"{_mean(others):.3f}", "bold").append("   right ", DIM)
    right = sum(bool(row) and max(row) <= row[place] for place, row in enumerate(rows) if place < len(row))
    told.append(f"{right}/{len(own)}", "bold")
    if step is not None:
        told.append(f"   step {step.step:,} of {step.steps:,}   loss {step.loss:.3f}", DIM)
    lines.append(strip(told, width))
    cell = 3 if width >= 3 * len(rows[0]) + 10 else 2
    for place, row in enumerate(rows[: max(0, height - 3)]):
        text = Text(f"{place + 1:>3} ", DIM)
        nearest = max(row) if row else 0.0
        for column, value in enumerate(row[: (width - 8) // cell]):
            shade = SHADES[_shade(float(value))] * (cell - 1)
            if column == place:
                text.append(
                    shade if value >= nearest else "◆" * (cell - 1), f"bold {GOOD if value >= nearest else FAIR}"
                )
            else:
                text.append(shade, "bright_blue" if value < nearest else "bright_red")
            text.append(" ")
        lines.append(strip(text, width))
    legend = Text("cosine ", TITLE)
    for place, shade in enumerate(SHADES[1:], 1):
        legend.append(f"{shade * 2} ≥{_LOW + (_HIGH - _LOW) * place / len(SHADES):.2f} ", DIM)
    lines.append(strip(legend, width))
    return lines[:height]


def _shade(value: float) -> int:
    share = (value - _LOW) / (_HIGH - _LOW)
    return max(0, min(len(SHADES) - 1, int(share * len(SHADES))))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
