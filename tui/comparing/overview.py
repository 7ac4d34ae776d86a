"""All methods of a comparison at once: the table, and how words and curves stand below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.strip import Strip

from tui import units
from tui.comparing.story import CompareStory, Method
from tui.styled import CURSOR, DIM, FAIR, fit, interval, limits, side_by_side, strips
from tui.text import safe

NAME = 18
PLOT = 24  # cells of the drawn interval at most
SPLIT = 80  # columns from which words and curves stand side by side
CURVE = 7  # lines below which a curve says nothing


@dataclass(frozen=True)
class Column:
    """One figure: heading, width with the gap before it, and from which width of the screen it is shown."""

    title: str
    width: int
    wanted: int = 0


Cell = Callable[[str, Method, bool], tuple[str, str]]
"""text and style of a method's figure below a heading; whether it is the best method"""


def table(
    story: CompareStory,
    chosen: str,
    columns: Sequence[Column],
    cell: Cell,
    names: Mapping[str, str],
    colours: Mapping[str, str],
    width: int,
    *,
    chance: float | None = None,
    below: Callable[[Method, Sequence[Column]], list[Text]] | None = None,
    running: Callable[[Method], str] = lambda _: "",
) -> list[Text]:
    """Heading and a line for each method, the chosen one marked.

    ``below`` gives further lines of a method, ``running`` what stands in place of its figures, if it has its own word.
    """
    able = [column for column in columns if width >= column.wanted]
    while sum(column.width for column in able) + NAME > width and len(able) > 2:
        able.pop()
    room = width - NAME - sum(column.width for column in able) - 3
    plot = min(PLOT, room) if room >= 12 else 0
    head = Text(f"{'  method':<{NAME}}", DIM)
    for column in able:
        head.append(f"{column.title:>{column.width}}", DIM)
    axis = limits([method.interval for method in story.methods.values() if method.interval is not None])
    if plot:
        head.append(f"   {axis[0]:.2f}{'':<{plot - 8}}{axis[1]:.2f}", DIM)
    best, lines = story.best, [head]
    for method in story.methods.values():
        here, colour = method.name == chosen, colours.get(method.name, "")
        name = fit(f"{'▸' if here else ' '} {names.get(method.name, method.name)}", NAME)
        line = Text().append(name, CURSOR if here else colour)
        if method.done:
            for column in able:
                text, style = cell(column.title, method, method is best)
                line.append(f"{text:>{column.width}}", style)
        else:
            told = "" if story.finished is not None else running(method)
            line.append(f"   {told or how_far(story, method)}", FAIR if story.doing == method.name else DIM)
        if plot and method.interval is not None and line.cell_len < width - plot - 3 + method.done:
            line.append(" " * (width - plot - line.cell_len) if not method.done else "   ")
            line.append_text(interval(axis, method.interval, method.accuracy, colour, plot, chance))
        lines += [line, *(below(method, able) if below else [])]
    return lines


def how_far(story: CompareStory, method: Method) -> str:
    """What stands where the figures of a method will."""
    last, ended = method.last, story.finished
    if ended is not None:
        of = f" of {last.steps:,}" if last and last.steps else ""
        return f"{safe(ended.reason, lines=False)} at step {last.step:,}{of}" if last else "not run"
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


def arranged(
    top: Sequence[Text],
    words: Callable[[int], Sequence[Text]],
    curve: Callable[[int, int], list[Strip]] | None,
    width: int,
    height: int,
    *,
    running: bool,
) -> list[Strip]:
    """The table above; below it words to the left and curves to the right, or where it is narrow what matters now.

    ``words`` takes a width, ``curve`` width and height.
    """
    lines = [*strips(top, width, height), Strip.blank(width)]
    room = height - len(lines)
    if room <= 0:
        return lines[:height]
    if curve is not None and width >= SPLIT and room >= CURVE:
        left = max(38, min(width // 2, 64))
        told, drawn = strips(words(left - 2), left, room), curve(width - left, min(room, 18))
        return lines + side_by_side([(told, left), (drawn, width - left)], room)
    if curve is not None and running and room >= CURVE:
        return lines + curve(width, room)
    told = strips(words(width), width, room)
    if curve is not None and room - len(told) > CURVE:
        told += [Strip.blank(width), *curve(width, room - len(told) - 1)]
    return lines + told
