"""``classify`` and ``predict`` in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from workbench import command, records

from tui import cli


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "messages"
    folder.mkdir()
    tiny.write_csv(folder / "train.csv", tiny.texts(90))
    tiny.write_csv(folder / "test.csv", tiny.texts(30, seed=3))
    return folder


def test_classify_tells_json_and_predict_uses_what_was_trained(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = tiny.bert(tmp_path / "encoder")
    done = command(
        *("classify", "--data", data, "--encoder", encoder, "--pooling", "last4", "--head", "lr", "--head", "mlp"),
        *("--class-weights", "--limit", "60", "--seed", "3", "--json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = records(done.stdout)
    last = told[-1]
    assert (last["event"], last["reason"]) == ("finished", "done")
    assert list(last["results"]) == ["majority", "tfidf", "lr", "mlp"]
    for result in last["results"].values():
        assert {"accuracy", "interval", "macro_f1", "log_loss", "seconds", "trained_parameters"} <= set(result)
        assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]
    loaded = next(record for record in told if record["event"] == "loaded")
    assert (loaded["train"], loaded["classes"]) == (60, ["a", "b", "c"])

    assert cli.main(["predict", last["run"], "card late [bold]\x1b[31m", "the parcel", "--json"]) == 0
    found = records(capfd.readouterr().out)
    assert [(record["event"], record.get("route")) for record in found] == [
        *[("predicted", route) for _ in range(2) for route in ("tfidf", "lr", "mlp")],
        ("finished", None),
    ]
    for record in found[:-1]:
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert record["class"] == max(record["probabilities"], key=record["probabilities"].__getitem__)
    assert found[0]["text"] == "card late [bold]\x1b[31m"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "missing.csv"], "no file or folder"),
        (["--data", "DATA", "--text-column", "nope"], "The columns are: 'text', 'label'"),
        (["--data", "DATA", "--encoder", "nobody/nothing"], "minilm is bundled"),
        (["--data", "DATA", "--limit", "-3"], "limit: must not be negative"),
        (["--data", "DATA", "--head", "svm"], "svm"),
        (["--data", "DATA", "--pooling", "median"], "median"),
    ],
)
def test_bad_input_is_told_and_leaves_no_run(
    data: Path, arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["classify", *(str(data) if one == "DATA" else one for one in arguments)])
    told = capfd.readouterr()
    assert code == 2
    assert words in " ".join(told.err.split())
    assert "Traceback" not in told.err
    assert json.dumps(told.out) == '""'
    if "nobody/nothing" not in arguments:
        assert not list((data.parent / "home" / "runs").glob("*"))


def test_predict_of_what_is_no_classifier_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "home" / "runs" / "20260101-000000-dante"
    run.mkdir(parents=True)
    (run / "spec.json").write_text("{}")
    assert cli.main(["predict", "dante", "a text"]) == 2
    assert "holds no trained classifier" in capfd.readouterr().err
    assert cli.main(["predict", "nothing", "a text"]) == 2
