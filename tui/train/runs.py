"""What the Train pane and Runs ask of the engine."""

from __future__ import annotations

from pathlib import Path

from checkpoints.run import Run
from tui.follow.task_runs import TaskRuns


class Trainings(TaskRuns):
    """Runs that train a model from scratch."""

    task, runs = "train", "engine.gpt.runs"
    exported = ("the best checkpoint", "As a folder that GPT2LMHeadModel and AutoTokenizer load.")

    def cannot_export(self, run: Run) -> str:
        return ""

    def export(self, run: Run, folder: Path, *, method: str = "", force: bool = False) -> str:
        from engine.gpt.trained import load, write_export

        trained = load(str(run.path))
        write_export(trained, folder, force=force)
        return f"{trained.source} exported to {folder}" + (f"\n\n{trained.notice}" if trained.notice else "")
