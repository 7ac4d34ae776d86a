"""All methods of a comparison at once: the table, and how words and losses stand below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from rich.text import Text
from textual.strip import Strip

from engine.markdown import without_folder
from tui import units
from tui.follow.comparison_story import CompareStory, Method
from tui.follow.headline import ViewState
from tui.text import safe
from tui.widgets.curve import CurveOptions, draw
from tui.widgets.line_table import Column, LineTable
from tui.widgets.lines import pointing
from tui.widgets.panel import Frame
from tui.widgets.plot import axis, tick_labels
from tui.widgets.styled import (
    BORDER,
    BRIGHT,
    GOOD,
    MUTED,
    SELECTED,
    SERIES,
    interval,
    message,
    share,
    side_by_side,
    wrap,
)

PLOT = (24, 56)  # cells of the drawn intervals, at least and at most
DRAWN = 72  # columns of a table from which intervals are drawn
CURVE = 9  # lines below which the panel of a curve says nothing
NARROWEST = 38  # cells of a curve beside others
Line = TypeVar("Line")
BY_EPOCH = ("mlp", "margin", "cross-entropy")  # methods whose steps are epochs


def _accuracy(method: Method) -> tuple[str, str]:
    """A figure of some of the items only is marked."""
    return share(method.accuracy) + "*" * method.partial, f"bold {BRIGHT}"


def _span(method: Method) -> tuple[str, str]:
    return span(method.interval), MUTED


ACCURACY = Column("accuracy", 9, _accuracy)
INTERVAL = Column("95% interval", 14, _span)


def table(
    story: CompareStory,
    chosen: str,
    columns: Sequence[Column],
    names: Mapping[str, str],
    width: int,
    *,
    chance: float | None = None,
) -> list[Text]:
    """Heading and a line for each method, the chosen one marked; to the right the intervals, drawn on one axis."""

    def name(method: Method) -> str:
        return names.get(method.name, method.name)

    cells = max(PLOT[0], min(PLOT[1], width * 2 // 5)) if width >= DRAWN else 0
    widest = max(map(len, names.values())) + 2
    shown = LineTable((Column("method", widest, name, left=True), *columns), width - (cells and cells + 2))
    named, brief = LineTable(shown.columns[:1], width), LineTable(shown.columns[:3], width)
    best, lines = story.best, [shown.heading()]
    ends = [end for method in story.methods.values() if method.interval is not None for end in method.interval]
    scale = axis(min(ends, default=0.0), max(ends, default=1.0), max(8, cells - 2), (8, 20), 1)
    scale = replace(scale, low=scale.low - scale.per_cell)  # a cell is free at either end, for the labels
    if cells:
        ticks = [(round(scale.cells(value)), label) for value, label in scale.ticks if 0 <= value <= 1]
        lines[0].pad_right(width - cells - lines[0].cell_len)
        lines[0].append(tick_labels(ticks, cells), MUTED)
    for place, method in enumerate(story.methods.values()):
        here = method.name == chosen
        if method.done:
            line = shown.row(method, here=here)
            if method is best and not method.partial and not story.doing:
                line = _best(line, LineTable(shown.columns[:2], width).width)
        else:
            line = named.row(method, here=here)
            line.append(f"  {how_far(story, method)}", "" if story.doing == method.name else MUTED)
        if cells and method.interval is not None and line.cell_len <= width - cells:
            line.pad_right(width - cells - line.cell_len)
            style = f"bold {BRIGHT}" if here else MUTED
            line.append_text(interval(scale, method.interval, method.accuracy, cells, style, chance))
        if here:  # the whole row
            line.pad_right(width - line.cell_len)
            line.stylize(SELECTED, shown.width if method.done else named.width)
        lines.append(pointing(line, place))
        lines += [Text(brief.row(way).plain, MUTED) for way in method.ways]
    if any(method.partial for method in story.methods.values()):
        lines.append(Text("  * on the items evaluated so far", MUTED))
    shared = [replace(done, encoder=without_folder(done.encoder)) for done in story.encodings.values()]
    return lines + [Text(f"  {safe(str(done), lines=False)}", MUTED) for done in shared]


def _best(line: Text, end: int) -> Text:
    """A row with the mark of the best in the gap after its first figure."""
    return Text.assemble(line[:end], ("✓", GOOD), line[end + 1 :]) if line.plain[end : end + 1] == " " else line


def span(ends: tuple[float, float] | None) -> str:
    """An interval in figures; a dash where there is none."""
    return f"{share(ends[0])}–{share(ends[1])}" if ends is not None else "–"


def how_far(story: CompareStory, method: Method) -> str:
    """What stands where the figures of a method will."""
    last, ended = method.last, story.finished
    if ended is not None:
        of = f" of {last.steps:,}" if last and last.steps else ""
        return f"{ended.state} at step {last.step:,}{of}" if last else "not run"
    if (seen := method.running) is not None:
        return f"{seen.done:,}/{seen.total:,}  {seen.accuracy:.3f} ({seen.low:.3f}–{seen.high:.3f})"
    if story.doing != method.name or last is None:
        return "○ waiting"
    told = [last.note] if last.note else []
    if last.steps:
        told.append(f"step {last.step:,} of {last.steps:,}")
    told.append(f"loss {last.loss:.3f}")
    if last.held_out_score is not None:
        told.append(f"held out {last.held_out_score:.3f}")
    if last.seconds_left:
        told.append(f"{units.duration(last.seconds_left)} left")
    return safe(", ".join(told), lines=False)


def seconds(spent: float) -> str:
    """A time with about three digits."""
    return f"{spent:.2f}" if spent < 10 else f"{spent:.1f}" if spent < 1000 else f"{spent:,.0f}"


def judged(story: CompareStory) -> str:
    """On what the figures stand."""
    return f"{safe(story.data.judged_split, lines=False)}, n = {story.data.judged:,}" if story.data else ""


def verdict(text: str, width: int) -> list[Text]:
    """What a comparison came to, a sentence on lines of its own, then a blank line."""
    sentences = safe(text, lines=False).replace(". ", ".\n").split("\n")
    return [line for one in sentences for line in wrap(Text(one), width)] + [Text("")] * bool(text)


def scrolled(lines: Sequence[Line], state: ViewState, height: int) -> tuple[Sequence[Line], str]:
    """The lines that ``state`` has scrolled to, and which of how many they are where there are more."""
    state.scroll = max(0, min(state.scroll, len(lines) - height))
    if len(lines) <= height:
        return lines, ""
    end = state.scroll + height
    return lines[state.scroll : end], f"lines {state.scroll + 1}–{end} of {len(lines)}"


def overview(
    story: CompareStory,
    chosen: str,
    columns: Sequence[Column],
    words: Callable[[int], Sequence[Text]],
    names: Mapping[str, str],
    state: ViewState,
    width: int,
    height: int,
    *,
    chance: float | None = None,
    charts: Callable[[Frame, int, int], list[Strip]] | None = None,
) -> list[Strip]:
    """The table; below it ``words`` of a width to the left and ``charts`` to the right, or in turn where it is narrow.

    Without ``charts`` they are the losses.
    """

    if not story.methods and not story.notices:
        return message("Starting: loading libraries and data…", width, height)
    frame = Frame(width)
    inside = width - frame.across
    lines: list[Strip] = []
    if story.methods:
        rows = table(story, chosen, columns, names, inside, chance=chance)[:height]
        lines = frame.panel("methods", rows, width, subtitle=judged(story), active=True)
    room = height - len(lines)
    if room <= frame.down:
        return lines[:height]

    curves = any(method.curve.version for method in story.methods.values())

    def drawn(width: int, height: int) -> list[Strip]:
        return (charts or partial(losses, story, chosen, names))(frame, width, height)

    def told(width: int, *, alone: bool) -> list[Strip]:
        inside = width - frame.across
        made: list[Text | Strip] = [*words(inside), *(drawn(inside, CURVE + 2) if curves and alone else ())]
        shown, where = scrolled(made, state, room - frame.down)
        where += " · PgUp PgDn" * bool(where)
        return frame.panel("results" if story.verdict else "so far", shown, width, room, where)

    if curves and frame.boxed and room >= CURVE:
        left = max(42, min(width // 2, 68))
        right = width - left
        return lines + side_by_side([(told(left, alone=False), left), (drawn(right, min(room, 20)), right)], room)
    if curves and story.finished is None and room >= CURVE:  # what matters now
        return lines + drawn(width, room)
    return lines + told(width, alone=True)


def losses(
    story: CompareStory, chosen: str, names: Mapping[str, str], frame: Frame, width: int, height: int
) -> list[Strip]:
    """Training and held-out loss of the methods that have a curve, side by side.

    Where only one fits it is that of the method in training, else of the one chosen, else the last.
    """
    shown = [method for method in story.methods.values() if method.curve.version]
    each = width // len(shown)
    if each < NARROWEST:
        wanted = story.doing if any(method.name == story.doing for method in shown) else chosen
        shown, each = [method for method in shown if method.name == wanted] or shown[-1:], width
    columns: list[tuple[list[Strip], int]] = []
    for method in shown:
        unit = "epoch" if method.name in BY_EPOCH else "step"
        title = f"{names.get(method.name, method.name)}, loss by {unit}"
        columns.append(
            (loss(method, title, frame, each, height, smoothing=5 if method.name == "finetune" else 0), each)
        )
    return [row.adjust_cell_length(width) for row in side_by_side(columns, height)]


def loss(method: Method, title: str, frame: Frame, width: int, height: int, *, smoothing: int) -> list[Strip]:
    """A panel with the losses of one method until its search ended, and what their marks mean."""
    curve, inside = method.curve, width - frame.across
    marks = Text(no_wrap=True)
    if curve.evaluations:
        marks.append("● ", SERIES[0]).append("held out  ", MUTED)
    marks.append("⣿ ", BORDER).append("training", MUTED)
    if smoothing:
        marks.append(f"  ─ mean of {smoothing}", MUTED)
    options = CurveOptions(smoothing=smoothing, end=method.axis_end)
    drawn = draw(curve, inside, height - frame.down - 1, options)
    return frame.panel(title, [marks, *drawn], width, height, method.refitted)
