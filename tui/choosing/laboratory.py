"""What the Choose pane asks of the engine."""

from __future__ import annotations

from checkpoints.run import Run
from data.choices import Item
from tui.comparing.laboratory import Laboratory


class Rankings(Laboratory):
    """Runs that rank the choices of questions."""

    task, runs, figure = "choose", "engine.choose.runs", "accuracy"

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.choose import results as choose_results

        return choose_results.read(run).items
