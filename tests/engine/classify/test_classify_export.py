"""Exported classifiers: what their README says runs in their folder and gives the probabilities of the run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.classify import results as classify_results
from engine.classify import runs as classify_runs
from engine.classify.export import export, methods
from engine.classify.spec import ClassifySpec
from engine.runs.messages import Control
from tui.command import cli

NASTY = "b`|\n## not a title\x1b[31m"


def data_in(folder: Path) -> Path:
    folder.mkdir()
    for split, count, seed in (("train", 90, 1), ("validation", 24, 2), ("test", 30, 3)):
        texts, labels = tiny.texts(count, 3, seed)
        rows = [{"text": text, "label": ("a", NASTY, "c")[label]} for text, label in zip(texts, labels, strict=True)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ClassifySpec:
    folder = tmp_path_factory.mktemp("export")
    encoder = tiny.bert(folder / "secret" / "bert")
    heads = ("lr", "mlp", "finetune")
    return ClassifySpec(
        data=str(data_in(folder / "messages")), encoder=str(encoder), length=9, heads=heads, epochs=2, device="cpu"
    )


@pytest.fixture(scope="module")
def run(spec: ClassifySpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(tmp_path_factory.mktemp("home")))
        made = classify_runs.create(replace(spec, learning_rate=3e-3))
        list(classify_runs.drive(made, Control()))
        yield made


def run_readme(folder: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the block of Python of a README in its folder, on ``texts`` instead of its own; what it has defined."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    given = '["a text", "another text"]'
    assert given in code
    defined: dict[str, Any] = {"given": texts}
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        exec(compile(code.replace(given, "given"), "README.md", "exec"), defined)
    return defined


@pytest.mark.parametrize("method", ["lr", "mlp", "finetune"])
def test_the_readme_of_an_export_gives_the_probabilities_of_the_run(
    run: Run, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(run, tmp_path / "out", method=method)[0] == method
    found = classify_results.read(run)
    defined = run_readme(tmp_path / "out", list(found.texts), monkeypatch)
    assert np.abs(defined["probabilities"].numpy() - found.probabilities[method]).max() < 1e-5
    expected = [found.classes[label] for label in found.probabilities[method].argmax(1)]
    assert capsys.readouterr().out == f"{expected}\n"
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["id2label"] == {"0": "a", "1": NASTY, "2": "c"}
    assert not [file for file in (tmp_path / "out").rglob("*") if file.suffix in (".pkl", ".pt", ".bin", ".joblib")]


@pytest.mark.parametrize("pooling", ["cls", "max", "last", "last4", "all"])
def test_every_pooling_is_written_out(
    spec: ClassifySpec, pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path / "home"))
    made = classify_runs.create(replace(spec, heads=("lr",), pooling=pooling))
    list(classify_runs.drive(made, Control()))
    export(made, tmp_path / "out")
    found = classify_results.read(made)
    defined = run_readme(tmp_path / "out", list(found.texts), monkeypatch)
    assert np.abs(defined["probabilities"].numpy() - found.probabilities["lr"]).max() < 1e-5


def test_a_few_lines_of_numpy_give_the_same_from_features(run: Run, tmp_path: Path) -> None:
    from engine.classify.predict import Classifier

    export(run, tmp_path / "out", method="mlp")
    held, head = load_file(tmp_path / "out" / "model.safetensors"), Classifier(run).heads["mlp"]
    assert set(held) == {"mean", "scale", *(f"layer.{n}.{part}" for n in (0, 1) for part in ("weight", "bias"))}
    features = np.random.default_rng(0).normal(size=(7, len(held["mean"]))).astype(np.float32)
    from scipy.special import erf, softmax

    hidden = (features - held["mean"]) / held["scale"] @ held["layer.0.weight"] + held["layer.0.bias"]
    hidden = hidden * 0.5 * (1 + erf(hidden / 2**0.5))
    logits = hidden @ held["layer.1.weight"] + held["layer.1.bias"]
    assert np.abs(softmax(logits, 1) - head.probabilities(features)).max() < 1e-5


def test_the_card_tells_data_figures_and_settings_and_no_folder_of_the_machine(
    run: Run, spec: ClassifySpec, tmp_path: Path
) -> None:
    export(run, tmp_path / "out", method="lr")
    card = (tmp_path / "out" / "README.md").read_text()
    found = classify_results.read(run)
    assert f"{found.reports['lr'].accuracy:.4f}" in card
    for split, count in (("train", 90), ("validation", 24), ("test", 30)):
        assert f"`{count} {split}`" in card
    assert found.reports["lr"].settings in card
    assert '"length": 9' in card
    everything = card + "".join(file.read_text() for file in (tmp_path / "out").rglob("*.json"))
    assert str(Path(spec.data).parent) not in everything
    assert "secret" not in everything
    assert "\x1b" not in card
    assert "\n## not a title" not in card


def test_the_better_head_on_validation_is_exported_where_nothing_is_fine_tuned(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert methods(run)[0] == "finetune"
    reports = run.read_json("results.json")
    for better, worse in (("lr", "mlp"), ("mlp", "lr")):
        changed = json.loads(json.dumps(reports))
        changed[better]["validation_accuracy"], changed[worse]["validation_accuracy"] = 0.9, 0.8
        changed[better]["accuracy"], changed[worse]["accuracy"] = 0.1, 1.0  # of the test split: must not matter
        monkeypatch.setattr(
            Run,
            "read_json",
            lambda self, name, real=Run.read_json, new=changed: new if name == "results.json" else real(self, name),
        )
        assert methods(run) == ["finetune", better, worse]
        monkeypatch.undo()


def test_another_folder_is_left_alone_and_files_get_the_usual_mode(run: Run, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.json").write_text("theirs")
    with pytest.raises(CheckpointError, match="holds no export"):
        export(run, theirs, method="lr")
    assert [file.read_text() for file in theirs.iterdir()] == ["theirs"]
    before = os.umask(0o027)
    try:
        export(run, tmp_path / "out", method="lr")
    finally:
        os.umask(before)
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"config.json", "model.safetensors", "README.md", "tokenizer.json"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o640}
    export(run, tmp_path / "out", method="lr")  # again
    with pytest.raises(CheckpointError, match="choose another folder for mlp"):
        export(run, tmp_path / "out", method="mlp")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["method"] == "lr"
    with pytest.raises(CheckpointError, match="no trained tfidf to export; it has finetune"):
        export(run, tmp_path / "new", method="tfidf")
    assert not (tmp_path / "new").exists()


def test_the_command_exports_a_classification(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(run.path), str(tmp_path / "tuned")]) == 0
    assert capfd.readouterr().out == f"{tmp_path / 'tuned'}\n"
    assert "BertForSequenceClassification" in (tmp_path / "tuned" / "config.json").read_text()
    assert cli.main(["export", str(run.path), str(tmp_path / "head"), "--method", "lr"]) == 0
    assert (tmp_path / "head" / "encoder" / "model.safetensors").is_file()
    assert cli.main(["export", str(run.path), str(tmp_path / "half"), "--half"]) == 2
    assert cli.main(["export", str(run.path), str(tmp_path / "half"), "--checkpoint", "last"]) == 2
    assert not (tmp_path / "half").exists()
