"""What the Classify pane asks of the engine, and what the routes said of every test row, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from checkpoints.run import Run
from engine.comparison.statistics import Comparison
from tui import units
from tui.comparing.laboratory import Laboratory


@dataclass(frozen=True)
class Suspect:
    """A row whose label the routes that did not learn it doubt most."""

    split: str
    row: int
    text: str
    label: int
    proposed: int
    doubt: float
    """probability of the proposed class, of a model that has not seen this row"""
    label_probability: float


@dataclass(frozen=True)
class Findings:
    """Test rows and what each route gives every class for them. Row numbers are those of the test split."""

    classes: tuple[str, ...] = ()
    texts: Sequence[str] = ()
    gold: Sequence[int] = ()
    probabilities: Mapping[str, Any] = field(default_factory=dict)
    """route: array ``(rows, classes)``"""
    leaked: frozenset[int] = frozenset()
    suspects: tuple[Suspect, ...] = ()
    pairs: Mapping[tuple[str, str], Comparison] = field(default_factory=dict)
    """McNemar's test of every two routes, in both orders"""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """why the predictions of a route cannot be read"""

    def cell(self, route: str, true: int, predicted: int) -> list[int]:
        """Rows of one cell of a confusion matrix: the surest mistakes first; on the diagonal, the least sure first."""
        import numpy as np

        found = self.probabilities.get(route)
        if found is None or not len(found):
            return []
        told = np.asarray(found)
        rows = np.flatnonzero((told.argmax(1) == predicted) & (np.asarray(self.gold) == true))
        order = np.argsort(told[rows, true], kind="stable")
        return [int(row) for row in rows[order]]

    def probability(self, route: str, row: int, label: int) -> float:
        """What a route gives a class for a row."""
        return float(self.probabilities[route][row][label])


def pairs_of(probabilities: Mapping[str, Any], gold: Sequence[int]) -> dict[tuple[str, str], Comparison]:
    """McNemar's test of every two routes. Loads scipy: not for the thread of a screen."""
    from engine.comparison.statistics import mcnemar

    result: dict[tuple[str, str], Comparison] = {}
    for one, two in combinations(probabilities, 2):
        found = mcnemar(probabilities[one], probabilities[two], gold)
        result[one, two] = found
        result[two, one] = Comparison(found.only_second, found.only_first, found.p)
    return result


class Classifications(Laboratory):
    """Runs that classify."""

    task, runs, figure = "classify", "engine.classify.runs", "accuracy"
    exported = ("the fine-tuned model", "As a folder that AutoModelForSequenceClassification and AutoTokenizer load.")

    def findings(self, run: Run) -> Findings:
        """What the routes said of every test row. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.classify import results as classify_results

        found = classify_results.read(run)
        leaked = found.checks.get("checks", {}).get("leaked", [])
        return Findings(
            found.classes,
            found.texts,
            found.labels,
            found.probabilities,
            frozenset(int(row) for row in leaked),
            tuple(
                Suspect("train", one.row, text, one.label, one.suggested, one.suggested_probability, one.probability)
                for one, text in found.suspects
            ),
            pairs_of(found.probabilities, found.labels),
            found.unreadable,
        )

    def cannot_export(self, run: Run) -> str:
        from engine.comparison.results import TUNED
        from engine.model_folder import present

        there = present(run.path / TUNED).is_dir()
        return "" if there else "This run has no fine-tuned model: tick fine-tune in the form and run it."

    def export(self, run: Run, folder: Path) -> str:
        import shutil

        from engine.comparison.results import TUNED
        from engine.model_folder import exported, present, size

        with exported(folder, run.name) as temporary:
            shutil.copytree(present(run.path / TUNED), temporary, dirs_exist_ok=True)
            return f"{units.size(size(temporary))} exported to {folder}"
