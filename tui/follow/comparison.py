"""What the panes Classify, Choose and Retrieve have in common: a form, a run that is followed, and views of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Input

from checkpoints.run import Run
from engine.runs.events import Event, Notice
from engine.runs.worker import Task
from tui.background import Opened
from tui.follow import headline, hints
from tui.follow.pane import Board, FollowPane
from tui.hints import Hint
from tui.text import safe
from tui.widgets.field import Field
from tui.widgets.line_table import recording
from tui.widgets.lines import Lines
from tui.widgets.styled import message
from tui.widgets.styles import style_sheet


class ComparePane(FollowPane):
    """A form, and the run that was started with it from several sides.

    A subclass gives the story and what is drawn from it, and answers in ``background`` what is typed into its lines.
    """

    WORDS: ClassVar[headline.Words]
    OF_RESULTS: ClassVar[frozenset[str]]
    """actions beside ``back`` that need results on the screen"""
    TYPED: ClassVar[Mapping[str, str]]
    """ids and placeholders of the lines that are typed into above the board"""
    TYPING: ClassVar[str] = ""
    """the view in which those lines are shown; empty for all"""
    TEXTS: ClassVar[frozenset[str]] = frozenset({"overview"})
    """views with a text that pages scroll"""
    REST: ClassVar[float] = 0.12
    """seconds that typing rests before it is answered"""
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = style_sheet(__file__)
    view_state: headline.ViewState
    opened: Opened[Any] | None
    """what answers questions"""
    refused: bool
    """whether it could not be loaded"""

    def __init__(self) -> None:
        super().__init__()
        self._rest: Timer | None = None
        self._view_error = ""

    def compose(self) -> ComposeResult:
        yield Lines(id=f"{self.form.PREFIX}head", classes="head")
        with ContentSwitcher(initial=self.form.id):
            yield self.form
            with Container(id=self.RESULTS, classes="results"):
                yield Lines(id=f"{self.form.PREFIX}tabs", classes="tabs")
                for ident, hint in self.TYPED.items():
                    yield Field(id=ident, classes="typed", compact=True, select_on_focus=False, placeholder=hint)
                yield Board(id=f"{self.form.PREFIX}board")
        yield Lines(id=f"{self.form.PREFIX}notice", classes="notice")

    # -- what a subclass gives ---------------------------------------------------------------------------------------

    def fresh(self) -> None:
        self.opened, self.refused = None, False

    def turned(self) -> tuple[str, str]:
        """A key, and what it changes in the view; empty where it changes nothing."""
        return "", ""

    def draw_view(self, width: int, height: int) -> list[Strip]:
        """The view that is looked at."""
        raise NotImplementedError

    @staticmethod
    def opening(run: Run) -> Task:
        """Load what answers questions about a run: it tells :class:`tui.background.Opened`."""
        raise NotImplementedError

    def answer(self) -> None:
        """What has been typed has rested, or something that it is asked of has changed."""

    # -- what answers ------------------------------------------------------------------------------------------------

    def at_hand(self) -> Any:
        """What answers questions about the run that is shown; None until it is loaded, which this begins."""
        run = self.run_shown
        if self.opened is not None and self.opened.run == run:
            return self.opened.model
        if run is not None and not self.refused and self.background.kind != "open":
            self.background.ask("open", self.opening(run))
            self.wake()
        return None

    def forget(self) -> None:
        """Load it again when it is asked: there is more than when it was loaded."""
        self.opened, self.refused = None, False
        if self.background.kind == "open":
            self.background.drop()

    def answered(self, event: Event) -> None:
        if isinstance(event, Opened) and event.run == self.run_shown:
            self.opened = event
            self.answer()

    def failed(self, kind: str) -> None:
        self.refused = self.refused or kind == "open"

    def working(self, kind: str) -> str:
        """What is said where an answer of this kind of task will stand."""
        waiting = {"open": "loading models…", kind: "…"}
        return waiting.get(self.background.kind, "the methods of this run could not be loaded" if self.refused else "")

    # -- the method that is looked at --------------------------------------------------------------------------------

    @property
    def able(self) -> list[str]:
        """Methods that the view can show."""
        known = self.story.methods if self.view_state.view == "overview" else self.story.browsable
        return list(known)

    @property
    def method(self) -> str:
        """The method that the views show: the one chosen, else the best so far."""
        able, best = self.able, self.story.best
        if self.view_state.method in able:
            return self.view_state.method
        return str(best.name) if best is not None and best.name in able else next(iter(able), "")

    def action_method(self, by: int) -> None:
        """The views show another method."""
        if able := self.able:
            here = able.index(self.method)
            self.view_state.method, self.view_state.row = able[(here + by) % len(able)], 0
            self.redraw()

    def walk_methods(self, by: int) -> None:
        """The method so many lines below, or the first or the last."""
        if able := self.able:
            self.view_state.method = able[max(0, min(len(able) - 1, able.index(self.method) + by))]

    # -- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def board(self) -> Board:
        """Where the views are drawn."""
        return self.query_one(Board)

    @property
    def typed(self) -> list[Field]:
        """The lines that are typed into."""
        return [self.query_one(f"#{ident}", Field) for ident in self.TYPED]

    async def may_start(self) -> bool:
        """Not while the run that is shown goes on: both would share the machine."""
        if self.running:
            self.show_results()
            self.say("the run is not finished: F7 stops it, n shows the form", "warning")
        return not self.running

    def say(self, text: str, level: str = "info") -> None:
        """A word in the last line."""
        self.story.fold(Notice(text, level, "screen"))
        self.redraw()

    def focus_shown(self) -> None:
        typing = self.view_state.view == self.TYPING
        self.set_class(typing or not self.TYPING, "-typing")
        super().focus_shown()

    def focus_results(self) -> None:
        self.board.focus()

    # -- drawing -----------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Bring every line up to date."""
        if not self.is_attached:
            return
        self.redraw_lines()
        self.drawn()
        if not self.showing_results:
            return
        line = self.query_one(f"#{self.form.PREFIX}tabs", Lines)
        if line.size:
            line.set_strips([headline.tabs(self.WORDS, self.view_state.view, line.size.width, *self.turned())])
        if self.board.size:
            self.board.set_strips(self._view_or_error(*self.board.size))

    def explain(self, view: Lines) -> Sequence[Hint]:
        told, text = self.known(), view.plain
        if view is not self.board:
            return hints.of_view(hints.VIEWS["around"], (), text, told)
        with recording() as rows:
            self._view_or_error(*view.size)
        about = hints.VIEWS[f"{self.task_runs.task} {self.view_state.view}"]
        found = hints.of_view(about, rows, text, told)
        return [*found, *hints.sentences(self.story, self.WORDS.methods, self.method, text)]

    def known(self) -> dict[str, str]:
        """What hints say beside the figures that they are of."""
        return hints.known(self.story, self.WORDS.methods, self.method)

    def _view_or_error(self, width: int, height: int) -> list[Strip]:
        """The view, or that it cannot be drawn: a damaged file may hold anything in the place of any figure."""
        try:
            return self.draw_view(width, height)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if repr(error) != self._view_error:
                self._view_error = repr(error)
                logging.getLogger(__name__).warning("the view %s cannot be drawn", self.view_state.view, exc_info=error)
            text = f"This view cannot be drawn: the run's figures are damaged ({type(error).__name__}: {error})."
            return message(safe(text), width, height)

    def redraw_lines(self) -> None:
        """The line on top and the one below."""
        name = self.run_shown.name if self.run_shown is not None else ""
        top, bottom = (self.query_one(f"#{self.form.PREFIX}{line}", Lines) for line in ("head", "notice"))
        if top.size and bottom.size:
            top.set_strips([headline.head(self.story, self.WORDS, name, self.state, top.size.width)])
            bottom.set_strips(
                [headline.notice(self.story, bottom.size.width, self.outcome, of_run=self.showing_results)]
            )

    # -- keys and the mouse ------------------------------------------------------------------------------------------

    def action_walk(self, down: int, right: int = 0) -> None:
        """Move the cursor of the view."""
        raise NotImplementedError

    def action_page(self, by: int) -> None:
        """A page of rows, or of the text of the view."""
        if self.view_state.view in self.TEXTS:
            self.view_state.scroll = max(0, self.view_state.scroll + by * 5)
            self.redraw()
        else:
            self.action_walk(by * 10)

    def action_read(self) -> None:
        """Show what the cursor is on in full, where the view can."""

    @on(Lines.Scrolled)
    def _scrolled(self, event: Lines.Scrolled) -> None:
        event.stop()
        self.action_walk(event.by)

    @on(Lines.Pointed)
    def _pointed(self, event: Lines.Pointed) -> None:
        """A row was clicked: it gets the cursor; the row of the cursor is read."""
        event.stop()
        state, able = self.view_state, self.able
        if state.view == "overview" and event.place < len(able):
            state.method = able[event.place]
        elif event.place == state.row:
            self.action_read()
        else:
            state.row = event.place
        self.redraw()

    @on(Input.Changed, ".typed")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.typing()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(self.REST, self.answer)

    def typing(self) -> None:
        """What is typed has changed."""

    @on(Input.Submitted, ".typed")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.entered(event.input)
        self.answer()

    def entered(self, line: Input) -> None:
        """Enter was pressed in a line that is typed into."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        if action in self.OF_RESULTS or action == "back":
            return self.showing_results
        if action == "view":
            return self.run_shown is not None
        return super().check_action(action, parameters)

    def lit(self, action: str) -> bool:
        return action != "back" or any(line.has_focus for line in self.typed)

    def action_view(self, name: str) -> None:
        """The results from another side."""
        self.view_state.look(name)
        self.show_results()
        self.app.refresh_bindings()
        if name == self.TYPING:
            self.typed[0].focus()
            self.answer()

    def action_back(self) -> None:
        """Out of a line that is typed into, so that letters are keys again, out of a text, to the first view."""
        if any(line.has_focus for line in self.typed):
            self.board.focus()
        elif self.view_state.reading:
            self.view_state.reading = False
        else:
            self.view_state.look(self.WORDS.views[0][0])
            self.focus_shown()
        self.redraw()
