"""What the Classify pane asks of the engine, and what the methods said of every test row, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from engine.comparison.statistics import PairedTest
from tui.task_runs import TaskRuns

if TYPE_CHECKING:
    from engine.classify.results import ClassifyResults


@dataclass(frozen=True)
class Findings:
    """What the methods said of every test row. Row numbers are those of the test split."""

    results: ClassifyResults
    pairs: Mapping[tuple[str, str], PairedTest]
    """McNemar's test of every two methods, in both orders"""

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Why the predictions of a method cannot be read."""
        return self.results.unreadable


def pairs_of(probabilities: Mapping[str, Any], gold: Sequence[int]) -> dict[tuple[str, str], PairedTest]:
    """McNemar's test of every two methods. Loads scipy: not for the thread of a screen."""
    import numpy as np

    from engine.comparison.statistics import paired_tests

    return paired_tests({name: found.argmax(1) == np.asarray(gold) for name, found in probabilities.items()})


class Classifications(TaskRuns):
    """Runs that classify."""

    task, runs, figure = "classify", "engine.classify.runs", "accuracy"
    exported = (
        "the trained classifier",
        "The fine-tuned model, as transformers loads it, or else the best head with its encoder. README.md says how.",
    )
    nothing = "This run has no trained classifier: tick fine-tune or a head, and run it."

    def findings(self, run: Run) -> Findings:
        """What the methods said of every test row. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.classify import results as classify_results

        found = classify_results.read(run)
        return Findings(found, pairs_of(found.probabilities, found.labels))

    def write_suspects(self, run: Run, file: Path) -> str:
        """The suspicious labels as CSV. Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`."""
        from engine.classify.export import suspects_csv

        file.write_text(suspects_csv(run), "utf-8", "replace", newline="")
        return f"suspicious labels written to {file}"
