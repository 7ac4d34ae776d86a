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
    exported = (
        "the fine-tuned model",
        "As a folder with an encoder that AutoModel loads, its head, and how to use it.",
    )

    def create(self, given: Mapping[str, str]) -> Run:
        from engine.choose import runs as choose_runs
        from engine.choose.spec import ChooseSpec

        model = given["model"].strip() or "bundled"
        return choose_runs.create(spec_from(ChooseSpec, given, model=model))

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.choose import results as choose_results

        return choose_results.read(run).items

    def usage(self) -> str:
        from engine.choose.fine_tune import USE

        return USE
