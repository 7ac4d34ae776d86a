"""A pane with a form that starts runs of a task, and with results that follow one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import ContentSwitcher
from textual.worker import get_current_worker

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.runs import messages as ask
from engine.runs.events import Event, Notice
from engine.runs.past import READING
from engine.runs.spec import BadSpec
from engine.runs.worker import Busy, Job, State, Task, Worker
from tui.background import BackgroundTasks
from tui.follow import state as states
from tui.follow.exporting import export
from tui.follow.folding import Folded, folding
from tui.follow.form import Form
from tui.follow.opener import Opener
from tui.follow.task_runs import TaskRuns
from tui.hints import Hint
from tui.pane import Pane, RunEnded
from tui.widgets.lines import Lines

DRAIN = 1 / 8  # seconds between two looks at what was said
NUMBERS_EVERY = 0.5  # between two updates of the line that tells how far it is


class Board(Lines, can_focus=True):
    """Holds the focus while results are shown, so that letters and arrows are keys of the pane."""

    DEFAULT_CSS = "Board { height: 1fr; }"

    class Sized(Message):
        """There is room to draw in, or another one."""

    def on_resize(self) -> None:
        self.post_message(self.Sized())


class FollowPane(Pane):
    """Starts, follows and reopens runs. A subclass folds what they tell into a story, and draws it."""

    WORKS = True
    WHAT: ClassVar[str]
    """one run of this pane, as in "open which …" """
    RESULTS: ClassVar[str]
    """the id of the widget with the results, which stands in one switcher with the form"""
    FORM: ClassVar[type[Form]]
    TASK_RUNS: ClassVar[type[TaskRuns]]
    story: Any
    """a :class:`tui.follow.story.BaseStory`"""

    def __init__(self) -> None:
        super().__init__(id=self.TASK_RUNS.task)
        self.form, self.task_runs = self.FORM(), self.TASK_RUNS()
        self.run_shown: Run | None = None
        self.job: Job | None = None
        """follows the run that is shown"""
        self.pausing: bool | None = None
        """what F6 has asked for, until the run has answered"""
        self.background = BackgroundTasks(self.task_runs.task)
        """answers while something is typed"""
        self._worker: Worker | None = None
        self._ticker: Timer | None = None
        self._drawn_at = self._told_at = 0.0
        self._dirty = False
        self._starting = False
        self._handing = asyncio.Lock()
        """one run at a time is handed over"""
        self.fresh()

    def on_mount(self) -> None:
        self._ticker = self.set_interval(DRAIN, self._tick, pause=True)
        self._find_living()

    @work(thread=True, exclusive=True, group="living", exit_on_error=False)
    def _find_living(self) -> None:
        """A run that a process works on already is shown live."""
        if (run := self.task_runs.living()) is not None:
            self.app.call_from_thread(self.show_if_idle, run)

    def show_if_idle(self, run: Run) -> None:
        """Show a run, unless one is shown or started already."""
        if self.run_shown is None and not self._starting:
            self.open(run)

    # -- what a subclass gives ---------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """Another run is going to be shown: a new story, and nothing known of what the one before left."""
        raise NotImplementedError

    def focus_results(self) -> None:
        """Give the keys to the results."""
        raise NotImplementedError

    async def may_start(self) -> bool:
        """Whether a run may be started now; this may ask."""
        return True

    async def may_resume(self, run: Run) -> bool:
        """Whether the run that is shown may be resumed; this may ask."""
        return True

    def redraw(self) -> None:
        """Bring everything up to date."""
        raise NotImplementedError

    def redraw_lines(self) -> None:
        """Bring up to date what is cheap to draw."""
        raise NotImplementedError

    @property
    def draw_every(self) -> float:
        """Seconds between two drawings of everything while something trains."""
        return 0.5

    def drawn(self) -> None:
        """Everything is up to date."""
        self._dirty = False
        self._drawn_at = self._told_at = time.monotonic()

    def receive_events(self, events: Iterable[Event], ended: bool) -> None:
        """The story has taken these in; ``ended`` says that nothing more comes."""

    def answered(self, event: Event) -> None:
        """Something that a background task said."""

    def failed(self, kind: str) -> None:
        """A background task has failed; why has been said."""

    def reader(self, run: Run) -> Callable[[], Any]:
        """What reads what a run has written: it is called off the event loop, so it holds all that it needs.

        It may raise :class:`checkpoints.store.CheckpointError`.
        """
        raise NotImplementedError

    def know(self, found: Any) -> None:
        """Take in what the reader found."""

    # -- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def reading(self) -> bool:
        """Whether what the run has told before now is being read."""
        return self.story.progress is not None and self.story.progress.what == READING

    @property
    def running(self) -> bool:
        """Whether the run that is shown is under way."""
        return self.job is not None and self.job.active and self.story.finished is None and not self.reading

    @property
    def state(self) -> str:
        """Of the run that is shown, one of :mod:`tui.follow.state`."""
        if self.run_shown is None:
            return states.NONE
        if self.reading:
            return states.OPENING
        if self.story.finished is not None:
            return str(self.story.finished.state)
        if self.job is not None and self.job.state is State.STOPPING:
            return states.STOPPING
        if self.pausing is not None:
            return states.PAUSING if self.pausing else states.CONTINUING
        if self.story.paused:
            return states.PAUSED
        return states.RUNNING if self.story.begun else states.STARTING

    @property
    def live(self) -> bool:
        """Whether the run that is shown takes requests: it is under way and has not been asked to stop."""
        return self.running and self.state != states.STOPPING

    @property
    def busy(self) -> bool:
        return self.running

    @property
    def trains(self) -> str:
        return self.run_shown.name if self.running and self.run_shown is not None else ""

    async def stop_and_wait(self) -> None:
        if self.running and self.job is not None:
            self.job.stop()
            await asyncio.to_thread(self.job.wait, 15.0)

    def start(self) -> None:
        """Run what the form says."""
        if not self.form.start():
            self.show_form()
            self.form.show_problem()

    def send(self, message: ask.Message) -> None:
        """Ask something of the run that is shown, if it is under way."""
        if self.running and self.job is not None:
            self.job.control.send(message)

    def pause(self) -> None:
        """Pause, or go on; a second key takes back one that has not been answered yet."""
        if self.live:
            self.pausing = not (self.story.paused if self.pausing is None else self.pausing)
            self.send(ask.Pause() if self.pausing else ask.Continue())
            self.redraw_lines()

    def stop(self) -> None:
        """End it; what was made is kept."""
        if self.live and self.job is not None:
            self.job.stop()
            self.redraw()
            self.app.refresh_bindings()

    def allows(self, action: str) -> bool:
        """Start belongs to the form; the others need a run under way, and there is nothing to sample."""
        if action == "start":
            return not self.showing_results
        return action in ("pause", "stop") and self.live

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now has a key."""
        if action == "resume":
            return self.showing_results and self.state in states.RESUMABLE
        if action in ("form", "results"):
            return self.showing_results if action == "form" else self.run_shown is not None and not self.showing_results
        return not self.showing_results if action == "defaults" else True

    @property
    def outcome(self) -> Text | None:
        """A line that says how the run that is shown stands; None while it simply runs."""
        state = self.state
        sentence = self.story.outcome(state)
        return states.line(state, sentence) if sentence else None

    # -- starting, opening -------------------------------------------------------------------------------------------

    @on(Form.Wanted)
    def _wanted(self, event: Form.Wanted) -> None:
        event.stop()
        if event.more:
            self._launch(
                partial(self.task_runs.queue, (event.spec, *event.more)), new=True, begin=self.task_runs.follow
            )
        else:
            self._launch(partial(self.task_runs.create, event.spec), new=True)

    def resume(self, run: Run) -> None:
        """Go on with a run that was stopped, in a process of its own."""
        self._launch(lambda: run)

    def copy(self, run: Run) -> None:
        """The form with a run's values, for a new one. Raises what reading its spec raises."""
        self.fill(self.task_runs.spec_of(run))

    def fill(self, spec: Any) -> None:
        """The form with these values."""
        self.show_form()
        self.form.fill(spec)

    @work(group="start", exit_on_error=False)
    async def _launch(
        self, run_of: Callable[[], Run], *, new: bool = False, begin: Callable[[Run], Task] | None = None
    ) -> None:
        """Start a process, unless one is being started: that start must not be cancelled half-way.

        ``begin`` is for runs that are started by their queue.
        """
        if self._starting:
            return
        self._starting = True
        try:
            if new and not await self.may_start():
                return
            run = await asyncio.to_thread(run_of)
            task = await asyncio.to_thread(begin or self.task_runs.begin, run)
        except (OSError, ValueError, BadSpec, CheckpointError) as error:
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            reason = getattr(error, "strerror", None) or error
            self.tell(
                "The run could not be started",
                f"{where}{reason}\n\nRuns are stored in {home.home()}; free disk space or set LLMLAB_HOME to another "
                "folder.",
            )
        else:
            await self._hand_over(run, task)
        finally:
            self._starting = False

    def open(self, run: Run) -> None:
        """Show a run, living or done."""
        self.run_worker(
            self._hand_over(run, self.task_runs.follow(run)), exclusive=True, group="hand-over", exit_on_error=False
        )

    async def _hand_over(self, run: Run, task: Task) -> None:
        """Look away from the run shown before, which goes on by itself, then follow this one."""
        async with self._handing:
            if self.job is not None and self.job.active:
                self.job.control.send(ask.Detach())
                await asyncio.to_thread(self.job.wait, 10.0)
            self._worker = self._worker or Worker(self.task_runs.task)
            try:
                job = self._worker.start(folding(task, type(self.story)()))
            except Busy as error:
                self.tell("The run could not be shown", f"{error}: try again in a moment. The run is not affected.")
                return
            self.background.drop()
            self.run_shown, self.job, self.pausing = run, job, None
            self.fresh()
            self.show_results()
            self.wake()

    # -- what the run and the background tasks say -------------------------------------------------------------------

    def wake(self) -> None:
        """Listen, since something has been started."""
        if self._ticker is not None:
            self._ticker.resume()

    def _tick(self) -> None:
        if not self.is_running:
            return
        self._receive_run()
        self._receive_background()
        now = time.monotonic()
        if self._dirty and self.is_on_screen:
            if now - self._drawn_at >= self.draw_every or not self.running:
                self.redraw()
            elif now - self._told_at >= NUMBERS_EVERY:
                self._told_at = now
                self.redraw_lines()
        if self.job is None and not self.background.active and self._ticker is not None:
            self._ticker.pause()

    def _receive_run(self) -> None:
        job = self.job
        if job is None:
            return
        was = self.state
        ended = not job.active  # before the last drain, so that nothing said before the end is missed
        events = job.channel.drain()
        for event in events:
            if isinstance(event, Folded):
                self.story = event.story
            else:
                self.story.fold(event)
        self._dirty = self._dirty or bool(events) or ended
        if self.story.paused == self.pausing or not self.running:
            self.pausing = None
        if ended:
            self.job = None
        if events or ended:
            self.receive_events(events, ended)
        if (now := self.state) != was:
            self.app.refresh_bindings()
            if was in states.LIVE and now in states.ENDED and self.run_shown is not None:
                self.post_message(RunEnded(self.run_shown, now))

    def _receive_background(self) -> None:
        news = self.background.look()
        if news is None:
            return
        for event in news.events:
            if isinstance(event, Notice):
                self.story.fold(event)
            else:
                self.answered(event)
        if news.failed:
            self.failed(news.kind)
        self._dirty = self._dirty or bool(news.events) or news.ended

    def look_again(self) -> None:
        """Read what the run has written."""
        if self.run_shown is not None:
            self._read(self.run_shown, self.reader(self.run_shown))

    @work(thread=True, exclusive=True, group="read", exit_on_error=False)
    def _read(self, run: Run, reader: Callable[[], Any]) -> None:
        worker = get_current_worker()
        try:
            found = reader()
            unreadable = dict(getattr(found, "unreadable", {}))
        except CheckpointError as error:
            if self.story.finished is None:
                return  # nothing has been written yet
            found, unreadable = None, {"the results": str(error)}
        if not worker.is_cancelled:
            self.app.call_from_thread(self._know, run, found, unreadable)

    def _know(self, run: Run, found: Any, unreadable: Mapping[str, str]) -> None:
        if run == self.run_shown:
            for name, why in unreadable.items():
                self.story.fold(Notice(f"{name}: unreadable: {why}", "warning", "read"))
            if found is not None:
                self.know(found)
            self.redraw()

    def on_unmount(self) -> None:
        self.background.drop()

    def hinted(self) -> list[tuple[Widget, Sequence[Hint]]]:
        return super().hinted() if self.showing_results else self.form.hinted()

    # -- the form and the results ------------------------------------------------------------------------------------

    @property
    def showing_results(self) -> bool:
        """Whether results are on the screen rather than the form."""
        return self.query_one(ContentSwitcher).current == self.RESULTS

    def arrive(self) -> None:
        """The results as they are now, or the form."""
        self.focus_shown()
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    @on(Board.Sized)
    def _sized(self, event: Board.Sized) -> None:
        """Everything may have been told before a board was laid out, or lines beside it have taken room."""
        event.stop()
        self.redraw()

    def show_results(self) -> None:
        """Put on the screen what the run has told."""
        self._switch_to(self.RESULTS)

    def show_form(self) -> None:
        """Put the form on the screen, for a new run."""
        self._switch_to(self.form.id)

    action_results, action_form = show_results, show_form

    def _switch_to(self, ident: str | None) -> None:
        self.query_one(ContentSwitcher).current = ident
        self.arrive()
        self.app.refresh_bindings()

    def focus_shown(self) -> None:
        """Give the keys to the results, or to the form's button."""
        if not self.display:
            return  # another pane is on the screen by now, and keeps the focus
        if self.showing_results:
            self.focus_results()
        else:
            self.form.query_one(".go").focus()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_resume(self) -> None:
        """Resume the run that is shown."""
        run = self.run_shown
        if run is not None and await self.may_resume(run):
            self.resume(run)

    def action_defaults(self) -> None:
        """Reset the form to its defaults."""
        self.form.reset()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_run(self) -> None:
        """A run of before."""
        run = await self.app.push_screen_wait(Opener(self.WHAT, await asyncio.to_thread(self.task_runs.offers)))
        if run is not None:
            self.open(run)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_export(self) -> None:
        """What the run trained as a folder that another program loads."""
        if self.run_shown is not None:
            await self.export_from(self.run_shown)

    async def export_from(self, run: Run) -> None:
        """Ask where to, and write it."""
        await export(self, run, self.task_runs)
