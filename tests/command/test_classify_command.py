"""``classify`` and ``predict`` in processes of their own."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import pytest
import tiny
from workbench import command, records

from checkpoints import home
from tui.command import cli


def write(folder: Path) -> Path:
    """A small data set."""
    folder.mkdir()
    tiny.write_csv(folder / "train.csv", tiny.texts(90))
    tiny.write_csv(folder / "test.csv", tiny.texts(30, seed=3))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "messages")


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
    assert [(record["event"], record.get("method")) for record in found] == [
        *[("predicted", method) for _ in range(2) for method in ("tfidf", "lr", "mlp")],
        ("finished", None),
    ]
    assert found[-1]["methods"] == ["tfidf", "lr", "mlp"]
    for record in found[:-1]:
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert record["class"] == max(record["probabilities"], key=record["probabilities"].__getitem__)
    assert found[0]["text"] == "card late [bold]\x1b[31m"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "missing.csv"], "no file or folder"),
        (["--data", "DATA", "--text-column", "nope"], "the columns are: 'text', 'label'"),
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


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run, of TF-IDF and logistic regression."""
    folder = tmp_path_factory.mktemp("classified")
    arguments = ["--data", write(folder / "messages"), "--encoder", tiny.bert(folder / "encoder"), "--head", "lr"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(folder / "home"))
        assert cli.main(["classify", *map(str, arguments), "--name", "small", "--quiet"]) == 0
    return folder / "home"


@pytest.fixture
def trained(classified: Path) -> str:
    """The name of that run, of which this test has a copy."""
    shutil.copytree(classified, home.home())
    return "small"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_predict_reads_a_table_and_writes_it_with_predictions(
    trained: str, suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = ["card late, very", 'the "parcel"\nis late', "", "=SUM(A1) app", "password"]
    source = tmp_path / "in.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "remark"], *enumerate(texts)])
    before, output = source.read_bytes(), tmp_path / f"out{suffix}"
    given = ["predict", trained, "--input", str(source), "--text-column", "remark", "--output", str(output)]
    assert cli.main(given) == 0
    told = capfd.readouterr()
    assert told.out == f"{output}\n"
    assert "1 row without text: not classified" in told.err
    assert cli.main(["predict", trained, *(text for text in texts if text), "--json"]) == 0
    expected = [one for one in records(capfd.readouterr().out) if one["event"] == "predicted"]
    with output.open(newline="", encoding="utf-8") as file:
        if suffix == ".jsonl":
            rows = [json.loads(line) for line in file]
        else:
            rows = list(csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ","))
    assert [(row["id"], row["remark"]) for row in rows] == [(str(number), text) for number, text in enumerate(texts)]
    left = iter(expected)
    for row, text in zip(rows, texts, strict=True):
        for method in ("tfidf", "lr"):
            if not text:
                assert not row.get(f"predicted_{method}")
                assert not row.get("predictions")
                continue
            one = next(left)
            assert (one["text"], one["method"]) == (text, method)
            if suffix == ".jsonl":
                found = row["predictions"][method]
                assert found["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)
                assert found["class"] == one["class"]
            else:
                assert row[f"predicted_{method}"] == one["class"]
                assert float(row[f"probability_{method}"]) == pytest.approx(
                    max(one["probabilities"].values()), abs=1e-5
                )
    assert source.read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_predict_prints_the_texts_of_a_table(trained: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "card late"}\n{"text": null}\nno json\n{"text": "the parcel"}\n')
    assert cli.main(["predict", trained, "--input", str(source), "--json"]) == 0
    told = capfd.readouterr()
    assert [one["text"] for one in records(told.out)[:-1]] == ["card late"] * 2 + ["the parcel"] * 2
    assert "1 row left out that are no JSON objects; the first is line 3" in told.err


def test_predict_reads_compressed_tables_and_other_encodings(
    trained: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.csv.gz"
    source.write_bytes(gzip.compress(",text\n0,caffè\n1,żółw\n".encode("utf-16-le")))
    assert cli.main(["predict", trained, "--input", str(source), "--encoding", "utf-16-le", "--json"]) == 0
    told = capfd.readouterr()
    assert {one["text"] for one in records(told.out)[:-1]} == {"caffè", "żółw"}
    assert "numbers the rows" in told.err
    assert cli.main(["predict", trained, "--input", str(source), "--encoding", "utf-9"]) == 2
    assert "'utf-9' is not an encoding" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "gone.csv"], "gone.csv is not a file"),
        (["--input", "IN", "--text-column", "nope"], "no column 'nope'"),
        (["--input", "IN", "--output", "IN"], "is the input"),
        (["--input", "IN", "--output", "out.xlsx"], "written as .csv, .tsv, .jsonl"),
        (["--input", "IN", "a text"], "not both"),
        (["--output", "out.csv", "a text"], "needs --input"),
        (["--text-column", "text", "a text"], "needs --input"),
        (["--encoding", "utf-8", "a text"], "needs --input"),
        (["--file", "x"], "no option --file"),
        (["a text", "-x"], "no option -x"),
        (["a text", "--no-such=3"], "no option --no-such=3"),
    ],
)
def test_what_predict_cannot_do_is_told(
    trained: str, arguments: list[str], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\ncard late\n")
    code = cli.main(["predict", trained, *(str(source) if one == "IN" else one for one in arguments)])
    told = capfd.readouterr()
    assert (code, told.out) == (2, "")
    assert words in " ".join(told.err.replace("│", " ").split())
    assert source.read_text() == "text\ncard late\n"


def test_a_text_may_begin_with_a_hyphen(trained: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", trained, "- the card", "-3 degrees", "--json"]) == 0
    assert {one["text"] for one in records(capfd.readouterr().out)[:-1]} == {"- the card", "-3 degrees"}


def test_names_of_labels_and_encodings_are_checked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text,label\n" + "".join(f"text {n},{n % 3 - 1}\n" for n in range(30)))
    assert cli.main(["classify", "--data", str(source), "--label-names", "bad,good"]) == 2
    assert "2 names for 3 labels (-1, 0, 1)" in " ".join(capfd.readouterr().err.split())
    assert cli.main(["classify", "--data", str(source), "--encoding", "utf-9"]) == 2
    assert "'utf-9' is not an encoding" in " ".join(capfd.readouterr().err.split())


def test_every_command_refuses_an_option_that_it_does_not_know(capfd: pytest.CaptureFixture[str]) -> None:
    needed = {"resume": 1, "own": 1, "export": 2, "sample": 1, "predict": 1, "suspects": 1, "bench": 1}
    values = {"bench": ["start"]}
    for name in cli.app:
        if name.startswith("-"):
            continue
        for unknown in (["--nonsense", "x"], ["--nonsense=x"], ["--nonsense"]):
            given = values.get(name, ["x"] * needed.get(name, 0))
            assert cli.main([name, *given, *unknown]) == 2, name
            told = capfd.readouterr()
            assert "nonsense" in told.err, name
            assert "Traceback" not in told.err
            assert told.out == ""
