"""All methods of a comparison at once: the table, and how words and curves stand below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.text import Text
from textual.strip import Strip

from engine.runs.listing import partial
from tui import units
from tui.follow.comparison_story import CompareStory, Method
from tui.text import safe
from tui.widgets.curve import CurveOptions, draw, legend
from tui.widgets.line_table import Column, LineTable
from tui.widgets.lines import pointing
from tui.widgets.styled import (
    GOOD,
    MUTED,
    TEXT,
    interval,
    limits,
    message,
    share,
    shortened,
    side_by_side,
    strip,
    strips,
)

PLOT = 24  # cells of the drawn interval at most
SPLIT = 80  # columns from which words and curves stand side by side
CURVE = 7  # lines below which a curve says nothing
NARROWEST = 30  # cells of a curve beside others
PROGRESS = ("epoch", "before")  # how notes begin that do not name a part of the work
BY_EPOCH = ("mlp",)  # methods whose steps are epochs


def _accuracy(method: Method) -> tuple[str, str]:
    """A figure of some of the items only is marked."""
    return share(method.accuracy) + "*" * bool(partial(method.result or {})), "bold"


ACCURACY = Column("accuracy", 9, _accuracy)
INTERVAL = Column("95% interval", 14, lambda method: span(method.interval))


def table(
    story: CompareStory,
    chosen: str,
    columns: Sequence[Column],
    names: Mapping[str, str],
    colours: Mapping[str, str],
    width: int,
    *,
    chance: float | None = None,
) -> list[Text]:
    """Heading and a line for each method, the chosen one marked; what is left of ``width`` holds drawn intervals."""

    best, lines = story.best, []

    def name(method: Method) -> Text:
        shown = Text(names.get(method.name, method.name), colours.get(method.name, ""))
        return shown.append(" ✓", GOOD) if method is best and not partial(method.result or {}) else shown

    widest = max(map(len, names.values())) + 4
    shown = LineTable((Column("method", widest, name, left=True), *columns), width)
    named, brief = LineTable(shown.columns[:1], width), LineTable(shown.columns[:3], width)
    room = width - shown.width - 3
    plot = min(PLOT, room) if room >= 12 else 0
    axis = limits([method.interval for method in story.methods.values() if method.interval is not None])
    head = shown.heading()
    if plot:
        head.append(f"   {axis[0]:.2f}{'':<{plot - 8}}{axis[1]:.2f}", MUTED)
    lines.append(head)
    for place, method in enumerate(story.methods.values()):
        here = method.name == chosen
        if method.done:
            line = shown.row(method, here=here)
        else:
            line = named.row(method, here=here)
            line.append(f"   {how_far(story, method)}", TEXT if story.doing == method.name else MUTED)
        if plot and method.interval is not None and line.cell_len < width - plot - 3 + method.done:
            line.pad_right(width - plot - line.cell_len if not method.done else 3)
            line.append_text(
                interval(axis, method.interval, method.accuracy, colours.get(method.name, ""), plot, chance)
            )
        lines.append(pointing(line, place))
        lines += [Text(brief.row(way).plain, MUTED) for way in method.ways]
    return lines + [Text(f"  {safe(str(done), lines=False)}", MUTED) for done in story.encodings.values()]


def span(ends: tuple[float, float] | None) -> str:
    """An interval in figures; a dash where there is none."""
    return f"{share(ends[0])}–{share(ends[1])}" if ends is not None else "–"


def how_far(story: CompareStory, method: Method) -> str:
    """What stands where the figures of a method will."""
    last, ended = method.last, story.finished
    if ended is not None:
        of = f" of {last.steps:,}" if last and last.steps else ""
        return f"{safe(ended.reason, lines=False)} at step {last.step:,}{of}" if last else "not run"
    if (seen := method.running) is not None:
        return f"{seen.done:,}/{seen.total:,}  {seen.accuracy:.3f} ({seen.low:.3f}–{seen.high:.3f})"
    if story.doing != method.name or last is None:
        return "waiting"
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


def overview(
    story: CompareStory,
    chosen: str,
    columns: Sequence[Column],
    words: Callable[[int], Sequence[Text]],
    names: Mapping[str, str],
    colours: Mapping[str, str],
    width: int,
    height: int,
    *,
    chance: float | None = None,
) -> list[Strip]:
    """The table; below it ``words`` of a width to the left and losses to the right, or in turn where it is narrow."""

    if not story.methods and not story.notices:
        return message("The process is starting and reads the data…", width, height)

    def curve(width: int, height: int) -> list[Strip]:
        return losses(story, chosen, names, colours, width, height)

    top = table(story, chosen, columns, names, colours, width, chance=chance) if story.methods else []
    curves = any(method.curve.version for method in story.methods.values())
    lines = [*strips(top, width, height), Strip.blank(width)]
    room = height - len(lines)
    if room <= 0:
        return lines[:height]
    if curves and width >= SPLIT and room >= CURVE:
        left = max(38, min(width // 2, 64))
        told, drawn = shortened(words(left - 2), left, room), curve(width - left, min(room, 18))
        return lines + side_by_side([(told, left), (drawn, width - left)], room)
    if curves and story.finished is None and room >= CURVE:  # what matters now
        return lines + curve(width, room)
    told = shortened(words(width), width, room)
    if curves and room - len(told) > CURVE:
        told += [Strip.blank(width), *curve(width, room - len(told) - 1)]
    return lines + told


def losses(
    story: CompareStory, chosen: str, names: Mapping[str, str], colours: Mapping[str, str], width: int, height: int
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
        options = CurveOptions(smoothing=5 if method.name == "finetune" else 0)
        unit, note = "epoch" if method.name in BY_EPOCH else "step", method.last.note if method.last else ""
        note = "" if note.startswith(PROGRESS) else note
        head = Text.assemble((names.get(method.name, method.name), colours.get(method.name, "")))
        head.append(f" loss by {unit}{', ' * bool(note)}{safe(note, lines=False)}   ", MUTED)
        head.append_text(legend(options, short=True, evaluated="held out"))
        columns += [([strip(head, each - 1), *draw(method.curve, each - 1, height - 1, options)], each - 1), ([], 1)]
    return [row.adjust_cell_length(width) for row in side_by_side(columns, height)]
