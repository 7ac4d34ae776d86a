"""Classifications as runs."""

from __future__ import annotations

from engine.classify import classify
from engine.task_run import TaskRuns
from engine.task_specs import ClassifySpec

RUNS = TaskRuns(ClassifySpec, classify, ("data", "test", "encoder"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
