"""Collections: what is read, what is left out and told, what cannot be used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from retrieving import collection, write

from data import beir
from data.beir import BeirError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return collection(tmp_path / "small")


def test_the_bundled_collection_is_whole_and_as_large_as_promised() -> None:
    found = beir.load("workshop")
    assert len(found) >= 80
    assert len(found.queries) >= 40
    assert {"train", "test"} <= set(found.qrels)
    assert found.judged == "test"
    assert (found.repairs, found.checks) == ((), ())
    assert not set(found.qrels["train"]) & set(found.qrels["test"])
    assert all(found.relevant(split, query) for split, part in found.qrels.items() for query in part)


def test_a_folder_in_beir_layout_is_read_as_it_is(folder: Path) -> None:
    found = beir.load(str(folder))
    assert (len(found), len(found.queries)) == (36, 32)
    assert (len(found.qrels["train"]), len(found.qrels["test"])) == (24, 8)
    lines = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    assert found.documents == [line["text"] for line in lines]
    assert found.relevant("test", "q30") == {30: 1}
    assert found.fingerprint == beir.load(str(folder)).fingerprint


def test_titles_come_before_texts_and_change_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", [{"_id": "a", "title": "One", "text": "two"}])
    first = beir.load(str(tmp_path))
    assert first.documents == ["One two"]
    write(tmp_path / "corpus.jsonl", [{"_id": "a", "title": "One", "text": "three"}])
    assert beir.load(str(tmp_path)).corpus_fingerprint != first.corpus_fingerprint


def test_what_is_wrong_is_left_out_and_told_and_the_rest_is_used(folder: Path) -> None:
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d0", "text": "again"}\n')
        file.write('{"_id": "hollow", "text": "  "}\n')
        file.write('{"_id": "broken", \n')
        file.write('["no", "object"]\n')
    with (folder / "queries.jsonl").open("a") as file:
        file.write('{"_id": "lonely", "text": "nobody answers"}\n{"_id": "mute", "text": ""}\n')
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q30\tmissing\t1\nnobody\td1\t1\nlonely\tgone\t1\nnonsense\nq31\td2\t0\n")
    found = beir.load(str(folder))
    assert (len(found), len(found.qrels["test"])) == (36, 8)
    told = "\n".join(found.repairs)
    for words in (
        "left out documents whose id was there already: 1 (d0)",
        "left out documents without a text: 1 (hollow)",
        "left out lines that are no JSON objects: 2 (corpus.jsonl line 39, corpus.jsonl line 40)",
        "left out queries without a text: 1 (mute)",
        "left out test qrels that name documents that are not there: 2 (missing of query q30, gone of query lonely)",
        "left out test qrels of queries that are not there: 1 (nobody)",
        "left out test queries without a relevant document: 1 (lonely)",
        "qrels without query, document and grade: 1 (qrels/test.tsv line 13)",
    ):
        assert words in told, told


def test_ids_with_spaces_are_used_and_told(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", [{"_id": "my note", "text": "card late"}, {"_id": "other", "text": "app"}])
    write(tmp_path / "queries.jsonl", [{"_id": "q 1", "text": "card"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq 1\tmy note\t2\n")
    found = beir.load(str(tmp_path))
    assert found.relevant("test", "q 1") == {0: 2}
    assert "with spaces" in found.checks[0]


def test_columns_of_trec_are_understood(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("q30 0 d3 1\nq31 0 d4 2\n")
    found = beir.load(str(folder))
    assert found.relevant("test", "q31") == {4: 2}


def test_a_byte_order_mark_is_passed_over_and_fractional_grades_are_left_out_and_told(folder: Path) -> None:
    for name in ("corpus.jsonl", "queries.jsonl"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(b"\xef\xbb\xbf" + content)
    (folder / "qrels" / "test.tsv").write_bytes("\ufeffq30\td3\t1\nq31\td4\t0.5\nq31\td5\t2.0\nq31\td6\tnan\n".encode())
    found = beir.load(str(folder))
    assert len(found) == 36
    assert found.relevant("test", "q30") == {3: 1}
    assert found.relevant("test", "q31") == {5: 2}
    told = "left out test qrels whose grade is no whole number: 2 (0.5 for query q31, nan for query q31)"
    assert told in found.repairs


def test_a_document_with_the_id_of_a_query_is_its_own_unless_it_is_relevant_to_it(folder: Path) -> None:
    write(folder / "corpus.jsonl", [{"_id": name, "text": "card"} for name in ("q30", "q31", "d1")])
    (folder / "qrels" / "test.tsv").write_text("q30\td1\t1\nq31\tq31\t1\n")
    found = beir.load(str(folder))
    assert (found.own("test", "q30"), found.own("test", "q31"), found.own("test", "q1")) == (0, None, None)
    assert any("1 query with the id of a document, such as 'q30'" in line for line in found.checks)


def test_a_query_in_train_and_test_is_only_judged(folder: Path) -> None:
    with (folder / "qrels" / "train.tsv").open("a") as file:
        file.write("q30\td1\t1\n")
    found = beir.load(str(folder))
    assert "q30" in found.qrels["test"]
    assert "q30" not in found.qrels["train"]
    assert "train queries that are in test too: 1 (q30)" in found.repairs[-1]


@pytest.mark.parametrize(
    ("corpus", "words"),
    [
        ("", "the corpus is empty"),
        ('{"_id": "a", "text": ""}\n', "the corpus is empty; left out documents without a text: 1 (a)"),
        ('{"_id": "a"\n', "corpus.jsonl line 1 is no JSON object"),
        ('{"text": "no id"}\n', "corpus.jsonl line 1: there is no _id"),
        ('{"_id": "a", "text": 7}\n', "corpus.jsonl line 1: text is no text"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_told_with_its_line(tmp_path: Path, corpus: str, words: str) -> None:
    (tmp_path / "corpus.jsonl").write_text(corpus)
    with pytest.raises(BeirError) as caught:
        beir.load(str(tmp_path))
    assert words in str(caught.value)


def test_ones_own_texts_become_passages_that_can_be_searched(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "note.md").write_text("# A title\n\nA short note.\n")
    long = "\r\n\r\n".join(f"Paragraph {number} " + "word " * 100 for number in range(8))
    (tmp_path / "deep" / "long.txt").write_bytes(long.encode())
    (tmp_path / "huge.txt").write_text("x" * 3000)
    (tmp_path / "image.txt").write_bytes(b"\0\1\2")
    (tmp_path / ".hidden.txt").write_text("not this one")
    (tmp_path / "program.bin").write_bytes(b"\0")
    found = beir.load(str(tmp_path))
    assert found.judged == ""
    assert "note.md" in found.ids
    passages = [text for name, text in zip(found.ids, found.texts, strict=True) if name.startswith("deep/long.txt#")]
    assert len(passages) > 1
    assert all(len(text) <= beir.PASSAGE for text in found.texts)
    assert " ".join(passages).split() == long.split()
    assert not any("hidden" in name or "image" in name for name in found.ids)
    assert "it can be searched" in found.checks[0]


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    for name, words in (
        ("", "no collection named"),
        (str(tmp_path / "nothing here"), "there is no folder"),
        (str(tmp_path), "holds neither corpus.jsonl"),
    ):
        with pytest.raises(BeirError, match=words):
            beir.load(name)
    with pytest.raises(BeirError, match=r"the Hub does not answer. workshop is bundled"):
        beir.load("BeIR/scifact", unreachable=lambda: "the Hub does not answer")


def test_the_hubs_tables_become_a_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {
        ("BeIR/small", "corpus"): {"corpus": [{"_id": "1", "title": "T", "text": "card"}, {"_id": 2, "text": "app"}]},
        ("BeIR/small", "queries"): {"queries": [{"_id": "7", "text": "which card"}]},
        ("BeIR/small-qrels", None): {"test": [{"query-id": 7, "corpus-id": 1, "score": 1}], "validation": []},
    }

    def load_dataset(name: str, configuration: str | None, **_: Any) -> Any:
        return tables[name, configuration]

    fake = SimpleNamespace(
        load_dataset=load_dataset, disable_progress_bars=lambda: None, DownloadConfig=lambda **_: None
    )
    monkeypatch.setitem(sys.modules, "datasets", fake)
    found = beir.load("BeIR/small")
    assert found.ids == ("1", "2")
    assert found.relevant("test", "7") == {0: 1}
    assert found.source == "the Hub (BeIR/small)"
