"""Rankings of choices as runs."""

from __future__ import annotations

from engine.choose.spec import ChooseSpec
from engine.choose.task import choose
from engine.runs.tasks import TaskRuns

RUNS = TaskRuns(ChooseSpec, choose, ("data", "encoder", "model"))
create, spec_of, drive = RUNS.create, RUNS.spec_of, RUNS.drive
