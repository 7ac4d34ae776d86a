"""What a classification has told so far: events folded into plain state that any widget can draw. Knows no widget."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from engine.comparison.statistics import Report, report_from
from engine.runs.events import Classified, ContenderDone, ContenderStep, CurvePoint, Event, Loaded
from tui.comparing.story import CompareStory, Method

CURVED = ("mlp", "finetune")
"""routes whose loss is worth a curve"""


@dataclass
class Route(Method):
    """One way from text to class."""

    report: Report | None = None

    @property
    def done(self) -> bool:
        return self.report is not None

    @property
    def accuracy(self) -> float | None:
        return self.report.accuracy if self.report is not None else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return self.report.interval if self.report is not None else None

    def step(self, event: ContenderStep) -> None:
        if self.name in CURVED:
            super().step(event)
        self.last = event


@dataclass
class ClassifyStory(CompareStory):
    """The state of one classification as its events tell it."""

    METHOD = Route

    methods: dict[str, Route] = field(default_factory=dict)
    points: list[CurvePoint] = field(default_factory=list)

    def fold(self, event: Event) -> None:
        """Take an event in. What a damaged journal says of a route is passed over."""
        super().fold(event)
        match event:
            case Loaded():
                self.points = []
            case ContenderDone():
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    self.method(event.contender).report = report_from(event.result)
            case CurvePoint() if event.labels > 0 and all(0 <= x <= 1 for x in (event.low, event.accuracy, event.high)):
                self.points = [p for p in self.points if (p.contender, p.labels) != (event.contender, event.labels)]
                self.points.append(event)
                self.doing = "labels"
            case Classified():
                self._end(event)

    def _end(self, event: Classified) -> None:
        """Figures that no route has told before, as in a journal that lacks lines."""
        for name, result in event.results.items():
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                if self.method(name).report is None:
                    self.method(name).report = report_from(result)
