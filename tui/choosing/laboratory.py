"""What the Choose pane asks of the engine."""

from __future__ import annotations

from typing import Any

from checkpoints.run import Run
from data.choices import Item
from tui.comparing.laboratory import Laboratory


class Rankings(Laboratory):
    """Runs that rank the choices of questions."""

    task, figure = "choose", "accuracy"

    def create(self, spec: Any) -> Run:
        from engine.choose import runs as choose_runs

        return choose_runs.create(spec)

    def spec_of(self, run: Run) -> Any:
        from engine.choose import runs as choose_runs

        return choose_runs.spec_of(run)

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.choose import results as choose_results

        return choose_results.read(run).items
