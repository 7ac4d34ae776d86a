"""Retrievals as runs."""

from __future__ import annotations

from engine.retrieve.spec import RetrieveSpec
from engine.retrieve.task import retrieve
from engine.runs.tasks import TaskRuns

RUNS = TaskRuns(RetrieveSpec, retrieve, ("data", "encoder"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
