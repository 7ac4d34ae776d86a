"""What the panes Classify, Choose and Retrieve have in common: a form, a run that is followed, and views of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Input

from engine.runs.events import Notice
from tui.comparing import headline
from tui.comparing.form import CompareForm
from tui.comparing.laboratory import Laboratory
from tui.field import Field
from tui.lines import Lines
from tui.panes.follow import FollowPane
from tui.styled import message
from tui.styles import style_sheet
from tui.text import safe


class Board(Lines, can_focus=True):
    """Holds the focus while results are shown, so that letters and arrows are keys of the pane."""

    DEFAULT_CSS = "Board { height: 1fr; padding: 0 1; }"

    class Sized(Message):
        """There is room to draw in, or another one."""

    def on_resize(self) -> None:
        self.post_message(self.Sized())


class ComparePane(FollowPane):
    """A form, and the run that was started with it from several sides.

    A subclass gives the story and what is drawn from it, and answers what is typed into its lines through ``errands``.
    """

    PREFIX: ClassVar[str]
    """of the ids of its widgets"""
    FIRST: ClassVar[str]
    """the view that is shown first"""
    UNSHOWN: ClassVar[str]
    """said where there is no run to show"""
    OF_RESULTS: ClassVar[frozenset[str]]
    """actions that need results on the screen"""
    TYPED: ClassVar[Mapping[str, str]]
    """ids and placeholders of the lines that are typed into above the board"""
    TYPING: ClassVar[str] = ""
    """the view in which those lines are shown; empty for all"""
    REST: ClassVar[float] = 0.12
    """seconds that typing rests before it is answered"""
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = style_sheet(__file__)
    sight: headline.Sight

    def __init__(self, form: CompareForm, laboratory: Laboratory) -> None:
        super().__init__(form, laboratory)
        self._rest: Timer | None = None
        self._view_error = ""

    def compose(self) -> ComposeResult:
        yield Lines(id=f"{self.PREFIX}-head", classes="head")
        with ContentSwitcher(initial=self.form.id):
            yield self.form
            with Container(id=self.RESULTS, classes="results"):
                yield Lines(id=f"{self.PREFIX}-tabs", classes="tabs")
                for ident, hint in self.TYPED.items():
                    yield Field(id=ident, classes="typed", compact=True, select_on_focus=False, placeholder=hint)
                yield Board(id=f"{self.PREFIX}-board")
        yield Lines(id=f"{self.PREFIX}-notice", classes="notice")

    # -- what a subclass gives ---------------------------------------------------------------------------------------

    def draw_head(self, name: str, state: str, width: int) -> Strip:
        """The line on top."""
        raise NotImplementedError

    def draw_tabs(self, width: int) -> Strip:
        """The views with their keys."""
        raise NotImplementedError

    def draw_view(self, width: int, height: int) -> list[Strip]:
        """The view that is looked at."""
        raise NotImplementedError

    def answer(self) -> None:
        """What has been typed has rested, or something that it is asked of has changed."""

    # -- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def board(self) -> Board:
        """Where the views are drawn."""
        return self.query_one(Board)

    @property
    def typed(self) -> list[Field]:
        """The lines that are typed into."""
        return [self.query_one(f"#{ident}", Field) for ident in self.TYPED]

    def start(self) -> None:
        """Run what the form says."""
        if self.running or self._starting:
            self.show_results()
            self.say("it is running: F7 stops it, then F5 starts another", "warning")
        else:
            super().start()

    def say(self, text: str, level: str = "info") -> None:
        """A word in the last line."""
        self.story.fold(Notice(text, level, "screen"))
        self.redraw()

    def focus_shown(self) -> None:
        typing = self.sight.view == self.TYPING
        self.set_class(typing or not self.TYPING, "-typing")
        super().focus_shown()

    def focus_results(self) -> None:
        self.board.focus()

    # -- drawing -----------------------------------------------------------------------------------------------------

    @on(Board.Sized)
    def _sized(self, event: Board.Sized) -> None:
        """Everything may have been told before the board was laid out."""
        event.stop()
        self.redraw()

    def redraw(self) -> None:
        """Bring every line up to date."""
        if not self.is_attached:
            return
        self.redraw_lines()
        self.drawn()
        if not self.showing_results:
            return
        line = self.query_one(f"#{self.PREFIX}-tabs", Lines)
        if line.size:
            line.set_strips([self.draw_tabs(line.size.width)])
        if self.board.size:
            self.board.set_strips(self._view_or_error(*self.board.size))

    def _view_or_error(self, width: int, height: int) -> list[Strip]:
        """The view, or that it cannot be drawn: a damaged file may hold anything in the place of any figure."""
        try:
            return self.draw_view(width, height)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if repr(error) != self._view_error:
                self._view_error = repr(error)
                logging.getLogger(__name__).warning("the view %s cannot be drawn", self.sight.view, exc_info=error)
            text = f"This view cannot be drawn: the run's figures are damaged ({type(error).__name__}: {error})."
            return message(safe(text), width, height)

    def redraw_lines(self) -> None:
        """The line on top and the one below."""
        name = self.run_shown.name if self.run_shown is not None else ""
        top, bottom = (self.query_one(f"#{self.PREFIX}-{line}", Lines) for line in ("head", "notice"))
        if top.size and bottom.size:
            top.set_strips([self.draw_head(name, self.state, top.size.width)])
            bottom.set_strips([headline.notice(self.story, bottom.size.width, of_run=self.showing_results)])

    # -- keys --------------------------------------------------------------------------------------------------------

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
        if action in self.OF_RESULTS:
            return self.showing_results
        return not self.showing_results if action == "defaults" else True

    def action_view(self, name: str) -> None:
        """The results from another side."""
        if self.run_shown is None:
            self.say(self.UNSHOWN)
            return
        self.sight.look(name)
        self.show_results()
        self.app.refresh_bindings()
        if name == self.TYPING:
            self.typed[0].focus()
            self.answer()

    def action_back(self) -> None:
        """Out of a line that is typed into, so that letters are keys again, out of a text, to the first view."""
        if not self.showing_results:
            self.focus_shown()
        elif any(line.has_focus for line in self.typed):
            self.board.focus()
        elif self.sight.reading:
            self.sight.reading = False
        else:
            self.sight.look(self.FIRST)
            self.focus_shown()
        self.redraw()
