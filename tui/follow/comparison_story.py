"""What any comparison has told so far: events folded into plain state that any widget can draw. Knows no widget."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.runs.events import (
    Classified,
    ContenderDone,
    ContenderStep,
    Encoded,
    EncodingDone,
    Evaluated,
    Event,
    Finished,
    ItemJudged,
    Loaded,
    Step,
)
from engine.runs.listing import partial
from tui.follow import state as states
from tui.follow.story import BaseStory, Story

DAMAGED = (AttributeError, KeyError, TypeError, ValueError)
"""raised by figures of another kind than was expected"""


@dataclass
class Method:
    """One method of a comparison."""

    MEASURE: ClassVar[str] = "accuracy"
    """the figure by which methods are compared"""
    UNIT: ClassVar[str] = ""
    """said after it"""

    name: str
    result: Mapping[str, Any] | None = None
    """its figures, once it is done"""
    last: ContenderStep | None = None
    """how far its training is"""
    running: ItemJudged | None = None
    """the last item that it judged, with its figures until then"""
    curve: Story = field(default_factory=Story)
    """the losses, as the curve of a run is drawn from them; of the search, where a second training follows"""
    refitted: str = ""
    """how far the second training is, with the settings that the search has found"""

    @property
    def done(self) -> bool:
        """Whether it has figures."""
        return self.result is not None

    @property
    def axis_end(self) -> int:
        """Where the step axis of its losses ends: at the planned steps while it trains, then at the last one.

        0 where neither is known.
        """
        planned = self.last.steps if self.last is not None and not (self.done or self.refitted) else 0
        return max([planned, *(bucket.last.step for bucket in self.curve.train.buckets[-1:])])

    @property
    def partial(self) -> bool:
        """Whether its figures are of some of the items only."""
        return bool(partial(self.result or {}))

    @property
    def accuracy(self) -> float | None:
        """Its measure on what is judged, or of what has been judged so far."""
        if self.result is not None:
            return float(self.result[self.MEASURE])
        return self.running.accuracy if self.running is not None else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the same, 95%."""
        if self.result is not None:
            low, high = self.result["interval"]
            return float(low), float(high)
        return (self.running.low, self.running.high) if self.running is not None else None

    @property
    def ways(self) -> Sequence[Method]:
        """Other ways of counting its scores, with their figures."""
        return ()

    def judge(self, result: Mapping[str, Any]) -> None:
        """Take in its figures. What a damaged journal holds raises one of :data:`DAMAGED`."""
        low, high = result["interval"]
        if not all(-0.01 < share < 1.01 for share in (result[self.MEASURE], low, high)):
            raise ValueError("a share outside 0 to 1")
        self.result = result

    def step(self, event: ContenderStep) -> None:
        """Take in a step of its training, with the losses; another number of steps says that another one began.

        A step before the last one says that the training began again, as on the CPU where a GPU had no memory.
        """
        if self.last is not None and event.step < self.last.step:
            self.curve.train.forget_after(event.step - 1)
            self.curve.evaluations = [point for point in self.curve.evaluations if point.step < event.step]
            self.last, self.refitted = None, ""
        if self.refitted or (self.last is not None and 0 < self.last.steps != event.steps > 0):
            self.refitted = f"then: {event.note}"
            self.last = event
            return
        self.last = event
        if event.loss and event.loss != event.held_out_loss:
            self.curve.fold(Step(event.step, event.loss, 0.0, 0.0, 0.0, 0.0, event.seconds_left or 0.0))
        if event.held_out_loss is not None:
            best = self.curve.best
            low = min(event.held_out_loss, best.val_loss) if best else event.held_out_loss
            self.curve.fold(Evaluated(event.step, event.held_out_loss, 0.0, None, low, event.step, 0.0))


@dataclass
class CompareStory(BaseStory):
    """The state that every comparison has."""

    METHOD: ClassVar[type[Method]] = Method
    CONTROLS: ClassVar[tuple[str, ...]] = ()
    """methods that are no candidates for the best"""

    data: Loaded | None = None
    """what was told when the data had been read"""
    encoded: Encoded | None = None
    encodings: dict[str, EncodingDone] = field(default_factory=dict)
    """what encoding cost, by encoder"""
    doing: str = ""
    """the method that is worked on, or ``encode``"""
    methods: dict[str, Any] = field(default_factory=dict)
    """of type ``METHOD``, in the order of the table"""

    @property
    def verdict(self) -> str:
        """What a learner should take home; empty until everything has run."""
        return self.finished.verdict if isinstance(self.finished, Classified) else ""

    @property
    def begun(self) -> bool:
        """Whether the data have been read."""
        return self.data is not None

    def outcome(self, state: str) -> str:
        """A sentence on how the run stands in one of :mod:`tui.follow.state`; empty while it simply runs."""
        ready = f"{len(self.done)} of {len(self.methods)} methods have results"
        return {
            states.STARTING: "Starting: loading libraries and data.",
            states.PAUSED: f"Paused: {ready}.",
            states.STOPPING: "Stopping; finished methods are kept.",
            states.STOPPED: f"Stopped: {ready}; resuming computes the others.",
            states.FINISHED: f"Finished: {ready}.",
            states.FAILED: f"Failed: {self.failure}. {ready}.".replace("..", "."),
            states.INTERRUPTED: f"Interrupted: the process died. {ready}; resuming computes the others.",
        }.get(state, "")

    @property
    def detail(self) -> str:
        """How far the work is that no method tells of."""
        return ""

    @property
    def done(self) -> list[Any]:
        """Methods that have figures, in the order of the table."""
        return [method for method in self.methods.values() if method.done]

    @property
    def browsable(self) -> list[str]:
        """Names of the methods whose answers can be looked at."""
        return [method.name for method in self.done]

    @property
    def best(self) -> Any:
        """The method with the highest accuracy, None without any."""
        able = [method for method in self.done if method.name not in self.CONTROLS]
        return max(able, key=lambda method: method.accuracy or 0.0, default=None)

    def method(self, name: str) -> Any:
        """The method of this name."""
        return self.methods.setdefault(name, self.METHOD(name))

    def fold(self, event: Event) -> None:
        super().fold(event)
        match event:
            case Loaded():
                self._begin(event)
            case ContenderStep():
                self.doing, self.progress = event.contender, None
                self.method(event.contender).step(event)
            case ContenderDone():
                self.doing, self.progress = "" if self.doing == event.contender else self.doing, None
                kept = [notice for notice in self.notices if notice.level != "info" or notice.kind == "screen"]
                self.notices = deque(kept, self.notices.maxlen)  # what was said has been read by now
                with suppress(*DAMAGED):
                    self.method(event.contender).judge(event.result)
            case Encoded():
                self.encoded, self.progress, self.doing = event, None, "encode"
            case EncodingDone():
                self.encodings[event.encoder] = event
            case Finished():
                self.doing = ""
                while self.notices and self.notices[-1].kind == "screen":  # what was said about it while it ran
                    self.notices.pop()

    def _begin(self, event: Loaded) -> None:
        """A start, or a new start of what was stopped: what it has to say comes again."""
        self.data, self.finished, self.paused, self.progress = event, None, False, None
        self.encoded, self.encodings, self.doing = None, {}, ""
        self.methods = {name: self.METHOD(name) for name in event.contenders}
