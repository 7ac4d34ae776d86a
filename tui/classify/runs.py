"""What the Classify pane asks of the engine, and what the methods said of every test row, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.comparison.statistics import PairedTest
from tui import units
from tui.task_runs import TaskRuns


@dataclass(frozen=True)
class Suspect:
    """A row whose label the methods that did not learn it doubt most."""

    file: str
    line: int
    """number of the row in its file, from 1"""
    text: str
    label: int
    proposed: int
    doubt: float
    """probability of the proposed class, of a model that has not seen this row"""
    label_probability: float


@dataclass(frozen=True)
class Findings:
    """Test rows and what each method gives every class for them. Row numbers are those of the test split."""

    classes: tuple[str, ...] = ()
    texts: Sequence[str] = ()
    gold: Sequence[int] = ()
    probabilities: Mapping[str, Any] = field(default_factory=dict)
    """method: array ``(rows, classes)``"""
    leaked: frozenset[int] = frozenset()
    suspects: tuple[Suspect, ...] = ()
    pairs: Mapping[tuple[str, str], PairedTest] = field(default_factory=dict)
    """the paired test of every two methods, in both orders: McNemar's where each was trained once"""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """why the predictions of a method cannot be read"""

    def cell(self, method: str, true: int, predicted: int) -> list[int]:
        """Rows of one cell of a confusion matrix: the surest mistakes first; on the diagonal, the least sure first."""
        import numpy as np

        found = self.probabilities.get(method)
        if found is None or not len(found):
            return []
        told = np.asarray(found)
        rows = np.flatnonzero((told.argmax(1) == predicted) & (np.asarray(self.gold) == true))
        order = np.argsort(told[rows, true], kind="stable")
        return [int(row) for row in rows[order]]

    def probability(self, method: str, row: int, label: int) -> float:
        """What a method gives a class for a row."""
        return float(self.probabilities[method][row][label])


class Classifications(TaskRuns):
    """Runs that classify."""

    task, runs, figure = "classify", "engine.classify.runs", "accuracy"
    exported = (
        "the trained classifier",
        "The fine-tuned model, as transformers loads it, or else the best head with its encoder. README.md says how.",
    )

    def findings(self, run: Run) -> Findings:
        """What the methods said of every test row. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.classify import results as classify_results
        from engine.comparison.statistics import paired_tests  # loads scipy: not for the thread of a screen

        found = classify_results.read(run)
        leaked = found.checks.get("checks", {}).get("leaked", [])
        return Findings(
            found.classes,
            found.texts,
            found.labels,
            found.probabilities,
            frozenset(int(row) for row in leaked),
            tuple(
                Suspect(*one.place, text, one.label, one.suggested, one.suggested_probability, one.probability)
                for one, text in found.suspects
            ),
            paired_tests(found.right),
            found.unreadable,
        )

    def write_suspects(self, run: Run, file: Path) -> str:
        """The suspicious labels as CSV. Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`."""
        from engine.classify.export import suspects_csv

        file.write_text(suspects_csv(run), "utf-8", "replace", newline="")
        return f"suspicious labels written to {file}"

    def cannot_export(self, run: Run) -> str:
        from engine.classify.export import methods

        return "" if methods(run) else "This run has no trained classifier: tick fine-tune or a head, and run it."

    def export(self, run: Run, folder: Path, *, method: str = "", force: bool = False) -> str:
        from engine.classify.export import export
        from engine.encoders.find import NoEncoder

        try:
            method, written = export(run, folder, method=method, force=force)
        except NoEncoder as error:
            raise CheckpointError(str(error)) from None
        return f"{method}: {units.size(written)} exported to {folder}"
