"""The marked runs beside each other: their curves with one cursor, and what differs, sampled, figured and tested."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Static

from checkpoints.run import Run, after_time
from checkpoints.store import CheckpointError
from engine.report import compare
from engine.report.compare import Compared
from engine.report.curves import AXES, LABELS, Story
from tui import units
from tui.hints import Hint
from tui.runs import hints, views
from tui.text import safe
from tui.widgets.dialogs import Dialog, Page, box, hint_parts
from tui.widgets.lines import Lines
from tui.widgets.plot import Plot, axis, log_axis
from tui.widgets.styled import BRIGHT, MUTED, SERIES, WARN, message

Columns = tuple[list[str], list[list[str | Text]]]
"""heads and rows of a table"""
SMOOTHINGS = (0.0, 0.9, 0.99)
"""share of the smoothed loss that each step keeps"""
SHOWN = 400  # characters of a sample
KEYS = "←→ cursor · a axis · s smoothing · g log · ↑↓ scroll · F1 help · Esc close"


class CompareScreen(Dialog[None]):
    """Reads the runs in a thread, each journal once until it is written again."""

    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "cursor(-1)", "Back", priority=True),
        Binding("right", "cursor(1)", "Forward", priority=True),
        Binding("a", "axis", "Axis"),
        Binding("s", "smoothing", "Smoothing"),
        Binding("g", "log", "Log"),
        Binding("q,v", "dismiss", "Close"),
        Binding("f1", "help", "Help", priority=True),
    ]
    plot = getters.query_one("#compare-plot", Lines)

    def __init__(self, marked: Sequence[Run]) -> None:
        super().__init__(classes="full")
        self._marked = marked
        self._axis, self._smoothing, self._log = "step", 0.0, False
        self._compared: Compared | None = None
        self._place: float | None = None
        """of the cursor on the axis; None is the end"""

    def compose(self) -> ComposeResult:
        with box(f"Compare {len(self._marked)} runs", KEYS):
            yield Lines(id="compare-plot")
            with VerticalScroll():
                yield Static("reading the runs …", id="compare-text")

    def on_mount(self) -> None:
        self._read()

    def on_resize(self, event: Resize) -> None:
        self.call_after_refresh(self._draw)

    @work(exclusive=True, group="compare", exit_on_error=False)
    async def _read(self) -> None:
        try:
            self._compared = await asyncio.to_thread(
                compare.compare, self._marked, self._axis, self._smoothing, 2 * self.app.size.width
            )
        except (OSError, CheckpointError) as error:
            self.query_one("#compare-text", Static).update(Content(safe(f"The runs cannot be compared: {error}")))
            return
        self._draw()

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_cursor(self, by: int) -> None:
        """Walk along the axis."""
        places = self._places()
        if places:
            here = len(places) - 1 if self._place is None else _nearest(places, self._place)
            self._place = places[max(0, min(len(places) - 1, here + by))]
            self._draw()

    def action_axis(self) -> None:
        """The next thing that the horizontal axis may show."""
        names = list(AXES)
        self._axis, self._place = names[(names.index(self._axis) + 1) % len(names)], None
        self._read()

    def action_smoothing(self) -> None:
        """More smoothing of the training loss, or none."""
        self._smoothing = SMOOTHINGS[(SMOOTHINGS.index(self._smoothing) + 1) % len(SMOOTHINGS)]
        self._read()

    def action_log(self) -> None:
        """The loss on a logarithmic axis, or a linear one."""
        self._log = not self._log
        self._draw()

    def _places(self) -> list[float]:
        """Where the cursor can stand: at every evaluation of any run."""
        stories = self._compared.stories if self._compared else ()
        return sorted({x for story in stories for x, _ in story.validation})

    def action_help(self) -> None:
        """What the figures mean."""
        self.app.push_screen(Page("Compare: help", *hint_parts([hint for _, found in self.hinted() for hint in found])))

    def hinted(self) -> list[tuple[Widget, Sequence[Hint]]]:
        """The curves and the tables, with the hints of their figures."""
        if self._compared is None:
            return []
        curves = hints.curves(self._compared, self._smoothing, self.here) if self.plot.display else []
        tables = _Parts(self._compared, self.here).hints()
        return [(self.plot, curves), (self.query_one("#compare-text"), tables)]

    @property
    def here(self) -> float | None:
        """Where the cursor stands; None without evaluations."""
        places = self._places()
        return places[-1] if places and self._place is None else self._place

    # -- showing -----------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._compared is None or not self.plot.size:
            return
        at = self.here
        trained = any(story.validation for story in self._compared.stories)
        self.plot.display = trained
        if trained:
            self.plot.set_strips(self._curves(self._compared, at, *self.plot.size))
        self.query_one("#compare-text", Static).update(_Parts(self._compared, at).text(self.size.width))

    def _curves(self, compared: Compared, at: float | None, width: int, height: int) -> list[Any]:
        points = [point for story in compared.stories for point in story.validation]
        if not points or height < 6:
            return message("no evaluations yet", width, height)
        made = Plot(width, height - 1, 6)
        across = axis(0, max(1e-9, *(x for x, _ in points)), made.columns, (10, 24))
        losses = [loss for _, loss in points]
        scale = log_axis if self._log else axis
        made.scale(across, scale(min(losses), max(losses), made.rows, (2, 5), 1))
        if at is not None:
            made.upright(at, "┊", MUTED)
        for story in compared.stories:
            made.dots([(one.x, one.loss) for one in story.train], MUTED)
        views.draw(made, [story.validation for story in compared.stories])
        smooth = f", training loss smoothed {self._smoothing}" if self._smoothing else ", dots: training loss"
        said = f" validation loss, nats/character, by {LABELS[self._axis]}{smooth}{', log' * self._log}"
        return [*made.lines(), *message(said, width, 1)][:height]


class _Parts:
    """The sections under the curves, of what is known at one place of the axis."""

    def __init__(self, compared: Compared, at: float | None) -> None:
        self._compared, self._at = compared, at
        self._names = [safe(one.title or after_time(one.name), lines=False) for one in compared.runs]

    def text(self, width: int) -> Any:
        """All sections as one renderable."""
        from rich.console import Group

        parts: list[Any] = [Text(f"⚠ {safe(one, lines=False)}", WARN) for one in self._compared.warnings]
        parts += [_table(*self._runs(), left=2), *self._settings(), *self._methods(), *self._samples()]
        return Group(*parts)

    def hints(self) -> list[Hint]:
        """Of the figures in the sections."""
        found = hints.columns(*self._runs())
        if self._compared.differences:
            found += hints.settings(self._setting_rows())
        if self._compared.methods:
            found += hints.columns(*self._method_rows())
        return [*found, *(hints.sample(name, one["step"]) for name, one in self._chosen() if one)]

    def _runs(self) -> Columns:
        """A row for each run with its colour, and its losses at the cursor."""
        at = "" if self._at is None else f"at {_place(self._at)}"
        rows: list[list[str | Text]] = []
        runs = zip(self._compared.runs, self._compared.stories, SERIES, views.SHAPES, self._names, strict=False)
        for one, story, colour, shape, name in runs:
            here = None if self._at is None else story.validation_at(self._at)
            bits = "–" if one.best_val_loss is None else f"{one.best_val_loss / math.log(2):.3f}"
            steps = f"{one.step:,} / {one.steps:,}"
            rows.append(
                [Text.assemble((f"{shape} ", colour), name), one.state, steps, units.loss(here), units.best(one), bits]
            )
        return ["run", "state", "steps", f"loss {at}".strip(), "best", "bits"], rows

    def _settings(self) -> Iterable[Any]:
        differing = self._compared.differences
        yield Text("\nsettings that differ", f"bold {BRIGHT}")
        if not differing:
            yield Text("none" if len({one.task for one in self._compared.runs}) == 1 else "the tasks differ", MUTED)
            return
        yield _table(["", *self._names], self._setting_rows(), left=1)

    def _setting_rows(self) -> list[list[str | Text]]:
        """Name and value in each run of every setting that differs."""
        return [
            [safe(name, lines=False).replace("_", " "), *map(views.value, values)]
            for name, values in self._compared.differences.items()
        ]

    def _methods(self) -> Iterable[Any]:
        """Figures of the methods of comparisons."""
        if self._compared.methods:
            yield Text(f"\nmethods, {self._compared.methods[0].measure}", f"bold {BRIGHT}")
            yield _table(*self._method_rows(), left=2)

    def _method_rows(self) -> Columns:
        """Each method against the best of them on the same items."""
        best, tests = self._compared.against_best()
        rows: list[list[str | Text]] = []
        for one in self._compared.methods:
            name, interval = f"{one.run}: {one.method}", "" if math.isnan(one.low) else f"{one.low:.3f}–{one.high:.3f}"
            test = tests.get(name)
            less = "best" if name == best else "" if test is None else f"{test.mean:+.3f}"
            p = "" if test is None else "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"
            rows.append(
                [
                    after_time(safe(one.run, lines=False)),
                    one.method,
                    f"{one.figure:.3f}",
                    interval,
                    f"{one.n:,}",
                    less,
                    p,
                ]
            )
        return ["run", "method", "figure", "95%", "n", "best less it", "p (Holm)"], rows

    def _samples(self) -> Iterable[Any]:
        """The last sample of each run at the cursor or before it."""
        stories = self._compared.stories
        if not any(story.samples for story in stories):
            return
        yield Text(f"\nsamples{'' if self._at is None else f' up to {_place(self._at)}'}", f"bold {BRIGHT}")
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for _ in stories:
            table.add_column(ratio=1)
        chosen = self._chosen()
        table.add_row(*(Text(_sample_title(name, one), MUTED) for name, one in chosen))
        table.add_row(*(Text(safe(one["text"][:SHOWN]) if one else "") for _, one in chosen))
        yield table

    def _chosen(self) -> list[tuple[str, Any]]:
        """The name of each run with its sample."""
        stories = self._compared.stories
        steps = [_step_at(story, self._at) for story in stories]
        chosen = [
            next((one for one in reversed(story.samples) if step is None or one["step"] <= step), None)
            for story, step in zip(stories, steps, strict=True)
        ]
        return [*zip(self._names, chosen, strict=True)]


def _step_at(story: Story, at: float | None) -> float | None:
    """The step of the last evaluation at a place of the axis or before it; None for the end."""
    if at is None:
        return None
    known = [one["step"] for (x, _), one in zip(story.validation, story.evaluations, strict=True) if x <= at]
    return known[-1] if known else -1


def _sample_title(name: str, one: Any) -> str:
    return f"{name}, step {one['step']:,}" if one else f"{name}: none yet"


def _nearest(places: Sequence[float], place: float) -> int:
    return min(range(len(places)), key=lambda index: abs(places[index] - place))


def _place(at: float) -> str:
    return f"{at:,.0f}" if at == int(at) else f"{at:,.4g}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], *, left: int) -> Table:
    """Columns of texts under muted heads; the first ``left`` are aligned left, the others right."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for place in range(len(heads)):
        table.add_column(justify="left" if place < left else "right", overflow="ellipsis", no_wrap=True)
    for style, row in ((MUTED, heads), *(("", row) for row in rows)):
        table.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell, lines=False), style) for cell in row))
    return table
