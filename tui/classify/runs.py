"""What the Classify pane asks of the engine, and what the methods said of every test row, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from checkpoints.run import Run
from engine.comparison.statistics import PairedTest
from tui.follow.task_runs import TaskRuns

if TYPE_CHECKING:
    from engine.classify.results import ClassifyResults


@dataclass(frozen=True)
class Findings:
    """What the methods said of every test row. Row numbers are those of the test split."""

    results: ClassifyResults
    pairs: Mapping[tuple[str, str], PairedTest]
    """the paired test of every two methods, in both orders: McNemar's where each was trained once"""
    _cells: dict[tuple[str, int, int], list[int]] = field(default_factory=dict)

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Why the predictions of a method cannot be read."""
        return self.results.unreadable

    def cell(self, method: str, true: int, predicted: int) -> list[int]:
        """The test rows of a cell, see :meth:`ClassifyResults.cell`; found when first asked for."""
        key = (method, true, predicted)
        if key not in self._cells:
            self._cells[key] = self.results.cell(*key)
        return self._cells[key]


class Classifications(TaskRuns):
    """Runs that classify."""

    task, runs, figure = "classify", "engine.classify.runs", "accuracy"
    exported = (
        "the trained classifier",
        "The fine-tuned model for transformers, else the best head with its encoder; README.md shows its use.",
    )
    nothing = "This run has no trained classifier: tick fine-tune or a head in the form and run again."

    def findings(self, run: Run) -> Findings:
        """What the methods said of every test row. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.classify import results as classify_results
        from engine.comparison.statistics import paired_tests  # loads scipy: not for the thread of a screen

        found = classify_results.read(run)
        return Findings(found, paired_tests(found.right))

    def write_suspects(self, run: Run, file: Path) -> str:
        """The suspicious labels as CSV. Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`."""
        from engine.classify.export import suspects_csv

        file.write_text(suspects_csv(run), "utf-8", "replace", newline="")
        return f"suspicious labels written to {file}"
