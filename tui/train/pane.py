"""The Train pane: a form to start from, and the curve, the numbers and the verse of the run that is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.strip import Strip
from textual.widgets import ContentSwitcher

from checkpoints.run import Run
from engine.runs import messages as ask
from engine.runs import owner
from engine.runs.events import Event, Finished
from tui import units
from tui.actions import bindings
from tui.follow import state as states
from tui.follow.pane import FollowPane
from tui.follow.story import Story
from tui.pane import UseModel
from tui.text import safe
from tui.train.form import TrainForm
from tui.train.resuming import ask_steps
from tui.train.runs import Trainings, sampling
from tui.widgets.curve import CurveOptions, draw, legend
from tui.widgets.dialogs import Entry, Option, Question
from tui.widgets.lines import Lines
from tui.widgets.styled import notice_text, strip, wrap
from tui.widgets.styles import style_sheet

SMOOTHING = (0, 5, 20, 100)  # steps
CELL = (21, 25)  # columns of one number in the table, at least and at most


class TrainPane(FollowPane):
    """Shows the form or the run."""

    WHAT, RESULTS = "training", "run"
    DRAW_EVERY = 1.0  # the curve costs most
    ABOUT = (
        (
            "What the curve shows",
            "Loss is the mean cross-entropy in nats per character; divided by ln 2 it is bits per character. Grey is "
            "each batch, cyan its moving average, yellow the whole validation split, green the best of it. The grey "
            "lines are what a guesser reaches who knows nothing (ln V), how often each letter occurs (letters), and "
            "the letter before (pairs).\n",
        ),
        (
            "A run cannot be lost",
            "Training runs in a process of its own. Close the terminal, lose the link, kill this program: it goes on. "
            "Start llmlab-tui again and you see it live. Stop saves first; resume goes on to the bit.",
        ),
    )

    BINDINGS = bindings("train")
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = style_sheet(__file__)

    story: Story
    form: TrainForm

    def __init__(self) -> None:
        super().__init__(TrainForm(), Trainings())
        self.options = CurveOptions()
        self._handed_over = ""
        """the run whose model the Generate pane was given last"""
        self.fresh()

    def compose(self) -> ComposeResult:
        with ContentSwitcher(initial="form"):
            yield self.form
            with RunView(id="run"):
                yield Lines(id="run-status")
                with Container(id="run-body"):
                    with Vertical(id="run-left"):
                        yield Lines(id="run-legend")
                        yield Lines(id="run-curve")
                        yield Lines(id="run-numbers")
                    with Vertical(id="run-right"):
                        yield Lines(id="run-sample-title")
                        yield Lines(id="run-sample")
                yield Lines(id="run-notices")

    # -- what the run tells ------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        self.story = Story()
        self.options = replace(self.options, cursor=None)
        self._made: dict[str, object] = {}
        """what each view was made from"""

    def focus_results(self) -> None:
        self.query_one(RunView).focus()

    def heard(self, events: Iterable[Event], ended: bool) -> None:
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
                "Something trains already",
                f"{living[0].name} is training on this machine. Two runs share it and each is slower.",
                (
                    Option("start", "start anyway", "s"),
                    Option("show", "show it", "v"),
                    Option("cancel", "cancel", "c"),
                ),
            )
        )
        if answer == "show":
            self.open(living[0])
        return answer == "start"

    # -- drawing -----------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Bring every line up to date, and the curve."""
        self.redraw_lines()
        self.drawn()
        if self.is_attached and self.showing_results:
            self._lines("run-legend", lambda width, _: [strip(legend(self.options), width)], self.options)
            self._lines(
                "run-curve",
                lambda width, height: draw(self.story, width, height, self.options),
                (self.story.version, self.options),
            )

    def redraw_lines(self) -> None:
        """Bring every line up to date but for the curve."""
        if self.is_attached and self.showing_results:
            self._lines("run-status", self._status, (self.story.version, self.state))
            self._lines("run-numbers", self._numbers, (self.story.version, self.options.cursor))
            self._draw_texts()

    def _draw_texts(self) -> None:
        """Bring the sample and the notices up to date."""
        sample, notices = self.story.sample_at(self.options.cursor), self.story.notices
        written = (sample.ident, len(sample.text), sample.done) if sample else None
        self._lines("run-sample-title", self._sample_title, written)
        self._lines("run-sample", self._sample, written)
        self._lines("run-notices", self._notices, (len(notices), notices[-1] if notices else None, self.outcome))

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
        story = self.story
        word, (mark, colour) = self.state, states.MARKS[self.state]
        steps = story.started.steps if story.started else 0
        text = Text(no_wrap=True)
        text.append(f"{mark} {word}", f"bold {colour}")
        text.append(f"  {safe(self.run_name, lines=False)}  ", "bold")
        if story.progress is not None and not story.finished:
            part = f" {story.progress.done / story.progress.total:.0%}" if story.progress.total else ""
            text.append(f"{safe(story.progress.what, lines=False)}{part}…", "bright_black")
        elif steps:
            share = min(1.0, story.step / steps)
            cells = max(6, min(24, width - text.cell_len - 34))
            done = round(share * cells)
            text.append("━" * done, colour)
            text.append("━" * (cells - done), "bright_black")
            text.append(f" {share:4.0%}  ")
            if story.last is not None and not story.finished:
                text.append(f"{units.duration(story.last.seconds_left)} left", "bright_black")
            elif story.finished and story.finished.seconds:  # who died could not tell
                text.append(units.duration(story.finished.seconds), "bright_black")
        return [strip(text, width)]

    def _numbers(self, width: int, height: int) -> list[Strip]:
        cells = self._cells()
        columns = max(1, (width + 1) // CELL[0])  # the last one needs no gap after it
        cell = min(CELL[1], (width + 1) // columns)
        rows = min(height, -(-len(cells) // columns))
        strips = []
        for row in range(rows):
            text = Text(no_wrap=True)
            for name, value, style in cells[row * columns : (row + 1) * columns]:
                text.append(f"{name:<10}", "bright_black")
                text.append(f"{value:>10}", style)
                text.append(" " * (cell - 20))
            strips.append(strip(text, width))
        return strips

    def _cells(self) -> list[tuple[str, str, str]]:
        """Name, value and style of each number, the most important first."""
        story, cursor = self.story, self.options.cursor
        bucket = story.train.at(cursor) if cursor is not None else None
        step = bucket.last if bucket else story.last
        evaluated = (
            story.evaluation_at(cursor)
            if cursor is not None
            else (story.evaluations[-1] if story.evaluations else None)
        )
        best, started = story.best, story.started
        shown = cursor if cursor is not None else story.step
        epoch = shown * started.tokens_per_step / started.train_tokens if started and started.train_tokens else 0.0
        loss = bucket.mean if bucket else step.loss if step else None
        style = "bold bright_white" if cursor is not None else "bold"
        return [
            ("step", f"{shown:,}", style),
            ("loss", units.loss(loss), style),
            ("val loss", units.loss(evaluated.val_loss if evaluated else None), "bright_yellow"),
            ("bits/char", units.loss(evaluated.bits_per_character if evaluated else None), "bright_yellow"),
            ("best", units.loss(best.val_loss if best else None), "bright_green"),
            ("tokens/s", units.count(step.tokens_per_second) if step else "–", ""),
            ("of peak", f"{step.peak_share:.0%}" if step else "–", ""),
            ("rate", units.rate(step.learning_rate) if step else "–", ""),
            ("gradient", f"{step.gradient_norm:.3f}" if step else "–", ""),
            ("epoch", f"{epoch:.2f}", ""),
            ("saved", f"{story.saved.step:,}" if story.saved else "–", ""),
            ("parameters", units.count(started.parameters) if started else "–", ""),
        ]

    def _sample_title(self, width: int, _: int) -> list[Strip]:
        sample = self.story.sample_at(self.options.cursor)
        text = Text(no_wrap=True)
        if sample is None:
            text.append("verse", "bright_black")
        else:
            text.append("verse ", "bright_black")
            text.append(f"of step {sample.step:,}", "bold")
            if not sample.done:
                text.append("  writing…", "bright_yellow")
            elif sample.prompt.strip():
                text.append(f"  after “{safe(sample.prompt.strip(), lines=False)}”", "bright_black")
        return [strip(text, width)]

    def _sample(self, width: int, height: int) -> list[Strip]:
        sample = self.story.sample_at(self.options.cursor)
        if sample is None:
            return [strip(Text("The model writes here while it learns.", "bright_black"), width)]
        text = Text(safe(sample.prompt), "bright_black")
        text.append(safe(sample.text), "default")
        if not sample.done:
            text.append("▌", "bright_yellow")
        lines = wrap(text, width)
        while lines and not lines[0].plain.strip():
            lines.pop(0)
        return [strip(line, width) for line in lines[-height:]]

    def _notices(self, width: int, height: int) -> list[Strip]:
        """The last notices, and below them how the run stands."""
        outcome = self.outcome
        last = [] if outcome is None else [strip(outcome, width)]
        room = height - len(last)
        lines: list[Text] = []
        for notice in reversed(self.story.notices):
            wrapped = wrap(notice_text(notice), width)
            lines = wrapped if len(wrapped) >= room else wrapped + lines
            if len(lines) >= room or notice.level != "info":
                break
        return [strip(line, width) for line in lines[:room]] + last

    # -- keys --------------------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """Sample now, after a prompt."""
        self._sample_after_prompt()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _sample_after_prompt(self) -> None:
        prompt = await self.app.push_screen_wait(
            Entry("Sample now", "The model goes on from your text. Empty: a new line.", "", lambda _: "")
        )
        if prompt is None or self.run_shown is None:
            return
        self.move_cursor(None)
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
        last = self.story.last
        answer = await self.app.push_screen_wait(
            Entry(
                "Learning rate",
                "The schedule's peak from the next step on.",
                units.rate(last.learning_rate) if last else "",
                _rate_problem,
            )
        )
        if answer is not None:
            self.send(ask.SetLearningRate(float(answer)))

    def _draw_with(self, **changes: Any) -> None:
        """Draw the curve with these options changed."""
        self.options = replace(self.options, **changes)
        self.redraw()

    def action_log(self) -> None:
        """Loss axis linear or logarithmic."""
        self._draw_with(log=not self.options.log)

    def action_smoothing(self) -> None:
        """The next number of steps that are averaged."""
        where = SMOOTHING.index(self.options.smoothing) if self.options.smoothing in SMOOTHING else 0
        self._draw_with(smoothing=SMOOTHING[(where + 1) % len(SMOOTHING)])

    def action_cursor(self, by: int) -> None:
        """Walk along the curve."""
        self.move_cursor(by)

    def action_cursor_off(self) -> None:
        """Back to now."""
        self.move_cursor(None)

    def move_cursor(self, by: int | None) -> None:
        """Walk along the steps that have an evaluation or a sample; None takes the cursor away."""
        stops = self.story.steps_to_visit()
        here = self.options.cursor
        if by is None or not stops:
            target = None
        elif here is None:
            target = stops[-1] if by < 0 else stops[0]
        elif by > 0:
            target = next((step for step in stops if step > here), stops[-1])
        else:
            target = next((step for step in reversed(stops) if step < here), stops[0])
        self._draw_with(cursor=target)

    def action_cursor_first(self) -> None:
        """Cursor to the first step that has anything to show."""
        stops = self.story.steps_to_visit()
        if stops:
            self._draw_with(cursor=stops[0])


class RunView(Container, can_focus=True):
    """Holds the focus while a run is shown."""

    DEFAULT_CSS = "RunView { height: 1fr; }"


def _rate_problem(text: str) -> str:
    try:
        return "" if 0 < float(text) <= 1 else "it must lie in 0 < rate ≤ 1"
    except ValueError:
        return "it must be a number, like 3e-4"
