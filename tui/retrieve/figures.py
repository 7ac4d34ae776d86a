"""All rankers in one table, their differences over all queries and query by query, and how the training goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import CHANCE, holm
from engine.encoders.pretraining import ABOUT
from engine.retrieve.metrics import NDCG
from engine.retrieve.spec import RANKERS, pairs
from tui import units
from tui.follow.overview import span, table
from tui.retrieve.runs import Gain
from tui.retrieve.story import RetrieveStory, number
from tui.retrieve.views import ViewState, name_of
from tui.text import safe
from tui.widgets.curve import CurveOptions, draw
from tui.widgets.line_table import Column, LineTable
from tui.widgets.styled import BAD, DIM, FAIR, GOOD, TITLE, paragraph, share, shortened, strip, strips, wrap

SPAN = Column("95% interval", 15, lambda ranker: span(ranker.interval))
COLUMNS = (
    Column("nDCG@10", 8, lambda ranker: (share(ranker.accuracy), "bold")),
    SPAN,
    Column("R@100", 6, lambda ranker: share(ranker.figure("recall@100"))),
    Column("MRR@10", 7, lambda ranker: share(ranker.figure("mrr@10"))),
    Column("MAP@100", 8, lambda ranker: share(ranker.figure("map@100"))),
    Column("queries/s", 11, lambda ranker: f"{ranker.figure('queries_per_second'):,.0f}", priority=1),
    Column("index", 11, lambda ranker: units.size(int(ranker.figure("index_bytes"))), priority=1),
    Column("built in", 11, lambda ranker: units.duration(ranker.figure("index_seconds")), priority=1),
)
_SPARK = "▁▂▃▄▅▆▇█"


def figures(story: RetrieveStory, width: int, height: int) -> list[Strip]:
    """The table, what the differences say, and the curves as far as there is room."""
    count = f"95%, n={story.data.judged:,}" if story.data is not None else "95% interval"
    columns = [replace(column, title=count) if column is SPAN else column for column in COLUMNS]
    names = {method: name_of(method) for method in (*RANKERS, *story.methods)}
    lines = strips(table(story, "", columns, names, {}, width), width, height)
    results = [one.result for one in story.done if one.result and not story.verdict]  # else the verdict says it
    kinds = {one.get("encoder"): one.get("pretraining") for one in results}
    for name, kind in kinds.items():
        if kind in ABOUT:
            said = f"The encoder{f' ({name})' if name else ''} {ABOUT[kind]}."
            lines += [strip(line, width) for line in wrap(Text(safe(said, lines=False), DIM), width)]
    differences = _differences(story, width)
    verdict = [Text(""), *wrap(Text(safe(story.verdict, lines=False)), width)] if story.verdict else []
    if not verdict or height >= len(lines) + len(differences) + len(verdict):  # the verdict sums them up
        lines += differences
    lines += shortened(verdict, width, height - len(lines))
    if (story.trained.curve.version or story.looks) and height - len(lines) >= 5:
        lines += _training(story, width, height - len(lines))
    elif story.data is not None:
        told = [*story.data.repairs, *story.data.checks]
        lines += [strip(Text("· " + safe(one, lines=False), DIM), width) for one in told]
    return lines[:height]


def _differences(story: RetrieveStory, width: int) -> list[Strip]:
    known = {method for pair in story.against for method in pair}
    found = {pair: one for pair in pairs(known) if (one := story.difference(*pair)) is not None}
    ps = {pair: p for pair in found if (p := _p(story, *pair)) is not None}
    adjusted = dict(zip(ps, holm(list(ps.values())), strict=True))
    lines = []
    short, gap = width < 82, 2 if width >= 66 else 1
    labels = {pair: f"{name_of(pair[0])} − {name_of(pair[1])}" for pair in found}
    widest = max([26, *map(len, labels.values())])
    for (first, second), (mean, low, high) in found.items():
        told, sure = _chance(adjusted.get((first, second)), low, high, short=short)
        text = Text(labels[first, second].ljust(widest + gap)).append(f"{mean:+.3f}" + " " * gap, "bold")
        if width >= 100:
            text.append(_whisker(low, mean, high, min(41, width - 58 - widest)) + "  ", GOOD if sure else FAIR)
        text.append(f"{low:+.3f} to {high:+.3f}", DIM)
        text.append(told, GOOD if sure else FAIR)
        lines.append(strip(text, width))
    if lines:
        count = f", n={story.data.judged:,}" if story.data is not None else ""
        note = Text(f"differences in nDCG@10{count}, 95% by bootstrap, p adjusted for all pairs", TITLE)
        lines = [Strip.blank(width), *(strip(line, width) for line in wrap(note, width)), *lines]
    return lines


def _p(story: RetrieveStory, first: str, second: str) -> float | None:
    """Of a pair alone; None in runs of earlier versions."""
    for pair in ((first, second), (second, first)):
        found = story.against.get(pair, {}).get(NDCG)
        if isinstance(found, dict) and "p" in found:
            return number(found, "p")
    return None


def _chance(p: float | None, low: float, high: float, *, short: bool = False) -> tuple[str, bool]:
    """p in words, and whether a difference is more than chance: by its interval where there is no p."""
    sure = p < CHANCE if p is not None else low > 0 or high < 0
    if short:
        return ("" if sure else " chance") if p is None else f" p={p:.3f}", sure
    words = ([] if p is None else [f"p = {p:.3f}"]) + ([] if sure else ["could be chance"])
    return "  " + ", ".join(words), sure


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
    step = story.trained.last
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
    if room >= 6 and story.trained.curve.version:
        lines += draw(story.trained.curve, width, min(room, 14), CurveOptions(smoothing=5))
    return lines


SHADES = " ·░▒▓█"
_LOW, _HIGH = 0.0, 0.9  # cosines of the faintest and the fullest shade


def batch(story: RetrieveStory, width: int, height: int) -> list[Strip]:
    """The matrix of the last batch, darkest where query and document are nearest."""
    rows = [row for row in story.similarity if isinstance(row, list | tuple)]
    if not rows:
        empty = "The matrix appears while a bi-encoder is trained: rows are queries, columns documents of the batch."
        return [Strip.blank(width), *paragraph(empty, width)][:height]
    step = story.trained.last
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


def ordered(gains: Sequence[Gain], state: ViewState) -> list[Gain]:
    """Queries from the largest gain of the first over the second to the largest loss."""
    both = [one for one in gains if state.first in one.values and state.second in one.values]
    return sorted(both, key=lambda one: (-(one.values[state.first] - one.values[state.second]), one.name))


def gain_lines(story: RetrieveStory, gains: Sequence[Gain], state: ViewState, width: int, height: int) -> list[Strip]:
    """The list with its cursor."""
    rows = ordered(gains, state)
    first, second = name_of(state.first), name_of(state.second)
    head = Text.assemble((first, "bold"), (" against ", DIM), (second, "bold"), ("   c and v change them", DIM))
    if not rows:
        empty = "Nothing to compare yet: both methods must have been judged. c and v choose others."
        return [strip(head, width), *paragraph(empty, width)][:height]
    gaps = [one.values[state.first] - one.values[state.second] for one in rows]
    better, worse = sum(gap > 1e-9 for gap in gaps), sum(gap < -1e-9 for gap in gaps)
    told = Text.assemble(
        (f"{better} better", GOOD), "  ", (f"{worse} worse", BAD), f"  {len(rows) - better - worse} equal   nDCG@10 "
    )
    told.append(f"{sum(gaps) / len(gaps):+.3f}", "bold")
    if (found := story.difference(state.first, state.second)) is not None:
        _, low, high = found
        words, sure = _chance(_p(story, state.first, state.second), low, high, short=width < 100)
        told.append(f"  95%: {low:+.3f} to {high:+.3f}", GOOD if sure else FAIR)
        told.append(f"{words} (this pair alone)" if width >= 100 and words.strip() else words, DIM)
    room = BAR if width >= 66 else SHORT_BAR

    def gap(one: Gain) -> float:
        return one.values[state.first] - one.values[state.second]

    def values(one: Gain) -> tuple[str, str]:
        return f"{one.values[state.second]:.2f}→{one.values[state.first]:.2f}", DIM

    columns = (
        Column("", 2 * room + 1, lambda one: _bar(gap(one), room)),
        Column("", 7, lambda one: (f" {gap(one):+.2f}", "bold" if abs(gap(one)) > 1e-9 else DIM), left=True),
        Column("", 11, values, left=True),
        Column("", 0, lambda one: one.text, left=True),
    )
    table = LineTable(columns, width).rows(rows, state.within(len(rows)), height - 3)
    below = Text("Enter shows the query in the columns; ] and [ walk from query to query there", DIM)
    return strips([head, told, *table, below], width, height)


def _bar(gap: float, cells: int) -> Text:
    """A gain to the right of the middle, a loss to the left."""
    filled = round(abs(gap) * cells) or (1 if abs(gap) > 1e-9 else 0)
    loss = "▐" + "█" * (filled - 1) if gap < 0 and filled else ""
    gain = "█" * filled if gap > 0 else ""
    return Text.assemble((f"{loss:>{cells}}", BAD), ("│", DIM), (f"{gain:<{cells}}", GOOD))
