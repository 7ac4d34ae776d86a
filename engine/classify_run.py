"""Classifications as runs."""

from __future__ import annotations

from engine.classify import TASK, classify, from_dict, to_dict
from engine.task_run import TaskRuns

RUNS = TaskRuns(TASK, to_dict, from_dict, classify, ("data", "test", "encoder"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
