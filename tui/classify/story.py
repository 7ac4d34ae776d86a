"""What a classification has told so far: events folded into plain state that any widget can draw. Knows no widget."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engine.comparison.statistics import Report, report_from
from engine.runs.events import Classified, ContenderStep, CurvePoint, Event, Loaded
from tui.follow.comparison_story import DAMAGED, CompareStory, Method

CURVED = ("mlp", "finetune")
"""methods whose loss is worth a curve"""


@dataclass
class ClassifyMethod(Method):
    """One way from text to class."""

    report: Report | None = None
    """``result``, read"""

    def judge(self, result: Mapping[str, Any]) -> None:
        report = report_from(result)
        super().judge(result)
        self.report = report

    def step(self, event: ContenderStep) -> None:
        if self.name in CURVED:
            super().step(event)
        self.last = event


@dataclass
class ClassifyStory(CompareStory):
    """The state of one classification as its events tell it."""

    METHOD = ClassifyMethod

    methods: dict[str, ClassifyMethod] = field(default_factory=dict)
    points: list[CurvePoint] = field(default_factory=list)

    @property
    def detail(self) -> str:
        return f"{self.points[-1].labels:,} labels of each class" if self.doing == "labels" and self.points else ""

    def fold(self, event: Event) -> None:
        """Take an event in. What a damaged journal says of a method is passed over."""
        super().fold(event)
        match event:
            case Loaded():
                self.points = []
            case CurvePoint() if event.labels > 0 and all(0 <= x <= 1 for x in (event.low, event.accuracy, event.high)):
                self.points = [p for p in self.points if (p.contender, p.labels) != (event.contender, event.labels)]
                self.points.append(event)
                self.doing = "labels"
            case Classified():
                for name, result in event.results.items():
                    if not self.method(name).done:  # as in a journal that lacks lines
                        with suppress(*DAMAGED):
                            self.method(name).judge(result)
