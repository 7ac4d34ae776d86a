"""What the Choose pane asks of the engine."""

from __future__ import annotations

from collections.abc import Mapping

from checkpoints.run import Run
from data.choices import Item
from tui.comparing.laboratory import Laboratory
from tui.comparing.values import spec_from


class Rankings(Laboratory):
    """Runs that rank the choices of questions."""

    task, figure = "choose", "accuracy"

    def create(self, given: Mapping[str, str]) -> Run:
        from engine import choose_run
        from engine.task_specs import ChooseSpec

        model = given["model"].strip() or "bundled"
        return choose_run.create(spec_from(ChooseSpec, given, model=model))

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine import choice_store

        return choice_store.read(run).items
