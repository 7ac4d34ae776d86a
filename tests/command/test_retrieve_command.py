"""``retrieve`` and ``search`` as people and programs call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from retrieving import collection

from checkpoints import home
from checkpoints import run as runs
from tui.command import cli


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return collection(tmp_path / "small")


def said(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_retrieve_tells_json_and_search_uses_what_was_trained(
    data: Path, encoder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["retrieve", "--data", str(data), "--encoder", str(encoder), "--epochs", "2", "--json"]
    assert cli.main([*arguments, "--method", "bm25", "--method", "trained", "--hard-negatives", "1"]) == 0
    told = said(capfd)
    assert [one["event"] for one in told if one["event"] == "loaded"] == ["loaded"]
    assert any(one["event"] == "contender_step" and one["similarity"] for one in told)
    last = told[-1]
    assert (last["event"], last["reason"], list(last["results"])) == ("finished", "done", ["bm25", "trained"])
    for result in last["results"].values():
        assert {"ndcg@10", "recall@100", "mrr@10", "map@100", "interval", "seconds"} <= set(result)

    search = ["search", "--data", str(data), "card", "late", "--json", "--k", "3"]
    assert cli.main([*search, "--method", "bm25", "--method", "trained"]) == 0
    told = said(capfd)
    assert told[-1]["results"]["trained"]["hits"] == 3
    for method in ("bm25", "trained"):
        hits = [one for one in told if one.get("method") == method]
        assert [one["rank"] for one in hits] == list(range(1, len(hits) + 1))
        assert [one["score"] for one in hits] == sorted((one["score"] for one in hits), reverse=True)
        assert all({"id", "title", "text"} <= set(one) for one in hits)

    assert cli.main(["runs"]) == 0
    assert "retrieve-small" in capfd.readouterr().out
    assert cli.main(["resume", "latest", "--json"]) == 0
    assert said(capfd)[-1]["results"].keys() == last["results"].keys()
    assert cli.main(["resume", "latest", "--steps", "5"]) == 2
    assert "is a run of retrieve: --steps, --learning-rate" in capfd.readouterr().err


def test_a_table_for_people(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["retrieve", "--data", str(data), "--method", "bm25"]) == 0
    out, err = capfd.readouterr()
    assert "nDCG@10" in out
    assert out.startswith("method ")
    assert "36 documents, 24 train queries, 8 test queries judged" in err
    assert "finished: 1 method in " in err
    assert cli.main(["search", "--data", str(data), "--method", "bm25", "-k", "2", "parcel password"]) == 0
    assert len(capfd.readouterr().out.splitlines()) <= 2
    assert cli.main(["search", "--data", str(data), "--method", "bm25", "xylophone"]) == 0
    assert "no query word occurs in any document" in capfd.readouterr().out


def test_rankings_are_written_for_trec_eval_and_have_the_same_figures_there(
    data: Path, encoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import ir_measures
    import pytrec_eval

    corpus = (data / "corpus.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in corpus]
    copies = [{"_id": f"copy{row}", "text": text} for row, text in enumerate(texts)]  # equal scores in every ranking
    (data / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in copies) + "\n".join(corpus))
    arguments = ["retrieve", "--data", str(data), "--encoder", str(encoder), "--json"]
    out = tmp_path / "run.txt"
    assert cli.main([*arguments, "--method", "bm25", "--method", "mean", "--trec", str(out)]) == 0
    captured = capfd.readouterr()
    results = json.loads(captured.out.splitlines()[-1])["results"]
    assert not out.exists()
    qrels: dict[str, dict[str, int]] = {}
    for line in (data / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    for method in ("bm25", "mean"):
        file = tmp_path / f"run.{method}.txt"
        assert f"wrote {file}" in captured.err
        with file.open() as lines:
            parsed = pytrec_eval.parse_run(lines)
        scores = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map_cut.100"}).evaluate(parsed)
        for name, key in (("ndcg@10", "ndcg_cut_10"), ("map@100", "map_cut_100")):
            mean = sum(scores[query][key] for query in scores) / len(qrels)
            assert mean == pytest.approx(results[method][name], abs=1e-6)
        assert 0 < results[method]["ndcg@10"] < 1
        rows = list(ir_measures.read_trec_run(str(file)))
        assert len(rows) == len(file.read_text().splitlines())
        assert {row.query_id for row in rows} <= set(qrels)
    assert cli.main([*arguments, "--method", "bm25", "--trec", str(out)]) == 0
    assert out.read_bytes() == (tmp_path / "run.bm25.txt").read_bytes()
    assert cli.main([*arguments, "--method", "bm25", "--trec", str(tmp_path / "nowhere" / "run.txt")]) == 2
    assert "the folder does not exist" in capfd.readouterr().err


def test_an_id_with_spaces_is_refused_by_a_run_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = collection(tmp_path / "small")
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "two words", "text": "card"}\n')
    out = tmp_path / "run.txt"
    assert cli.main(["retrieve", "--data", str(folder), "--method", "bm25", "--trec", str(out)]) == 2
    assert "'two words' has spaces" in capfd.readouterr().err
    assert not out.exists()


def test_hostile_documents_reach_the_terminal_as_pictures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evil.txt").write_text("card \x1b]0;PAYLOAD\x07[red] \x1b[2J late")
    assert cli.main(["search", "--data", str(tmp_path), "--method", "bm25", "card"]) == 0
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert "[red]" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["retrieve", "--data", "/nowhere/at/all"], "there is no folder"),
        (["retrieve", "--data", "nobody/nothing"], "workshop is bundled"),
        (["retrieve", "--method", "magic"], "magic"),
        (["retrieve", "--hard-negatives", "99"], "hard_negatives"),
        (["retrieve", "--data", "DATA", "--encoder", "/nowhere"], "no encoder"),
        (["search", "--data", "DATA", "--method", "trained", "card"], "nothing is trained on"),
        (["search", "--data", "DATA", "--k", "0", "card"], "between 1 and"),
        (["search", "--data", "DATA", " "], "no query"),
    ],
)
def test_bad_input_is_told_in_a_line_and_leaves_no_run(
    arguments: list[str], words: str, data: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code = cli.main([str(data) if one == "DATA" else one for one in arguments])
    err = capfd.readouterr().err
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    # A retrieval that built something before it failed stays; what was bad from the start leaves nothing.
    assert not [run for run in runs.every(home.runs()) if not (run.path / "results.json").exists()]


def test_the_column_and_the_encoding_of_own_documents_can_be_given(
    tmp_path: Path, encoder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "notes.csv"
    table.write_bytes("name;body;extra\na;zażółć card;late\nb;gęślą app;bill\n".encode("cp1250"))
    more = ["--data", str(table), "--encoding", "cp1250", "--text-column"]
    for column, query, expected in (("body", "zażółć", "zażółć card"), ("extra", "bill", "bill")):
        assert cli.main(["search", *more, column, query, "--json", "--method", "bm25"]) == 0
        assert [one["text"] for one in said(capfd) if "rank" in one] == [expected]
    assert cli.main(["search", *more, "body", "gęślą", "--method", "bm25"]) == 0
    told = capfd.readouterr().err
    assert "notes.csv: text from 'body'; not used: the fields 'name', 'extra'" in told
    assert "notes.csv is read as cp1250" in told
    assert cli.main(["retrieve", *more, "body", "--method", "bm25", "--encoder", str(encoder)]) == 0
    assert "notes.csv: text from 'body'" in capfd.readouterr().err
    for command in (["search", "card"], ["retrieve", "--method", "bm25", "--encoder", str(encoder)]):
        assert cli.main([*command, *more, "nothing"]) == 2
        assert "no field 'nothing' in notes.csv: name one of name, body, extra" in capfd.readouterr().err
        assert cli.main([*command, *more[:3], "utf-9"]) == 2
        assert "utf-9" in capfd.readouterr().err
