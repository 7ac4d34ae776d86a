"""The Retrieve pane: a search box over rankers side by side, and what they gain on each other on judged queries."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

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
from engine.events import BiStep, Encoded, Event, Notice, Progress, RankerDone
from engine.spec import BadSpec
from engine.worker import Job, Task, Worker
from tui.actions import bindings
from tui.dialogs import Entry
from tui.errands import Errands
from tui.field import Field
from tui.lines import Lines
from tui.panes.pane import Pane
from tui.retrieving import columns, gains, laboratory, searching
from tui.retrieving.batch import batch
from tui.retrieving.figures import figures
from tui.retrieving.form import RetrieveForm
from tui.retrieving.headline import head, notice, tabs
from tui.retrieving.laboratory import Gain
from tui.retrieving.searching import Answer, Opened
from tui.retrieving.sight import Sight
from tui.retrieving.story import RetrieveStory
from tui.text import safe

if TYPE_CHECKING:
    from engine.rankers_open import Library

DRAIN = 1 / 8  # seconds between two looks at what was said
DRAW_EVERY = 0.5  # between two drawings of the views while something trains
NUMBERS_EVERY = 0.3  # between two updates of the line that tells how far it is
LEAVE = 2.0  # seconds that leaving waits for a search
REST = 0.08  # seconds that typing rests before it is searched
FORM, RESULTS = "re-form", "re-results"


class Board(Lines, can_focus=True):
    """Holds the focus while results are shown, so that letters and arrows are keys of the pane."""

    DEFAULT_CSS = "Board { height: 1fr; padding: 0 1; }"


class RetrievePane(Pane):
    """Follows one retrieval, and searches its collection. Knows a story and nothing of processes."""

    WORKS = True
    ABOUT = (
        (
            "Three columns",
            "What is typed is asked of BM25, of the frozen encoder (c changes to [CLS] or to hybrid) and of the "
            "trained one. ↑ and ↓ tell how many ranks a document rose or fell from the column to its left, new that it "
            "was not among its first hundred; ● marks what the qrels call relevant, when the query is one of theirs. "
            "Enter reads the document under the cursor. The search works while training goes on, with the last "
            "checkpoint.\n",
        ),
        (
            "Gains",
            "Judged queries from the largest gain of one ranker on another to the largest loss. Enter, or ] and [, "
            "show a query in the columns. The interval is a paired bootstrap over queries: where it holds 0, chance "
            "explains the difference.\n",
        ),
        (
            "Training",
            "In a batch every query must find its own document among those of the others: the matrix shows the "
            "cosines, and training lights up its diagonal. It ends when nDCG@10 on held-out train queries stops "
            "rising. Everything runs in a process of its own and lies in a run directory; o opens an older one.",
        ),
    )
    BINDINGS = bindings("retrieve")
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = """
    RetrievePane { height: 1fr; }
    RetrievePane ContentSwitcher { height: 1fr; }
    #re-results { height: 1fr; }
    #re-head { padding: 0 1; background: $panel; }
    #re-tabs { background: $surface; }
    #re-notice { padding: 0 1; background: $surface; }
    #re-query { margin: 0 1; background: $surface; }
    #re-query:focus { background: $primary 25%; }
    """

    def __init__(self) -> None:
        super().__init__(id="retrieve")
        self.story = RetrieveStory()
        self.sight = Sight()
        self.gains: list[Gain] = []
        self.answer: Answer | None = None
        self.run_shown: Run | None = None
        self.errands = Errands("search")
        """answers while a query is typed"""
        self._worker: Worker | None = None
        self._job: Job | None = None
        self._library: Library | None = None
        self._ticker: Timer | None = None
        self._rest: Timer | None = None
        self._drawn_at = self._told_at = 0.0
        self._dirty = False
        self._starting = False
        self._trained_at = -1

    def compose(self) -> ComposeResult:
        yield Lines(id="re-head")
        with ContentSwitcher(initial=FORM):
            yield RetrieveForm()
            with Container(id=RESULTS):
                yield Lines(id="re-tabs")
                yield Field(
                    id="re-query", compact=True, select_on_focus=False, placeholder="/ to search: type a question"
                )
                yield Board(id="re-board")
        yield Lines(id="re-notice")

    def on_mount(self) -> None:
        self.query_one("#re-query", Input).cursor_blink = False
        self._ticker = self.set_interval(DRAIN, self._tick, pause=True)
        self._find_living()

    @work(thread=True, exclusive=True, group="living", exit_on_error=False)
    def _find_living(self) -> None:
        """A retrieval that runs already is shown live."""
        if (run := laboratory.living()) is not None:
            self.app.call_from_thread(self._show_if_idle, run)

    def _show_if_idle(self, run: Run) -> None:
        if self.run_shown is None and not self._starting:
            self.open(run)

    # -- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def form(self) -> RetrieveForm:
        return self.query_one(RetrieveForm)

    @property
    def box(self) -> Input:
        return self.query_one("#re-query", Input)

    @property
    def showing_results(self) -> bool:
        """Whether results are on the screen rather than the form."""
        return self.query_one(ContentSwitcher).current == RESULTS

    @property
    def running(self) -> bool:
        """Whether the retrieval that is shown is under way."""
        return self._job is not None and self._job.active and self.story.finished is None

    @property
    def busy(self) -> bool:
        return self.running

    def arrive(self) -> None:
        """The results as they are now, or the form."""
        if self.showing_results:
            self.query_one("#re-board").focus()
        else:
            self.query_one("#re-go").focus()
        self.call_after_refresh(self.redraw)

    def take(self, text: str) -> None:
        """Search for this text."""
        if self.run_shown is not None:
            self._ask_for(text.splitlines()[0] if text.strip() else "")

    def start(self) -> None:
        """Run what the form says."""
        if self.running or self._starting:
            self.show_results()
            self.say("it is running: F7 stops it, then F5 starts another", "warning")
        elif not self.form.start():
            self.show_form()

    def pause(self) -> None:
        """Pause, or go on."""
        self._send(ask.Continue() if self.story.paused else ask.Pause())

    def stop(self) -> None:
        """End the retrieval, keeping what it made."""
        if self.running and self._job is not None:
            self._job.stop()
            self.redraw()

    def allows(self, action: str) -> bool | None:
        """What is asked of a retrieval needs one that runs."""
        if action == "sample":
            return False
        return True if action == "start" or self.running else None

    def say(self, text: str, level: str = "info") -> None:
        """A word in the last line."""
        self.story.fold(Notice(text, level, "screen"))
        self.redraw()

    # -- starting, opening -------------------------------------------------------------------------------------------

    @on(RetrieveForm.Wanted)
    @work(exclusive=True, group="start", exit_on_error=False)
    async def _wanted(self, event: RetrieveForm.Wanted) -> None:
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
        """Show a retrieval, living or done."""
        self.run_worker(
            self._hand_over(run, laboratory.follow(run)), exclusive=True, group="hand-over", exit_on_error=False
        )

    async def resume(self, run: Run) -> None:
        """Go on with a retrieval that was stopped, in a process of its own."""
        await self._hand_over(run, await asyncio.to_thread(laboratory.begin, run))

    async def _hand_over(self, run: Run, task: Task) -> None:
        """Look away from the run shown before, which goes on by itself, then follow this one."""
        if self._job is not None and self._job.active:
            self._job.control.send(ask.Detach())
            await asyncio.to_thread(self._job.wait, 10.0)
        self.story, self.run_shown, self.gains = RetrieveStory(), run, []
        self._library, self.answer, self._trained_at = None, None, -1
        self.errands.drop()
        self._worker = self._worker or Worker("retrieval")
        self._job = self._worker.start(task)
        self.sight.look("search")
        self.show_results()
        self._wake()
        self.app.refresh_bindings()

    def show_results(self) -> None:
        """Put the results on the screen."""
        self.query_one(ContentSwitcher).current = RESULTS
        self.query_one("#re-board").focus()
        self.call_after_refresh(self.redraw)

    def show_form(self) -> None:
        """Put the form on the screen."""
        self.query_one(ContentSwitcher).current = FORM
        self.query_one("#re-go").focus()
        self.app.refresh_bindings()

    # -- what the run and the rankers say ----------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._ticker is not None:
            self._ticker.resume()

    def _tick(self) -> None:
        if not self.is_running:
            return
        self._hear_run()
        self._hear_search()
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
        was = (self.running, self.story.paused, self.ready)
        ended = not job.active  # before the last drain, so that nothing said before the end is missed
        events = job.channel.drain()
        for event in events:
            self.story.fold(event)
        self._dirty = self._dirty or bool(events)
        if ended:
            self._job = None
            self._dirty = True
        if self._library is None and self.story.data is not None and self.errands.kind != "open" and self.run_shown:
            self.errands.ask("open", searching.opening(self.run_shown))
        if ended or any(isinstance(event, RankerDone) for event in events):
            self._read_gains()
        looked = any(isinstance(event, BiStep) and event.ndcg is not None for event in events)
        if looked or ended or self.ready != was[2]:
            self._search()  # with the newest checkpoint, or with a ranker that is there now
        if (self.running, self.story.paused) != was[:2]:
            self.app.refresh_bindings()

    @property
    def ready(self) -> frozenset[str]:
        """Rankers whose index is there: asking for another would build it a second time beside the run."""
        if self.story.data is None:
            return frozenset()
        if self.story.finished is not None and self.story.finished.reason == "done":
            return frozenset(("bm25", "cls", "mean", "hybrid", "trained"))
        built = {"bm25", *self.story.results}
        if "mean" in built:
            built.add("hybrid")
        if self.story.looks:
            built |= {"mean", "hybrid", "trained"}
        return frozenset(built)

    @work(thread=True, exclusive=True, group="gains", exit_on_error=False)
    def _read_gains(self) -> None:
        """What every judged query came to, off the event loop."""
        from textual.worker import get_current_worker

        worker, run, library = get_current_worker(), self.run_shown, self._library
        if run is None:
            return
        try:
            found = laboratory.gains(run, library.collection.queries if library is not None else {})
        except CheckpointError:
            return  # nothing has been written yet
        if not worker.is_cancelled:
            self.app.call_from_thread(self._know, run, found)

    def _know(self, run: Run, found: list[Gain]) -> None:
        if run != self.run_shown:
            return
        self.gains = found
        names = tuple(name for name in ("bm25", "cls", "mean", "hybrid", "trained") if name in self.story.results)
        if len(names) > 1 and not {self.sight.first, self.sight.second} <= set(names):
            self.sight.first, self.sight.second = names[-1], names[0]
        self.redraw()

    def _hear_search(self) -> None:
        news = self.errands.look()
        if news is None:
            return
        for event in news.events:
            self._heard(event)
        if news.events or news.ended:
            self._dirty = True

    def _heard(self, event: Event) -> None:
        if isinstance(event, Opened):
            if event.run == self.run_shown:
                self._library = event.library
                self._read_gains()
                self._search()
        elif isinstance(event, Answer):
            self.answer = event
        elif isinstance(event, Notice):
            self.story.fold(event)
        elif isinstance(event, Progress | Encoded) and not self.running:
            self.story.progress = event if isinstance(event, Progress) else None

    async def on_unmount(self) -> None:
        """Let a search that is under way end: torch must not be torn down below it."""
        self.errands.drop()
        until = time.monotonic() + LEAVE
        while self.errands.active and time.monotonic() < until:
            self.errands.look()
            await asyncio.sleep(0.02)

    # -- searching ---------------------------------------------------------------------------------------------------

    @on(Input.Changed, "#re-query")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.sight.view != "search":
            self.sight.look("search")
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._search)

    @on(Input.Submitted, "#re-query")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.sight.row = 0
        self.query_one("#re-board").focus()
        self._search()

    def _search(self) -> None:
        """Ask the rankers about what has been typed."""
        text = self.box.value.strip()
        if self._library is None:
            self._dirty = True
            return
        if not text:
            self.answer = None
            self.redraw()
            return
        self.errands.ask("search", searching.searching(self._library, text, self.sight.columns, self.ready))
        self._wake()

    def _ask_for(self, text: str) -> None:
        self.sight.look("search")
        self.sight.row = 0
        if self.box.value != text:
            self.box.value = text
        self._search()
        self.redraw()

    def _title(self, row: int) -> tuple[str, str]:
        collection = self._library.collection if self._library is not None else None
        if collection is None or not 0 <= row < len(collection):
            return "", ""
        return collection.titles[row], collection.texts[row]

    # -- drawing -----------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        """Bring every line up to date."""
        if not self.is_attached:
            return
        self._draw_head()
        self._dirty = False
        self._drawn_at = time.monotonic()
        if not self.showing_results:
            return
        line = self.query_one("#re-tabs", Lines)
        if line.size:
            line.set_strips([tabs(self.sight, line.size.width)])
        board = self.query_one(Board)
        if board.size:
            board.set_strips(self._view(*board.size))

    def _draw_head(self) -> None:
        self._told_at = time.monotonic()
        state = self._job.state.value if self._job is not None else ""
        name = self.run_shown.name if self.run_shown is not None else ""
        top, bottom = self.query_one("#re-head", Lines), self.query_one("#re-notice", Lines)
        if top.size and bottom.size:
            top.set_strips([head(self.story, name, state, top.size.width)])
            bottom.set_strips([notice(self.story, bottom.size.width)])

    def _view(self, width: int, height: int) -> list[Strip]:
        story, sight = self.story, self.sight
        if sight.view == "figures":
            return figures(story, width, height)
        if sight.view == "gains":
            if story.data is not None and not story.data.judged_split:
                return gains.message("There are no qrels, so no query can be judged.", width, height)
            return gains.listed(story, self.gains, sight, width, height)
        if sight.view == "batch":
            return batch(story, width, height)
        if sight.reading:
            return columns.document(self.answer, sight, self._title, width, height)
        waiting = "" if self._library is not None else "The collection is being read…"
        if story.finished is not None and self._library is None and not self.errands.active:
            waiting = "The collection cannot be searched."
        return columns.columns(self.answer, sight, self._title, waiting, width, height)

    # -- keys --------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        if action in ("walk", "read", "back", "page", "jump", "pair", "search"):
            return self.showing_results
        if action == "defaults":
            return not self.showing_results
        return self.showing_results or action != "export"

    def action_form(self) -> None:
        """Between the form and the results."""
        if self.showing_results:
            self.show_form()
        elif self.run_shown is not None:
            self.show_results()
            self.app.refresh_bindings()

    def action_defaults(self) -> None:
        """The form as it comes."""
        from tui.retrieving.values import DEFAULTS

        self.form.fill(dict(DEFAULTS))

    def action_search(self) -> None:
        """Into the search box."""
        self.sight.look("search")
        self.sight.reading = False
        self.box.focus()
        self.redraw()

    def action_view(self, name: str) -> None:
        """The results from another side."""
        if self.run_shown is None:
            self.say("nothing yet: F5 builds and judges the rankers, o opens what was run before")
            return
        self.sight.look(name)
        self.show_results()
        self.app.refresh_bindings()

    def action_pair(self, which: int) -> None:
        """Another ranker to look at."""
        self.sight.another(which, tuple(self.story.results))
        if self.sight.view == "search":
            self._search()
        self.redraw()

    def action_jump(self, by: int) -> None:
        """The next query by gain, in the columns."""
        listed = gains.ordered(self.gains, self.sight)
        if not listed:
            self.say("no judged queries to walk over yet")
            return
        here = next((place for place, one in enumerate(listed) if one.text == self.box.value), -1)
        place = (here + by) % len(listed) if here >= 0 else (0 if by > 0 else len(listed) - 1)
        self._ask_for(listed[place].text)

    def action_walk(self, down: int, right: int) -> None:
        """The cursor of the view."""
        sight = self.sight
        if sight.view == "search" and sight.reading:
            sight.scroll = max(0, sight.scroll + down)
        elif sight.view == "search":
            sight.column = max(0, min(2, sight.column + right))
            sight.row = max(0, sight.row + down)
            columns.under_cursor(self.answer, sight)
        else:
            sight.row = max(0, sight.row + down)
        self.redraw()

    def action_page(self, by: int) -> None:
        """A page of rows."""
        self.action_walk(by * 10, 0)

    def action_read(self) -> None:
        """The document under the cursor, or the query in the columns."""
        sight = self.sight
        if sight.view == "gains":
            listed = gains.ordered(self.gains, sight)
            if listed:
                self._ask_for(listed[max(0, min(sight.row, len(listed) - 1))].text)
        elif sight.view == "search":
            sight.reading = not sight.reading and columns.under_cursor(self.answer, sight) is not None
            sight.scroll = 0
            self.redraw()

    def action_back(self) -> None:
        """Out of the box, out of a document, back to the columns."""
        if self.box.has_focus:
            self.query_one(Board).focus()
        elif self.sight.reading:
            self.sight.reading = False
        else:
            self.sight.look("search")
        self.redraw()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_run(self) -> None:
        """A retrieval that was run before."""
        from tui.retrieving.opener import RetrievalOpener

        run = await self.app.push_screen_wait(RetrievalOpener(await asyncio.to_thread(laboratory.offers)))
        if run is not None:
            self.open(run)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_export(self) -> None:
        """The trained bi-encoder as a folder for sentence-transformers."""
        run = self.run_shown
        if run is None:
            return
        target = await self.app.push_screen_wait(
            Entry(
                "Export the bi-encoder",
                "As a folder that SentenceTransformer loads: its encode gives the same vectors.",
                str(home.home() / "exports" / run.name),
                lambda text: "" if text.strip() else "name a folder",
            )
        )
        if target is None:
            return
        from engine.encoders import NoEncoder
        from engine.rankers_export import CannotExport

        try:
            said = await asyncio.to_thread(laboratory.export, run, Path(target).expanduser())
        except (OSError, CannotExport, NoEncoder) as error:
            self.tell("It cannot be exported", str(error))
        else:
            self.notify(safe(said), markup=False, timeout=8)

    def _send(self, message: ask.Message) -> None:
        if self.running and self._job is not None:
            self._job.control.send(message)
