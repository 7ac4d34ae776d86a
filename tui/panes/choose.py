"""The Choose pane: a form to start from, methods side by side, questions to browse, and a question of one's own."""

from __future__ import annotations

import asyncio
import time

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Input

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data.choices import Item
from engine import control as ask
from engine.events import Event, ItemRanked, ItemsLoaded, Notice, RouteDone
from engine.spec import BadSpec
from engine.worker import Job, Task, Worker
from tui.actions import bindings
from tui.choosing import asking, laboratory
from tui.choosing.asking import Answered, Opened
from tui.choosing.form import ChooseForm
from tui.choosing.headline import head, notice, tabs
from tui.choosing.overview import overview
from tui.choosing.own import Own
from tui.choosing.questions import questions
from tui.choosing.sight import Sight
from tui.choosing.story import ChooseStory, listed
from tui.errands import Errands
from tui.field import Field
from tui.lines import Lines
from tui.panes.pane import Pane
from tui.text import safe

DRAIN = 1 / 8  # seconds between two looks at what the run said
DRAW_EVERY = 0.5  # between two drawings of the views while something trains
NUMBERS_EVERY = 0.3  # between two updates of the line that tells how far it is
REST = 0.12  # seconds that typing rests before a question is ranked
FORM, RESULTS = "ch-form", "ch-results"
TYPED = ("#ch-question", "#ch-choices")


class Board(Lines, can_focus=True):
    """Holds the focus while results are shown, so that letters and arrows are keys of the pane."""

    DEFAULT_CSS = "Board { height: 1fr; padding: 0 1; }"

    class Sized(Message):
        """There is room to draw in, or another one."""

    def on_resize(self) -> None:
        self.post_message(self.Sized())


