"""The Classify pane: methods from text to class side by side, their mistakes, and a sentence of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from textual.strip import Strip

from checkpoints.run import Run
from engine.runs.events import ContenderDone, Event
from tui.classify import figures, map, pages, sentence
from tui.classify.form import ClassifyForm
from tui.classify.overview import overview
from tui.classify.runs import Classifications, Findings
from tui.classify.sentence import Judgement
from tui.classify.story import ClassifyStory
from tui.classify.views import NAMES, WORDS, ViewState
from tui.follow.comparison import ComparePane
from tui.follow.exporting import write
from tui.follow.folding import Folded
from tui.follow.scatter import Mapped, walk
from tui.hints import Hint
from tui.pane import bindings
from tui.widgets.lines import Lines
from tui.widgets.styled import message


class ClassifyPane(ComparePane):
    """Knows what a classification has told, what it found in the test rows, and its trained methods."""

    FORM, TASK_RUNS = ClassifyForm, Classifications
    RESULTS, WHAT = "cl-results", "classifier"
    WORDS = WORDS
    OF_RESULTS = frozenset({"method", "walk", "read", "page", "export"})
    TYPED = {"cl-sentence": "type a sentence to classify"}
    TYPING = "sentence"
    draw_every = 1.0
    ABOUT = (
        (
            "What is compared",
            "The majority class and TF-IDF with logistic regression are the baselines. Logistic regression and MLP are "
            "trained on features of a frozen encoder; fine-tuning trains the whole encoder.\n",
        ),
        (
            "Errors",
            "In the matrix, arrows select a cell, Enter reads its texts, Esc goes back. Suspects are training rows "
            "whose label is probably wrong: a model trained without them predicts another class. Labels shows the "
            "accuracy by number of labels per class.\n",
        ),
        (
            "Stop and resume",
            "The comparison runs in its own process and continues when you close the terminal. Features and the "
            "epochs of fine-tuning are saved as they are finished; a stopped run resumes from there. Results, heads "
            "and the fine-tuned model are stored in the run directory; o opens an earlier run.",
        ),
    )
    BINDINGS = bindings("classify")
    story: ClassifyStory
    view_state: ViewState
    task_runs: Classifications

    def fresh(self) -> None:
        super().fresh()
        self.story, self.view_state = ClassifyStory(), ViewState()
        self.findings: Findings | None = None
        self.judged: Judgement | None = None
        self.mapped: Mapped | None = None

    # -- what the run and the trained methods say ---------------------------------------------------------------------

    def receive_events(self, events: Iterable[Event], ended: bool) -> None:
        if ended or any(isinstance(event, ContenderDone | Folded) for event in events):
            self.look_again()
            self.forget()
            if self.view_state.view == "sentence":
                self.answer()

    def reader(self, run: Run) -> Callable[[], Findings]:
        """Texts and probabilities of the test rows."""
        return partial(self.task_runs.findings, run)

    def know(self, found: Findings) -> None:
        self.findings = found
        self._find_map()

    def answer(self) -> None:
        """Ask the trained methods about what has been typed; open them first."""
        text = self.typed[0].value
        if self.trained and (classifier := self.at_hand()) is not None:
            if text.strip():
                self.background.ask("judge", sentence.judging(classifier, text, self.method))
                self.wake()
            else:
                self.judged = None
        self.redraw()

    opening = staticmethod(sentence.opening)

    def answered(self, event: Event) -> None:
        super().answered(event)
        if isinstance(event, Judgement):
            self.judged = event
        elif isinstance(event, Mapped):
            self.mapped = event

    def _find_map(self) -> None:
        """Read the stored features, if the map is looked at and there is none yet."""
        missing = self.mapped is None or not self.mapped.points
        if self.view_state.view == "map" and missing and self.findings is not None and self.run_shown is not None:
            self.background.ask("map", map.mapping(self.run_shown, self.findings.results.texts))
            self.wake()

    def action_view(self, name: str) -> None:
        super().action_view(name)
        self._find_map()

    # -- drawing -----------------------------------------------------------------------------------------------------

    @property
    def trained(self) -> bool:
        """Whether there is a method that can judge a sentence."""
        return any(method.name != "majority" for method in self.story.done)

    def turned(self) -> tuple[str, str]:
        one = self.method and self.view_state.view in ("matrix", "classes", "calibration", "map")
        return ("r", NAMES.get(self.method, self.method)) if one else ("", "")

    def draw_view(self, width: int, height: int) -> list[Strip]:
        story, state, method = self.story, self.view_state, self.method
        if state.view == "sentence":
            working = self.working("judge")
            return sentence.sentence(self.judged, self.typed[0].value, method, self.trained, working, width, height)
        if state.view == "suspects":
            return pages.suspects(self.findings, state, width, height)
        if state.view == "map":
            return map.draw(self.mapped, self.findings, method, state, width, height)
        if state.view == "labels":
            return figures.labels(story, width, height)
        if state.view == "overview":
            return overview(story, self.findings, method, state, width, height)
        known = story.methods.get(method)
        if known is None or known.report is None:
            return message("No results yet: no method has finished.", width, height)
        if state.view == "matrix":
            return pages.matrix(known.report, self.findings, method, state, width, height)
        if state.view == "classes":
            return pages.classes(known.report, method, state, width, height)
        return figures.calibration(known.report, method, width, height)

    def explain(self, view: Lines) -> Sequence[Hint]:
        found, method = super().explain(view), self.story.methods.get(self.method)
        if view is self.board and self.view_state.view == "matrix" and method is not None and method.report is not None:
            return [*found, pages.matrix_hint(method.report, view.plain)]
        return found

    def known(self) -> dict[str, str]:
        classes = len(self.story.data.classes) if self.story.data is not None else 0
        return super().known() | {"uniform": f"{math.log(max(1, classes)):.3f}"}

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_method(self, by: int) -> None:
        super().action_method(by)
        if self.view_state.view == "sentence":
            self.answer()

    async def export_from(self, run: Run) -> None:
        """In the view of suspicious labels, these."""
        if self.view_state.view != "suspects":
            await super().export_from(run)
        elif self.findings is None or not self.findings.results.suspects:
            self.say("there are no suspicious labels to export", "warning")
        else:
            about = "A CSV file with the file and row of each label; an existing file is replaced."
            into = partial(self.task_runs.write_suspects, run)
            await write(self, "the suspicious labels", about, f"{run.name}-suspects.csv", into)

    def action_walk(self, down: int, right: int = 0) -> None:
        state = self.view_state
        if state.view == "overview":
            self.walk_methods(down)
        elif state.view == "matrix" and not state.reading:
            report = self.story.methods[self.method].report if self.method else None
            state.move_cell(down, right, len(report.classes) if report else 0)
        elif state.view == "map":
            walk(self.mapped, state, right, -down)
        elif right and state.view in ("calibration", "classes", "matrix"):
            self.action_method(right)
        else:
            state.row = max(0, state.row + down)
        self.redraw()

    def action_read(self) -> None:
        """Into the texts of the cell."""
        if self.view_state.view == "matrix":
            self.view_state.reading = not self.view_state.reading
            self.redraw()
