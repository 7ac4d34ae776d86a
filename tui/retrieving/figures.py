"""All rankers in one table, their differences over all queries and query by query, and how the training goes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.strip import Strip

from engine.retrieve.spec import PAIRS
from tui import units
from tui.curve import CurveOptions, draw
from tui.retrieving.laboratory import Gain
from tui.retrieving.story import RetrieveStory, number
from tui.retrieving.views import NAMES, RANKERS, Sight
from tui.styled import BAD, CURSOR, DIM, FAIR, GOOD, TITLE, fit, paragraph, strip, window, wrap
from tui.text import safe

_SPARK = "▁▂▃▄▅▆▇█"


def figures(story: RetrieveStory, width: int, height: int) -> list[Strip]:
    """The table, what the differences say, and the curves as far as there is room."""
    lines = _table(story, width)
    if height >= len(lines) + 4:
        lines += _differences(story, width)
    if story.verdict and height >= len(lines) + 3:
        lines += [Strip.blank(width)]
        lines += [strip(line, width) for line in wrap(Text(safe(story.verdict, lines=False)), width)]
    if (story.curve.version or story.looks) and height - len(lines) >= 5:
        lines += _training(story, width, height - len(lines))
    elif story.data is not None:
        told = [*story.data.repairs, *story.data.checks]
        lines += [strip(Text("· " + safe(one, lines=False), DIM), width) for one in told]
    return lines[:height]


def _table(story: RetrieveStory, width: int) -> list[Strip]:
    wide, narrow = width >= 100, width < 66
    head = Text(f"{'ranker':<13} nDCG@10  {'95% interval':<13}  R@100  MRR@10  MAP@100", DIM)
    if narrow:
        head = Text(f"{'ranker':<13} nDCG@10 {'95% interval':<12} R@100 MRR MAP", DIM)
    if wide:
        head.append("  queries/s      index   built in")
    lines = [strip(head, width)]
    methods = story.data.contenders if story.data is not None else ()
    best = story.best
    for name in RANKERS:
        if name not in methods and name not in story.results:
            continue
        found = story.results.get(name)
        text = Text(no_wrap=True)
        text.append(f"{NAMES[name]:<13} ", f"bold {GOOD}" if name == best else "")
        if found is None:
            text.append("…", DIM)
        else:
            span = found.get("interval")
            low, high = span if isinstance(span, list | tuple) and len(span) == 2 else (0.0, 0.0)
            measured = [number(found, name) for name in ("recall@100", "mrr@10", "map@100")]
            text.append(f"{number(found, 'ndcg@10'):>7.3f} ", "bold")
            if narrow:
                text.append(f"{low:.3f}–{high:.3f}   ", DIM)
                text.append(f"{measured[0]:.2f} {measured[1]:.2f} {measured[2]:.2f}")
            else:
                text.append(f" {low:.3f}–{high:.3f}    ", DIM)
                text.append(f"{measured[0]:.3f}   {measured[1]:.3f}    {measured[2]:.3f}")
            if wide:
                size = units.size(int(number(found, "index_bytes")))
                text.append(f"  {number(found, 'queries_per_second'):>9,.0f}  {size:>9}  ")
                text.append(f"{units.duration(number(found, 'index_seconds')):>9}")
        lines.append(strip(text, width))
    return lines


def _differences(story: RetrieveStory, width: int) -> list[Strip]:
    lines = []
    for first, second in PAIRS:
        found = story.difference(first, second)
        if found is None:
            continue
        mean, low, high = found
        sure = low > 0 or high < 0
        text = Text.assemble((f"{NAMES[first]} − {NAMES[second]}".ljust(28), ""), (f"{mean:+.3f}  ", "bold"))
        if width >= 90:
            text.append(_whisker(low, mean, high, min(41, width - 72)) + "  ", GOOD if sure else FAIR)
        text.append(f"{low:+.3f} to {high:+.3f}", DIM)
        text.append("" if sure else "  chance explains it" if width >= 66 else " chance", FAIR)
        lines.append(strip(text, width))
    if lines:
        note = Text("differences in nDCG@10 over the same queries, 95% by paired bootstrap", TITLE)
        lines = [Strip.blank(width), strip(note, width), *lines]
    return lines


def _whisker(low: float, mean: float, high: float, cells: int) -> str:
    """An interval on an axis from -0.4 to 0.4, with 0 in the middle."""

    def place(value: float) -> int:
        return round((max(-0.4, min(0.4, value)) + 0.4) / 0.8 * (cells - 1))

    row = [" "] * cells
    for cell in range(place(low), place(high) + 1):
        row[cell] = "─"
    row[cells // 2] = "│" if row[cells // 2] == " " else "┼"
    row[place(mean)] = "●"
    return "".join(row)


def _training(story: RetrieveStory, width: int, height: int) -> list[Strip]:
    step = story.step
    head = Text("training: ", TITLE)
    if step is not None:
        head.append(f"step {step.step:,} of {step.steps:,}  {safe(step.note, lines=False)}  ", DIM)
    lines = [Strip.blank(width), strip(head, width)]
    if story.looks:
        lowest, highest = min(v for _, v in story.looks), max(v for _, v in story.looks)
        span = max(highest - lowest, 1e-9)
        shown = story.looks[-max(8, width - 50) :]
        spark = "".join(_SPARK[round((value - lowest) / span * 7)] for _, value in shown)
        text = Text.assemble(("held-out nDCG@10 ", DIM), (f"{story.looks[-1][1]:.3f} ", "bold"), (spark, GOOD))
        text.append(f"  best {highest:.3f}", DIM)
        lines.append(strip(text, width))
    room = height - len(lines)
    if room >= 6 and story.curve.version:
        lines += draw(story.curve, width, min(room, 14), CurveOptions(smoothing=0.6))
    return lines


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


BAR, SHORT_BAR = 9, 4  # cells to either side


def ordered(gains: Sequence[Gain], sight: Sight) -> list[Gain]:
    """Queries from the largest gain of the first over the second to the largest loss."""
    both = [one for one in gains if sight.first in one.values and sight.second in one.values]
    return sorted(both, key=lambda one: (-(one.values[sight.first] - one.values[sight.second]), one.name))


def gain_lines(story: RetrieveStory, gains: Sequence[Gain], sight: Sight, width: int, height: int) -> list[Strip]:
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
