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
        "As a folder with an encoder that AutoModel loads, its head, and how to use it.",
    )
    nothing = "This run has no fine-tuned model: tick fine-tune in the form and run it."

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.choose import results as choose_results

        return choose_results.read(run).items