class ChoosePane(Pane):
    """Follows one ranking and shows it from several sides. Knows a story and nothing of processes."""

    WORKS = True
    ABOUT = (
        (
            "What is compared",
            "Every method gives each choice a score and takes the highest. Zero-shot counts the log-probabilities of "
            "its tokens in four ways: summed (long choices lose), the mean a token, over its characters, and PMI, what "
            "the question adds to what the choice has after an uninformative prompt. ≠ marks a question on which they "
            "disagree. The margin loss asks the right choice to lead each other one by the margin, cross-entropy asks "
            "for probability.\n",
        ),
        (
            "Whether to believe it",
            "Hidden: the same method without the question; who is no better with it does not read it (red). Shuffled: "
            "with the choices in another order; a ranker should not care. Place: where it chooses against where the "
            "right choices stand. By margin: accuracy should grow with the lead. Seeds: lowest and highest of several "
            "trainings. The interval holds 95%; F7 stops zero-shot early and keeps what was judged.\n",
        ),
        (
            "A question of your own",
            "e takes the question under the cursor into two lines; choices stand between |, the right one may begin "
            "with *. Every method ranks them while you type: ▲ and ▼ say how many ranks a choice moved.",
        ),
    )
    BINDINGS = bindings("choose")
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = """
    ChoosePane { height: 1fr; }
    ChoosePane ContentSwitcher { height: 1fr; }
    #ch-results { height: 1fr; }
    #ch-head { padding: 0 1; background: $panel; }
    #ch-tabs { margin: 0 0 1 0; background: $surface; }
    #ch-notice { padding: 0 1; background: $surface; }
    #ch-question, #ch-choices { display: none; margin: 0 1; background: $surface; }
    #ch-question:focus, #ch-choices:focus { background: $primary 25%; }
    ChoosePane.-own #ch-question, ChoosePane.-own #ch-choices { display: block; }
    .-low #ch-tabs { margin: 0; }
    """

    def __init__(self) -> None:
        super().__init__(id="choose")
        self.story = ChooseStory()
        self.sight = Sight()
        self.items: tuple[Item, ...] = ()
        self.own = Own()
        self.run_shown: Run | None = None
        self.errands = Errands("chooser")
        """answers while a question is typed"""
        self._worker: Worker | None = None
        self._job: Job | None = None
        self._opened: Opened | None = None
        self._refused = ""
        self._ticker: Timer | None = None
        self._rest: Timer | None = None
        self._drawn_at = self._told_at = 0.0
        self._dirty = False
        self._starting = False

    def compose(self) -> ComposeResult:
        yield Lines(id="ch-head")
        with ContentSwitcher(initial=FORM):
            yield ChooseForm()
            with Container(id=RESULTS):
                yield Lines(id="ch-tabs")
                yield Field(id="ch-question", compact=True, select_on_focus=False, placeholder="a question of your own")
                yield Field(
                    id="ch-choices",
                    compact=True,
                    select_on_focus=False,
                    placeholder="*the right choice | another | a third",
                )
                yield Board(id="ch-board")
        yield Lines(id="ch-notice")

    def on_mount(self) -> None:
        for name in TYPED:
            self.query_one(name, Input).cursor_blink = False
        self._ticker = self.set_interval(DRAIN, self._tick, pause=True)
        self._find_living()

    @work(thread=True, exclusive=True, group="living", exit_on_error=False)
    def _find_living(self) -> None:
        """A ranking that runs already is shown live."""
        if (run := laboratory.living()) is not None:
            self.app.call_from_thread(self._show_if_idle, run)

    def _show_if_idle(self, run: Run) -> None:
        if self.run_shown is None and not self._starting:
            self.open(run)

    # -- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def form(self) -> ChooseForm:
        return self.query_one(ChooseForm)

    @property
    def showing_results(self) -> bool:
        """Whether results are on the screen rather than the form."""
        return self.query_one(ContentSwitcher).current == RESULTS

    @property
    def running(self) -> bool:
        """Whether the ranking that is shown is under way."""
        return self._job is not None and self._job.active and self.story.finished is None

    @property
    def busy(self) -> bool:
        return self.running

    @property
    def trains(self) -> str:
        return self.run_shown.name if self.running and self.run_shown is not None else ""

    async def see_out(self) -> None:
        if self.running and self._job is not None:
            self._job.stop()
            await asyncio.to_thread(self._job.wait, 15.0)

    def arrive(self) -> None:
        """Take the focus and catch up."""
        if self.showing_results:
            self._focus_view()
        else:
            self.query_one("#ch-go").focus()
        self.call_after_refresh(self.redraw)

    def start(self) -> None:
        """Run what the form says."""
        if self.running or self._starting:
            self.show_results()
            self.say("it is running: F7 stops it, then F5 starts another", "warning")
        elif not self.form.start():
            self.show_form()
            self.form.show_problem()

    def pause(self) -> None:
        """Pause, or go on."""
        self._send(ask.Continue() if self.story.paused else ask.Pause())

    def stop(self) -> None:
        """End it; what has been judged and computed is kept."""
        self._send(ask.Stop())

    def allows(self, action: str) -> bool | None:
        """Pause and stop need a ranking under way; there is nothing to sample."""
        if action == "sample":
            return False
        return True if action == "start" or self.running else None

    def say(self, text: str, level: str = "info") -> None:
        """A word in the last line."""
        self.story.fold(Notice(text, level, "screen"))
        self.redraw()

    # -- starting, opening -------------------------------------------------------------------------------------------

    @on(ChooseForm.Wanted)
    @work(exclusive=True, group="start", exit_on_error=False)
    async def _wanted(self, event: ChooseForm.Wanted) -> None:
        event.stop()
        if self._starting:
            return
        self._starting = True
        try:
            run = await asyncio.to_thread(laboratory.create, event.values)
            task = await asyncio.to_thread(laboratory.begin, run)
        except (OSError, BadSpec) as error:
            reason = getattr(error, "strerror", None) or error
            self.tell("It cannot be started", f"{reason}\n\nRuns live under {home.home()}; LLMLAB_HOME moves them.")
        else:
            await self._hand_over(run, task)
        finally:
            self._starting = False

    def open(self, run: Run) -> None:
        """Show a ranking, living or done."""
        self.run_worker(
            self._hand_over(run, laboratory.follow(run)), exclusive=True, group="hand-over", exit_on_error=False
        )

    async def resume(self, run: Run) -> None:
        """Go on with a ranking that was stopped, in a process of its own."""
        await self._hand_over(run, await asyncio.to_thread(laboratory.begin, run))

    def copy(self, run: Run) -> None:
        """The form with a run's values, for a new one."""
        self.show_form()
        self.form.fill(laboratory.values_of(run))

    async def _hand_over(self, run: Run, task: Task) -> None:
        """Look away from the run shown before, which goes on by itself, then follow this one."""
        if self._job is not None and self._job.active:
            self._job.control.send(ask.Detach())
            await asyncio.to_thread(self._job.wait, 10.0)
        self.story, self.run_shown, self.items = ChooseStory(), run, ()
        self._opened, self._refused, self.own = None, "", Own()
        self.errands.drop()
        self.sight.method, self.sight.row = "", 0
        self._worker = self._worker or Worker("ranking")
        self._job = self._worker.start(task)
        self.sight.look("overview")
        self.show_results()
        if self._ticker is not None:
            self._ticker.resume()
        self.app.refresh_bindings()

    def show_results(self) -> None:
        """Put the results on the screen."""
        self.query_one(ContentSwitcher).current = RESULTS
        self._focus_view()
        self.call_after_refresh(self.redraw)

    def show_form(self) -> None:
        """Put the form on the screen."""
        self.query_one(ContentSwitcher).current = FORM
        self.query_one("#ch-go").focus()
        self.app.refresh_bindings()

    def _focus_view(self) -> None:
        typing = self.sight.view == "own"
        self.set_class(typing, "-own")
        self.query_one(TYPED[0] if typing else "#ch-board").focus()

    # -- what the run and the rankers say ----------------------------------------------------------------------------

    def _tick(self) -> None:
        if not self.is_running:
            return
        self._hear_run()
        self._hear_rankers()
        now = time.monotonic()
        if self._dirty and self.is_on_screen:
            if now - self._drawn_at >= DRAW_EVERY or not self.running:
                self.redraw()
            elif now - self._told_at >= NUMBERS_EVERY:
                self._draw_head()
        if self._job is None and not self.errands.active and self._ticker is not None:
            self._ticker.pause()

    def _hear_run(self) -> None:
        job = self._job
        if job is None:
            return
        was = (self.running, self.story.paused)
        ended = not job.active  # before the last drain, so that nothing said before the end is missed
        events = job.channel.drain()
        for event in events:
            self.story.fold(event)
        self._dirty = self._dirty or bool(events)
        if ended:
            self._job = None
            self._dirty = True
        if any(isinstance(event, ItemsLoaded | RouteDone) for event in events) or (ended and not self.items):
            self._read_items()
        if any(isinstance(event, RouteDone) for event in events):
            self._opened, self._refused = None, ""  # there is one more to ask
        if (self.running, self.story.paused) != was:
            self.app.refresh_bindings()

    @work(thread=True, exclusive=True, group="items", exit_on_error=False)
    def _read_items(self) -> None:
        """The judged questions, off the event loop."""
        from textual.worker import get_current_worker

        worker, run = get_current_worker(), self.run_shown
        if run is None or self.items:
            return
        try:
            found = laboratory.items(run)
        except CheckpointError:
            return  # nothing has been written yet, or it is damaged: the views say so
        if not worker.is_cancelled:
            self.app.call_from_thread(self._know, run, found)

    def _know(self, run: Run, found: tuple[Item, ...]) -> None:
        if run == self.run_shown:
            self.items = found
            self.redraw()

    def _hear_rankers(self) -> None:
        news = self.errands.look()
        if news is None:
            return
        for event in news.events:
            self._heard(event)
        if news.failed and news.kind == "open":
            self._refused = "the methods of this run cannot be opened"
        if news.events or news.ended:
            self._dirty = True

    def _heard(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._opened = event
            self._rank()
        elif isinstance(event, Answered):
            self.own.answer(event.item, event.ranked)
        elif isinstance(event, Notice):
            self.story.fold(event)

    # -- drawing -----------------------------------------------------------------------------------------------------

    @on(Board.Sized)
    def _sized(self, event: Board.Sized) -> None:
        """Its events may all have been told before the board was laid out."""
        event.stop()
        self.redraw()

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    @property
    def method(self) -> str:
        """The method that the views show: the one chosen, else the best so far."""
        able = list(self.story.methods) if self.sight.view == "overview" else self.story.browsable
        if self.sight.method in able:
            return self.sight.method
        best = self.story.best
        if best is not None and best.name in able:
            return best.name
        return able[0] if able else ""

    @property
    def under_cursor(self) -> ItemRanked | None:
        """The question of the list that the cursor is on."""
        found = listed(self.story, self.method, self.sight.kept, self.sight.order)
        return found[max(0, min(self.sight.row, len(found) - 1))] if found else None

    def redraw(self) -> None:
        """Bring every line up to date."""
        if not self.is_attached:
            return
        self._draw_head()
        self._dirty = False
        self._drawn_at = time.monotonic()
        if not self.showing_results:
            return
        line = self.query_one("#ch-tabs", Lines)
        if line.size:
            line.set_strips([tabs(self.sight, self.method, line.size.width)])
        board = self.query_one(Board)
        if board.size:
            board.set_strips(self._view(*board.size))

    def _draw_head(self) -> None:
        self._told_at = time.monotonic()
        state = self._job.state.value if self._job is not None else ""
        name = self.run_shown.name if self.run_shown is not None else ""
        top, bottom = self.query_one("#ch-head", Lines), self.query_one("#ch-notice", Lines)
        if top.size and bottom.size:
            top.set_strips([head(self.story, name, state, top.size.width)])
            bottom.set_strips([notice(self.story, bottom.size.width)])

    def _view(self, width: int, height: int) -> list[Strip]:
        if self.sight.view == "own":
            able = [method.name for method in self.story.done]
            working = {"open": "the methods are being opened…", "rank": "…"}.get(self.errands.kind, self._refused)
            return self.own.draw(self._spelled(), self.method, able, working, width, height)
        if self.sight.view == "items":
            return questions(self.story, self.items, self.method, self.sight, width, height)
        return overview(self.story, self.method, width, height)

    # -- a question of one's own -------------------------------------------------------------------------------------

    @on(Input.Changed, "#ch-question")
    @on(Input.Changed, "#ch-choices")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._rank)

    @on(Input.Submitted, "#ch-question")
    @on(Input.Submitted, "#ch-choices")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "ch-question":
            self.query_one("#ch-choices").focus()
        self._rank()

    def _spelled(self) -> Item | None:
        return asking.item_of(*(self.query_one(name, Input).value for name in TYPED))

    def _rank(self) -> None:
        """Ask the methods about what has been typed; open them first."""
        run, item = self.run_shown, self._spelled()
        if run is not None and item is not None and self.story.done and not self._refused:
            if self._opened is None or self._opened.run != run:
                if self.errands.kind != "open":
                    self.errands.ask("open", asking.opening(run))
            elif item != self.own.item or not self.own.answers:
                self.errands.ask("rank", asking.ranking(self._opened.chooser, item))
            if self._ticker is not None:
                self._ticker.resume()
        self.redraw()

    # -- keys --------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        if action in ("filter", "sort", "read"):
            return self.showing_results and self.sight.view == "items"
        if action in ("method", "walk", "page", "ends", "back"):
            return self.showing_results
        if action == "defaults":
            return not self.showing_results
        return True

    def action_form(self) -> None:
        """Between the form and the results."""
        if self.showing_results:
            self.show_form()
        elif self.run_shown is not None:
            self.show_results()
            self.app.refresh_bindings()

    def action_defaults(self) -> None:
        """The form as it comes."""
        from tui.choosing.values import DEFAULTS

        self.form.fill(dict(DEFAULTS))

    def action_view(self, name: str) -> None:
        """The results from another side."""
        if self.run_shown is None:
            self.say("nothing ranked yet: F5 runs the methods, o opens an earlier run")
            return
        if name == "own":
            self._take_item()
        self.sight.look(name)
        self.show_results()
        if name == "own":
            self._rank()
        self.app.refresh_bindings()

    def _take_item(self) -> None:
        """The question under the cursor, to be edited; from the overview, what was typed before stays."""
        event = self.under_cursor
        typed = any(self.query_one(name, Input).value for name in TYPED)
        if event is None or event.item >= len(self.items) or (typed and self.sight.view != "items"):
            return
        for name, text in zip(TYPED, asking.spelled(self.items[event.item]), strict=True):
            self.query_one(name, Input).value = safe(text, lines=False)

    def action_read(self) -> None:
        """The question under the cursor alone, or beside the others."""
        self.sight.reading = not self.sight.reading
        self.redraw()

    def action_filter(self) -> None:
        """Only the wrong ones, the right ones, those on which methods disagree, or all."""
        self.sight.filter()
        self.redraw()

    def action_sort(self) -> None:
        """Another order."""
        self.sight.sort()
        self.redraw()

    def action_method(self, by: int) -> None:
        """The views show another method."""
        able = list(self.story.methods) if self.sight.view == "overview" else self.story.browsable
        if able:
            here = able.index(self.method) if self.method in able else 0
            self.sight.method, self.sight.row = able[(here + by) % len(able)], 0
            self.redraw()

    def action_walk(self, by: int) -> None:
        """The cursor."""
        if self.sight.view == "overview":
            names = list(self.story.methods)
            if names:
                here = names.index(self.method) if self.method in names else 0
                self.sight.method = names[max(0, min(len(names) - 1, here + by))]
        else:
            self.sight.row = max(0, self.sight.row + by)
        self.redraw()

    def action_page(self, by: int) -> None:
        """A page of questions."""
        self.action_walk(by * 10)

    def action_ends(self, last: int) -> None:
        """The first question, or the last."""
        self.action_walk(10**9 if last else -(10**9))

    def action_back(self) -> None:
        """Out of the lines that are typed into, then to the overview."""
        if self.sight.view == "own" and any(self.query_one(name).has_focus for name in TYPED):
            self.query_one(Board).focus()
        elif self.sight.reading:
            self.sight.reading = False
        else:
            self.sight.look("overview")
            self._focus_view()
        self.redraw()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_ranking(self) -> None:
        """A ranking that was run before."""
        from tui.classify.opener import Opener

        run = await self.app.push_screen_wait(Opener(await asyncio.to_thread(laboratory.offers)))
        if run is not None:
            self.open(run)

    def _send(self, message: ask.Message) -> None:
        if self.running and self._job is not None:
            self._job.control.send(message)
