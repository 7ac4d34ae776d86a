"""Data sets from files: what is read, what is repaired and said, and what cannot be used."""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter
from importlib import resources
from itertools import combinations
from pathlib import Path

import pytest
from tiny import texts, write_csv

from data import choices, tables
from data.formats import TableError
from data.hub import Fetched


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(*pairs: tuple[str, object]) -> str:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs)


PLENTY = [(f"good number {n}", "yes") for n in range(20)] + [(f"bad number {n}", "no") for n in range(20)]


def test_the_bundled_set_is_large_varied_and_balanced() -> None:
    data = tables.load("helpdesk")
    every = [*data.train.texts, *data.validation.texts, *data.test.texts]
    assert (len(every), len(data.test), len(set(every))) == (320, 80, 320)
    assert data.classes == ("account", "billing", "delivery", "technical")
    assert set(Counter(data.test.labels).values()) == {20}
    assert data.checks.leaked == ()
    assert data.checks.repeated == 0


def test_the_sentences_about_feelings_are_skewed_and_each_class_is_in_every_split() -> None:
    data = tables.load("feelings")
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [298, 60, 90]
    assert len({" ".join(text.casefold().split()) for split in splits for text in split.texts}) == 448
    counts = Counter(data.classes[label] for split in splits for label in split.labels)
    assert counts == {"joy": 148, "sadness": 130, "anger": 63, "fear": 54, "love": 35, "surprise": 18}
    for split in splits:  # stratified
        for label, count in Counter(split.labels).items():
            assert abs(count - counts[data.classes[label]] * len(split) / 448) < 1
    words = [set(re.findall(r"\w+", text.casefold())) for split in splits for text in split.texts]
    assert max(len(one & other) / len(one | other) for one, other in combinations(words, 2)) < 0.5
    assert (data.source, data.repairs, data.checks.leaked) == ("bundled with the program", (), ())


def test_the_sentences_about_feelings_are_a_table_that_csv_reads() -> None:
    data = tables.load("feelings")
    file = resources.files("data") / "bundled" / "feelings.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [tuple(row.values()) for row in csv.DictReader(lines)]
    own = [
        (text, data.classes[label], name)
        for name in ("train", "validation", "test")
        for text, label in zip(getattr(data, name).texts, getattr(data, name).labels, strict=True)
    ]
    assert sorted(rows) == sorted(own)


