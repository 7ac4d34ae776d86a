"""A classification on the screen: what is kept of it, what its process and the classifier say, how it is drawn."""

from __future__ import annotations

import asyncio
import time

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Input

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine import control as ask
from engine.events import Event, Notice, RouteDone
from engine.spec import BadSpec
from engine.worker import Job, Task, Worker
from tui.classify import figures, judging, laboratory, matrix, pages
from tui.classify.findings import Findings
from tui.classify.form import ClassifyForm
from tui.classify.headline import head, notice, tabs
from tui.classify.judging import Judged, Opened
from tui.classify.overview import overview
from tui.classify.sentence import Judgement, sentence
from tui.classify.sight import Sight
from tui.classify.story import ClassifyStory
from tui.errands import Errands
from tui.field import Field
from tui.lines import Lines
from tui.panes.pane import Pane

DRAIN = 1 / 8  # seconds between two looks at what the run said
DRAW_EVERY = 1.0  # between two drawings of the views while something trains
NUMBERS_EVERY = 0.3  # between two updates of the line that tells how far it is
REST = 0.12  # seconds that typing rests before a sentence is judged
FORM, RESULTS = "cl-form", "cl-results"


class Board(Lines, can_focus=True):
    """Holds the focus while results are shown, so that letters and arrows are keys of the pane."""

    DEFAULT_CSS = "Board { height: 1fr; padding: 0 1; }"


