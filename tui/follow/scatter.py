"""A map of texts: their features in two dimensions, each group with a colour and a mark, and a cursor among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.strip import Strip

from engine.runs.events import Event
from tui.follow.headline import ViewState
from tui.widgets.panel import Frame
from tui.widgets.plot import Axis, Plot
from tui.widgets.styled import MUTED, SELECTED, SERIES, cut, side_by_side, wrap

MARKS = "●◆▲■✚○◇△□"
ROOMY = 8  # cells for each point from which it has a mark; below, dots
TEXT = 40  # cells of the panel with the text, beside the map

Group = tuple[str, str, str]
"""name, mark and colour"""


@dataclass(frozen=True)
class Mapped(Event):
    """Where texts lie."""

    points: Sequence[tuple[float, float]]
    """one for each text, in the order of the texts"""
    share: float
    """of the variance that is seen, 0 to 1"""


def groups_of(names: Sequence[str]) -> list[Group]:
    """Groups that all differ in mark or colour, for up to 18."""
    return [(name, MARKS[place % len(MARKS)], SERIES[place % len(SERIES)]) for place, name in enumerate(names)]


def step(points: Sequence[tuple[float, float]], here: int, right: int, up: int) -> int:
    """The nearest point in a direction, what lies aside counted double; ``here`` where there is none."""
    x, y = points[here]

    def distance(place: int) -> float:
        across, along = points[place][0] - x, points[place][1] - y
        ahead, aside = across * right + along * up, abs(across * up) + abs(along * right)
        return ahead + 2 * aside if ahead > 0 and (ahead > aside / 2) else float("inf")

    best = min(range(len(points)), key=distance)
    return best if distance(best) < float("inf") else here


def walk(found: Mapped | None, state: ViewState, right: int, up: int) -> None:
    """Put the cursor on the nearest point in a direction."""
    if found is not None and found.points:
        state.row = step(found.points, state.within(len(found.points)), right, up)


def scatter(
    found: Mapped,
    groups: Sequence[Group],
    group_of: Callable[[int], int],
    about: Callable[[int, int], tuple[str, Sequence[Text]]],
    state: ViewState,
    width: int,
    height: int,
) -> list[Strip]:
    """The map, and beside or below it the text under the cursor.

    ``about`` gives title and lines of a text, by its row and the width of the lines in cells; ``group_of`` its place
    among ``groups``, of which later ones are drawn over earlier ones.
    """
    frame, here = Frame(width), state.within(len(found.points))
    side = TEXT if frame.boxed else width
    wide, high = (width - side, height) if frame.boxed else (width, height - max(4, height // 3))
    inside = wide - frame.across
    legend = Text()
    for name, mark, colour in groups:
        legend.append(f"{mark} ", colour).append(f"{cut(name, 18)}   ", MUTED)
    marks = wrap(legend, inside)[:2]
    rows = high - frame.down - len(marks)
    plot = Plot(inside, rows + 2, -1)
    xs, ys = ([point[axis] for point in found.points] for axis in (0, 1))
    plot.scale(_axis(xs, plot.columns), _axis(ys, plot.rows))
    sparse = len(found.points) * ROOMY <= plot.columns * plot.rows
    members: list[list[int]] = [[] for _ in groups]
    for place in range(len(found.points)):
        members[group_of(place)].append(place)
    for (_, mark, colour), own in zip(groups, members, strict=True):
        plot.dots([found.points[place] for place in own], colour)
        for place in own if sparse else ():
            plot.mark(*found.points[place], mark, colour)
    plot.mark(*found.points[here], groups[group_of(here)][1], SELECTED)
    told = f"{len(found.points):,} texts, {found.share:.0%} of the variance"
    left = frame.panel(
        "features, first two principal components", [*marks, *plot.cells()], wide, high, told, active=True
    )
    room, across = height if frame.boxed else height - high, side - frame.across
    title, lines = about(here, across)
    right = frame.panel(title, lines, side, room, f"{here + 1:,}")
    return side_by_side([(left, wide), (right, side)], height) if frame.boxed else [*left, *right]


def _axis(values: Sequence[float], cells: int) -> Axis:
    low, high = min(values), max(values)
    return Axis(low, max(high - low, 1e-9) / max(1, cells - 1), ())
