"""All rankers in one table, their differences over all queries and query by query, and how the training goes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich.text import Text
from textual.strip import Strip

from engine.comparison.statistics import holm
from engine.encoders.pretraining import ABOUT
from engine.retrieve.spec import RANKERS, pairs
from tui import units
from tui.follow import overview as compare
from tui.follow.overview import INTERVAL
from tui.retrieve.runs import Gain, Gains
from tui.retrieve.story import RetrieveStory
from tui.retrieve.views import ViewState, name_of
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.panel import Frame
from tui.widgets.plot import Plot, axis, tick_labels
from tui.widgets.styled import (
    BRIGHT,
    MUTED,
    SERIES,
    TITLE,
    WARN,
    data_lines,
    interval,
    paragraph,
    share,
    wrap,
)

COLUMNS = (
    Column("nDCG@10", 9, lambda ranker: (share(ranker.accuracy), f"bold {BRIGHT}")),
    INTERVAL,
    Column("R@100", 7, lambda ranker: share(ranker.figure("recall@100")), priority=1),
    Column("queries/s", 11, lambda ranker: f"{ranker.figure('queries_per_second'):,.0f}", priority=2),
    Column("MRR@10", 8, lambda ranker: share(ranker.figure("mrr@10")), priority=3),
    Column("MAP@100", 9, lambda ranker: share(ranker.figure("map@100")), priority=4),
    Column("index", 11, lambda ranker: units.size(int(ranker.figure("index_bytes"))), priority=5),
    Column("built in", 10, lambda ranker: units.duration(ranker.figure("index_seconds")), priority=6),
)
TRAINING = 8  # lines below which the panel of a curve says nothing


def figures(story: RetrieveStory, state: ViewState, width: int, height: int) -> list[Strip]:
    """The table, what it means with the differences of all pairs, and the curves of the training."""
    names = {method: name_of(method) for method in (*RANKERS, *story.methods)}

    def words(width: int) -> list[Text]:
        lines = compare.verdict(story.verdict, width)
        results = [one.result for one in story.done if one.result and not story.verdict]  # else the verdict says it
        for name, kind in {one.get("encoder"): one.get("pretraining") for one in results}.items():
            if kind in ABOUT:
                told = f"The encoder{f' ({name})' if name else ''} {ABOUT[kind]}."
                lines += wrap(Text(safe(told, lines=False), MUTED), width)
        lines += differences(story, width)
        data = story.data
        return lines + (data_lines(data.data, data.source, data.checks, data.repairs, width) if data else [])

    return compare.overview(story, "", COLUMNS, words, names, state, width, height, charts=partial(training, story))


def differences(story: RetrieveStory, width: int) -> list[Text]:
    """Every pair that is compared: mean difference, its interval on one axis, and its p adjusted for all of them."""
    known = {method for pair in story.against for method in pair}
    found = {pair: one for pair in pairs(known) if (one := story.difference(*pair)) is not None}
    if not found:
        return []
    ps = {pair: one.p for pair, one in found.items() if one.p is not None}
    for pair, p in zip(ps, holm(list(ps.values())), strict=True):
        found[pair] = found[pair]._replace(p=p)
    cells = max(0, min(40, width - 78))
    ends = [0.0, *(end for one in found.values() for end in (one.low, one.high))]
    scale = axis(min(ends), max(ends), max(8, cells), (6, 16), 1)
    ticks = tick_labels([(round(scale.cells(value)), label) for value, label in scale.ticks], max(8, cells))
    short = width < 90

    def drawn(pair: tuple[str, str]) -> Text:
        return interval(scale, found[pair][1:3], found[pair].mean, cells, MUTED, 0.0)

    def chance(pair: tuple[str, str]) -> str:
        return ("  chance" if short else "  could be chance") * found[pair].could_be_chance

    columns = [
        Column("", 0, lambda pair: f"{name_of(pair[0])} − {name_of(pair[1])}", left=True, least=34),
        Column("mean", 8, lambda pair: (f"{found[pair].mean:+.3f}", BRIGHT)),
        *([Column(ticks, cells + 1, drawn, priority=3)] if cells >= 16 else []),
        Column("95%", 18, lambda pair: (f"{found[pair].low:+.3f} to {found[pair].high:+.3f}", MUTED), priority=2),
        Column("p", 8, lambda pair: share(found[pair].p), priority=1),
        Column("", 8 if short else 17, chance, left=True, priority=0),
    ]
    table = LineTable(columns, width)
    count = f", n = {story.data.judged:,}" if story.data is not None else ""
    note = f"differences in nDCG@10{count}, 95% by bootstrap, p adjusted for all pairs"
    return [*wrap(Text(note, TITLE), width), table.heading(), *map(table.row, found), Text("")]


def training(story: RetrieveStory, frame: Frame, width: int, height: int) -> list[Strip]:
    """The training loss, and below it, where there is room, nDCG@10 on held-out queries."""
    method, lines = story.trained, []
    both = height >= 2 * TRAINING and story.looks
    if method.curve.version:
        lines = compare.loss(
            method, "training loss by step", frame, width, height // 2 if both else height, smoothing=5
        )
    if not story.looks or height - len(lines) < TRAINING:
        return lines
    plot = Plot(width - frame.across, height - len(lines) - frame.down, 6)
    values = [value for _, value in story.looks]
    low, high = min(values), max(*values, min(values) + 0.02)
    best = max(story.looks, key=lambda look: look[1])
    plot.scale(
        axis(0, max(1, method.axis_end, story.looks[-1][0]), plot.columns, (10, 24)),
        axis(low, high, plot.rows, (2, 5), 2),
    )
    plot.line(story.looks, SERIES[0])
    plot.mark(*best, "●", SERIES[0])
    told = f"● best {best[1]:.3f} at step {best[0]:,}"
    return [*lines, *frame.panel("held-out nDCG@10 by step", plot.lines(), width, height - len(lines), told)]


SHADES = " ·░▒▓█"
HIGH = 0.9  # cosine from which a shade is the fullest


def batch(story: RetrieveStory, width: int, height: int) -> list[Strip]:
    """The matrix of the last batch, darkest where query and document are nearest."""
    rows = [row for row in story.similarity if isinstance(row, list | tuple)]
    if not rows:
        empty = "The matrix appears while a bi-encoder is training: rows are queries, columns documents of the batch."
        return paragraph(empty, width)[:height]
    frame, step = Frame(width), story.trained.last
    inside = width - frame.across
    own = [float(row[place]) for place, row in enumerate(rows) if place < len(row)]
    others = [float(value) for place, row in enumerate(rows) for column, value in enumerate(row) if column != place]
    right = sum(bool(row) and max(row) <= row[place] for place, row in enumerate(rows) if place < len(row))
    told = (
        Text("cosine to own document ", MUTED).append(f"{_mean(own):.3f}", f"bold {BRIGHT}").append("   others ", MUTED)
    )
    told.append(f"{_mean(others):.3f}", BRIGHT).append("   right ", MUTED).append(f"{right}/{len(own)}", BRIGHT)
    if step is not None:
        told.append(f"   step {step.step:,} of {step.steps:,}   loss {step.loss:.3f}", MUTED)
    lines = [told]
    cell = 3 if inside >= 3 * len(rows[0]) + 10 else 2
    for place, row in enumerate(rows[: max(0, height - frame.down - 3)]):
        text = Text(f"{place + 1:>3} ", MUTED)
        nearest = max(row) if row else 0.0
        for column, value in enumerate(row[: (inside - 8) // cell]):
            if column == place and value < nearest:
                text.append("◆" * (cell - 1), WARN)
            else:
                shade = SHADES[max(0, min(len(SHADES) - 1, int(float(value) / HIGH * len(SHADES))))]
                text.append(shade * (cell - 1), BRIGHT if column == place else MUTED)
            text.append(" ")
        lines.append(text)
    legend = Text("cosine ", MUTED)
    for place, shade in enumerate(SHADES[1:], 1):
        legend.append(f"{shade * 2} ≥{HIGH * place / len(SHADES):.2f} ", MUTED)
    lines.append(
        legend.append("   ◆ ", WARN).append("own document is not the nearest" if width >= 90 else "not nearest", MUTED)
    )
    title = "last batch: queries in rows, documents in columns"
    return frame.panel(title, lines, width, min(height, len(lines) + frame.down), active=True)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


BAR, SHORT_BAR = 9, 4  # cells to either side


def gain_lines(story: RetrieveStory, gains: Gains, state: ViewState, width: int, height: int) -> list[Strip]:
    """Judged queries by what the first method of the pair gains on the second."""
    first, second = name_of(state.first), name_of(state.second)
    found, frame = gains.between(state.first, state.second), Frame(width)
    inside = width - frame.across
    title = f"{first} against {second}, nDCG@10 by query"
    if not found.queries:
        empty = "No comparison yet: both methods must have been evaluated. c and v choose other methods."
        return frame.panel(title, paragraph(empty, inside), width, active=True)[:height]
    told = Text("mean ", MUTED).append(f"{_mean(found.gaps):+.3f}", f"bold {BRIGHT}")
    if (known := story.difference(state.first, state.second)) is not None:
        told.append(f"   95%: {known.low:+.3f} to {known.high:+.3f}", "")
        told.append(f"   p = {known.p:.3f} (this pair alone)" if known.p is not None else "", MUTED)
        told.append("  could be chance" * known.could_be_chance)
    room = BAR if width >= 66 else SHORT_BAR
    here = found.queries[state.within(len(found.queries))]

    def gap(one: Gain) -> float:
        return one.values[state.first] - one.values[state.second]

    columns = (
        Column("loss│gain".center(2 * room + 1), 2 * room + 1, lambda one: _bar(gap(one), room, bright=one is here)),
        Column("gain", 7, lambda one: (f"{gap(one):+.2f}", f"bold {BRIGHT}" if abs(gap(one)) > 1e-9 else MUTED)),
        Column(second[:8], 10, lambda one: (f"{one.values[state.second]:.2f}", MUTED), priority=1),
        Column(first[:8], 10, lambda one: (f"{one.values[state.first]:.2f}", MUTED), priority=1),
        Column("  query", 0, lambda one: f"  {one.text}", left=True),
    )
    table = LineTable(columns, inside)
    rows = [told, table.heading(), *table.rows(found.queries, state.row, height - frame.down - 2)]
    equal = len(found.queries) - found.better - found.worse
    count = f"{found.better:,} better · {found.worse:,} worse · {equal:,} equal"
    return frame.panel(title, rows, width, height, count, active=True)


def _bar(gap: float, cells: int, *, bright: bool) -> Text:
    """A gain to the right of the middle, a loss to the left; ``cells`` to either side are 1."""
    filled = round(abs(gap) * cells) or (1 if abs(gap) > 1e-9 else 0)
    loss = "▐" + "█" * (filled - 1) if gap < 0 and filled else ""
    gain = "█" * filled if gap > 0 else ""
    style = BRIGHT if bright else MUTED
    return Text.assemble((f"{loss:>{cells}}", style), ("│", MUTED), (f"{gain:<{cells}}", style))
