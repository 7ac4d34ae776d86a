"""The Classify pane: routes from text to class side by side, their mistakes, and a sentence of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from textual.strip import Strip

from checkpoints.run import Run
from engine.runs.events import ContenderDone, Event
from tui.actions import bindings
from tui.classify import figures, pages, sentence
from tui.classify.form import ClassifyForm
from tui.classify.laboratory import Classifications, Findings
from tui.classify.overview import overview
from tui.classify.sentence import Judged, Judgement
from tui.classify.story import ClassifyStory
from tui.classify.views import Sight, head, tabs
from tui.errands import Opened
from tui.panes.compare import ComparePane
from tui.styled import message

if TYPE_CHECKING:
    from engine.classify.predict import Classifier


class ClassifyPane(ComparePane):
    """Knows what a classification has told, what it found in the test rows, and its trained routes."""

    PREFIX, RESULTS = "cl", "cl-results"
    WHAT = "classifier"
    FIRST = "overview"
    UNSHOWN = "no classification yet: F5 runs the routes, o opens one that was trained before"
    OF_RESULTS = frozenset({"route", "walk", "read", "page", "export"})
    TYPED = {"cl-sentence": "type a sentence to be classified"}
    TYPING = "sentence"
    DRAW_EVERY = 1.0
    ABOUT = (
        (
            "What is compared",
            "The majority class and TF-IDF with logistic regression are what every route has to beat. Logistic "
            "regression and MLP learn on features of an encoder that stays as it is; fine-tuning trains all of it. "
            "The interval holds 95% of the accuracies that resampled test rows give; McNemar's test says whether two "
            "routes differ by more than chance: it looks only at rows that one of them has right and the other wrong. "
            "Calibration error is how far confidence and accuracy lie apart.\n",
        ),
        (
            "Reading the mistakes",
            "In the matrix, arrows choose a cell, Enter walks over its texts, Esc goes back. Suspects are training "
            "rows whose label a model doubts that has not seen them. Labels shows how many labels of each class it "
            "takes.\n",
        ),
        (
            "Nothing is lost",
            "It runs in a process of its own: close the terminal and it goes on. Features are kept in shards, "
            "fine-tuning epoch by epoch, so that what was stopped goes on where it was. Results, heads and the "
            "fine-tuned model lie in a run directory; o opens an older one, also for judging sentences.",
        ),
    )
    BINDINGS = bindings("classify")
    story: ClassifyStory
    sight: Sight
    laboratory: Classifications

    def __init__(self) -> None:
        super().__init__(ClassifyForm(), Classifications())
        self.fresh()

    def fresh(self) -> None:
        self.story, self.sight = ClassifyStory(), Sight()
        self.findings: Findings | None = None
        self.classifier: Opened[Classifier] | None = None
        self.judged: Judgement | None = None

    # -- what the run and the trained routes say ---------------------------------------------------------------------

    def heard(self, events: Iterable[Event], ended: bool) -> None:
        if ended or any(isinstance(event, ContenderDone) for event in events):
            self.look_again()
            self.classifier = None  # it knows the routes that were there when it was opened
            if self.errands.kind == "open":
                self.errands.drop()
            if self.sight.view == "sentence":
                self.answer()

    def reader(self, run: Run) -> Callable[[], Findings]:
        """Texts and probabilities of the test rows."""
        return partial(self.laboratory.findings, run)

    def know(self, found: Findings) -> None:
        self.findings = found

    def answer(self) -> None:
        """Ask the trained routes about what has been typed; open them first."""
        run, text = self.run_shown, self.typed[0].value
        if run is not None and self.able:
            if self.classifier is None or self.classifier.run != run:
                if self.errands.kind != "open":
                    self.errands.ask("open", sentence.opening(run))
            elif text.strip():
                self.errands.ask("judge", sentence.judging(self.classifier.model, text, self.route))
            else:
                self.judged = None
            self.wake()
        self.redraw()

    def answered(self, event: Event) -> None:
        if isinstance(event, Opened):
            self.classifier = event
            self.answer()
        elif isinstance(event, Judged):
            self.judged = event.judgement

    # -- drawing -----------------------------------------------------------------------------------------------------

    @property
    def able(self) -> bool:
        """Whether there is a route that can judge a sentence."""
        return any(route.name != "majority" for route in self.story.done)

    @property
    def route(self) -> str:
        """The route that the views show: the one chosen, else the best so far."""
        known = [route.name for route in self.story.done]
        if self.sight.route in self.story.routes and (self.sight.route in known or self.sight.view == "overview"):
            return self.sight.route
        best = self.story.best
        return best.name if best is not None else next(iter(self.story.routes), "")

    def draw_head(self, name: str, state: str, width: int) -> Strip:
        return head(self.story, name, state, width)

    def draw_tabs(self, width: int) -> Strip:
        return tabs(self.sight, self.route, width)

    def draw_view(self, width: int, height: int) -> list[Strip]:
        story, sight, route = self.story, self.sight, self.route
        if sight.view == "sentence":
            working = {"open": "the trained routes are being opened…", "judge": "…"}.get(self.errands.kind, "")
            return sentence.sentence(self.judged, self.typed[0].value, route, self.able, working, width, height)
        if sight.view == "suspects":
            return pages.suspects(self.findings, sight, width, height)
        if sight.view == "labels":
            return figures.labels(story, width, height)
        if sight.view == "overview":
            return overview(story, self.findings, route, width, height)
        known = story.routes.get(route)
        if known is None or known.report is None:
            return message("Nothing to show yet: no route has finished.", width, height)
        if sight.view == "matrix":
            return pages.matrix(known.report, self.findings, route, sight, width, height)
        if sight.view == "classes":
            return pages.classes(known.report, sight, width, height)
        return figures.calibration(known.report, route, width, height)

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_route(self, by: int) -> None:
        """The views show another route."""
        names = [route.name for route in self.story.done]
        if names:
            here = names.index(self.route) if self.route in names else 0
            self.sight.route = names[(here + by) % len(names)]
            self.sight.row = 0
            if self.sight.view == "sentence":
                self.answer()
            self.redraw()

    def action_walk(self, down: int, right: int) -> None:
        """The cursor of the view."""
        sight = self.sight
        if sight.view == "overview":
            names = list(self.story.routes)
            if names and down:
                here = names.index(self.route) if self.route in names else 0
                sight.route = names[max(0, min(len(names) - 1, here + down))]
        elif sight.view == "matrix" and not sight.reading:
            report = self.story.routes[self.route].report if self.route in self.story.routes else None
            sight.move_cell(down, right, len(report.classes) if report else 0)
        elif right and sight.view in ("calibration", "classes", "matrix"):
            self.action_route(right)
        else:
            sight.row = max(0, sight.row + down)
        self.redraw()

    def action_page(self, by: int) -> None:
        """A page of rows."""
        if self.sight.view != "matrix" or self.sight.reading:
            self.sight.row = max(0, self.sight.row + by * 10)
        self.redraw()

    def action_read(self) -> None:
        """Into the texts of the cell."""
        if self.sight.view == "matrix":
            self.sight.reading = not self.sight.reading
            self.redraw()
