"""A text that a language model completes: what is kept of it, what the worker says, and how both are drawn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.strip import Strip
from textual.timer import Timer

from engine.lm.chat import Conversation
from engine.lm.sampling import Sampling
from engine.runs.events import Compared, Completed, Event, Notice, Progress, Token
from engine.runs.worker import State, Task
from tui.background import BackgroundTasks, FileWriter
from tui.generate import generation_tasks as tasks
from tui.generate import hints, status_lines, token_view
from tui.generate.candidate_cache import CandidateCache, ids_before, number_of, source
from tui.generate.candidate_view import CandidateView, Position
from tui.generate.generation_tasks import Conversed, Loaded, Probed, ReportWritten, Tokenized
from tui.generate.session import Damaged, Session, SessionFile
from tui.generate.settings_strip import SettingsStrip
from tui.generate.status_lines import Activity
from tui.generate.sweep_view import SweepView
from tui.generate.token_tree import RAW, TokenTree
from tui.generate.token_view import TokenView
from tui.hints import Hint
from tui.pane import Pane, Swept
from tui.text import safe
from tui.widgets.editor import Editor
from tui.widgets.lines import Lines
from tui.widgets.styled import notice_text, strip
from tui.widgets.styles import style_sheet

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

DRAIN = 1 / 8  # seconds between two looks at what the worker said
NUMBERS_EVERY = 0.5  # seconds between two updates of the numbers while text streams
CANDIDATES_EVERY = 2.0  # and of the candidates, most of which change each time
STREAMED = 8  # candidates that are shown while text streams: each costs some 400 bytes
REST = 0.15  # seconds that the cursor stands still before candidates are computed for its place
SAVE = 1.0  # seconds from a change to the disk
SAVE_STREAM = 10.0  # and while text streams, which can be drawn again
SIDE = 100  # columns from which the candidates stand beside the text
PLACEHOLDER = """Write a prompt here, then F5: the model continues it.

Esc leaves the editor. Then letters are keys."""
MESSAGE = """Write a message here, then F5: the model answers it.

