"""What a run has told so far: events folded into plain state that any widget can draw. Knows no widget."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from engine.runs.events import (
    Continued,
    Evaluated,
    Event,
    Finished,
    Notice,
    Paused,
    Progress,
    SampleText,
    Saved,
    Started,
    Step,
)
from engine.runs.past import Steps
from tui.follow import state as states
from tui.follow.series import Series

SAMPLES = 400  # kept; beyond it every second old one goes
NOTICES = 200
EVALUATIONS = 4000


@dataclass
class Sample:
    """One sample of the model, as far as it has come."""

    ident: str
    step: int
    prompt: str
    text: str = ""
    done: bool = False


@dataclass
class BaseStory:
    """What a run of any task tells: whether it goes on, and notices."""

    notices: deque[Notice] = field(default_factory=lambda: deque(maxlen=NOTICES))
    progress: Progress | None = None
    finished: Finished | None = None
    paused: bool = False

    @property
    def failure(self) -> str:
        """The last error that was reported, or why the run ended."""
        errors = [notice.text for notice in self.notices if notice.level == "error"]
        return errors[-1] if errors else self.finished.reason if self.finished else ""

    def fold(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case Notice():
                self.notices.append(event)
            case Progress():
                self.progress = event
            case Paused() | Continued():
                self.paused = isinstance(event, Paused)
            case Finished():
                self.finished, self.paused, self.progress = event, False, None


@dataclass
class Story(BaseStory):
    """The state of one training as its events tell it. ``version`` grows with every change."""

    started: Started | None = None
    last: Step | None = None
    train: Series = field(default_factory=Series)
    evaluations: list[Evaluated] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    saved: Saved | None = None
    diverged_at: int | None = None
    version: int = 0

    @property
    def begun(self) -> bool:
        """Whether it trains, or has trained."""
        return self.started is not None

    def outcome(self, state: str) -> str:
        """A sentence on how the run stands in one of :mod:`tui.follow.state`; empty while it simply runs."""
        step, saved = self.step, self.saved.step if self.saved else 0
        kept = "saved" if saved >= step > 0 else f"last checkpoint at step {saved:,}" if saved else "not saved"
        early = self.finished is not None and self.finished.reason == "early_stop"
        finished = f"Finished early at step {step:,}, {kept}: the validation loss has stopped decreasing."
        return {
            states.STARTING: "Starting: loading PyTorch and the corpus.",
            states.PAUSED: f"Paused at step {step:,}.",
            states.STOPPING: "Stopping after this step; saving first.",
            states.STOPPED: f"Stopped at step {step:,}, {kept}.",
            states.FINISHED: finished if early else f"Finished at step {step:,}, {kept}.",
            states.FAILED: f"Failed at step {step:,}, {kept}: {self.failure}",
            states.INTERRUPTED: f"Interrupted at step {step:,}, {kept}: the training process died.",
        }.get(state, "")

    @property
    def step(self) -> int:
        """The last step that is known to be finished."""
        return max(self.last.step if self.last else 0, self.started.step if self.started else 0)

    @property
    def best(self) -> Evaluated | None:
        """The evaluation with the best validation loss."""
        finite = (point for point in self.evaluations if math.isfinite(point.val_loss))
        return min(finite, key=lambda point: point.val_loss, default=None)

    def fold(self, event: Event) -> None:
        """Take an event in."""
        self.version += 1
        super().fold(event)
        match event:
            case Step():
                self.last, self.progress = event, None
                self.train.add(event)
            case Steps():
                self.last, self.progress = event.at(-1), None
                self.train.add_all(event)
            case SampleText():
                self._fold_sample(event)
            case Evaluated():
                self.progress = None
                self.evaluations.append(event)
                if len(self.evaluations) > EVALUATIONS:
                    best = self.best
                    self.evaluations = [e for i, e in enumerate(self.evaluations) if i % 2 == 0 or e is best]
            case Notice() if event.kind == "divergence" and event.level == "error":
                self.diverged_at = event.step
            case Started():
                self._begin(event)
            case Saved():
                self.saved = event

    def sample_at(self, step: int | None) -> Sample | None:
        """The sample of ``step`` or the last one before it; with None the newest."""
        known = (sample for sample in reversed(self.samples) if step is None or sample.step <= step)
        return next(known, self.samples[0] if self.samples else None)

    def evaluation_at(self, step: int) -> Evaluated | None:
        """The evaluation of ``step`` or the last one before it."""
        return next((point for point in reversed(self.evaluations) if point.step <= step), None)

    def steps_to_visit(self) -> list[int]:
        """Steps that a cursor stops at: those with an evaluation or a sample, else all that are kept."""
        stops = {point.step for point in self.evaluations} | {sample.step for sample in self.samples}
        return sorted(stops) or [bucket.last.step for bucket in self.train.buckets]

    def _begin(self, event: Started) -> None:
        """A run that goes on from a step takes back what it said about later ones."""
        if self.started is not None and self.started.run != event.run:
            vars(self).update(vars(Story(version=self.version)))
        self.started, self.finished, self.paused, self.progress = event, None, False, None
        self.diverged_at = None
        self.train.forget_after(event.step)
        self.evaluations = [point for point in self.evaluations if point.step <= event.step]
        self.samples = [sample for sample in self.samples if sample.step <= event.step and sample.done]
        if self.last is not None and self.last.step > event.step:
            self.last = self.train.buckets[-1].last if self.train.buckets else None

    def _fold_sample(self, event: SampleText) -> None:
        current = next((s for s in reversed(self.samples) if s.ident == event.sample), None)
        if current is None or (event.prompt and current.done):
            self.samples = [s for s in self.samples if s.ident != event.sample]
            current = Sample(event.sample, event.step, event.prompt)
            self.samples.append(current)
            if len(self.samples) > SAMPLES:
                del self.samples[1 : SAMPLES // 2 : 2]
        current.text += event.text
        current.done = current.done or event.done
