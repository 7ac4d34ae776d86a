"""Judged queries by what one ranker gains on another: where training, or the encoder, helps and where it hurts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.strip import Strip

from tui.comparing.ink import BAD, CURSOR, DIM, FAIR, GOOD, fit, paragraph, strip, window
from tui.retrieving.laboratory import Gain
from tui.retrieving.story import RetrieveStory
from tui.retrieving.views import NAMES, Sight
from tui.text import safe

BAR, SHORT_BAR = 9, 4  # cells to either side


def ordered(gains: Sequence[Gain], sight: Sight) -> list[Gain]:
    """Queries from the largest gain of the first over the second to the largest loss."""
    both = [one for one in gains if sight.first in one.values and sight.second in one.values]
    return sorted(both, key=lambda one: (-(one.values[sight.first] - one.values[sight.second]), one.name))


def listed(story: RetrieveStory, gains: Sequence[Gain], sight: Sight, width: int, height: int) -> list[Strip]:
    """The list with its cursor."""
    rows = ordered(gains, sight)
    first, second = NAMES[sight.first], NAMES[sight.second]
    head = Text.assemble((first, "bold"), (" against ", DIM), (second, "bold"), ("   c and v change them", DIM))
    if not rows:
        empty = "Nothing to compare yet: both rankers must have been judged. c and v choose others."
        return [strip(head, width), *paragraph(empty, width)][:height]
    gaps = [one.values[sight.first] - one.values[sight.second] for one in rows]
    better, worse = sum(gap > 1e-9 for gap in gaps), sum(gap < -1e-9 for gap in gaps)
    told = Text.assemble(
        (f"{better} better", GOOD), "  ", (f"{worse} worse", BAD), f"  {len(rows) - better - worse} alike   nDCG@10 "
    )
    told.append(f"{sum(gaps) / len(gaps):+.3f}", "bold")
    if (found := story.difference(sight.first, sight.second)) is not None:
        _, low, high = found
        sure = low > 0 or high < 0
        told.append(f"  95%: {low:+.3f} to {high:+.3f}", GOOD if sure else FAIR)
        told.append("" if sure else "  chance explains it", DIM)
    sight.row = max(0, min(sight.row, len(rows) - 1))
    bar = BAR if width >= 66 else SHORT_BAR
    lines = [strip(head, width), strip(told, width)]
    for place in window(len(rows), sight.row, max(1, height - 3)):
        one, gap = rows[place], gaps[place]
        text = Text(no_wrap=True)
        cells = round(abs(gap) * bar) or (1 if abs(gap) > 1e-9 else 0)
        left = "▐" + "█" * (cells - 1) if gap < 0 and cells else ""
        right = "█" * cells if gap > 0 else ""
        text.append(f"{left:>{bar}}", BAD).append("│", DIM).append(f"{right:<{bar}}", GOOD)
        text.append(f" {gap:+.2f} ", "bold" if abs(gap) > 1e-9 else DIM)
        text.append(f"{one.values[sight.second]:.2f}→{one.values[sight.first]:.2f}  ", DIM)
        text.append(fit(safe(one.text, lines=False), max(8, width - text.cell_len)))
        if place == sight.row:
            text.stylize(CURSOR)
        lines.append(strip(text, width))
    lines.append(
        strip(Text("Enter shows the query in the columns; ] and [ walk from query to query there", DIM), width)
    )
    return lines[:height]
