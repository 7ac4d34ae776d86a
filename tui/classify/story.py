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

    def step(self, event: ContenderStep) -> None:
        if self.name in CURVED:
            super().step(event)
        self.last = event


@dataclass
class ClassifyStory(CompareStory):
    """The state of one classification as its events tell it."""

    routes: dict[str, Route] = field(default_factory=dict)
    points: list[CurvePoint] = field(default_factory=list)

    @property
    def done(self) -> list[Route]:
        """Routes that have figures, in the order of the table."""
        return [route for route in self.routes.values() if route.report is not None]

    @property
    def best(self) -> Route | None:
        """The route with the highest accuracy."""
        return max(self.done, key=lambda route: route.report.accuracy if route.report else 0.0, default=None)

    def fold(self, event: Event) -> None:
        """Take an event in. What a damaged journal says of a route is passed over."""
        super().fold(event)
        match event:
            case Loaded():
                self.routes, self.points = {name: Route(name) for name in event.contenders}, []
            case ContenderStep():
                self._route(event.contender).step(event)
            case ContenderDone():
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    self._route(event.contender).report = report_from(event.result)
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
                if self._route(name).report is None:
                    self._route(name).report = report_from(result)

    def _route(self, name: str) -> Route:
        return self.routes.setdefault(name, Route(name))
