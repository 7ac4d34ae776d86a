"""Retrievals as runs."""

from __future__ import annotations

from engine.retrieve import TASK, from_dict, retrieve, to_dict
from engine.task_run import TaskRuns

RUNS = TaskRuns(TASK, to_dict, from_dict, retrieve, ("data", "encoder"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
