"""Collections: what is read, what is left out and told, what cannot be used."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retrieving import collection, write

from data import beir, passages
from data.beir import BeirError
from data.hub import Fetched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return collection(tmp_path / "small")


def test_the_bundled_collection_is_whole_and_as_large_as_promised() -> None:
    found = beir.load("workshop")
    assert len(found) >= 80
    assert len(found.queries) >= 40
    assert {"train", "test"} <= set(found.qrels)
    assert found.judged == "test"
    assert (found.repairs, len(found.checks)) == ((), 2)  # which fields are read
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
        "corpus.jsonl: 1 row left out with an id that occurred before; the first is d0 in line 37",
        "corpus.jsonl: 1 row left out without a text; the first is hollow in line 38",
        "corpus.jsonl: 2 rows left out that are no JSON objects; the first is line 39",
        "queries.jsonl: 1 row left out without a text; the first is mute in line 34",
        "qrels/test.tsv: 2 rows left out for a document that is not in the collection; "
        "the first is 1 for document missing of query q30 in line 10",
        "qrels/test.tsv: 1 row left out for a query that is not in the collection; "
        "the first is 1 for document d1 of query nobody in line 11",
        "left out test queries without a relevant document: 1; the first is lonely",
        "qrels/test.tsv: 1 row left out without query, document and grade; the first is line 13",
    ):
        assert words in told, told


def test_ids_with_spaces_are_used_and_told(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", [{"_id": "my note", "text": "card late"}, {"_id": "other", "text": "app"}])
    write(tmp_path / "queries.jsonl", [{"_id": "q 1", "text": "card"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq 1\tmy note\t2\n")
    found = beir.load(str(tmp_path))
    assert found.relevant("test", "q 1") == {0: 2}
    assert "with spaces" in found.checks[-1]


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
    assert found.repairs == (
        "qrels/test.tsv: 2 rows left out with a grade that is no whole number; "
        "the first is 0.5 for document d4 of query q31 in line 2",
    )


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
    assert "train queries that are in test too: 1; the first is q30" in found.repairs[-1]


@pytest.mark.parametrize(
    ("corpus", "words"),
    [
        ("", "the corpus is empty"),
        (
            '{"_id": "a", "text": ""}\n',
            "the corpus is empty; corpus.jsonl: 1 row left out without a text; the first is a in line 1",
        ),
        ('{"_id": "a"\n', "corpus.jsonl: 1 row left out that are no JSON objects; the first is line 1"),
        ('{"text": "no id"}\n', "corpus.jsonl: 1 row left out without an id; the first is line 1"),
        (
            '{"_id": "a", "text": [7]}\n',
            "corpus.jsonl: 1 row left out with a text that is no text; the first is line 1",
        ),
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
    pieces = [text for name, text in zip(found.ids, found.texts, strict=True) if name.startswith("deep/long.txt#")]
    assert len(pieces) > 1
    assert all(len(text) <= passages.PASSAGE for text in found.texts)
    assert " ".join(pieces).split() == long.split()
    assert not any("hidden" in name or "image" in name for name in found.ids)
    assert [line.partition(" (")[0] for line in found.repairs] == ["texts: 1 row left out"]
    assert "your own texts; no queries or qrels: search only" in found.checks


def test_paragraphs_are_put_together_up_to_the_length_of_a_passage(tmp_path: Path) -> None:
    paragraphs = ["a" * 600, "b" * (passages.PASSAGE - 601), "c" * (passages.PASSAGE - 1), "d"]
    (tmp_path / "note.txt").write_text("\n\n".join(paragraphs))
    one, two, three, four = paragraphs
    assert beir.load(str(tmp_path)).texts == (f"{one} {two}", three, four)


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    for name, words in (
        ("", "no collection named"),
        (str(tmp_path / "nothing here"), "there is no folder"),
        (str(tmp_path), "holds neither corpus.jsonl"),
    ):
        with pytest.raises(BeirError, match=words):
            beir.load(name)


def test_the_hubs_tables_become_a_collection(tmp_path: Path) -> None:
    tables = {
        "corpus": {"corpus": [{"_id": "1", "title": "T", "text": "card"}, {"_id": 2, "text": "app"}]},
        "queries": {"queries": [{"_id": "7", "text": "which card"}]},
        "qrels": {"test": [{"query-id": 7, "corpus-id": 1, "score": 1}], "other": []},
    }
    fetched = {}
    for what, splits in tables.items():
        files = {split: [tmp_path / f"{what}-{split}.jsonl"] for split in splits}
        for split, rows in splits.items():
            write(files[split][0], rows)
        fetched[what] = Fetched(files, "the Hub")
    found = beir.load("BeIR/small", fetched=fetched)
    assert found.ids == ("1", "2")
    assert found.relevant("test", "7") == {0: 1}
    assert found.source == "the Hub (BeIR/small)"


# -- the same collection, written in other ways ----------------------------------------------------------------------

DOCUMENTS = [
    (str(number), f"Title {number}" if number % 2 else "", f"caffè number {number}, {word}")
    for number, word in enumerate(["card", "bill", "app", "login", "late"], 10)
]
QUERIES = [(str(number), f"which {word}?") for number, word in enumerate(["card", "bill", "app"], 1)]
JUDGED = [("1", "10", 1), ("1", "11", 2), ("2", "11", 1), ("3", "12", 3)]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, rows)
    return path


def qrels(path: Path, lines: list[str], header: str = "query-id\tcorpus-id\tscore", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in ([header] if header else []) + lines).encode())
    return path


def plain(folder: Path) -> None:
    corpus(folder / "corpus.jsonl")
    asked(folder / "queries.jsonl")
    qrels(folder / "qrels" / "test.tsv", ["\t".join(map(str, row)) for row in JUDGED])


def corpus(path: Path, key: Callable[[str], Any] = str) -> Path:
    return jsonl(path, [{"_id": key(name), "title": title, "text": text} for name, title, text in DOCUMENTS])


def asked(path: Path, key: Callable[[str], Any] = str) -> Path:
    return jsonl(path, [{"_id": key(name), "text": text} for name, text in QUERIES])


def marks_and_line_ends_of_windows(folder: Path) -> None:
    plain(folder)
    for file in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))


def no_header_after_a_mark(folder: Path) -> None:
    plain(folder)
    rows = ["\t".join(map(str, row)) for row in JUDGED]
    qrels(folder / "qrels" / "test.tsv", ["\ufeff" + rows[0], *rows[1:]], header="")


def numbers_as_ids(folder: Path) -> None:
    plain(folder)
    corpus(folder / "corpus.jsonl", int)
    asked(folder / "queries.jsonl", float)


def judgements_of_trec(folder: Path) -> None:
    plain(folder)
    (folder / "qrels" / "test.tsv").unlink()
    qrels(folder / "qrels" / "test.txt", [f"{query} 0 {name} {grade}" for query, name, grade in JUDGED], header="")


def judgements_of_trec_at_tabs_beside_the_corpus(folder: Path) -> None:
    plain(folder)
    (folder / "qrels" / "test.tsv").unlink()
    qrels(folder / "qrels.test.tsv", [f"{query}\t0\t{name}\t{grade}" for query, name, grade in JUDGED], header="")


def columns_in_another_order(folder: Path) -> None:
    plain(folder)
    rows = [f"{grade},{name},{query}" for query, name, grade in JUDGED]
    (folder / "qrels" / "test.tsv").unlink()
    qrels(folder / "qrels" / "test.csv", rows, header="score,corpus-id,query-id")


def whole_grades_with_a_point(folder: Path) -> None:
    plain(folder)
    qrels(folder / "qrels" / "test.tsv", [f"{query}\t{name}\t{grade}.0" for query, name, grade in JUDGED])


def compressed(folder: Path) -> None:
    plain(folder)
    for file in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()


def parquet_of_the_hub(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    plain(folder)
    for name in ("corpus", "queries"):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
        (folder / f"{name}.jsonl").unlink()
        (folder / name).mkdir()
        for number, part in enumerate((rows[:2], rows[2:])):
            target = folder / name / f"{name}-0000{number}-of-00002.parquet"
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), target)
    (folder / "qrels" / "test.tsv").unlink()
    rows = [{"query-id": int(query), "corpus-id": int(name), "score": grade} for query, name, grade in JUDGED]
    target = folder.parent / f"{folder.name}-qrels" / "test-00000-of-00001.parquet"
    target.parent.mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), target)


def json_lines_of_judgements(folder: Path) -> None:
    plain(folder)
    (folder / "qrels" / "test.tsv").unlink()
    rows = [{"query-id": query, "corpus-id": name, "score": grade} for query, name, grade in JUDGED]
    jsonl(folder / "qrels" / "test.jsonl", rows)


def other_encodings(folder: Path) -> None:
    plain(folder)
    text = (folder / "corpus.jsonl").read_text("utf-8")
    (folder / "corpus.jsonl").write_bytes(text.encode("utf-16"))
    (folder / "queries.jsonl").write_bytes((folder / "queries.jsonl").read_text("utf-8").encode("utf-16-le"))


def arrays_and_other_names(folder: Path) -> None:
    plain(folder)
    (folder / "corpus.jsonl").unlink()
    rows = [{"docid": name, "title": title, "contents": text} for name, title, text in DOCUMENTS]
    (folder / "corpus.json").write_text(json.dumps(rows))


WAYS = [
    plain,
    marks_and_line_ends_of_windows,
    no_header_after_a_mark,
    numbers_as_ids,
    judgements_of_trec,
    judgements_of_trec_at_tabs_beside_the_corpus,
    columns_in_another_order,
    whole_grades_with_a_point,
    compressed,
    parquet_of_the_hub,
    json_lines_of_judgements,
    other_encodings,
    arrays_and_other_names,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_one_collection_written_in_many_ways_is_the_same(tmp_path: Path, way: Callable[[Path], None]) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    way(folder)
    found = beir.load(str(folder))
    assert [*zip(found.ids, found.titles, found.texts, strict=True)] == DOCUMENTS
    assert dict(found.queries) == dict(QUERIES)
    assert [(query, name, grade) for query, part in found.qrels["test"].items() for name, grade in part.items()] == (
        JUDGED
    )
    assert [line for line in found.repairs if "read as UTF-16" not in line] == []
    assert [line for line in found.checks if ": id from " not in line] == []


# -- what is dropped -------------------------------------------------------------------------------------------------


def test_what_goes_in_is_used_or_counted(tmp_path: Path) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        expected: Counter[str] = Counter()
        lines: dict[str, list[str]] = {"corpus.jsonl": [], "queries.jsonl": [], "qrels/test.tsv": []}

        def add(file: str, line: str, kind: str = "", lines: Any = lines, expected: Any = expected) -> None:
            lines[file].append(line)
            expected[f"{file}: {kind}" if kind else file] += 1

        for file, mark in (("corpus.jsonl", "d"), ("queries.jsonl", "q")):
            for number in range(20):
                add(file, json.dumps({"_id": f"{mark}{number}", "text": f"word {number}"}))
                kind = rng.choice(["again", "empty", "broken", "list", "no id", "bad text", "", ""])
                extra = f"{mark}x{number}"
                if kind == "again":
                    add(
                        file, json.dumps({"_id": f"{mark}{number}", "text": "again"}), "with an id that occurred before"
                    )
                elif kind == "empty":
                    add(file, json.dumps({"_id": extra, "text": rng.choice(["", "  ", None])}), "without a text")
                elif kind in ("broken", "list"):
                    line = '{"_id": ' if kind == "broken" else "[1, 2]"
                    add(file, line, "that are no JSON objects")
                elif kind == "no id":
                    add(file, json.dumps({"_id": rng.choice(["", None, True, 1.5]), "text": "x"}), "without an id")
                elif kind == "bad text":
                    add(
                        file,
                        json.dumps({"_id": extra, "text": rng.choice([[1], {"a": 1}, True])}),
                        "with a text that is no text",
                    )
        for number in range(20):
            add("qrels/test.tsv", f"q{number}\td{number}\t1")
            kind = rng.choice(["half", "document", "query", "short", "word", "", ""])
            if kind == "half":
                grade = rng.choice(["0.5", "2.7", "-0.5", "nan", "inf"])
                add("qrels/test.tsv", f"q{number}\td1{number}\t{grade}", "with a grade that is no whole number")
            elif kind == "document":
                add("qrels/test.tsv", f"q{number}\tgone{number}\t1", "for a document that is not in the collection")
            elif kind == "query":
                add("qrels/test.tsv", f"nobody\td{number}\t1", "for a query that is not in the collection")
            elif kind:
                line = f"q{number}" if kind == "short" else f"q{number}\td{number}\thigh"
                add("qrels/test.tsv", line, "without query, document and grade")
        for file, some in lines.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text("\n".join(some))
        found = beir.load(str(folder))
        told: Counter[str] = Counter()
        for line in found.repairs:
            match = re.fullmatch(r"([\w./]+): ([\d,]+) rows? left out (.+); the first is (.+)", line)
            assert match is not None, line
            told[f"{match[1]}: {match[3]}"] += int(match[2])
            place = re.search(r"line ([\d,]+)$", match[4])
            assert place is not None, line
        told.update({"corpus.jsonl": len(found), "queries.jsonl": len(found.queries)})
        told["qrels/test.tsv"] = sum(map(len, found.qrels["test"].values()))
        assert told == expected
        assert sum(told.values()) == sum(map(len, lines.values()))


@pytest.mark.parametrize(
    ("lines", "relevant", "told"),
    [
        (["1\t10\t0.5", "2\t11\t2.7"], {}, "2 rows left out with a grade that is no whole number; the first is 0.5"),
        (["1\t10\t-1", "1\t11\t2"], {"1": {"11": 2}}, "1 row with a grade of 0 or less: not relevant"),
        (["1\t10\t0", "2\t11\t1"], {"2": {"11": 1}}, "left out test queries without a relevant document: 1"),
        (["1\t10\t0", "1\t11\t2"], {"1": {"11": 2}}, "1 row with a grade of 0 or less: not relevant"),
        (["1\t10\t1", "1\t10\t3"], {"1": {"10": 3}}, "1 row judged before with another grade, which they replace"),
        (
            ["1\t10\t1", "1\t99\t1"],
            {"1": {"10": 1}},
            "for a document that is not in the collection; the first is 1 for",
        ),
        (["1\t10\t1"], {"1": {"10": 1}}, "2 queries that no qrels name, such as '2': not judged"),
        (["1\t10\thigh", "2\t11\t1"], {"2": {"11": 1}}, "without query, document and grade; the first is line 1"),
    ],
)
def test_grades_that_are_not_used_as_they_are_are_told(
    tmp_path: Path, lines: list[str], relevant: dict[str, dict[str, int]], told: str
) -> None:
    plain(tmp_path)
    qrels(tmp_path / "qrels" / "test.tsv", lines, header="")
    found = beir.load(str(tmp_path))
    assert {query: dict(part) for query, part in found.qrels.get("test", {}).items()} == relevant
    assert any(told in line for line in (*found.repairs, *found.checks)), (found.repairs, found.checks)


# -- own documents ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "column", "ids"),
    [
        ("notes.csv", "title,text\nOne,card late\nTwo,app\n", "", ["1", "2"]),
        ("notes.tsv", "id\tcontent\nx\tcard late\ny\tapp\n", "", ["x", "y"]),
        ("notes.jsonl", '{"note": "card late"}\n{"note": "app"}\n', "", ["1", "2"]),
        ("notes.json", '[{"text": "no", "note": "card late"}, {"text": "no", "note": "app"}]', "note", ["1", "2"]),
        ("notes.csv", "a,b\nx,card late\ny,app\n", "b", ["1", "2"]),
        ("notes.csv", "id;Text\n7;card late\n8;app\n", "", ["7", "8"]),
        ("notes.csv", "id,Text,text\n7,card late,no\n8,app,no\n", "", ["7", "8"]),
    ],
)
def test_a_table_of_ones_own_documents_can_be_searched(
    tmp_path: Path, name: str, content: str, column: str, ids: list[str]
) -> None:
    (tmp_path / name).write_text(content)
    for path in (tmp_path / name, tmp_path):
        found = beir.load(str(path), text_column=column)
        assert (list(found.ids), list(found.texts), found.judged) == (ids, ["card late", "app"], "")


def test_an_unknown_text_column_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\nx,card\n")
    with pytest.raises(BeirError, match=r"no field of notes.csv is known to be the documents' text: name one of a, b"):
        beir.load(str(tmp_path / "notes.csv"))
    with pytest.raises(BeirError, match=r"no field 'c' in notes.csv: name one of a, b as text column"):
        beir.load(str(tmp_path / "notes.csv"), text_column="c")


def test_fields_that_are_read_and_those_that_are_not_are_told(tmp_path: Path) -> None:
    plain(tmp_path)
    write(tmp_path / "corpus.jsonl", [{"_id": "10", "Title": "T", "contents": "card", "url": "x", "metadata": {}}])
    found = beir.load(str(tmp_path))
    assert found.documents == ["T card"]
    assert found.checks == (
        "corpus.jsonl: id from '_id', title from 'Title', text from 'contents'; not used: the fields 'url', 'metadata'",
        "queries.jsonl: id from '_id', text from 'text'",
    )


def test_bytes_that_are_not_utf8_cost_one_character_and_are_counted(tmp_path: Path) -> None:
    plain(tmp_path)
    lines = [f'{{"_id": "{number}", "text": "perché {number}"}}'.encode() for number in range(10, 30)]
    lines[3] = lines[3].replace("é".encode(), b"\xe9")
    (tmp_path / "corpus.jsonl").write_bytes(b"\n".join(lines))
    found = beir.load(str(tmp_path))
    assert found.texts[3] == "perch\ufffd 13"
    told = "corpus.jsonl: 1 character is not valid UTF-8 and became U+FFFD (NUL is dropped), the first in line 4"
    assert told in found.repairs


def test_an_encoding_that_is_given_is_used_for_texts_and_tables(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes("zażółć gęślą".encode("cp1250"))
    found = beir.load(str(tmp_path), encoding="cp1250")
    assert found.texts == ("zażółć gęślą",)
    assert any("read as cp1250" in line for line in found.checks)


def test_long_documents_are_cut_and_told(tmp_path: Path) -> None:
    plain(tmp_path)
    write(tmp_path / "corpus.jsonl", [{"_id": "10", "text": "x" * (beir.LONGEST + 1)}, {"_id": "11", "text": "y"}])
    found = beir.load(str(tmp_path))
    assert len(found.texts[0]) == beir.LONGEST
    assert "corpus.jsonl: 1 row cut after 50,000 characters; the first is 10 in line 1" in found.checks


def test_files_of_a_folder_that_are_not_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first text")
    (tmp_path / "c.pdf").write_bytes(b"%PDF\0")
    (tmp_path / "d.txt").write_bytes(bytes(range(256)) * 9)
    found = beir.load(str(tmp_path))
    assert found.ids == ("a.txt",)
    assert "not used, since they are not texts: c.pdf" in found.checks
    assert [line for line in found.repairs if "binary" in line and line.endswith("the first is d.txt")]
    for name in ("a.txt", "d.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "own.csv").write_text("title,body\nA,text\n")
    assert "not used: c.pdf, beside own.csv" in beir.load(str(tmp_path)).checks


def test_a_pair_that_is_judged_twice_is_told(folder: Path) -> None:
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q30\td30\t2\n")
    found = beir.load(str(folder))
    assert found.relevant("test", "q30") == {30: 2}
    told = "qrels/test.tsv: 1 row judged before with another grade, which they replace; the first is line 10"
    assert told in found.checks
