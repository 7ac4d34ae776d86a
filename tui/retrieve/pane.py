"""The Retrieve pane: a search box over rankers side by side, and what they gain on each other on judged queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import work
from textual.strip import Strip
from textual.widgets import Input

from checkpoints.run import Run
from engine.retrieve.spec import RANKERS
from engine.runs.events import ContenderDone, ContenderStep, Encoded, Event, Progress
from tui.background import Opened
from tui.follow.comparison import ComparePane
from tui.follow.exporting import write
from tui.follow.folding import Folded
from tui.follow.scatter import Mapped, walk
from tui.pane import bindings
from tui.retrieve import columns, map, searching
from tui.retrieve.figures import batch, figures, gain_lines
from tui.retrieve.form import RetrieveForm
from tui.retrieve.runs import Gain, Gains, Retrievals
from tui.retrieve.searching import Answer
from tui.retrieve.story import RetrieveStory
from tui.retrieve.views import WORDS, ViewState, name_of
from tui.text import safe
from tui.widgets.field import Field
from tui.widgets.styled import message, paragraph

if TYPE_CHECKING:
    from engine.retrieve.search import Library


class RetrievePane(ComparePane):
    """Knows what a retrieval has told, and the collection with the rankers that can be searched."""

    FORM, TASK_RUNS = RetrieveForm, Retrievals
    RESULTS, WHAT = "re-results", "retrieval"
    WORDS = WORDS
    TEXTS = frozenset({"figures"})
    OF_RESULTS = frozenset({"walk", "read", "page", "jump", "pair", "search", "export", "rankings"})
    TYPED = {"re-query": "type a query (/ focuses this box)"}
    REST = 0.08
    ABOUT = (
        (
            "Columns",
            "The query is ranked by BM25, by the frozen encoder (c changes to [CLS] or hybrid) and by the trained "
            "encoder. ▲ and ▼ show by how many ranks a document is above or below its rank in BM25, new that it is not "
            "among the first 100 of BM25; ● marks relevant documents, if the qrels contain the query. Enter reads the "
            "selected document. During training the search uses the last checkpoint.\n",
        ),
        (
            "Gains",
            "Judged queries from the largest gain of one method over another to the largest loss. Enter, or ] and [, "
            "show a query in the columns.\n",
        ),
        (
            "Training",
            "In a batch, every query must find its own document among those of the other queries: the matrix shows the "
            "cosines, and training increases its diagonal. Training ends when nDCG@10 on held-out train queries stops "
            "increasing. A comparison runs in its own process and stores its results in the run directory; o opens an "
            "earlier run.",
        ),
    )
    BINDINGS = bindings("retrieve")
    story: RetrieveStory
    view_state: ViewState
    task_runs: Retrievals

    def fresh(self) -> None:
        super().fresh()
        self.story, self.view_state = RetrieveStory(), ViewState()
        self.gains = Gains()
        self.found: Answer | None = None
        self.mapped: Mapped | None = None
        self._ready: frozenset[str] = frozenset()

    @property
    def box(self) -> Field:
        """The line in which queries are typed."""
        return self.typed[0]

    def take(self, text: str) -> None:
        """Search for this text."""
        if self.run_shown is not None:
            self._ask_for(text.splitlines()[0] if text.strip() else "")

    # -- what the run and the rankers say ----------------------------------------------------------------------------

    def receive_events(self, events: Iterable[Event], ended: bool) -> None:
        more = ended or any(isinstance(event, ContenderDone | Folded) for event in events)
        if more:
            self.refused = False  # it may be there now
        if self.story.data is not None:
            self.at_hand()
        if more:
            self.look_again()
        looked = any(isinstance(event, ContenderStep) and event.held_out_score is not None for event in events)
        if looked or ended or self.ready != self._ready:
            self._ready = self.ready
            self.answer()  # with the newest checkpoint, or with a ranker that is there now

    @property
    def ready(self) -> frozenset[str]:
        """Rankers whose index is there: asking for another would build it a second time beside the run."""
        if self.story.data is None:
            return frozenset()
        if self.story.finished is not None and self.story.finished.reason == "done":
            return frozenset(RANKERS)
        built = {"bm25", *self.story.judged}
        if "mean" in built:
            built.add("hybrid")
        if self.story.looks:
            built |= {"mean", "hybrid", "trained"}
        return frozenset(built)

    def reader(self, run: Run) -> Callable[[], Gains]:
        """What every judged query came to."""
        queries = self.library.collection.queries if self.library is not None else {}
        return partial(self.task_runs.gains, run, queries)

    def know(self, found: Gains) -> None:
        self.gains = found
        names = self.story.judged
        chosen = self.view_state.chosen and {self.view_state.first, self.view_state.second} <= set(names)
        if len(names) > 1 and not chosen:
            self.view_state.first, self.view_state.second = names[-1], names[0]

    def answered(self, event: Event) -> None:
        super().answered(event)
        if isinstance(event, Opened):
            self.look_again()
        elif isinstance(event, Answer):
            self.found = event
        elif isinstance(event, Mapped):
            self.mapped = event
        elif isinstance(event, Progress | Encoded) and not self.running:
            self.story.progress = event if isinstance(event, Progress) else None

    opening = staticmethod(searching.opening)

    @property
    def library(self) -> Library | None:
        """The collection of the run that is shown, once it has been read."""
        return self.opened.model if self.opened is not None else None

    # -- searching ---------------------------------------------------------------------------------------------------

    def typing(self) -> None:
        """What is typed is answered in the columns, whatever was shown before."""
        self.view_state.look("search")

    def entered(self, line: Input) -> None:
        """Enter goes from the box into the columns."""
        self.view_state.row = 0
        self.board.focus()

    def answer(self) -> None:
        """Ask the rankers about what has been typed."""
        text = self.box.value.strip()
        if self.library is not None and text:
            self.background.ask("search", searching.searching(self.library, text, self.view_state.columns, self.ready))
            self.wake()
        else:
            self.found = None
            self.redraw()

    def _ask_for(self, text: str) -> None:
        self.view_state.look("search")
        self.view_state.row = 0
        if self.box.value != text:
            self.box.value = text
        self.answer()
        self.redraw()

    def _title(self, row: int) -> tuple[str, str]:
        collection = self.library.collection if self.library is not None else None
        if collection is None or not 0 <= row < len(collection):
            return "", ""
        return collection.titles[row], collection.texts[row]

    def action_view(self, name: str) -> None:
        super().action_view(name)
        if name == "map" and self.library is not None and "mean" in self.ready:
            self.mapped = None
            self.background.ask("map", map.mapping(self.library, self.found.query if self.found is not None else ""))
            self.wake()

    # -- drawing -----------------------------------------------------------------------------------------------------

    def turned(self) -> tuple[str, str]:
        return ("c", name_of(self.view_state.middle)) if self.view_state.view == "search" else ("", "")

    def draw_view(self, width: int, height: int) -> list[Strip]:
        story, state = self.story, self.view_state
        if state.view == "figures":
            return figures(story, state, width, height)
        if state.view == "gains":
            if story.data is not None and not story.data.judged_split:
                empty = paragraph("No qrels: search only, no evaluation.", width)
                return empty[:height]
            return gain_lines(story, self.gains, state, width, height)
        if state.view == "batch":
            return batch(story, width, height)
        if state.view == "map":
            if self.background.kind == "map":
                return message("reading the stored features…", width, height)
            documents = len(self.library.collection) if self.library is not None else 0
            return map.draw(self.mapped, documents, self.found, self._title, state, width, height)
        if state.reading:
            return columns.document(self.found, state, self._title, width, height)
        waiting = "" if self.library is not None else "loading the collection…"
        if self.refused:
            waiting = "The collection could not be loaded."
        return columns.columns(self.found, state, self._title, self._below(), waiting, width, height)

    def _below(self) -> dict[str, str]:
        """What stands below the columns: nDCG@10 of a judged query, the time, notes; and the name of the best."""
        told: dict[str, str] = {"best": self.story.best.name} if self.story.best is not None else {}
        answer = self.found
        if answer is None:
            return told
        split, _, name = answer.known.partition(" query ")
        judged = self.story.data is not None and split == self.story.data.judged_split
        values = next((one.values for one in self.gains if judged and one.name == name), {})
        for method in self.view_state.columns:
            parts = [f"nDCG@10 {values[method]:.2f}"] if method in values else []
            if method in answer.seconds:
                parts.append(f"{answer.seconds[method] * 1000:,.0f} ms")
            if method in answer.found and (note := answer.notes.get(method)):
                parts.append(note)
            told[method] = safe(" · ".join(parts), lines=False)
        return told

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Into the search box."""
        self.view_state.look("search")
        self.view_state.reading = False
        self.box.focus()
        self.redraw()

    def action_pair(self, which: int) -> None:
        """Another ranker to look at."""
        self.view_state.another(which, self.story.judged)
        if self.view_state.view == "search":
            self.answer()
        self.redraw()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_rankings(self) -> None:
        """The rankings of the judged queries as TREC run files."""
        run = self.run_shown
        if run is None or not self.story.judged:
            self.say("no rankings yet: no method has been evaluated", "warning")
            return
        about = "A TREC run file; for several methods one file each, such as run.bm25.txt. Existing files are replaced."
        into = partial(self.task_runs.write_rankings, run)
        await write(self, "the rankings", about, f"{run.name}.txt", into)

    def action_jump(self, by: int) -> None:
        """The next query by gain, in the columns."""
        listed = self._listed
        if not listed:
            self.say("no judged queries yet")
            return
        here = next((place for place, one in enumerate(listed) if one.text == self.box.value), -1)
        place = (here + by) % len(listed) if here >= 0 else (0 if by > 0 else len(listed) - 1)
        self._ask_for(listed[place].text)

    @property
    def _listed(self) -> Sequence[Gain]:
        """Queries as the view of gains lists them."""
        return self.gains.between(self.view_state.first, self.view_state.second).queries

    def action_walk(self, down: int, right: int = 0) -> None:
        state = self.view_state
        if state.view == "search" and state.reading:
            state.scroll = max(0, state.scroll + down)
        elif state.view == "search":
            state.column = max(0, min(len(state.columns) - 1, state.column + right))
            state.row = max(0, state.row + down)
            columns.under_cursor(self.found, state)
        elif state.view == "map":
            walk(self.mapped, state, right, -down)
        else:
            state.row = max(0, state.row + down)
        self.redraw()

    def action_read(self) -> None:
        """The document under the cursor, or the query in the columns."""
        state = self.view_state
        if state.view == "gains":
            if listed := self._listed:
                self._ask_for(listed[max(0, min(state.row, len(listed) - 1))].text)
        elif state.view == "search":
            state.reading = not state.reading and columns.under_cursor(self.found, state) is not None
            state.scroll = 0
            self.redraw()
