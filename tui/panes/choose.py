"""The Choose pane: a form to start from, methods side by side, questions to browse, and a question of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from textual.strip import Strip
from textual.widgets import Input

from checkpoints.run import Run
from data.choices import Item
from engine.runs.events import ContenderDone, Event, ItemJudged, Loaded
from tui.actions import bindings
from tui.choosing import own
from tui.choosing.form import ChooseForm
from tui.choosing.laboratory import Rankings
from tui.choosing.overview import overview
from tui.choosing.own import Answered, Own
from tui.choosing.questions import questions
from tui.choosing.story import ChooseStory, listed
from tui.choosing.views import Sight, head, tabs
from tui.errands import Opened
from tui.panes.compare import ComparePane
from tui.text import safe

if TYPE_CHECKING:
    from engine.choose.answer import Chooser


class ChoosePane(ComparePane):
    """Knows what a ranking has told, the questions that were judged, and the methods that can be asked."""

    PREFIX, RESULTS = "ch", "ch-results"
    WHAT = "ranking"
    FIRST = "overview"
    UNSHOWN = "nothing ranked yet: F5 runs the methods, o opens an earlier run"
    OF_RESULTS = frozenset({"method", "walk", "page", "ends", "back"})
    TYPED = {"ch-question": "a question of your own", "ch-choices": "*the right choice | another | a third"}
    TYPING = "own"
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
    story: ChooseStory
    sight: Sight
    laboratory: Rankings

    def __init__(self) -> None:
        super().__init__(ChooseForm(), Rankings())
        self.fresh()

    def fresh(self) -> None:
        self.story, self.sight = ChooseStory(), Sight()
        self.items: tuple[Item, ...] = ()
        self.own = Own()
        self._opened: Opened[Chooser] | None = None
        self._refused = ""

    # -- what the run and the methods say ----------------------------------------------------------------------------

    def heard(self, events: Iterable[Event], ended: bool) -> None:
        done = any(isinstance(event, ContenderDone) for event in events)
        if not self.items and (done or ended or any(isinstance(event, Loaded) for event in events)):
            self.look_again()
        if done:
            self._opened, self._refused = None, ""  # there is one more to ask
            if self.errands.kind == "open":
                self.errands.drop()
            if self.sight.view == "own":
                self.answer()

    def reader(self, run: Run) -> Callable[[], tuple[Item, ...]]:
        """The judged questions."""
        return partial(self.laboratory.items, run)

    def know(self, found: tuple[Item, ...]) -> None:
        self.items = found

    def answer(self) -> None:
        """Ask the methods about what has been typed; open them first."""
        run, item = self.run_shown, self._spelled()
        if run is not None and item is not None and self.story.done and not self._refused:
            if self._opened is None or self._opened.run != run:
                if self.errands.kind != "open":
                    self.errands.ask("open", own.opening(run))
            elif item != self.own.item or not self.own.answers:
                self.errands.ask("rank", own.ranking(self._opened.model, item))
            self.wake()
        self.redraw()

    def answered(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._opened = event
            self.answer()
        elif isinstance(event, Answered):
            self.own.answer(event.item, event.ranked)

    def failed(self, kind: str) -> None:
        if kind == "open":
            self._refused = "the methods of this run cannot be opened"

    def _spelled(self) -> Item | None:
        return own.item_of(*(line.value for line in self.typed))

    # -- drawing -----------------------------------------------------------------------------------------------------

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
    def under_cursor(self) -> ItemJudged | None:
        """The question of the list that the cursor is on."""
        found = listed(self.story, self.method, self.sight.kept, self.sight.order)
        return found[max(0, min(self.sight.row, len(found) - 1))] if found else None

    def draw_head(self, name: str, state: str, width: int) -> Strip:
        return head(self.story, name, state, width)

    def draw_tabs(self, width: int) -> Strip:
        return tabs(self.sight, self.method, width)

    def draw_view(self, width: int, height: int) -> list[Strip]:
        if self.sight.view == "own":
            able = [method.name for method in self.story.done]
            working = {"open": "the methods are being opened…", "rank": "…"}.get(self.errands.kind, self._refused)
            return self.own.draw(self._spelled(), self.method, able, working, width, height)
        if self.sight.view == "items":
            return questions(self.story, self.items, self.method, self.sight, width, height)
        return overview(self.story, self.method, width, height)

    # -- keys --------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("filter", "sort", "read"):
            return self.showing_results and self.sight.view == "items"
        return super().check_action(action, parameters)

    def action_view(self, name: str) -> None:
        """The results from another side."""
        if name == "own" and self.run_shown is not None:
            self._take_item()
        super().action_view(name)

    def entered(self, line: Input) -> None:
        """Enter in the question goes on to the choices."""
        if line is self.typed[0]:
            self.typed[1].focus()

    def _take_item(self) -> None:
        """The question under the cursor, to be edited; from the overview, what was typed before stays."""
        event = self.under_cursor
        typed = any(line.value for line in self.typed)
        if event is None or event.item >= len(self.items) or (typed and self.sight.view != "items"):
            return
        for line, text in zip(self.typed, own.spelled(self.items[event.item]), strict=True):
            line.value = safe(text, lines=False)

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
