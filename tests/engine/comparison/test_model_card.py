"""The table of figures in the README of an exported model."""

from __future__ import annotations

import json
from pathlib import Path

from checkpoints.run import Run
from engine.comparison.model_card import ModelCard
from engine.retrieve.spec import RetrieveSpec

COLUMNS = {"accuracy": "accuracy", "skipped": "skipped", "spread": "spread", "note": "note"}


def test_a_figure_of_zero_is_one_and_a_figure_that_no_method_has_is_left_out(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.path.mkdir()
    results = {
        "one": {"accuracy": 0.5, "skipped": 0, "spread": None, "note": ""},
        "other": {"accuracy": 0.25, "skipped": 0},
    }
    (run.path / "results.json").write_text(json.dumps(results))
    ModelCard("A model", {}, "", (), "the test", "one", COLUMNS).write(run, RetrieveSpec(), tmp_path)
    table = [line for line in (tmp_path / "README.md").read_text().splitlines() if line.startswith("|")]
    assert table[0] == "| method | accuracy | skipped |"
    assert [line.split(" | ")[0] for line in table[2:]] == ["| **one**", "| other"]
    assert [line.rstrip(" |").split(" | ")[2] for line in table[2:]] == ["0", "0"]
