"""The Choose pane: a form to start from, methods side by side, questions to browse, and a question of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from textual import work
from textual.strip import Strip
from textual.widgets import Input

from checkpoints.run import Run
from data.choices import Item
from engine.runs.events import ContenderDone, Event, ItemJudged, Loaded
from tui.choose import own
from tui.choose.form import ChooseForm
from tui.choose.overview import overview
from tui.choose.own import Answered, Own
from tui.choose.questions import questions
from tui.choose.runs import Rankings
from tui.choose.story import ChooseStory, Listing
from tui.choose.views import NAMES, WORDS, ViewState
from tui.follow.comparison import ComparePane
from tui.follow.folding import Folded
from tui.pane import bindings
from tui.text import safe
from tui.widgets.styled import share

MANY = 500  # judgements that are not put in order on the event loop


class ChoosePane(ComparePane):
    """Knows what a ranking has told, the questions that were judged, and the methods that can be asked."""

    FORM, TASK_RUNS = ChooseForm, Rankings
    RESULTS, WHAT = "ch-results", "ranking"
    WORDS = WORDS
    OF_RESULTS = frozenset({"method", "walk", "page", "ends"})
    TYPED = {"ch-question": "type your own question", "ch-choices": "*correct choice | another | a third"}
    TYPING = "own"
    ABOUT = (
        (
            "What is compared",
            "Every method scores the choices and picks the highest. Zero-shot uses the log-probabilities of a choice's "
            "tokens in four ways: their sum (which favours short choices), per token, per character, and PMI: the sum "
            "minus that after a prompt without the question. ≠ marks a question on which they disagree. The margin "
            "loss requires the correct choice to score higher than every other one by the margin; cross-entropy "
            "maximises its probability.\n",
        ),
        (
            "Controls",
            "Hidden is the same method without the question, shuffled with the choices in another order. * marks the "
            "figures of some of the questions: F7 stops zero-shot early and keeps its results so far.\n",
        ),
        (
            "Your own question",
            "e copies the selected question into two text fields; choices are separated by |, and * marks the correct "
            "one. Every method ranks them as you type; ▲ and ▼ show by how many ranks a choice has moved.",
        ),
    )
    BINDINGS = bindings("choose")
    story: ChooseStory
    view_state: ViewState
    task_runs: Rankings

    def fresh(self) -> None:
        super().fresh()
        self.story, self.view_state = ChooseStory(), ViewState()
        self.items: tuple[Item, ...] = ()
        self.own = Own()
        self._ordering: Listing | None = None
        """the list that a thread puts in order"""

    # -- what the run and the methods say ----------------------------------------------------------------------------

    def receive_events(self, events: Iterable[Event], ended: bool) -> None:
        done = any(isinstance(event, ContenderDone | Folded) for event in events)
        if not self.items and (done or ended or any(isinstance(event, Loaded) for event in events)):
            self.look_again()
        if done:
            self.forget()
            if self.view_state.view == "own":
                self.answer()

    def reader(self, run: Run) -> Callable[[], tuple[Item, ...]]:
        """The judged questions."""
        return partial(self.task_runs.items, run)

    def know(self, found: tuple[Item, ...]) -> None:
        self.items = found

    def answer(self) -> None:
        """Ask the methods about what has been typed; open them first."""
        item = self._spelled()
        chooser = self.at_hand() if item is not None and self.story.done else None
        if item is not None and chooser is not None and (item != self.own.item or not self.own.answers):
            self.background.ask("rank", own.ranking(chooser, item))
            self.wake()
        self.redraw()

    opening = staticmethod(own.opening)

    def answered(self, event: Event) -> None:
        super().answered(event)
        if isinstance(event, Answered):
            self.own.answer(event.item, event.ranked)

    def _spelled(self) -> Item | None:
        return own.item_of(*(line.value for line in self.typed))

    # -- drawing -----------------------------------------------------------------------------------------------------

    @property
    def under_cursor(self) -> ItemJudged | None:
        """The question of the list that the cursor is on."""
        found = self._listed
        return found[self.view_state.within(len(found))] if found else None

    @property
    def _listed(self) -> Sequence[ItemJudged] | None:
        """The questions of the list; None while a thread puts many of them in order, which this begins."""
        listing = self.story.listing(self.method, self.view_state.kept, self.view_state.order)
        if listing is not self._ordering and listing.behind > MANY:
            self._ordering = listing
            self._put_in_order(listing)
        return None if listing is self._ordering else listing.updated()

    @work(exclusive=True, group="order", exit_on_error=False)
    async def _put_in_order(self, listing: Listing) -> None:
        await asyncio.to_thread(listing.updated)
        if self._ordering is listing:
            self._ordering = None
            self.redraw()

    def turned(self) -> tuple[str, str]:
        return ("m", NAMES.get(self.method, self.method)) if self.method else ("", "")

    def draw_view(self, width: int, height: int) -> list[Strip]:
        if self.view_state.view == "own":
            able = [method.name for method in self.story.done]
            return self.own.draw(self._spelled(), self.method, able, self.working("rank"), width, height)
        if self.view_state.view == "items":
            return questions(self.story, self._listed, self.items, self.method, self.view_state, width, height)
        return overview(self.story, self.method, self.view_state, width, height)

    def known(self) -> dict[str, str]:
        chance = self.story.methods.get("chance")
        return super().known() | {"chance": share(chance.accuracy if chance is not None else None)}

    # -- keys --------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("filter", "sort", "read"):
            return self.showing_results and self.view_state.view == "items"
        return super().check_action(action, parameters)

    def action_view(self, name: str) -> None:
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
        if event is None or event.item >= len(self.items) or (typed and self.view_state.view != "items"):
            return
        for line, text in zip(self.typed, own.spelled(self.items[event.item]), strict=True):
            line.value = safe(text, lines=False)

    def action_read(self) -> None:
        """The question under the cursor alone, or beside the others."""
        self.view_state.reading = not self.view_state.reading
        self.redraw()

    def action_filter(self) -> None:
        """Only the wrong ones, the right ones, those on which methods disagree, or all."""
        self.view_state.filter()
        self.redraw()

    def action_sort(self) -> None:
        """Another order."""
        self.view_state.sort()
        self.redraw()

    def action_walk(self, down: int, right: int = 0) -> None:
        if self.view_state.view == "overview":
            self.walk_methods(down)
        else:
            self.view_state.row = max(0, self.view_state.row + down)
        self.redraw()

    def action_ends(self, last: int) -> None:
        """The first question, or the last."""
        self.action_walk(10**9 if last else -(10**9))
