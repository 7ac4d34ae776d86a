"""What the Classify pane asks of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from checkpoints.run import Run
from tui import units
from tui.classify.findings import Findings, Suspect, pairs_of
from tui.comparing.laboratory import Laboratory


class Classifications(Laboratory):
    """Runs that classify."""

    task, figure = "classify", "accuracy"
    exported = ("the fine-tuned model", "As a folder that AutoModelForSequenceClassification and AutoTokenizer load.")

    def create(self, given: Mapping[str, str]) -> Run:
        from engine import classify_run
        from engine.classify import ClassifySpec

        spec = ClassifySpec(
            data=given["data"].strip(),
            test=given["test"].strip(),
            text_column=_column(given["text_column"]),
            label_column=_column(given["label_column"]),
            encoder=given["encoder"].strip(),
            pooling=given["pooling"],
            heads=tuple(given["heads"].split()),
            class_weights=given["class_weights"] == "on",
            limit=int(given["limit"]),
            seed=int(given["seed"]),
            curve=True,
            suspects=True,
        )
        return classify_run.create(spec)

    def findings(self, run: Run) -> Findings:
        """What the routes said of every test row. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine import outcome

        found = outcome.read(run)
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
        )

    def cannot_export(self, run: Run) -> str:
        from engine.modelfolder import present
        from engine.outcome import TUNED

        there = present(run.path / TUNED).is_dir()
        return "" if there else "This run has no fine-tuned model: tick fine-tune in the form and run it."

    def export(self, run: Run, folder: Path) -> str:
        import shutil

        from engine.modelfolder import exported, present, sizes
        from engine.outcome import TUNED

        with exported(folder, run.name) as temporary:
            shutil.copytree(present(run.path / TUNED), temporary, dirs_exist_ok=True)
            return f"{units.size(sum(sizes(temporary).values()))} exported to {folder}"


def _column(name: str) -> str:
    return "" if name == "auto" else name
