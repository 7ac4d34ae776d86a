"""What the Choose pane asks of the engine."""

from __future__ import annotations

from collections.abc import Mapping

from checkpoints.run import Run
from data.choices import Item
from tui.comparing.laboratory import Laboratory


class Rankings(Laboratory):
    """Runs that rank the choices of questions."""

    task, figure = "choose", "accuracy"

    def create(self, given: Mapping[str, str]) -> Run:
        from engine import choose_run
        from engine.choices import ChooseSpec

        return choose_run.create(
            ChooseSpec(
                data=given["data"].strip(),
                methods=tuple(given["methods"].split()),
                model=given["model"].strip() or "bundled",
                encoder=given["encoder"].strip(),
                pooling=given["pooling"],
                margin=float(given["margin"]),
                seeds=int(given["seeds"]),
                limit=int(given["limit"]),
                seed=int(given["seed"]),
            )
        )

    def items(self, run: Run) -> tuple[Item, ...]:
        """The judged questions of a run. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine import choice_store

        return choice_store.read(run).items
