"""The loss curve: its figures are read back out of the drawing."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from stage import evaluated, folded, started, step, story
from textual.strip import Strip

from engine.runs.events import ContenderStep, Notice
from tui.follow.comparison_story import CompareStory, Method
from tui.follow.overview import losses
from tui.follow.story import Story
from tui.widgets import curve
from tui.widgets.curve import CurveOptions, draw, legend
from tui.widgets.panel import Frame
from tui.widgets.plot import axis
from tui.widgets.styled import BORDER, MUTED, SERIES

SIZES = [(62, 12), (80, 18), (117, 33)]
NONE = CurveOptions(smoothing=0)


def text(strips: list[Strip]) -> str:
    """What some strips show."""
    return "\n".join(strip.text for strip in strips)


def training(steps: int, every: int, of: int = 1500) -> Story:
    """A run whose loss falls, with noise, and its evaluations."""
    rng = random.Random(1)
    events = [replace(started(steps=of), uniform_entropy=4.28, unigram_entropy=2.96, bigram_entropy=2.19)]
    made = folded(*events)
    for number in range(1, steps + 1):
        loss = 1.8 + 2.4 * math.exp(-number / 80)
        made.fold(step(number, loss + rng.gauss(0, 0.07)))
        if number % every == 0:
            made.fold(evaluated(number, loss + 0.05))
    return made


def test_what_a_branch_goes_on_from_is_drawn_left_of_its_curve() -> None:
    made = folded(started(step=100, steps=200))
    for number in (120, 140, 160):
        made.fold(step(number, 2.0))
        made.fold(evaluated(number, 2.0))
    own, both = (draw(made, 80, 18, replace(NONE, before=points)) for points in ((), ((0.0, 4.0), (100.0, 2.0))))
    read = Read(both)
    first, last = (round(read.place(x, y)[0]) for x, y in ((0, 4.0), (100, 2.0)))
    assert not any(colours(own, row, column) == SERIES[0] for row in range(16) for column in range(first, last))
    for column in range(first, last):
        rows = [row for row in range(16) if colours(both, row, column) == SERIES[0]]
        loss = 4.0 - 2.0 * (column - first) / (last - first)
        assert min(abs(row - read.place(0, loss)[1]) for row in rows) <= 1
    assert "parent" in legend(replace(NONE, before=((0.0, 4.0),))).plain
    assert "parent" not in legend(NONE).plain


def colours(strips: list[Strip], line: int, column: int) -> str:
    """The colour of a cell."""
    for segment in strips[line].crop(column, column + 1):
        return segment.style.color.name if segment.style and segment.style.color else ""
    return ""


class Read:
    """A drawing, measured by the labels of its axes."""

    def __init__(self, strips: list[Strip]) -> None:
        self.lines = [strip.text for strip in strips]
        self.rows = {
            float(found[1]): row for row, line in enumerate(self.lines) if (found := re.match(r" *(\S+) ┤", line))
        }
        rule, names = self.lines[-2:]
        self.columns = {}
        for found in re.finditer(r"\S+", names):
            middle = (found.start() + found.end() - 1) / 2
            tick = min((place for place, mark in enumerate(rule) if mark == "┬"), key=lambda place: abs(place - middle))
            self.columns[float(found[0].replace(",", "").replace("k", "e3"))] = tick
            assert abs(tick - middle) <= 1 or found.end() == len(rule), f"{found[0]} is not under its tick"

    def place(self, x: float, y: float) -> tuple[float, float]:
        """The column and the row of a point, from the first and the last label of each axis."""

        def along(known: dict[float, int], value: float) -> float:
            low, high = min(known), max(known)
            return known[low] + (value - low) / (high - low) * (known[high] - known[low])

        return along(self.columns, x), along(self.rows, y)

    def marks(self, mark: str) -> list[tuple[int, int]]:
        """Columns and rows of a character."""
        return [(x, y) for y, line in enumerate(self.lines) for x, found in enumerate(line) if found == mark]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("steps", [150, 640, 1500])
def test_every_evaluation_stands_where_the_axes_say(width: int, height: int, steps: int) -> None:
    made = training(steps, steps // 5)
    drawn = Read(draw(made, width, height, CurveOptions()))
    marks = drawn.marks("●")
    assert len(marks) == len(made.evaluations) == 5
    for point, (column, row) in zip(made.evaluations, sorted(marks), strict=True):
        x, y = drawn.place(point.step, point.val_loss)
        assert abs(x - column) <= 1, point
        assert abs(y - row) <= 1, point


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_ticks_are_round_and_stand_at_equal_distances(width: int, height: int) -> None:
    for steps in (3, 47, 640, 1499, 123_456):
        drawn = Read(draw(folded(started(steps=0), step(1, 4.0), step(steps, 1.7)), width, height, NONE))
        for known in (drawn.rows, drawn.columns):
            values, places = sorted(known), [known[value] for value in sorted(known)]
            if len(values) < 3:
                continue
            apart = {round(b - a, 6) for a, b in pairwise(values)}
            assert len(apart) == 1
            assert f"{apart.pop():e}"[0] in "125"
            assert len({b - a for a, b in pairwise(places)}) == 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_reference_lies_at_its_loss_and_its_label_is_whole_and_beside_the_curve(width: int, height: int) -> None:
    made = training(640, 50)
    drawn = Read(draw(made, width, height, CurveOptions()))
    for loss, name in ((4.28, "uniform 4.28"), (2.96, "letter frequencies 2.96"), (2.19, "bigrams 2.19")):
        (row,) = (row for row, line in enumerate(drawn.lines) if name in line)
        assert abs(drawn.place(0, loss)[1] - row) <= 1
        assert f"╌ {name}" in drawn.lines[row]
    low = training(1500, 100)
    low.fold(replace(started(), step=1500, steps=1500, bigram_entropy=1.86))
    drawn = Read(draw(low, 80, 18, CurveOptions()))  # the curve runs along this one to the right end
    assert "1.86" not in text(draw(low, 80, 18, CurveOptions())) or any("╌ bigrams 1.86" in one for one in drawn.lines)


@pytest.mark.parametrize(("first", "last"), [(100, 199), (1000, 1999), (2000, 4999), (5000, 9999)])
def test_the_step_axis_stays_until_a_round_number_is_reached(first: int, last: int) -> None:
    def axis_of(steps: int, of: int) -> list[str]:
        return text(draw(folded(started(steps=of), step(1, 4.0), step(steps, 1.7)), 80, 18, NONE)).splitlines()[-2:]

    assert axis_of(first, 1_000_000) == axis_of(first + 1, 1_000_000) == axis_of(last, 1_000_000)
    assert axis_of(last, 1_000_000) != axis_of(last + 1, 1_000_000)
    assert axis_of(last, last) == axis_of(last, last + 1), "the run ends before the round number"
    assert axis_of(first, last + 1) == axis_of(first, 1_000_000)


def test_two_evaluations_are_not_joined_and_three_are() -> None:
    for count, joined in ((2, False), (3, True)):
        made = folded(started(steps=100), *(evaluated(20 * n, 3.0 - n / 2) for n in range(1, count + 1)))
        strips = draw(made, 80, 18, CurveOptions())
        assert any("⠀" < mark <= "⣿" for mark in text(strips)) == joined


@pytest.mark.parametrize("smoothing", [0, 5, 20, 100])
@pytest.mark.parametrize("steps", [1, 7, 90, 3000, 50_000])
def test_the_mean_lies_between_the_least_and_the_most_of_the_same_steps(steps: int, smoothing: int) -> None:
    made = training(steps, steps + 1)
    where = axis(0, steps, 70, (10, 24))
    bands = curve._bands(made.train.buckets, where, 70, smoothing)
    assert bands
    for at, least, most, mean in bands:
        near = [bucket for bucket in made.train.buckets if abs(bucket.first - at) <= steps / 70 + smoothing]
        assert min(one.low for one in near) <= least <= mean <= most <= max(one.high for one in near)
    if not smoothing:  # nothing is lost
        assert min(least for _, least, _, _ in bands) == min(bucket.low for bucket in made.train.buckets)
        assert max(most for _, _, most, _ in bands) == max(bucket.high for bucket in made.train.buckets)


def test_every_line_has_its_colour_and_the_legend_names_it() -> None:
    made = training(640, 20)
    strips = draw(made, 110, 33, CurveOptions())
    found = {
        segment.style.color.name for line in strips[:-2] for segment in line if segment.style and segment.style.color
    }
    assert found == {BORDER, MUTED, SERIES[0]}
    shown = legend(CurveOptions())
    named = {shown.plain[span.start : span.end].strip(): span.style for span in shown.spans}
    assert named["●"] == SERIES[0]
    assert named["⣿"] == BORDER
    assert "mean of 20 steps" in shown.plain
    assert "mean" not in legend(NONE).plain
    assert "log" in legend(CurveOptions(log=True)).plain


@pytest.mark.parametrize("width", [1, 2, 23, 24, 37, 80, 200])
@pytest.mark.parametrize("height", [1, 5, 6, 7, 40])
def test_a_curve_has_exactly_the_size_that_was_asked_for(width: int, height: int) -> None:
    for made in (Story(), folded(*story()), folded(started(), step(1))):
        strips = draw(made, width, height, CurveOptions(cursor=50))
        assert [strip.cell_length for strip in strips] == [width] * height
    assert draw(folded(*story()), 0, 0, CurveOptions()) == []


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "losses",
    [[math.nan], [math.inf, 1.0], [0.0, 0.0], [-1.0, 2.0], [1e30, 1.0], [1e-12] * 9, [2.0] * 9, [5e8, 3.0, 1e-9]],
)
def test_odd_losses_are_drawn_or_left_out_and_never_fatal(losses: list[float], log: bool) -> None:
    made = folded(started(), *(step(n, loss) for n, loss in enumerate(losses, 1)), evaluated(1, losses[-1]))
    strips = draw(made, 80, 20, CurveOptions(log=log))
    assert [strip.cell_length for strip in strips] == [80] * 20


def test_a_logarithmic_axis_places_losses_by_their_logarithm() -> None:
    losses = [4.0, 2.0, 1.0]
    made = folded(started(steps=100), *(evaluated(30 * n, loss) for n, loss in enumerate(losses, 1)))
    rows = [row for _, row in sorted(Read(draw(made, 80, 24, CurveOptions(log=True))).marks("●"))]
    assert abs((rows[1] - rows[0]) - (rows[2] - rows[1])) <= 1
    linear = [row for _, row in sorted(Read(draw(made, 80, 24, NONE)).marks("●"))]
    assert abs((linear[1] - linear[0]) - 2 * (linear[2] - linear[1])) <= 2


def test_a_cursor_and_a_divergence_stand_at_their_steps() -> None:
    drawn = Read(draw(folded(*story()), 100, 30, CurveOptions(cursor=50)))
    assert len(drawn.marks("╎")) == 0
    lost = Read(draw(folded(*story(), Notice("lost", "error", "divergence", 60)), 100, 30, CurveOptions()))
    columns = {column for column, _ in lost.marks("╎")}
    assert len(columns) == 1
    assert abs(columns.pop() - lost.place(60, 2)[0]) <= 1
    upright = {column for column, row in drawn.marks("│") if column > 6 and row < 28}
    assert len(upright) == 1
    assert abs(upright.pop() - drawn.place(50, 2)[0]) <= 1


def test_a_training_that_begins_again_has_the_curve_of_the_second_time_only() -> None:
    method = Method("mlp")
    for number in range(1, 11):
        method.step(ContenderStep("mlp", number, 20, 2.0 - number / 10, 2.1 - number / 10, 0.5, None, "epoch"))
    method.step(ContenderStep("mlp", 11, 12, 2.0, None, None, None, "on all rows"))
    assert len(method.curve.train.buckets) == len(method.curve.evaluations) == 10
    for number in range(1, 4):  # on the CPU, when there was no memory
        method.step(ContenderStep("mlp", number, 20, 0.9 - number / 10, 1.0, 0.5, None, "epoch"))
    assert [bucket.first for bucket in method.curve.train.buckets] == [1, 2, 3]
    assert [point.step for point in method.curve.evaluations] == [1, 2, 3]
    assert method.refitted == ""


def test_the_step_axis_of_a_method_ends_at_the_planned_steps_while_it_trains_and_at_the_last_step_after() -> None:
    def axis_of(compared: CompareStory) -> str:
        return losses(compared, "mlp", {}, Frame(120), 100, 20)[-2].text

    compared, seen = CompareStory(), set()
    for number in range(1, 8):
        compared.method("mlp").step(ContenderStep("mlp", number, 20, 0.9 - number / 20, 1.0, 0.5, None, "epoch"))
        seen.add(axis_of(compared))
    assert len(seen) == 1
    assert " 20 " in seen.pop()
    compared.method("mlp").judge({"accuracy": 0.5, "interval": (0.4, 0.6)})
    assert " 20 " not in axis_of(compared)
    assert " 6 " in axis_of(compared)


def test_a_curve_of_losses_says_what_it_counts_and_how_far_the_training_after_the_search_is() -> None:
    compared = CompareStory()
    for number in range(1, 4):
        compared.method("mlp").step(ContenderStep("mlp", number, 20, 0.9, 1.0, 0.5, None, "epoch"))
    compared.method("mlp").step(ContenderStep("mlp", 4, 5, 0.8, None, None, None, "on all rows"))
    drawn = "\n".join(line.text for line in losses(compared, "mlp", {"mlp": "MLP"}, Frame(120), 100, 20))
    for words in ("MLP, loss by epoch", "● held out", "⣿ training", "then: on all rows"):
        assert words in drawn
