"""Retrievals as runs."""

from __future__ import annotations

from engine.retrieve import retrieve
from engine.task_run import TaskRuns
from engine.task_specs import RetrieveSpec

RUNS = TaskRuns(RetrieveSpec, retrieve, ("data", "encoder"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
