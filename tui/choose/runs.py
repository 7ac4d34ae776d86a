"""What the Choose pane asks of the engine."""

from __future__ import annotations

from checkpoints.run import Run
from data.choices import Item
from tui.follow.task_runs import TaskRuns


class Rankings(TaskRuns):
    """Runs that rank the choices of questions."""

    task, runs, figure = "choose", "engine.choose.runs", "accuracy"
    exported = (
        "the fine-tuned model",
        "A folder with the encoder for AutoModel, its head, and a README that shows their use.",
    )
    nothing = "This run has no fine-tuned model: tick fine-tune in the form and run again."

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.choose import results as choose_results

        return choose_results.read(run).items