The text around it comes from the model's chat template: Esc shows all
of it. s writes a system message."""
FAILURES = {
    "load": "The model could not be loaded",
    "complete": "Cannot continue this text (m: another model)",
    "compare": "The comparison failed",
    "chat": "The chat template cannot be applied",
}
"""titles of what must be read, by the work that failed"""
EDIT, WALK, SWEEP = "edit", "walk", "sweep"


class CompletionPane(Pane):
    """Holds the text as a tree of tokens and asks a worker of its own. Keys are a subclass's."""

    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = style_sheet(__file__)

    def __init__(self) -> None:
        super().__init__(id="generate")
        self.session = Session()
        self.lm: LanguageModel | None = None
        self.marks: Mapping[int, str] = {}
        """how the model's ids that add nothing to a text are spelled"""
        self.background = BackgroundTasks("generator")
        self.mode = WALK
        self.ready = False
        """whether what was kept has been read"""
        self.notices: deque[Notice] = deque(maxlen=50)
        self.session_file = SessionFile()
        self.start_wanted = False
        """whether a completion is to begin as soon as there is a model"""
        self.activity = Activity()
        """what the head line tells"""
        self.editor = Editor(id="gen-editor", placeholder=PLACEHOLDER, tabs=False, classes="")
        self._stood: tuple[str, State | None] = ("", None)
        self._early: list[str] = []
        self._cache = CandidateCache()
        self._progress: Progress | None = None
        self._failed_at = -1
        self._baseline = ""
        self._warned: list[str] = []
        self._made, self._since, self._speed = 0, 0.0, 0.0
        self._numbers_at = self._candidates_at = 0.0
        self._conversation: tuple[object, Conversation | None] = (None, None)
        self._dirty = False
        self._titles = ("", "")
        self._ticker: Timer | None = None
        self._rest: Timer | None = None
        self._saver: Timer | None = None
        self._file_writer = FileWriter()

    def compose(self) -> ComposeResult:
        yield Lines(id="gen-head")
        with Container(id="gen-body"):
            with Container(id="gen-text", classes="panel"):
                yield self.editor
                yield TokenView(id="gen-walk")
                yield SweepView(id="gen-sweep")
                yield Lines(id="gen-legend")
            yield CandidateView(id="gen-funnel")
        yield SettingsStrip(id="gen-settings")
        yield Lines(id="gen-notice")

    def on_mount(self) -> None:
        self._ticker = self.set_interval(DRAIN, self._tick, pause=True)
        self.watch(self.app, "theme", lambda: self.redraw(), init=False)
        self.show_mode(WALK, focus=False)
        self._restore()

    @property
    def tokens(self) -> TokenTree:
        return self.session.tree

    @property
    def sampling(self) -> Sampling:
        return self.session.sampling

    @property
    def writing(self) -> bool:
        """Whether a completion is under way, paused or not."""
        return self.background.kind == "complete"

    @property
    def paused(self) -> bool:
        """Whether the completion waits."""
        return self.background.state is State.PAUSED

    @property
    def busy(self) -> bool:
        """Whether work goes on that the gauges should be read for."""
        return self.background.kind in ("complete", "compare", "load")

    @property
    def settled(self) -> bool:
        """Whether nothing is under way or about to be."""
        return self.ready and not self.background.active and self._rest is None

    @property
    def conversation(self) -> Conversation | None:
        """What a chat template made the prompt of; None for a prompt without one."""
        now = id(self.tokens), self.tokens.edition, len(self.session.conversations)
        if self._conversation[0] != now:
            known = self.session.conversations
            self._conversation = now, known.get(self.tokens.prompt) if known else None
        return self._conversation[1]

    @property
    def message(self) -> str | None:
        """The user's message of a conversation, as it was written last; None for a text without a chat template."""
        if self.session.message is not None:
            return self.session.message
        return self.conversation.user if self.conversation is not None else None

    @property
    def chat(self) -> str:
        """The setting: ``on``, ``off``, or ``none`` for a model without a chat template."""
        if self.message is not None:
            return "on"
        return "none" if self.lm is not None and self.lm.chat is None else "off"

    # -- keeping -----------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="restore", exit_on_error=False)
    async def _restore(self) -> None:
        """Bring back what was there last time, then the model."""
        try:
            self.session = await asyncio.to_thread(self.session_file.read)
        except Damaged as error:
            self.say(str(error), "warning")
        self.ready = True
        for text in self._early:
            self.tokens.begin(text)
        self.redraw()
        if self.lm is None and not self.background.active:
            self.load(tasks.first_choices(self.session.recent))

    def changed(self) -> None:
        """Something that is kept has changed: draw it now, write it soon."""
        self._dirty = True
        self._save_later()
        self.redraw()

    def _save_later(self) -> None:
        if self._saver is None:
            self._saver = self.set_timer(SAVE_STREAM if self.writing else SAVE, self._save)

    def _save(self) -> None:
        if self._saver is not None:
            self._saver.stop()
            self._saver = None
        if not self._dirty or not self.ready:
            return
        self._dirty = False
        if self.mode == EDIT:
            self._read_editor()
        if dropped := self.tokens.prune():
            self._cache.forget()
        self._file_writer.soon(partial(self._write, self.session.record(), dropped))

    def _write(self, record: dict[str, object], dropped: list[str]) -> None:
        try:
            if dropped:
                self.session_file.add("old-branches.txt", "\n\n".join(["", *dropped]))
            if (other := self.session_file.write(record)) is not None:
                told = f"another llmlab-tui has saved its text meanwhile; it is now in {other}"
                self.app.call_from_thread(self.say, told, "warning")
        except OSError as error:
            told = f"the text could not be saved in {self.session_file.folder}: {error.strerror or error}"
            self.app.call_from_thread(self.say, told, "error")

    async def on_unmount(self) -> None:
        """Leaving waits for no model, only for the few milliseconds of this file."""
        self.background.drop()
        if self.ready and self._dirty:
            if self.mode == EDIT:
                self._read_editor()
            self._file_writer.soon(partial(self.session_file.write, self.session.record()))
        await self._file_writer.close()

    # -- what the worker says ----------------------------------------------------------------------------------------

    def ask(self, kind: str, task: Task) -> None:
        """Give the worker something to do, in place of what it does."""
        self.background.ask(kind, task)
        if self._ticker is not None:
            self._ticker.resume()
        self.app.refresh_bindings()

    def drop_work(self) -> None:
        """Give up what is under way on the text; a model goes on loading."""
        if self.background.kind != "load":
            self.background.drop()

    def load(self, names: list[tuple[str, str]]) -> None:
        """Load the first of these models that can be had."""
        self.ask("load", partial(tasks.load, names))
        self.redraw()

    def complete(self) -> None:
        """Go on from the end of the text with the model that is there."""
        if self.lm is not None:
            self.tokens.move(len(self.tokens.path))
            self.tokens.grow(self.sampling)
            self._made, self._speed = 0, 0.0
            self._warned.clear()
            self.ask(
                "complete",
                partial(tasks.complete, self.lm, source(self.tokens, self.lm), self.sampling),
            )
            self.changed()

    def read_text(self) -> None:
        """Tokenize and score the text, and look what could come next."""
        if self.lm is not None:
            self.ask(
                "look",
                partial(tasks.score, self.lm, source(self.tokens, self.lm), self.sampling),
            )

    def converse(self, conversation: Conversation) -> None:
        """Make what the model's chat template makes of a conversation the text."""
        if self.lm is not None:
            self.ask("chat", partial(tasks.converse, self.lm, conversation))

    def converse_again(self) -> None:
        """Apply the template to the message that waits for it."""
        self.converse(Conversation(self.session.message or "", self.session.system))

    def _tick(self) -> None:
        news = self.background.look()
        if news is not None:
            for event in news.events:
                self._fold(news.kind, event)
            if news.ended:
                self._ended(news.kind, news.failed)
            stands = (self.background.kind, self.background.state)
            turned, self._stood = stands != self._stood, stands
            if turned:
                self.app.refresh_bindings()
            if news.kind == "complete" and news.events:
                self._dirty = True
                self._save_later()
            if news.events or turned:
                self.redraw(calm=not turned and self.background.kind in ("complete", "compare"))
        if not self.background.active and self._ticker is not None:
            self._ticker.pause()

    def _fold(self, kind: str, event: Event) -> None:
        tree = self.tokens
        match event:
            case Loaded():
                self._arrived(event.model, event.marks)
            case Tokenized() if self.lm is not None:
                tree.settle(event.kept, event.tokens, number_of(tree, self.lm), event.base, event.lead)
            case Conversed():
                self.session.converse(event.conversation, event.text)
                self.session.message = None
                tree.write(event.text)
            case Probed():
                self._cache.learn(tree.before(event.place), event.sampling, event.token)
            case ReportWritten():
                self.query_one(SweepView).sweep.path = event.path
                self.say(f"comparison saved to {event.path}")
            case Token() | Compared() if kind == "compare":
                self.query_one(SweepView).sweep.fold(event)
            case Token():
                tree.fold(event)
                if not event.prompt:
                    self._count()
            case Progress():
                self._progress = event
            case Completed() if kind == "complete":
                self._speed = event.tokens_per_second
                self.say(
                    " · ".join([*self._warned, status_lines.summary(event)]), "warning" if self._warned else "info"
                )
            case Notice():
                self.notices.append(event)
                if kind == "complete" and event.level == "warning":
                    self._warned.append(event.text)
                if event.level == "error" and kind in FAILURES:
                    still = f"\n\n{self.lm.name} stays loaded." if self.lm is not None and kind == "load" else ""
                    self.tell(FAILURES[kind], f"{event.text}{still}")

    def _ended(self, kind: str, failed: bool) -> None:
        self._progress = None
        if failed:
            self._failed_at = self.tokens.version
            self.start_wanted = False
        if kind in ("complete", "replay", "look", "chat"):
            self.changed()
        if kind in ("complete", "replay"):
            self._save()
        sweep = self.query_one(SweepView).sweep
        columns = sweep.columns
        if kind == "compare" and failed and self.mode == SWEEP and columns and not columns[0].tokens:
            self.walk()
        if kind == "compare" and not failed and self.lm is not None:
            results = tuple(column.compared for column in columns if column.compared is not None)
            if len(results) == len(columns) and all(one.reason != "stop" for one in results):
                self.post_message(Swept(self.lm.name, self.lm.source, sweep.comparison.prompt, results))
        if kind == "load":
            self.model_came()
        if kind in ("load", "chat") and self.start_wanted:
            self.start_wanted = False
            self.start()
        if not self.background.active:
            self.look_soon()

    def _arrived(self, model: LanguageModel, marks: Mapping[int, str]) -> None:
        before, self.lm, self.marks = self.lm, model, marks
        self.tokens.marks.update({(number_of(self.tokens, model), number): text for number, text in marks.items()})
        self._cache.forget()
        self.session.used(model.name)
        self.changed()
        if self.session.message is not None and model.chat is not None:
            self.converse_again()
        elif before is not None and self.tokens.text and self.tokens.model != number_of(self.tokens, model):
            self.tokens.remember()
            if model.chat is not None and self.conversation is not None:
                self.converse(self.conversation)
            elif not self.start_wanted:
                self.read_text()

    def _count(self) -> None:
        now = time.monotonic()
        if not self._made:
            self._since = now
        self._made += 1
        if now > self._since + 0.2:
            self._speed = (self._made - 1) / (now - self._since)

    def model_came(self) -> None:
        """A model has been loaded, or none could be."""

    # -- candidates --------------------------------------------------------------------------------------------------

    def move(self, place: int) -> None:
        """Put the cursor on a place. It is kept with the next change, or when the program is left."""
        self.tokens.move(place)
        self._dirty = True
        self.redraw()
        self.look_soon()

    def see(self) -> tuple[Position, bool]:
        """What is known of the place under the cursor, and whether the model could tell more."""
        place = self.tokens.cursor
        if self.writing and not self.paused and place >= len(self.tokens.path) > 0:
            place = len(self.tokens.path) - 1  # what was drawn last
        position, more = self._cache.see(self.tokens, place, self.sampling, self.lm)
        if self.tokens.version == self._failed_at and self.notices and not position.candidates:
            position = replace(position, note=safe(self.notices[-1].text))
        elif self.lm is None and self.background.kind == "load" and position.note:
            position = replace(position, note="The model is loading.")
        return position, more

    def look_soon(self) -> None:
        """Find out about the place under the cursor once it has stood still."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._look)

    def _look(self) -> None:
        self._rest = None
        idle = self.background.kind in ("", "probe") and self.mode == WALK and self.display
        if self.lm is None or not idle or self.tokens.version == self._failed_at:
            return
        if self.tokens.model == RAW and self.tokens.text:
            self.read_text()
            return
        position, more = self.see()
        ids = ids_before(self.tokens, position.place, self.lm) if more else None
        if ids is not None:
            self.ask("probe", partial(tasks.probe, self.lm, ids, self.sampling, position.place))

    # -- drawing -----------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self.set_class(self.size.width >= SIDE, "-side")
        self.call_after_refresh(self.redraw)

    def redraw(self, *, calm: bool = False) -> None:
        """Bring everything up to date; numbers and candidates only now and then when ``calm``."""
        if not self.is_attached or not self.display:
            return
        now = time.monotonic()
        if self.mode == WALK:
            view = self.query_one(TokenView)
            view.hint = status_lines.welcome(self.lm) if self.ready and not self.writing else []
            view.show(self.tokens, writing=self.writing and not self.paused)
        elif self.mode == SWEEP:
            self.query_one(SweepView).draw()
        if calm and now - self._numbers_at < NUMBERS_EVERY:
            return
        self._numbers_at = now
        if not calm or now - self._candidates_at >= CANDIDATES_EVERY:
            self._candidates_at = now
            moving = self.writing and not self.paused and self.tokens.cursor >= len(self.tokens.path)
            self.query_one(CandidateView).show(self.see()[0], STREAMED if moving else None)
        state = self.background
        used = min(len(self.tokens.path), self.lm.context) if self.lm is not None else 0
        self.activity = activity = Activity(state.kind, state.state, self._progress, self._speed or None, used)
        self.query_one(SettingsStrip).show(self.sampling, self.chat)
        self._line("gen-head", lambda width: status_lines.head(self.lm, activity, width))
        self.query_one("#gen-legend").display = self.mode == SWEEP or (self.mode == WALK and bool(self.tokens.text))
        self._line(
            "gen-legend", lambda width: token_view.legend(width, token_view.ramp(self.app), marks=self.mode == WALK)
        )
        self._entitle()
        last = notice_text(self.notices[-1]) if self.notices else Text()
        self._line("gen-notice", lambda width: strip(last, width))

    def _entitle(self) -> None:
        """What is written or what the text is made of, in the border of its panel."""
        panel = self.query_one("#gen-text")
        if self.mode == EDIT:
            titles = "text" if self.message is None else "message to the model", "F5 completes · Esc leaves"
        elif self.mode == SWEEP:
            titles = self.query_one(SweepView).title(panel.size.width - 4), "←→ column · ↑↓ scroll"
        else:
            titles = status_lines.text_title(self.tokens), status_lines.text_facts(self.tokens)
        if titles != self._titles:
            self._titles = titles
            panel.border_title, panel.border_subtitle = map(Content, titles)  # no markup

    def _line(self, name: str, make: Callable[[int], Strip]) -> None:
        view = self.query_one(f"#{name}", Lines)
        if view.size:
            view.set_strips([make(view.size.width)])

    def say(self, text: str, level: str = "info") -> None:
        """Tell something in the last line."""
        self.notices.append(Notice(text, level))
        self.redraw()

    def explain(self, view: Lines) -> Sequence[Hint]:
        match view.id:
            case "gen-head":
                return hints.head(self.lm, self.activity) if self.lm is not None else ()
            case "gen-walk":
                return hints.text(self.tokens)
            case "gen-legend":
                return hints.legend(self.tokens)
        if isinstance(view, CandidateView):
            return hints.candidates(view.position, view.picked, view.room)
        return view.hints()

    # -- modes -------------------------------------------------------------------------------------------------------

    def show_mode(self, mode: str, *, focus: bool = True) -> None:
        """Show the editor, the tokens or the comparison."""
        self.mode = mode
        self.editor.display = mode == EDIT
        self.query_one(TokenView).display = mode == WALK
        self.query_one(SweepView).display = mode == SWEEP
        for beside in ("#gen-funnel", "#gen-settings"):
            self.query_one(beside).display = mode != SWEEP
        if focus:
            self.focus_mode()
        if self.is_attached:
            self.app.refresh_bindings()
            self.call_after_refresh(self.redraw)

    def focus_mode(self) -> None:
        """Put the focus where the mode's keys are, unless another pane is shown by now."""
        names = {EDIT: "#gen-editor", WALK: "#gen-walk", SWEEP: "#gen-sweep"}
        if self.display:
            self.query_one(names[self.mode]).focus()

    def edit(self) -> None:
        """Write: the text in an editor, of a conversation the user's message. What only looked at it is given up."""
        self.drop_work()
        message = self.message
        text = self.tokens.text if message is None else message
        self.editor.load(text, len(text))
        self.editor.placeholder = PLACEHOLDER if message is None else MESSAGE
        self._baseline = self.editor.buffer.text
        self.show_mode(EDIT)

    @on(SweepView.Left)
    def walk(self) -> None:
        """From the editor or a comparison to the tokens."""
        if self.mode == EDIT:
            self._read_editor()
        if self.mode != WALK:
            self.show_mode(WALK)
            self.changed()
            if self.session.message is not None and self.lm is not None and self.background.kind != "load":
                self.converse_again()
            else:
                self.look_soon()

    def _read_editor(self) -> None:
        """Take over what was written; tokens of the unchanged beginning stay. A message waits for its template."""
        text = self.editor.buffer.text
        if text != self._baseline:
            self._baseline = text
            if self.message is None or (self.lm is not None and self.lm.chat is None):
                self.session.message = None
                self.tokens.write(text)
            else:
                self.session.message = text

    @on(Editor.Changed)
    def _edited(self) -> None:
        if self.mode == EDIT and self.editor.buffer.text != self._baseline:
            self._dirty = True
            self._save_later()

    # -- what the shell asks -----------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """The text as it is now."""
        self.focus_mode()
        self.call_after_refresh(self.redraw)
        self.look_soon()

    def take(self, text: str) -> None:
        """A text from another pane; the one before stays as a branch."""
        if not self.ready:
            self._early.append(text)
            return
        self.walk()
        self.drop_work()
        self.session.message = None
        self.tokens.begin(text)
        self.changed()
        self.focus_mode()
        self.look_soon()