def test_csv_json_lines_and_parquet_give_the_same(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = {"text": [text for text, _ in PLENTY], "label": [label for _, label in PLENTY]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    write(tmp_path / "a.jsonl", rows(*PLENTY))
    write(tmp_path / "a.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in PLENTY))
    write(tmp_path / "a.tsv", "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in PLENTY))
    prints = {tables.load(str(tmp_path / f"a.{suffix}")).fingerprint for suffix in ("csv", "tsv", "jsonl", "parquet")}
    assert len(prints) == 1


def test_label_names_that_a_parquet_file_carries_are_used(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    features = {"info": {"features": {"label": {"names": ["World", "Sports"], "_type": "ClassLabel"}}}}
    table = pyarrow.table({"text": [text for text, _ in PLENTY], "label": [0] * 20 + [1] * 20})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    data = tables.load(str(tmp_path))
    assert data.classes == ("World", "Sports")
    pairs = zip(data.train.texts, data.train.labels, strict=True)
    assert all((label == 0) == text.startswith("good") for text, label in pairs)


def test_missing_splits_are_set_aside_in_the_classes_shares_and_said(tmp_path: Path) -> None:
    made = write_csv(tmp_path / "one.csv", texts(300))
    data, again = tables.load(str(made)), tables.load(str(made))
    assert (len(data.train), len(data.validation), len(data.test)) == (216, 24, 60)
    assert Counter(data.test.labels) == {0: 20, 1: 20, 2: 20}
    assert not set(data.train.texts) & {*data.validation.texts, *data.test.texts}
    assert data.fingerprint == again.fingerprint != tables.load(str(made), seed=2).fingerprint
    assert sum("set aside" in line for line in data.repairs) == 2


def test_identical_texts_are_never_divided_between_splits(tmp_path: Path) -> None:
    """Over many random sets: repeats, other spaces around a text, and texts that contradict themselves."""
    for seed in range(60):
        rng = random.Random(seed)
        classes = rng.randint(2, 5)
        unique = rng.randint(20, 80)
        repeat = rng.choice((1, 1, 2, 4, 8))
        pairs = []
        for number in range(unique):
            label = f"c{min(rng.randrange(classes), rng.randrange(classes))}"  # skewed
            for _ in range(rng.randint(1, repeat)):
                odd = f"c{rng.randrange(classes)}" if rng.random() < 0.1 else label
                pairs.append((rng.choice(("", " ", "\t")) + f"text {number}" + rng.choice(("", "  ")), odd))
        rng.shuffle(pairs)
        file = write(tmp_path / f"{seed}.jsonl", rows(*pairs))
        data = tables.load(str(file), seed=seed)
        parts = [{text.strip() for text in split.texts} for split in (data.train, data.validation, data.test)]
        assert all(parts), seed
        assert len(set.union(*parts)) == sum(map(len, parts)), seed
        assert data.checks.leaked == data.checks.leaked_validation == ()
        splits = (data.train, data.validation, data.test)
        placed = Counter(place for split in splits for place in split.places)
        assert set(placed.values()) == {1}
        # Nothing is lost but rows of classes that train has none of; there are none, since a class keeps a row.
        assert sum(map(len, splits)) == len(pairs)
        assert set(data.train.labels) == set(range(len(data.classes)))
        everywhere = Counter(label for _, label in pairs)
        for split, share in ((data.test, 0.2), (data.validation, 0.08)):
            for label, name in enumerate(data.classes):
                wanted = everywhere[name] * share
                # A text moves as a whole, and one with several labels takes the others along.
                assert abs(split.labels.count(label) - wanted) <= 0.05 * everywhere[name] + 2 * repeat, (seed, name)


def test_rows_without_repeats_are_split_as_by_rows(tmp_path: Path) -> None:
    """Data in which no text is repeated is split as it was before identical texts stayed together."""
    made = texts(200, seed=8)
    data = tables.load(str(write_csv(tmp_path / "one.csv", made)))
    left, expected = list(range(200)), []
    for split, share in (("test", 0.2), ("validation", 0.1)):
        rng, chosen = random.Random(f"1337/{split}"), set()
        for label in range(3):
            own = [row for row in left if made[1][row] == label]
            rng.shuffle(own)
            chosen.update(own[: round(len(own) * share)])
        expected.append(tuple(made[0][row] for row in sorted(chosen)))
        left = [row for row in left if row not in chosen]
    assert (data.test.texts, data.validation.texts) == tuple(expected)


def test_a_class_of_two_texts_is_in_train_and_in_test(tmp_path: Path) -> None:
    few = [("rare one", "rare")] * 9 + [("rare two", "rare")] * 8 + [("single", "single")] * 3
    data = tables.load(str(write(tmp_path / "few.jsonl", rows(*PLENTY, *few))))
    assert set(data.test.texts) >= {"rare two"}
    assert "rare one" in data.train.texts
    assert data.train.texts.count("single") == 3
    assert "identical texts together" in data.repairs[0]
    data = tables.load(str(write(tmp_path / "two.jsonl", rows(*[("yes", "y"), ("no", "n")] * 10))))
    assert "identical texts divided" in data.repairs[0]
    assert len(data.checks.leaked) == len(data.test) == 4


def test_a_folder_with_a_file_for_each_split(tmp_path: Path) -> None:
    for name, count in (("train", 60), ("dev", 12), ("test", 9)):
        write_csv(tmp_path / f"{name}.csv", texts(count, seed=count))
    data = tables.load(str(tmp_path))
    assert (len(data.train), len(data.validation), len(data.test), data.repairs) == (60, 12, 9, ())


def test_columns_are_found_by_name_chosen_or_listed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "when,Sentence,Category,other\n" + "1,hello you,x,2\n1,goodbye now,y,2\n" * 20)
    assert tables.load(str(file)).text_column == "Sentence"
    assert tables.load(str(file), text_column="other", label_column="Category").text_column == "other"
    with pytest.raises(TableError, match=r"no column 'nope'.*'when', 'Sentence', 'Category', 'other'"):
        tables.load(str(file), text_column="nope")
    write(file, "foo,bar\na,b\n")
    with pytest.raises(TableError, match=r"--text-column.*--label-column.*'foo', 'bar'"):
        tables.load(str(file))
    shown = tables.preview(str(file))
    assert (shown.columns, shown.rows, shown.roles) == (("foo", "bar"), (("a", "b"),), ("", ""))


def test_leaks_repeats_and_contradictions_are_counted(tmp_path: Path) -> None:
    train = [*PLENTY, PLENTY[0], ("bad number 3", "yes")]
    test = [("good number 1", "yes"), ("something new", "no"), ("bad number 2 ", "no")]
    write(tmp_path / "train.jsonl", rows(*train))
    write(tmp_path / "validation.jsonl", rows(("val", "yes"), ("ue", "no")))
    write(tmp_path / "test.jsonl", rows(*test))
    checks = tables.load(str(tmp_path)).checks
    assert (checks.leaked, checks.repeated, checks.contradicted) == ((0, 2), 2, 1)
    assert any("test texts that are in train too: 2" in line for line in checks.lines())


def test_what_can_be_repaired_is_repaired_and_said(tmp_path: Path) -> None:
    strange = [("", "yes"), ("   ", "no"), ("no label", None), ("x" * 2_000_000, "yes"), ("seven", 7), (12, "no")]
    file = write(tmp_path / "a.jsonl", rows(*PLENTY, *strange, *[("seven again", 7)] * 3) + "not json\n")  # type: ignore[arg-type]
    data = tables.load(str(file))
    told = "\n".join(data.repairs)
    for words in (
        "2 rows with an empty text",
        "without a label",
        "cut to the first 20,000",
        "mixes types",
        "no JSON",
    ):
        assert words in told
    assert data.classes == ("7", "no", "yes")
    assert max(map(len, [*data.train.texts, *data.test.texts, *data.validation.texts])) == 20_000


def test_text_that_is_not_utf8_is_read_in_its_encoding_and_said(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(f"caffè {n},{'sì' if n % 2 else 'no'}\n" for n in range(40))
    data = tables.load(str(write(tmp_path / "a.csv", content.encode("latin-1"))))
    assert data.classes == ("no", "sì")
    assert all(text.startswith("caffè") for text in data.train.texts)
    assert data.repairs[0] == "a.csv is read as cp1252"


def test_test_labels_that_train_lacks_are_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows(*PLENTY))
    write(tmp_path / "test.jsonl", rows(("good", "yes"), ("odd", "maybe"), ("bad", "no")))
    data = tables.load(str(tmp_path))
    assert (data.classes, data.test.texts) == (("no", "yes"), ("good", "bad"))
    assert any("1 row left out, label not in train (maybe)" in line for line in data.repairs)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (rows(("one", "a")), "1 usable row"),
        (rows(*[(f"text {n}", "a") for n in range(30)]), "of 1 class"),
        ("", "holds no rows"),
        ("\n\nnot json at all\n", "holds no rows"),
        (rows(*[(f"text {n}", f"label {n}") for n in range(600)]), "600 different values"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(TableError, match=words):
        tables.load(str(write(tmp_path / "a.jsonl", content)))


def test_the_limit_keeps_the_shares(tmp_path: Path) -> None:
    made = write_csv(tmp_path / "one.csv", texts(300))
    data = tables.load(str(made), limit=30)
    assert (len(data.train), len(data.test)) == (30, 30)
    assert set(Counter(data.train.labels).values()) == {10}


def test_a_name_without_a_file_is_told() -> None:
    with pytest.raises(TableError, match="no file or folder"):
        tables.load("missing.csv")


def test_splits_of_the_hub_that_are_not_labelled_are_left_out(tmp_path: Path) -> None:
    splits = {}
    for split in ("train", "validation", "test", "unsupervised"):
        file = tmp_path / f"{split}-0.jsonl"
        file.write_text("".join(f'{{"text": "{split} {row}", "label": {row % 2}}}\n' for row in range(10)))
        splits[split] = [file]
    fetched = Fetched(splits, "the Hub", {"label": ["sad", "glad"]})
    data = tables.load("dair-ai/emotion", fetched=fetched)
    assert (data.classes, len(data.test)) == (("sad", "glad"), 10)
    assert data.train.labels == (0, 1) * 5
    assert data.train.places[2] == ("train", 3)
    assert data.repairs == ("not used: the split unsupervised",)
    assert len(tables.preview("dair-ai/emotion", count=3, fetched=fetched).rows) == 3


def test_a_limit_is_told(tmp_path: Path) -> None:
    found = tables.load("helpdesk", limit=30)
    (told,) = [line for line in found.repairs if "max rows" in line]
    whole = tables.load("helpdesk")
    for split in ("train", "validation", "test"):
        count = len(getattr(whole, split))
        assert (f"30 of {count} in {split}" in told) == (count > 30)
    assert not [line for line in whole.repairs if "max rows" in line]
    assert not [line for line in tables.load("helpdesk", limit=len(whole.train)).repairs if "max rows" in line]
    assert "max rows: 20 of" in " ".join(choices.load("everyday", limit=20).repairs)
