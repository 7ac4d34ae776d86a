"""Rankings of choices as runs."""

from __future__ import annotations

from engine.choices import TASK, choose, from_dict, to_dict
from engine.task_run import TaskRuns

RUNS = TaskRuns(TASK, to_dict, from_dict, choose, ("data", "encoder", "model"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
