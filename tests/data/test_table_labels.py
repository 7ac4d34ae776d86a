"""What a cell of a label column means: the same in every format, and nothing where it means nothing."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from data import tables
from data.formats import TableError
from data.labels import read_labels
from data.tables import TextData

NAN, INF = math.nan, math.inf


def write(folder: Path, marks: list[Any], kind: str = "jsonl", times: int = 12, names: list[str] | None = None) -> str:
    """A file of ``times`` rows for each of these labels, as the text says."""
    rows = [
        {"text": f"text {n} of {n % len(marks)}", "label": marks[n % len(marks)]} for n in range(len(marks) * times)
    ]
    path = folder / f"a.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "parquet":
        table = pyarrow.Table.from_pylist(rows)
        if names:
            about = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
            table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
        pyarrow.parquet.write_table(table, path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"])
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def classes_of(data: TextData) -> dict[int, set[str]]:
    """For the place of each label the classes of its rows."""
    found: dict[int, set[str]] = {}
    for part in (data.train, data.validation, data.test):
        for text, label in zip(part.texts, part.labels, strict=True):
            found.setdefault(int(text.split()[-1]), set()).add(data.classes[label])
    return found


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([0, 1, 2], ["0", "1", "2"]),
        ([-1, 0, 1], ["-1", "0", "1"]),
        ([1.0, 2.0, 10.0], ["1", "2", "10"]),
        ([True, False], ["true", "false"]),
        (["bad", "good", "Good ", " good"], ["bad", "good", "Good ", " good"]),
        (["01", "02", "1.5"], ["01", "02", "1.5"]),
        (["1.0", "2.0", "-3.00", "+4", "5e0"], ["1", "2", "-3", "4", "5"]),
        ([["a"], ["b"]], ["a", "b"]),
        ([[3], [4]], ["3", "4"]),
        (["yes", "none", "no"], ["yes", "none", "no"]),
        (["1", "two", "3.0"], ["1", "two", "3.0"]),
    ],
)
def test_labels_are_the_same_in_every_format(tmp_path: Path, marks: list[Any], expected: list[str]) -> None:
    for kind in ("jsonl", "json", "csv", "parquet"):
        data = tables.load(write(tmp_path, marks, kind))
        assert classes_of(data) == {place: {name} for place, name in enumerate(expected)}, kind
        assert all("set aside" in line for line in data.repairs)


@pytest.mark.parametrize(
    ("marks", "missing"),
    [
        (["a", "b", None], 1),
        (["a", "b", "", "  "], 2),
        ([0, 1, NAN], 1),
        ([0, 1, INF, -INF], 2),
        (["a", "b", NAN, INF], 2),
        (["a", "b", [], [None], [NAN]], 3),
        ([0, 1, "NaN", "nan", "", "inf", "None", "null", "N/A"], 7),
        ([1.0, 2.0, "NaN"], 1),
    ],
)
def test_what_is_no_label_leaves_its_rows_out_counted_with_the_first(
    tmp_path: Path, marks: list[Any], missing: int
) -> None:
    for kind in ("jsonl", "csv"):
        if kind == "csv" and isinstance(marks[0], str) and any(one != one or one == [None] for one in marks):
            continue  # nan in a column of words can be a word in a CSV
        data = tables.load(write(tmp_path, marks, kind))
        assert len(data.classes) == 2
        assert set(classes_of(data)) == {0, 1}
        told = f"train: {missing * 12} rows without a label left out; the first is row 3 of a.{kind}"
        assert told in data.repairs
        assert not any("mixes" in line for line in data.repairs) or "[" in str(marks)


def test_nan_in_a_column_of_words_is_a_class_that_the_checks_name(tmp_path: Path) -> None:
    data = tables.load(write(tmp_path, ["a", "b", "nan"], "csv"))
    assert data.classes == ("a", "b", "nan")
    assert "the class 'nan' may be rows without a label" in data.checks.lines()


@pytest.mark.parametrize(
    ("names", "marks", "expected"),
    [
        (["no", "yes"], [0, 1, -1], ["no", "yes", None]),
        (["no", "yes"], [0.0, 1.0, NAN], ["no", "yes", None]),
        (["1", "2", "3"], [0, 1, 2], ["1", "2", "3"]),
        (["3", "1", "2"], [0, 1, 2, 7], ["3", "1", "2", None]),
        (["b", "a", "c"], ["a", "b", "c"], ["a", "b", "c"]),
        (["no", "yes"], ["no", "yes", "maybe"], ["no", "yes", None]),
        (["no", "yes"], ["1", "0", "-1"], ["yes", "no", None]),
    ],
)
def test_names_that_come_with_the_data(
    tmp_path: Path, names: list[str], marks: list[Any], expected: list[str | None]
) -> None:
    data = tables.load(write(tmp_path, marks, "parquet", names=names))
    assert classes_of(data) == {place: {name} for place, name in enumerate(expected) if name}
    assert data.classes == tuple(names)
    assert any("12 rows" in line and "left out" in line and "row " in line for line in data.repairs) == (
        None in expected
    )


@pytest.mark.parametrize(
    ("marks", "given", "expected"),
    [
        ([-1, 0, 1], "bad,so so,good", ["bad", "so so", "good"]),
        ([4, 3, 2, 1], "one,two,three,four", ["four", "three", "two", "one"]),
        (["1.0", "0.0"], "no,yes", ["yes", "no"]),
        ([10, 9, 2], "two,nine,ten", ["ten", "nine", "two"]),
        ([0, 1, NAN], "no,yes", ["no", "yes", None]),
        ([0, 1, 2], "no,yes", "2 names for 3 labels (0, 1, 2)"),
        ([0, 1], "no,yes,maybe", "3 names for 2 labels (0, 1)"),
        ([-1, 0, 1], "no,yes", "2 names for 3 labels (-1, 0, 1)"),
        (["a", "b"], "no,yes", "names of labels are for numbers, and the column 'label' holds a, b"),
        ([0.5, 1.5], "no,yes", "names of labels are for numbers, and the column 'label' holds 0.5, 1.5"),
    ],
)
def test_names_that_the_user_gives(tmp_path: Path, marks: list[Any], given: str, expected: list[str] | str) -> None:
    for kind in ("jsonl", "csv"):
        path = write(tmp_path, marks, kind)
        if isinstance(expected, str):
            with pytest.raises(TableError) as error:
                tables.load(path, label_names=given.split(","))
            assert expected in str(error.value)
        else:
            data = tables.load(path, label_names=given.split(","))
            assert data.classes == tuple(given.split(","))
            assert classes_of(data) == {place: {name} for place, name in enumerate(expected) if name}


def test_names_that_the_user_gives_replace_those_of_the_data(tmp_path: Path) -> None:
    path = write(tmp_path, [1, 0, -1], "parquet", names=["LABEL_0", "LABEL_1"])
    data = tables.load(path, label_names=("no", "yes"))
    assert classes_of(data) == {0: {"yes"}, 1: {"no"}}
    with pytest.raises(TableError, match="3 names for 2 labels"):
        tables.load(path, label_names=("no", "yes", "maybe"))


@pytest.mark.parametrize(
    ("marks", "kind", "row"),
    [
        ([["a"], ["a", "b"]], "jsonl", 2),
        ([[1], [2], [1, 2, 3]], "parquet", 3),
        ([[1], [0, 2]], "csv", 2),
        (["['a', 'b']", "['a']"], "csv", 1),
        ([["a"], [["b", "c"]]], "json", 2),
    ],
)
def test_several_labels_are_refused_by_name(tmp_path: Path, marks: list[Any], kind: str, row: int) -> None:
    with pytest.raises(TableError, match=rf"row {row} of a.{kind} has several labels: this is multi-label"):
        tables.load(write(tmp_path, marks, kind))


@pytest.mark.parametrize(
    ("marks", "twins"),
    [
        (["bad", " bad", "good"], "' bad' and 'bad'"),
        (["Bad", "bad", "BAD", "good"], "'BAD' and 'Bad' and 'bad'"),
        (["so  so", "so so", "good"], "'so  so' and 'so so'"),
        (["Straße", "STRASSE", "x"], "'STRASSE' and 'Straße'"),
        (["a\u00a0b", "a b", "x"], "'a b' and 'a\\xa0b'"),
        (["bad", "good", "b ad"], ""),
    ],
)
def test_labels_that_differ_in_case_or_spaces_are_named(tmp_path: Path, marks: list[str], twins: str) -> None:
    for kind in ("jsonl", "csv"):
        data = tables.load(write(tmp_path, marks, kind))
        assert len(data.classes) == len(marks)
        told = [line for line in data.checks.lines() if "case or spaces" in line]
        assert told == (
            [f"labels that differ only in case or spaces are classes of their own: {twins}"] if twins else []
        )


def test_two_rows_on_average_are_enough_for_many_classes() -> None:
    cells = {f"intent {number}": 2 for number in range(60)}
    assert len(read_labels("label", cells, (), ()).classes) == 60
    with pytest.raises(TableError, match="60 different values in 119 rows"):
        read_labels("label", {**cells, "intent 0": 1}, (), ())


def test_a_class_that_a_split_lacks_is_told(tmp_path: Path) -> None:
    for split, marks in (("train", "abc"), ("validation", "ab"), ("test", "bc")):
        rows = "".join(f"{split} {n} {mark},{mark}\n" for n in range(9) for mark in marks)
        (tmp_path / f"{split}.csv").write_text("text,label\n" + rows)
    told = tables.load(str(tmp_path)).checks.lines()
    assert told[-2:] == ("validation has no rows of c", "test has no rows of a")


@pytest.mark.parametrize(
    ("marks", "times", "refused"),
    [
        ([f"intent {n}" for n in range(600)], 12, ""),
        ([f"intent {n}" for n in range(60)], 3, ""),
        (list(range(1000)), 3, ""),
        ([n / 2 for n in range(9)], 5, ""),
        ([f"class {n}" for n in range(1001)], 3, "1,001 classes; at most 1,000"),
        ([f"row {n}" for n in range(400)], 1, "400 different values in 400 rows, so it is no label"),
        (list(range(300)), 1, "300 different values in 300 rows"),
        ([n / 7 for n in range(1, 100)], 20, "99 different values in 1,980 rows"),
    ],
)
def test_what_is_clearly_no_label_is_refused(tmp_path: Path, marks: list[Any], times: int, refused: str) -> None:
    path = write(tmp_path, marks, times=times)
    if refused:
        with pytest.raises(TableError, match=refused):
            tables.load(path)
    else:
        assert len(tables.load(path).classes) == len(marks)
