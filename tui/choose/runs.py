"""What the Choose pane asks of the engine."""

from __future__ import annotations

from pathlib import Path

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data.choices import Item
from tui import units
from tui.task_runs import TaskRuns


class Rankings(TaskRuns):
    """Runs that rank the choices of questions."""

    task, runs, figure = "choose", "engine.choose.runs", "accuracy"
    exported = (
        "the fine-tuned model",
        "As a folder with an encoder that AutoModel loads, its head, and how to use it.",
    )

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.choose import results as choose_results

        return choose_results.read(run).items

    def cannot_export(self, run: Run) -> str:
        from engine.choose.export import tuned_model

        try:
            tuned_model(run)
        except CheckpointError as error:
            return f"{error}: tick fine-tune in the form and run it."
        return ""

    def export(self, run: Run, folder: Path, *, method: str = "", force: bool = False) -> str:
        from engine.choose.export import export

        return f"{units.size(export(run, folder, force=force))} exported to {folder}"
