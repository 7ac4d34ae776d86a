"""The Train pane: a form to start from, and the curve, the numbers and the verse of the run that is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rich.text import Text
from textual import getters, work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.events import Click
from textual.strip import Strip
from textual.widgets import ContentSwitcher

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.runs import messages as ask
from engine.runs import owner
from engine.runs.events import Event, Finished
from tui import units
from tui.follow import state as states
from tui.follow.pane import Board, FollowPane
from tui.follow.story import Story
from tui.hints import Hint
from tui.pane import UseModel, bindings
from tui.text import safe
from tui.train import hints, views
from tui.train.form import TrainForm
from tui.train.resuming import ask_steps
from tui.train.runs import Trainings, before, peak_rate, sampling
from tui.widgets.curve import CurveOptions, draw, legend, step_at
from tui.widgets.dialogs import Entry, Option, Question
from tui.widgets.lines import Lines
from tui.widgets.styled import ACCENT, BORDER, strip
from tui.widgets.styles import style_sheet

ROOMY = 70  # columns from which curve and sample are both shown
POINTS = 100  # of a curve, from which on it is drawn less often
SMOOTHING = (0, 5, 20, 100)  # steps


class TrainPane(FollowPane):
    """Shows the form or the run."""

    FORM, TASK_RUNS = TrainForm, Trainings
    WHAT, RESULTS = "training", "run"
    ABOUT = (
        (
            "Stop and resume",
            "Training runs in its own process and continues when the terminal is closed, the connection breaks or this "
            "program is killed. Start llmlab-tui again to see it live. Stop saves a checkpoint first; resumed training "
            "is bit-identical to uninterrupted training.",
        ),
    )

    BINDINGS = bindings("train")
    curve_view = getters.query_one("#run-curve", Lines)
    sample_view = getters.query_one("#run-sample", Lines)
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = style_sheet(__file__)

    story: Story
    options = CurveOptions()
    _handed_over = ""
    """the run whose model the Generate pane was given last"""

    def compose(self) -> ComposeResult:
        with ContentSwitcher(initial="form"):
            yield self.form
            with Vertical(id="run"):
                yield Lines(id="run-status")
                with Container(id="run-body"):
                    yield Board(id="run-curve", classes="panel")
                    yield Board(id="run-sample", classes="panel")
                yield Lines(id="run-numbers")
                yield Lines(id="run-notices")

    # -- what the run tells ------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        self.story = Story()
        self.options = replace(self.options, cursor=None, before=())
        self._made: dict[str, object] = {}
        """what each view was made from"""
        self.look_again()

    def reader(self, run: Run) -> Callable[[], Any]:
        return partial(before, run)

    def know(self, found: Any) -> None:
        self.options = replace(self.options, before=found)

    def focus_results(self) -> None:
        alone = self.has_class("-single", "-sample")
        (self.sample_view if alone else self.curve_view).focus()

    def receive_events(self, events: Iterable[Event], ended: bool) -> None:
        """A sample appears as it is written; the rest is drawn in turn."""
        if self.is_attached and self.showing_results:
            self._draw_texts()

    async def may_start(self) -> bool:
        """Whether nothing trains here, or the user wants a second run beside it."""
        living = await asyncio.to_thread(owner.owned, "train")
        if not living and self.running and self.run_shown is not None:  # its process does not own it yet
            living = [self.run_shown]
        if not living:
            return True
        answer = await self.app.push_screen_wait(
            Question(
                "A run is already training",
                f"{living[0].name} is training on this machine. A second run slows both down.",
                (
                    Option("start", "start anyway", "s"),
                    Option("show", "show that run", "v"),
                    Option("cancel", "cancel", "c"),
                ),
            )
        )
        if answer == "show":
            self.open(living[0])
        return answer == "start"

    # -- drawing -----------------------------------------------------------------------------------------------------

    @property
    def draw_every(self) -> float:
        """The curve costs most, and the longer it is the less a few steps change it."""
        return 1.0 if len(self.story.train) < POINTS else 2.0

    def redraw(self) -> None:
        """Bring every line up to date, and the curve."""
        self.redraw_lines()
        self.drawn()
        if self.is_attached and self.showing_results:
            self._lines(
                "run-curve",
                lambda width, height: draw(self.story, width, height, self.options),
                (self.story.version, self.options),
            )

    def on_resize(self) -> None:
        self.set_class(self.app.size.width < ROOMY, "-single")
        super().on_resize()

    def redraw_lines(self) -> None:
        """Bring every line up to date but for the curve."""
        if self.is_attached and self.showing_results:
            self._lines("run-status", self._status, (self.story.version, self.state))
            self._lines("run-numbers", self._numbers, (self.story.version, self.options.cursor))
            self._entitle_curve()
            self._draw_texts()

    def _draw_texts(self) -> None:
        """Bring the sample and the notices up to date."""
        sample, notices = self.story.sample_at(self.options.cursor), self.story.notices
        written = (sample.ident, len(sample.text), sample.done) if sample else None
        prompt = f"prompt “{safe(sample.prompt, lines=False)}”" if sample else ""
        self.sample_view.entitle(views.sample_title(sample), prompt)
        self._lines("run-sample", lambda width, height: views.sample(sample, width, height), written)
        told = (len(notices), notices[-1] if notices else None, len(self.story.evaluations), self.outcome)
        self._lines("run-notices", self._notices, (told, self.options.cursor))

    def _entitle_curve(self) -> None:
        """The title of the curve, and the legend: below it, or beside it where there is only a rule above."""
        view, title, marks = self.curve_view, Text("loss, nats per character"), legend(self.options)
        if not view.styles.border_bottom[0]:
            title, beside = Text("loss, nats/char"), legend(self.options, short=True)
            room = view.size.width - title.cell_len - beside.cell_len - 6
            if room > 0:
                title.append(f" {'─' * room} ", ACCENT if view.has_focus else BORDER).append_text(beside)
            marks = Text()
        view.entitle(title, marks)

    def explain(self, view: Lines) -> Sequence[Hint]:
        cursor = self.options.cursor
        match view.id:
            case "run-status":
                return hints.status(self.story)
            case "run-curve":
                return hints.curve(self.story, self.options)
            case "run-sample":
                return hints.sample(self.story, cursor)
            case "run-numbers":
                return hints.figures(self.story, cursor, view.size.width)
        return hints.notices(self.story, cursor)

    @property
    def run_name(self) -> str:
        """The run that is shown."""
        return self.run_shown.name if self.run_shown is not None else ""

    def _lines(self, name: str, make: Callable[[int, int], list[Strip]], reason: object) -> None:
        """Bring a view up to date if its size or ``reason``, what it is made from, has changed."""
        view = self.query_one(f"#{name}", Lines)
        if view.size and self._made.get(name) != (view.size, self.run_name, reason):
            self._made[name] = (view.size, self.run_name, reason)
            view.set_strips(make(*view.size))

    def _status(self, width: int, _: int) -> list[Strip]:
        return [strip(views.status(self.story, self.state, self.run_name, width), width)]

    def _numbers(self, width: int, _: int) -> list[Strip]:
        return views.figures(views.values(self.story, self.options.cursor), width)

    def _notices(self, width: int, _: int) -> list[Strip]:
        if (cursor := self.options.cursor) is not None:
            shown = views.values(self.story, cursor)
            text = f"▸ Step {shown['step']}: batch loss {shown['batch loss']}, validation {shown['validation']}"
            lines = [strip(Text(text), width)]
        else:
            lines = views.last_notices(self.story, self.outcome, width, 3)
        self.query_one("#run-notices").styles.height = max(1, len(lines))
        return lines

    # -- keys --------------------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """Sample now, after a prompt."""
        self._sample_after_prompt()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _sample_after_prompt(self) -> None:
        prompt = await self.app.push_screen_wait(
            Entry("Sample now", "The model continues your text; leave empty to start on a new line.", "", lambda _: "")
        )
        if prompt is None or self.run_shown is None:
            return
        self.action_cursor_off()
        prompt = prompt.replace("\\n", "\n")
        if self.running:
            self.send(ask.SampleNow(prompt))
        else:
            self.background.ask("sample", sampling(self.run_shown, prompt, len(self.story.samples)))
            self.wake()

    def answered(self, event: Event) -> None:
        """Samples of a checkpoint stand beside those that were taken in training."""
        if not isinstance(event, Finished):
            self.story.fold(event)

    def allows(self, action: str) -> bool:
        """A sample needs a run that trains, or a checkpoint of one that has ended."""
        return self.samples if action == "sample" else super().allows(action)

    @property
    def samples(self) -> bool:
        """Whether the run that is shown can be sampled from."""
        if self.running:
            return self.live and self.story.begun
        return self.showing_results and self.story.finished is not None and self.story.saved is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        if action in ("save", "learning_rate"):
            return self.live and self.story.begun
        if action == "resume" and self.state == states.FINISHED:
            return self.showing_results  # to a later step
        if action == "generate":
            ended = self.showing_results and not self.running
            return ended and self.samples and self.run_name != self._handed_over
        if action == "other":
            return self.showing_results and self.app.size.width < ROOMY
        if action in ("cursor", "cursor_first", "cursor_off", "log", "smoothing"):
            return self.showing_results
        return super().check_action(action, parameters)

    async def may_resume(self, run: Run) -> bool:
        return self.state != states.FINISHED or await ask_steps(self, run)

    def action_generate(self) -> None:
        """Take the model to the Generate pane; once there, another can be chosen."""
        self._handed_over = self.run_name
        self.post_message(UseModel(self.run_name))

    def action_save(self) -> None:
        """Write a checkpoint now and pin it."""
        self.send(ask.SaveNow())

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_learning_rate(self) -> None:
        """Change the learning rate from the next step on."""
        run, last = self.run_shown, self.story.last
        if run is None:
            return
        try:
            now = await asyncio.to_thread(peak_rate, run, last)
        except (OSError, CheckpointError):
            now = None
        answer = await self.app.push_screen_wait(
            Entry(
                "Learning rate",
                "New peak learning rate, from the next step.",
                units.rate(now) if now is not None else "",
                _rate_problem,
            )
        )
        if answer is not None:
            self.send(ask.SetLearningRate(float(answer)))

    def _draw_with(self, **changes: Any) -> None:
        """Draw the curve with these options changed."""
        self.options = replace(self.options, **changes)
        self.redraw()

    def action_other(self) -> None:
        """Show the sample instead of the curve, and back."""
        self.toggle_class("-sample")
        self.focus_results()
        self.call_after_refresh(self.redraw)

    def action_log(self) -> None:
        """Linear or logarithmic loss axis."""
        self._draw_with(log=not self.options.log)

    def action_smoothing(self) -> None:
        """The next number of steps that are averaged."""
        where = SMOOTHING.index(self.options.smoothing) if self.options.smoothing in SMOOTHING else 0
        self._draw_with(smoothing=SMOOTHING[(where + 1) % len(SMOOTHING)])

    def action_cursor_off(self) -> None:
        """Back to now."""
        self._draw_with(cursor=None)

    def action_cursor(self, by: int) -> None:
        """Walk along the steps that have an evaluation or a sample."""
        stops = self.story.steps_to_visit()
        here = self.options.cursor
        if not stops:
            target = None
        elif here is None:
            target = stops[-1] if by < 0 else stops[0]
        elif by > 0:
            target = next((step for step in stops if step > here), stops[-1])
        else:
            target = next((step for step in reversed(stops) if step < here), stops[0])
        self._draw_with(cursor=target)

    def on_click(self, event: Click) -> None:
        """Put the cursor on the step under the pointer."""
        view = self.curve_view
        at = event.get_content_offset(view) if self.showing_results else None
        step = step_at(self.story, view.size.width, at.x, self.options) if at is not None else None
        if step is not None:
            self._draw_with(cursor=step)

    def action_cursor_first(self) -> None:
        """Cursor to the first step that has anything to show."""
        if stops := self.story.steps_to_visit():
            self._draw_with(cursor=stops[0])


def _rate_problem(text: str) -> str:
    try:
        return "" if 0 < float(text) <= 1 else "must be above 0 and at most 1"
    except ValueError:
        return "must be a number, such as 3e-4"
