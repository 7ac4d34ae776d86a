"""An exported ranker is loaded without this program, and gives the same answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tiny

from checkpoints.store import CheckpointError
from data.choices import Item
from engine.choose import runs as choose_runs
from engine.choose.answer import Chooser
from engine.choose.export import export
from engine.choose.spec import ChooseSpec
from engine.runs.messages import Control
from tui.command import cli

pytest.importorskip("transformers")
WORDS = tiny.WORDS[9:]


def used(folder: Path) -> dict[str, Any]:
    """What the Python in the README of an export defines."""
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    found: dict[str, Any] = {}
    exec(code[1].replace('"."', repr(str(folder))), found)
    return found


def test_a_fine_tuned_ranker_is_exported_and_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pairs = list(zip(WORDS * 3, WORDS[1:] * 3, strict=False))
    rows = [{"question": f"where is {one}?", "choices": [one, other], "answer": 0} for one, other in pairs]
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    encoder = str(tiny.bert(tmp_path / "bert"))
    spec = ChooseSpec(str(tmp_path / "some.jsonl"), ("finetune",), encoder=encoder, epochs=1, device="cpu")
    run = choose_runs.create(spec)
    last = list(choose_runs.drive(run, Control()))[-1]
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    for _ in range(2):  # the second replaces the first
        assert cli.main(["export", run.name, str(out)]) == 0
    found = used(out)
    chooser = Chooser(run)
    wanted = chooser.rank(Item(found["question"], tuple(found["choices"]), -1), "finetune").scores
    assert found["scores"].flatten().tolist() == pytest.approx(wanted, abs=1e-5)
    card = (out / "README.md").read_text("utf-8")
    assert f"| **finetune** | {last.results['finetune']['accuracy']:.4f} |" in card
    assert str(tmp_path) not in card
    theirs.mkdir()
    (theirs / "notes").write_text("mine")
    assert cli.main(["export", run.name, str(theirs)]) != 0
    assert [file.name for file in theirs.iterdir()] == ["notes"]
    assert cli.main(["export", run.name, str(theirs), "--half"]) != 0
    assert cli.main(["export", run.name, str(theirs), "--force"]) == 0
    assert (theirs / "notes").read_text() == "mine"
    assert (theirs / "head.safetensors").is_file()

    asked = [{"question": found["question"], "choices": found["choices"]}, {"question": "who?", "choices": ["one"]}]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, asked)), "utf-8")
    capfd.readouterr()
    assert cli.main(["rank", run.name, "--input", str(tmp_path / "asked.jsonl"), "--json"]) == 0
    told = capfd.readouterr()
    ranked, end = map(json.loads, told.out.splitlines())
    assert (ranked["row"], ranked["method"], end["questions"]) == (1, "finetune", 1)
    assert ranked["scores"] == pytest.approx(wanted, abs=1e-5)
    assert ranked["text"] == found["choices"][ranked["choice"]] == found["choices"][wanted.index(max(wanted))]
    assert "row 2 is left out: with one choice" in told.err
    assert cli.main(["rank", run.name, "--input", str(tmp_path / "gone.jsonl")]) == 2
    assert cli.main(["rank", run.name, "--input", str(tmp_path / "asked.jsonl")]) == 0
    assert f"finetune      {'AB'[ranked['choice']]} {ranked['text']}" in capfd.readouterr().out


def test_a_run_without_a_fine_tuned_ranker_has_nothing_to_export(tmp_path: Path) -> None:
    run = choose_runs.create(ChooseSpec(methods=("margin",), device="cpu"))
    assert cli.main(["export", run.name, str(tmp_path / "none")]) != 0
    with pytest.raises(CheckpointError, match="no fine-tuned model"):
        export(run, tmp_path / "none")
    assert not (tmp_path / "none").exists()
