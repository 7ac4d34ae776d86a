"""What any comparison has told so far: events folded into plain state that any widget can draw. Knows no widget."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from engine.runs.events import (
    Classified,
    ContenderDone,
    ContenderStep,
    Continued,
    Encoded,
    Evaluated,
    Event,
    Finished,
    Loaded,
    Notice,
    Paused,
    Progress,
    Step,
)
from tui.story import Story


@dataclass
class Method:
    """One method of a comparison."""

    name: str
    last: ContenderStep | None = None
    """how far its training is"""
    curve: Story = field(default_factory=Story)
    """the losses, as the curve of a run is drawn from them"""

    def step(self, event: ContenderStep) -> None:
        """Take in a step of its training, with the losses."""
        self.last = event
        if event.held_out_loss is None or event.loss != event.held_out_loss:
            self.curve.fold(Step(event.step, event.loss, 0.0, 0.0, 0.0, 0.0, event.seconds_left or 0.0))
        if event.held_out_loss is not None:
            best = self.curve.best
            low = min(event.held_out_loss, best.val_loss) if best else event.held_out_loss
            self.curve.fold(Evaluated(event.step, event.held_out_loss, 0.0, None, low, event.step, 0.0))


@dataclass
class CompareStory:
    """The state that every comparison has."""

    data: Loaded | None = None
    """what was told when the data had been read"""
    encoded: Encoded | None = None
    progress: Progress | None = None
    notices: deque[Notice] = field(default_factory=lambda: deque(maxlen=200))
    paused: bool = False
    finished: Finished | None = None
    doing: str = ""
    """the route, method or ranker that is worked on, or ``encode``"""

    @property
    def verdict(self) -> str:
        """What a learner should take home; empty until everything has run."""
        return self.finished.verdict if isinstance(self.finished, Classified) else ""

    def fold(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case Loaded():
                self._begin(event)
            case ContenderStep():
                self.doing, self.progress = event.contender, None
            case ContenderDone() if self.doing == event.contender:
                self.doing = ""
            case Encoded():
                self.encoded, self.progress, self.doing = event, None, "encode"
            case Notice():
                self.notices.append(event)
            case Progress():
                self.progress = event
            case Paused():
                self.paused = True
            case Continued():
                self.paused = False
            case Finished():
                self.finished, self.doing, self.paused, self.progress = event, "", False, None
                while self.notices and self.notices[-1].kind == "screen":  # what was said about it while it ran
                    self.notices.pop()

    def _begin(self, event: Loaded) -> None:
        """A start, or a new start of what was stopped: what it has to say comes again."""
        self.data, self.finished, self.paused, self.progress = event, None, False, None
        self.encoded, self.doing = None, ""
