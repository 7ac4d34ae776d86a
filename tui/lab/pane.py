"""The Lab pane: exercises to walk through, each step done in the pane concerned or measured here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from textual import getters, on, work
from textual.app import ComposeResult
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from checkpoints.store import CheckpointError
from engine.lab import record
from engine.lab.exercise import RUNS, Exercise, Work
from engine.runs.events import Notice, Progress
from engine.runs.spec import BadSpec
from tui import away
from tui.background import BackgroundTasks, FileWriter
from tui.follow import last_values
from tui.follow.exporting import write
from tui.hints import Hint
from tui.lab import doing, hints, views
from tui.lab.form import SettingsForm
from tui.lab.views import Shown
from tui.lab.writing import Guessing, Writing
from tui.pane import Pane, UseRun, bindings
from tui.widgets import dialogs
from tui.widgets.lines import FocusLines, Lines
from tui.widgets.styled import progress_text
from tui.widgets.styles import style_sheet

if TYPE_CHECKING:
    from engine.lab.progress import Lab

REFRESH = 2.0  # seconds between two looks at what has been done, while the pane is shown
DRAIN = 1 / 8  # seconds between two looks at what a measurement says
FILE = "lab-screen.json"


class LabView(FocusLines):
    """Draws what the pane knows."""

    DEFAULT_CSS = "LabView { height: 1fr; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.shown = Shown()

    def draw(self) -> None:
        if self.size:
            made, top = views.draw(self.shown, *self.size, active=self.has_focus)
            self.shown = replace(self.shown, top=top)
            self.set_strips(made)

    def hints(self) -> Sequence[Hint]:
        return hints.of_lab(self.shown, self.plain)

    def follow(self) -> None:
        """Scroll until the selected step is in sight."""
        if self.size:
            self.shown = replace(self.shown, top=views.visible(self.shown, *self.size))
        self.draw()


class LabPane(Pane):
    """Reads what has been done off the event loop; every step is checked off by what is on the disk."""

    WORKS = True
    ABOUT = (
        (
            "Steps",
            "Enter does the selected step: it starts or resumes its run and shows it in its pane, asks for guesses, "
            "or measures here. F3 comes back. A step is done when its run has finished, its guesses are made or its "
            "sentences are written; a run that was started elsewhere counts if its settings are those of the step.\n",
        ),
        (
            "Claims",
            "A claim is tested on your own results. ✓ holds, ✗ does not hold, ▲ could be chance, ○ not tested: the "
            "sentence below says which figures decide. The intervals are 95% intervals.\n",
        ),
        (
            "Data and models",
            "d sets what the exercises work on: bundled data at first, names of the Hub or paths otherwise. f changes "
            "to the quick lab, which takes smaller runs, and back; a full run counts for both. The lab is kept in lab/ "
            "under LLMLAB_HOME.",
        ),
    )
    BINDINGS = bindings("lab")
    SCOPED_CSS = False
    DEFAULT_CSS = style_sheet(__file__)
    view = getters.query_one(LabView)

    def __init__(self) -> None:
        super().__init__(id="lab")
        self.form = SettingsForm()
        self.background = BackgroundTasks("lab")
        self.lab: Lab | None = None
        self.quick = last_values.read(FILE, ["quick"]).get("quick") == "on"
        self._one_look = Lock()
        self._pictures: dict[str, str] = {}
        """of the panes that were left for the lab, by name of file, for the report"""
        self._why = ""
        """why the lab could not be read"""
        self._ticker: Timer | None = None
        self._file_writer = FileWriter()

    def compose(self) -> ComposeResult:
        with ContentSwitcher(initial="lab-view"):
            yield LabView(id="lab-view")
            yield self.form

    def on_mount(self) -> None:
        self._ticker = self.set_interval(DRAIN, self._tick, pause=True)
        self.set_interval(REFRESH, self._look_if_shown)
        self.look()

    async def on_unmount(self) -> None:
        self.background.drop()
        await self._file_writer.close()

    def arrive(self) -> None:
        """The lab as it is now."""
        self.look()
        (self.view if self.showing_lab else self.form.query_one(".go")).focus()

    def keep(self, pane: str, picture: str) -> None:
        self._pictures[f"pane-{pane}.svg"] = picture

    @property
    def showing_lab(self) -> bool:
        """Whether the exercises are on the screen rather than the form."""
        return self.query_one(ContentSwitcher).current == "lab-view"

    @property
    def shown(self) -> Shown:
        """What is drawn."""
        return self.view.shown

    @property
    def busy(self) -> bool:
        return bool(self.background.kind)

    def hinted(self) -> list[tuple[Widget, Sequence[Hint]]]:
        return super().hinted() if self.showing_lab else self.form.hinted()

    # -- what has been done ------------------------------------------------------------------------------------------

    def _look_if_shown(self) -> None:
        if self.is_on_screen:
            self.look()

    @work(thread=True, exclusive=True, group="lab", exit_on_error=False)
    def look(self) -> None:
        """Read what has been done and show it."""
        with self._one_look:  # a thread goes on when the next look is asked for
            try:
                lab, minutes = doing.read(self.quick)
            except OSError as error:
                self.app.call_from_thread(self._unreadable, str(error))
                return
        self.app.call_from_thread(self._know, lab, minutes)

    def _unreadable(self, why: str) -> None:
        if why != self._why:
            self._why = why
            self.tell("The lab could not be read", why)

    def _know(self, lab: Lab, minutes: str) -> None:
        first, self.lab, self._why = self.lab is None, lab, ""
        self.view.shown = replace(self.shown, lab=lab, minutes=minutes)
        if first:
            states = [self.shown.state_of(step) for _, step in self.shown.steps]
            self._select(next((place for place, state in enumerate(states) if state != "done"), 0))
        self._draw()

    def _draw(self) -> None:
        self.view.draw()
        self.app.refresh_bindings()

    # -- the cursor --------------------------------------------------------------------------------------------------

    def _select(self, place: int) -> None:
        """Put the cursor on a step of any exercise."""
        self.view.shown = replace(self.shown, place=max(0, min(place, len(self.shown.steps) - 1)))
        self.view.follow()
        self.app.refresh_bindings()

    def action_step(self, by: int) -> None:
        self._select(self.shown.place + by)

    def action_exercise(self, by: int) -> None:
        known = self.shown.exercises
        to = max(0, min(known.index(self.shown.here[0]) + by, len(known) - 1))
        self._select(sum(len(exercise.steps) for exercise in known[:to]))

    def action_page(self, by: int) -> None:
        self._scroll(by * max(1, self.view.size.height // 2))

    def _scroll(self, by: int) -> None:
        self.view.shown = replace(self.shown, top=max(0, self.shown.top + by))
        self.view.draw()

    @on(Lines.Pointed)
    def _pointed(self, event: Lines.Pointed) -> None:
        event.stop()
        self.action_do() if event.place == self.shown.place else self._select(event.place)

    @on(Lines.Scrolled)
    def _scrolled(self, event: Lines.Scrolled) -> None:
        event.stop()
        self._scroll(event.by)

    # -- doing a step ------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_do(self) -> None:
        """What Enter does: nothing is started before the guesses about it are made."""
        exercise, step = self.shown.here
        if step.kind == "answer":
            await self._write_answer(exercise)
        elif step.kind == "guess" or self.shown.guessing(exercise):
            if await self._guess() and (lab := self.lab) is not None and lab.works.get("tokens") != "done":
                await self._start(exercise, "tokens")
        else:
            await self._start(exercise, step.work)

    async def _start(self, exercise: Exercise, name: str) -> None:
        """Start or resume a work, or show what there is of one that is done or under way."""
        lab, wanted = self.lab, doing.work_of(exercise, name)
        if wanted is None or lab is None or self.background.kind == wanted.name:
            return
        wanted = doing.before(wanted, exercise, lab)
        try:
            if lab.works.get(wanted.name) == "done":
                self.post_message(await asyncio.to_thread(doing.there, wanted, lab))
                return
            if lab.works.get(wanted.name) != "running" and not await self._may_start(wanted):
                return
            if wanted.task in RUNS:
                self.post_message(UseRun(*await asyncio.to_thread(doing.run_of, wanted, lab)))
            elif wanted.task == "ladder":
                self.post_message(await asyncio.to_thread(doing.ladder, lab))
            else:
                self._measure(wanted)
        except (OSError, BadSpec, CheckpointError) as error:
            self.tell(f"{wanted.title} could not be started", str(error))

    async def _may_start(self, wanted: Work) -> bool:
        """Whether nothing else is at work, or the user wants both; tokenizing a few texts slows nothing down."""
        busy, few = [self.background.kind] * bool(self.background.kind), wanted.task == "tokens"
        others = busy if few else [*await asyncio.to_thread(away.living), *busy]
        if not others:
            return True
        ends = busy and wanted.task not in RUNS and wanted.task != "ladder"
        more = "This measurement ends the one before it." if ends else "One more slows all of them down."
        about = f"At work on this machine: {', '.join(others)}. {more}"
        answers = dialogs.Option("start", "start anyway", "s"), dialogs.Option("cancel", "cancel", "c")
        return await self.app.push_screen_wait(dialogs.Question("Start another?", about, answers)) == "start"

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open(self) -> None:
        """The pane concerned with what is there; nothing is started."""
        lab, (exercise, step) = self.lab, self.shown.here
        wanted = doing.work_of(exercise, step.work) or exercise.works[0]
        if lab is None:
            return
        if wanted.task == "verse":
            wanted = next(one for one in exercise.works if one.task == "train")
        try:
            self.post_message(await asyncio.to_thread(doing.there, wanted, lab))
        except (OSError, BadSpec, CheckpointError) as error:
            self.tell(f"{wanted.title} could not be opened", str(error))

    # -- measuring here ----------------------------------------------------------------------------------------------

    def _measure(self, wanted: Work) -> None:
        if self.lab is not None and self._ticker is not None:
            self.background.ask(wanted.name, doing.measurement(wanted, self.lab))
            self._ticker.resume()
            self._progress("")

    def _tick(self) -> None:
        news = self.background.look()
        for event in news.events if news is not None else ():
            if isinstance(event, Progress):
                self._progress(progress_text(event, 48))
            elif isinstance(event, Notice) and event.level == "error":
                self.tell("The measurement failed", event.text)
        if not self.background.active and self._ticker is not None:
            self._ticker.pause()
            self._progress("")
            self.look()

    def _progress(self, told: str) -> None:
        self.view.shown = replace(self.shown, working=self.background.kind, progress=told)
        self._draw()

    def stop(self) -> None:
        """End the measurement."""
        self.background.stop()

    def start(self) -> None:
        """Save what the form says."""
        self.form.start_or_tell()

    def allows(self, action: str) -> bool:
        return self.busy if action == "stop" else action == "start" and not self.showing_lab

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _guess(self) -> bool:
        """Ask for the guesses; False when the user leaves them."""
        known = self.lab.guesses if self.lab is not None else {}
        given = await self.app.push_screen_wait(Guessing(await asyncio.to_thread(doing.examples), known))
        if given is not None:
            await self._save(partial(record.save_guesses, given))
        return given is not None

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_write(self) -> None:
        await self._write_answer(self.shown.here[0])

    async def _write_answer(self, exercise: Exercise) -> None:
        """The editor for the sentences about an exercise."""
        known = self.lab.answers.get(exercise.number, "") if self.lab is not None else ""
        title, save = f"{exercise.number} {exercise.title}: your answer", partial(record.save_answer, exercise.number)
        await self.app.push_screen_wait(Writing(title, exercise.question, known, save))
        self.look()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_own(self) -> None:
        """The editor for texts of one's own, which are measured with the others."""
        about = "Texts of your own for exercise 2.1, one a line: their tokens are compared with their characters."
        known = "\n".join(await asyncio.to_thread(record.own_texts))

        def save(text: str) -> None:
            record.save_own_texts([line for line in text.splitlines() if line.strip()])

        exercise = self.shown.here[0]
        written = await self.app.push_screen_wait(Writing("your own texts", about, known, save))
        wanted = doing.work_of(exercise, "tokens")
        if wanted and written != known and not self.shown.guessing(exercise) and await self._may_start(wanted):
            self._measure(wanted)

    async def _save(self, what: Callable[[], object]) -> None:
        """Write, then read what is there."""
        try:
            await asyncio.to_thread(what)
        except OSError as error:
            self.tell("It could not be saved", str(error))
        self.look()

    # -- report, settings, the quick lab -----------------------------------------------------------------------------

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_report(self) -> None:
        """Write the report of the lab."""
        if (lab := self.lab) is not None:
            about = "A folder for lab.md, lab.html and their pictures."
            await write(self, "the report", about, "lab", partial(doing.write_report, lab, dict(self._pictures)))

    def action_glossary(self) -> None:
        self.app.push_screen(dialogs.glossary_page())

    def action_settings(self) -> None:
        """The form with the data and models, and back from it."""
        if self.showing_lab and self.lab is not None:
            self.form.fill(self.lab.settings)
        self.query_one(ContentSwitcher).current = self.form.id if self.showing_lab else "lab-view"
        self.arrive()
        self.app.refresh_bindings()

    @on(SettingsForm.Left)
    def _left(self, event: SettingsForm.Left) -> None:
        event.stop()
        self.action_settings()

    @on(SettingsForm.Wanted)
    async def _settings_wanted(self, event: SettingsForm.Wanted) -> None:
        event.stop()
        await self._save(partial(record.save_settings, event.spec))
        self.action_settings()

    def action_quick(self) -> None:
        """Smaller runs for every exercise, or the full ones."""
        self.quick = not self.quick
        self.notify("The quick lab: smaller runs." if self.quick else "The full lab.", timeout=3)
        self._file_writer.soon(partial(last_values.write, FILE, {"quick": "on" if self.quick else "off"}))
        self.look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the form only what leaves it; texts of one's own where they are measured."""
        if not self.is_mounted or self.lab is None:
            return False
        if action == "own" and self.showing_lab:
            return doing.work_of(self.shown.here[0], "tokens") is not None
        return self.showing_lab or action == "settings"
