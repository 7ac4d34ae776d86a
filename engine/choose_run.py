"""Rankings of choices as runs."""

from __future__ import annotations

from engine.choices import choose
from engine.task_run import TaskRuns
from engine.task_specs import ChooseSpec

RUNS = TaskRuns(ChooseSpec, choose, ("data", "encoder", "model"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
