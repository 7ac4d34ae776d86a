"""What a classification has told so far: events folded into plain state that any widget can draw. Knows no widget."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field

from engine.events import (
    Classified,
    Continued,
    CurvePoint,
    DataLoaded,
    Encoded,
    Evaluated,
    Event,
    Finished,
    Notice,
    Paused,
    Progress,
    RouteDone,
    RouteStep,
    Step,
)
from engine.metrics import Report, report_from
from tui.story import Story

CURVED = ("mlp", "finetune")
"""routes whose loss is worth a curve"""
FROZEN = ("lr", "mlp")
"""routes on features of the encoder as it is"""


@dataclass
class Route:
    """One way from text to class."""

    name: str
    last: RouteStep | None = None
    report: Report | None = None
    curve: Story = field(default_factory=Story)
    """the losses, as the curve of a run is drawn from them"""

    def step(self, event: RouteStep) -> None:
        """Take in how far the training is."""
        self.last = event
        if self.name not in CURVED:
            return
        if event.validation_loss is None or event.loss != event.validation_loss:
            self.curve.fold(Step(event.step, event.loss, 0.0, 0.0, 0.0, 0.0, event.seconds_left or 0.0))
        if event.validation_loss is not None:
            best = self.curve.best
            low = min(event.validation_loss, best.val_loss) if best else event.validation_loss
            self.curve.fold(Evaluated(event.step, event.validation_loss, 0.0, None, low, event.step, 0.0))


@dataclass
class ClassifyStory:
    """The state of one classification as its events tell it. ``version`` grows with every change."""

    data: DataLoaded | None = None
    routes: dict[str, Route] = field(default_factory=dict)
    encoded: Encoded | None = None
    progress: Progress | None = None
    points: list[CurvePoint] = field(default_factory=list)
    notices: deque[Notice] = field(default_factory=lambda: deque(maxlen=200))
    paused: bool = False
    finished: Finished | None = None
    doing: str = ""
    """the route that trains, or ``encode``"""
    version: int = 0

    @property
    def done(self) -> list[Route]:
        """Routes that have figures, in the order of the table."""
        return [route for route in self.routes.values() if route.report is not None]

    @property
    def verdict(self) -> str:
        """What a learner should take home; empty until everything has run."""
        return self.finished.verdict if isinstance(self.finished, Classified) else ""

    @property
    def best(self) -> Route | None:
        """The route with the highest accuracy."""
        return max(self.done, key=lambda route: route.report.accuracy if route.report else 0.0, default=None)

    def fold(self, event: Event) -> None:
        """Take an event in. What a damaged journal says of a route is passed over."""
        self.version += 1
        match event:
            case DataLoaded():
                self._begin(event)
            case Encoded():
                self.encoded, self.progress, self.doing = event, None, "encode"
            case RouteStep():
                self.doing, self.progress = event.route, None
                self._route(event.route).step(event)
            case RouteDone():
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    self._route(event.route).report = report_from(event.result)
                if self.doing == event.route:
                    self.doing = ""
            case CurvePoint():
                self.points = [p for p in self.points if (p.route, p.labels) != (event.route, event.labels)]
                self.points.append(event)
                self.doing = "labels"
            case Notice():
                self.notices.append(event)
            case Progress():
                self.progress = event
            case Paused():
                self.paused = True
            case Continued():
                self.paused = False
            case Finished():
                self._end(event)

    def _begin(self, event: DataLoaded) -> None:
        """A start, or a new start of what was stopped: what it has to say comes again."""
        self.data, self.finished, self.paused, self.progress = event, None, False, None
        self.encoded, self.doing, self.points = None, "", []
        self.routes = {name: Route(name) for name in event.routes}

    def _end(self, event: Finished) -> None:
        self.finished, self.doing, self.paused, self.progress = event, "", False, None
        while self.notices and self.notices[-1].kind == "screen":  # what was said about it while it ran
            self.notices.pop()
        if not isinstance(event, Classified):
            return
        for name, result in event.results.items():
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                if self._route(name).report is None:
                    self._route(name).report = report_from(result)

    def _route(self, name: str) -> Route:
        return self.routes.setdefault(name, Route(name))


def plain_words(story: ClassifyStory) -> str:
    """Whether the frozen encoder is worth it here, said as soon as both it and TF-IDF have figures."""
    known = {route.name: route.report for route in story.done if route.report is not None}
    frozen = [name for name in FROZEN if name in known]
    if "tfidf" not in known or not frozen:
        return ""
    best = max(frozen, key=lambda name: known[name].accuracy)
    words, features = known["tfidf"], known[best]
    if words.accuracy <= features.accuracy:
        return ""
    return (
        f"TF-IDF with logistic regression ({words.accuracy:.3f}) beats the frozen encoder ({features.accuracy:.3f}): "
        "counting words is enough here unless the encoder is fine-tuned."
    )
