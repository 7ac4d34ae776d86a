"""Classifications as runs."""

from __future__ import annotations

from engine.classify.spec import ClassifySpec
from engine.classify.task import classify
from engine.runs.tasks import TaskRuns

RUNS = TaskRuns(ClassifySpec, classify, ("data", "test", "encoder"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