class ClassificationPane(Pane):
    """Follows one classification and shows it from several sides. Knows a story and nothing of keys."""

    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = """
    ClassificationPane { height: 1fr; }
    ClassificationPane ContentSwitcher { height: 1fr; }
    #cl-results { height: 1fr; }
    #cl-head { padding: 0 1; background: $panel; }
    #cl-tabs { margin: 0 0 1 0; background: $surface; }
    #cl-notice { padding: 0 1; background: $surface; }
    #cl-sentence { display: none; margin: 0 1; background: $surface; }
    #cl-sentence:focus { background: $primary 25%; }
    ClassificationPane.-sentence #cl-sentence { display: block; }
    .-low #cl-tabs { margin: 0; }
    """

    def __init__(self) -> None:
        super().__init__(id="classify")
        self.story = ClassifyStory()
        self.sight = Sight()
        self.findings: Findings | None = None
        self.run_shown: Run | None = None
        self.errands = Errands("classifier")
        """answers while a sentence is typed"""
        self._worker: Worker | None = None
        self.job: Job | None = None
        self.classifier: Opened | None = None
        self.judged: Judgement | None = None
        self._ticker: Timer | None = None
        self.rest: Timer | None = None
        self._drawn_at = self._told_at = 0.0
        self._dirty = False
        self.starting = False

    def compose(self) -> ComposeResult:
        yield Lines(id="cl-head")
        with ContentSwitcher(initial=FORM):
            yield ClassifyForm()
            with Container(id=RESULTS):
                yield Lines(id="cl-tabs")
                yield Field(
                    id="cl-sentence",
                    compact=True,
                    select_on_focus=False,
                    placeholder="type a sentence to be classified",
                )
                yield Board(id="cl-board")
        yield Lines(id="cl-notice")

    def on_mount(self) -> None:
        self.query_one("#cl-sentence", Input).cursor_blink = False
        self._ticker = self.set_interval(DRAIN, self._tick, pause=True)
        self._find_living()

    @work(thread=True, exclusive=True, group="living", exit_on_error=False)
    def _find_living(self) -> None:
        """A classification that runs already is shown live."""
        if (run := laboratory.living()) is not None:
            self.app.call_from_thread(self._show_if_idle, run)

    def _show_if_idle(self, run: Run) -> None:
        if self.run_shown is None and not self.starting:
            self.open(run)

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def form(self) -> ClassifyForm:
        return self.query_one(ClassifyForm)

    @property
    def showing_results(self) -> bool:
        """Whether results are on the screen rather than the form."""
        return self.query_one(ContentSwitcher).current == RESULTS

    @property
    def running(self) -> bool:
        """Whether the classification that is shown is under way."""
        return self.job is not None and self.job.active and self.story.finished is None

    @property
    def able(self) -> bool:
        """Whether there is a route that can judge a sentence."""
        return any(route.name != "majority" for route in self.story.done)

    @property
    def busy(self) -> bool:
        return self.running

    def say(self, text: str, level: str = "info") -> None:
        """A word in the last line."""
        self.story.fold(Notice(text, level, "screen"))
        self.redraw()

    # -- starting, opening -------------------------------------------------------------------------------------------

    @on(ClassifyForm.Wanted)
    @work(exclusive=True, group="start", exit_on_error=False)
    async def _wanted(self, event: ClassifyForm.Wanted) -> None:
        event.stop()
        if self.starting:
            return
        self.starting = True
        try:
            run = await asyncio.to_thread(laboratory.create, event.values)
            task = await asyncio.to_thread(laboratory.begin, run)
        except (OSError, BadSpec) as error:
            reason = getattr(error, "strerror", None) or error
            self.tell("It cannot be started", f"{reason}\n\nRuns live under {home.home()}; LLMLAB_HOME moves them.")
        else:
            await self.hand_over(run, task)
        finally:
            self.starting = False

    def open(self, run: Run) -> None:
        """Show a classification, living or done."""
        self.run_worker(
            self.hand_over(run, laboratory.follow(run)), exclusive=True, group="hand-over", exit_on_error=False
        )

    async def resume(self, run: Run) -> None:
        """Go on with a classification that was stopped, in a process of its own."""
        await self.hand_over(run, await asyncio.to_thread(laboratory.begin, run))

    def copy(self, run: Run) -> None:
        """The form with a run's values, for a new one."""
        self.show_form()
        self.form.fill(laboratory.values_of(run))

    async def hand_over(self, run: Run, task: Task) -> None:
        """Look away from the run shown before, which goes on by itself, then follow this one."""
        if self.job is not None and self.job.active:
            self.job.control.send(ask.Detach())
            await asyncio.to_thread(self.job.wait, 10.0)
        self.story, self.run_shown, self.findings = ClassifyStory(), run, None
        self.classifier, self.judged = None, None
        self.errands.drop()
        self.sight.route, self.sight.row = "", 0
        self._worker = self._worker or Worker("classification")
        self.job = self._worker.start(task)
        self.sight.look("overview")
        self.show_results()
        self._wake()
        self.app.refresh_bindings()

    def show_results(self) -> None:
        """Put the results on the screen."""
        self.query_one(ContentSwitcher).current = RESULTS
        self.focus_view()
        self.call_after_refresh(self.redraw)

    def show_form(self) -> None:
        """Put the form on the screen."""
        self.query_one(ContentSwitcher).current = FORM
        if self.display:
            self.query_one("#cl-go").focus()
        self.app.refresh_bindings()

    def focus_view(self) -> None:
        typing = self.sight.view == "sentence"
        self.set_class(typing, "-sentence")
        if self.display:  # another pane may be on the screen by now, and keeps the focus
            self.query_one("#cl-sentence" if typing else "#cl-board").focus()

    # -- what the run and the classifier say -------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._ticker is not None:
            self._ticker.resume()

    def _tick(self) -> None:
        if not self.is_running:
            return
        self._hear_run()
        self._hear_classifier()
        now = time.monotonic()
        if self._dirty and self.is_on_screen:
            if now - self._drawn_at >= DRAW_EVERY or not self.running:
                self.redraw()
            elif now - self._told_at >= NUMBERS_EVERY:
                self._draw_head()
        if self.job is None and not self.errands.active and self._ticker is not None:
            self._ticker.pause()

    def _hear_run(self) -> None:
        job = self.job
        if job is None:
            return
        was = (self.running, self.story.paused)
        ended = not job.active  # before the last drain, so that nothing said before the end is missed
        events = job.channel.drain()
        for event in events:
            self.story.fold(event)
        self._dirty = self._dirty or bool(events)
        if ended:
            self.job = None
            self._dirty = True
        if ended or any(isinstance(event, RouteDone) for event in events):
            self._read_findings()
            self.classifier = None  # it knows the routes that were there when it was opened
            if self.sight.view == "sentence":
                self.judge()
        if (self.running, self.story.paused) != was:
            self.app.refresh_bindings()

    @work(thread=True, exclusive=True, group="findings", exit_on_error=False)
    def _read_findings(self) -> None:
        """Texts and probabilities of the test rows, off the event loop."""
        from textual.worker import get_current_worker

        worker, run = get_current_worker(), self.run_shown
        if run is None:
            return
        try:
            found = laboratory.findings(run)
        except CheckpointError:
            return  # nothing has been written yet, or it is damaged: the views say so
        if not worker.is_cancelled:
            self.app.call_from_thread(self._know, run, found)

    def _know(self, run: Run, found: Findings) -> None:
        if run == self.run_shown:
            self.findings = found
            self.redraw()

    def _hear_classifier(self) -> None:
        news = self.errands.look()
        if news is None:
            return
        for event in news.events:
            self._heard(event)
        if news.events or news.ended:
            self._dirty = True

    def _heard(self, event: Event) -> None:
        if isinstance(event, Opened):
            self.classifier = event
            self.judge()
        elif isinstance(event, Judged):
            self.judged = event.judgement
        elif isinstance(event, Notice):
            self.story.fold(event)

    # -- drawing -----------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    @property
    def route(self) -> str:
        """The route that the views show: the one chosen, else the best so far."""
        known = [route.name for route in self.story.done]
        if self.sight.route in self.story.routes and (self.sight.route in known or self.sight.view == "overview"):
            return self.sight.route
        best = self.story.best
        return best.name if best is not None else next(iter(self.story.routes), "")

    def redraw(self) -> None:
        """Bring every line up to date."""
        if not self.is_attached:
            return
        self._draw_head()
        self._dirty = False
        self._drawn_at = time.monotonic()
        if not self.showing_results:
            return
        line = self.query_one("#cl-tabs", Lines)
        if line.size:
            line.set_strips([tabs(self.sight, self.route, line.size.width)])
        board = self.query_one(Board)
        if board.size:
            board.set_strips(self._view(*board.size))

    def _draw_head(self) -> None:
        self._told_at = time.monotonic()
        state = self.job.state.value if self.job is not None else ""
        name = self.run_shown.name if self.run_shown is not None else ""
        top, bottom = self.query_one("#cl-head", Lines), self.query_one("#cl-notice", Lines)
        if top.size and bottom.size:
            top.set_strips([head(self.story, name, state, top.size.width)])
            bottom.set_strips([notice(self.story, bottom.size.width)])

    def _view(self, width: int, height: int) -> list[Strip]:
        story, sight, route = self.story, self.sight, self.route
        if sight.view == "sentence":
            text = self.query_one("#cl-sentence", Input).value
            working = {"open": "the trained routes are being opened…", "judge": "…"}.get(self.errands.kind, "")
            return sentence(self.judged, text, route, self.able, working, width, height)
        if sight.view == "suspects":
            return pages.suspects(self.findings, sight, width, height)
        if sight.view == "labels":
            return figures.labels(story, width, height)
        if sight.view == "overview":
            return overview(story, self.findings, route, width, height)
        known = story.routes.get(route)
        if known is None or known.report is None:
            return pages.message("Nothing to show yet: no route has finished.", width, height)
        if sight.view == "matrix":
            return matrix.matrix(known.report, self.findings, route, sight, width, height)
        if sight.view == "classes":
            return pages.classes(known.report, sight, width, height)
        return figures.calibration(known.report, route, width, height)

    def judge(self) -> None:
        """Ask the trained routes about what has been typed; open them first."""
        text = self.query_one("#cl-sentence", Input).value
        run = self.run_shown
        if run is None or not self.able:
            self.redraw()
            return
        if self.classifier is None or self.classifier.run != run:
            if self.errands.kind != "open":
                self.errands.ask("open", judging.opening(run))
        elif text.strip():
            self.errands.ask("judge", judging.judging(self.classifier.classifier, text, self.route))
        else:
            self.judged = None
        self._wake()
        self.redraw()
