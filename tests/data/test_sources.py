"""Rows from files and folders of every kind: all formats give the same, and what is not used is said."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from data import encodings, formats, sources, tables
from data.formats import TableError

ROWS = [{"text": f'number {n}, "quoted"; and\tmore | {"è" * (n % 3)}', "label": f"c{n % 4}"} for n in range(40)]


def csv_of(delimiter: str = ",", rows: list[dict[str, str]] = ROWS) -> str:
    made = io.StringIO()
    writer = csv.DictWriter(made, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()


def lines_of(rows: list[dict[str, Any]] = ROWS) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def zstd(content: str) -> bytes:
    made = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(made, "zstd") as file:
        file.write(content.encode())
    return bytes(made.getvalue())


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, rows: list[dict[str, Any]] = ROWS, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, **more)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", csv_of()),
        ("a.csv", "\ufeff" + csv_of().replace("\n", "\r\n")),
        ("a.csv", csv_of(";")),
        ("a.csv", csv_of("\t")),
        ("a.csv", csv_of("|")),
        ("a.csv", "sep=;\n" + csv_of(";")),
        ("a.csv", "\n \n" + csv_of(";")),
        ("a.tsv", csv_of("\t")),
        ("A.CSV", csv_of()),
        ("a.csv.gz", gzip.compress(csv_of().encode())),
        ("a.csv.zst", zstd(csv_of())),
        ("a.csv", csv_of().encode("utf-16")),
        ("a.jsonl", lines_of()),
        ("a.ndjson", "\n\n" + lines_of().replace("\n", "\r\n\n")),
        ("a.json", lines_of()),
        ("a.jsonl.gz", gzip.compress(lines_of().encode())),
        ("a.jsonl.zst", zstd(lines_of())),
        ("a.json", json.dumps(ROWS)),
        ("a.json", json.dumps(ROWS, indent=2, ensure_ascii=False)),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode())),
        ("a.json", json.dumps({"version": "1", "rows in it": 40, "data": ROWS})),
        ("a.json", json.dumps({"data": ROWS, "version": [1]}, indent=1)),
    ],
)
def test_every_format_gives_the_same_rows(
    tmp_path: Path, name: str, content: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / name, content)
    for chunk in (100, 1 << 16):  # characters of JSON in memory at a time
        monkeypatch.setattr(formats, "_CHUNK", chunk)
        found = sources.read(path)
        assert (found.splits["train"], found.columns) == (ROWS, ["text", "label"])
        assert [row.file for row in found.splits["train"]] == [name] * 40
    assert sources.read(path, most=3).splits["train"] == ROWS[:3]


def test_what_the_hubs_library_saves_is_read_with_the_names_of_labels(tmp_path: Path) -> None:
    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    made = datasets.Dataset.from_dict({"text": [f"text {n}" for n in range(40)], "label": [0, 1] * 20}, kinds)
    part = made.filter(lambda row: row["text"].endswith("3"))
    made.save_to_disk(str(tmp_path / "one"), num_shards=3)
    datasets.DatasetDict(train=made, val=part, test=part, unsupervised=made).save_to_disk(str(tmp_path / "several"))
    made.to_parquet(str(tmp_path / "a.parquet"))
    one, several = sources.read(tmp_path / "one"), sources.read(tmp_path / "several")
    assert one.splits == {"train": list(made)} == sources.read(tmp_path / "a.parquet").splits
    assert several.splits == {"train": list(made), "validation": list(part), "test": list(part)}
    assert one.names == several.names == {"label": ["no", "yes"]}
    assert several.repairs == ["not used: the split unsupervised"]
    assert tables.load(str(tmp_path / "one")).classes == ("no", "yes")
    write(tmp_path / "one" / "state.json", json.dumps({"_data_files": [{"filename": "../several/train/x.arrow"}]}))
    with pytest.raises(TableError, match="outside of its folder"):
        sources.read(tmp_path / "one")


@pytest.mark.parametrize(
    "beside",
    [
        ("README.md", "---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n"
         "        names:\n          '0': no\n          '1': 'yes'\n---\n# A set"),
        ("README.md", "---\nlicense: mit\ndataset_info:\n- config_name: a\n  features:\n  - name: label\n    dtype:\n"
         "      class_label:\n        names:\n          '1': yes\n          '0': no\n---\n"),
        ("dataset_infos.json", json.dumps({"default": {"features": {"label": {"names": ["no", "yes"]}}}})),
        ("dataset_info.json", json.dumps({"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}})),
    ],
)  # fmt: skip
def test_names_of_labels_beside_the_tables_are_used(tmp_path: Path, beside: tuple[str, str]) -> None:
    rows = [{"text": f"text {n}", "label": n % 2} for n in range(40)]
    write(tmp_path / "train.csv", csv_of(rows=rows))  # type: ignore[arg-type]
    write(tmp_path / beside[0], beside[1])
    assert tables.load(str(tmp_path)).classes == ("no", "yes")


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"train.csv": ("train", 0), "test.csv": ("test", 0)}, ""),
        ({"train-00000-of-00002.parquet": ("train", 0), "train-00001-of-00002.parquet": ("train", 1)}, ""),
        ({"data/train-00000-of-00001.parquet": ("train", 0), "data/val-00000-of-00001.parquet": ("validation", 0)}, ""),
        ({"train/a.jsonl.gz": ("train", 0), "train/b.jsonl.gz": ("train", 1), "dev/a.jsonl.gz": ("validation", 0)}, ""),
        ({"data/train/0.csv": ("train", 0), "data/test/0.csv": ("test", 0), "README.md": ("", 0)}, ""),
        ({"emotion_train.csv": ("train", 0), "emotion-Test.csv": ("test", 0), "emotion.eval.csv": ("", 0)},
         "emotion.eval.csv"),
        ({"train.csv": ("train", 0), "train.jsonl": ("", 0), "more.csv": ("", 0)}, "more.csv, train.jsonl"),
        ({"validation.csv": ("validation", 0), "dev.csv": ("", 0), "train.csv": ("train", 0)}, "dev.csv"),
        ({"train.csv": ("train", 0), "data/train.csv": ("", 0)}, "data/train.csv"),
        ({"reviews.csv": ("train", 0)}, ""),
    ],
)  # fmt: skip
def test_layouts_of_folders(tmp_path: Path, files: dict[str, tuple[str, int]], left: str) -> None:
    expected: dict[str, list[Any]] = {}
    for name, (split, number) in files.items():
        own = [{"text": f"{name} {n}", "label": "x"} for n in range(3)]
        if name.endswith(".parquet"):
            parquet(tmp_path / name, own)
        else:
            content = lines_of(own) if "jsonl" in name else csv_of(rows=own)
            write(tmp_path / name, gzip.compress(content.encode()) if name.endswith(".gz") else content)
        if split:
            assert len(expected.setdefault(split, [])) == 3 * number
            expected[split] += own
    found = sources.read(tmp_path)
    assert found.splits == expected
    assert (f"not used: {left}, beside" in "".join(found.repairs)) == bool(left)
    assert bool(found.repairs) == bool(left)


def test_a_folder_of_several_sets_names_them(tmp_path: Path) -> None:
    write(tmp_path / "easy" / "train.csv", csv_of())
    write(tmp_path / "hard" / "train.csv", csv_of())
    with pytest.raises(TableError, match="one of the folders in it: easy, hard"):
        sources.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        ",text,label\n" + "".join(f"{n},t {n},x\n" for n in range(30)),
        "Unnamed: 0,text,label\n" + "".join(f"{n},t {n},x\n" for n in range(30)),
        "text,label\n" + "".join(f"{n},t {n},x\n" for n in range(1, 31)),
        ",text,label\n" + "".join(f"{n * 7 % 31},t {n},x\n" for n in range(30)),
        "text;label\n" + "".join(f'"{n}";"t {n}";"x"\n' for n in range(1, 31)),
        lines_of([{"__index_level_0__": n, "text": f"t {n}", "label": "x"} for n in range(30)]),
    ],
)
def test_a_column_without_a_name_that_numbers_the_rows_is_not_used(tmp_path: Path, content: str) -> None:
    found = sources.read(write(tmp_path / ("a.jsonl" if content[0] == "{" else "a.csv"), content))
    assert found.columns == ["text", "label"]
    assert [row["label"] for row in found.splits["train"]] == ["x"] * 30
    assert len(found.repairs) == 1
    assert "numbers the rows" in found.repairs[0]


def test_other_columns_without_a_name_get_one(tmp_path: Path) -> None:
    found = sources.read(write(tmp_path / "a.csv", ",label,\n" + "hello,x,\nyou,y,\n" * 9))
    assert (found.columns, found.repairs) == (["column 1", "label", "column 3"], [])
    assert tables.load(str(tmp_path / "a.csv"), text_column="column 1").repairs[0] == "not used: the column 'column 3'"


def test_lines_that_an_open_quote_swallows_are_told_with_their_place(tmp_path: Path) -> None:
    """Over random tables: every line of the file is a used row, the header, or in the notices."""
    for seed in range(100):
        rng = random.Random(seed)
        lines = [f"plain {n},{rng.choice('abc')}" for n in range(rng.randint(20, 60))]
        opened = rng.randrange(5, len(lines) - 3)
        lines[opened] = '"' + lines[opened]
        closed = rng.randrange(opened + 2, len(lines) + 1)  # past the end: never
        if closed < len(lines):
            lines[closed] = rng.choice((f'"x, y",{rng.choice("abc")}', f'plain",{rng.choice("abc")}', 'x"y,a'))
        found = sources.read(write(tmp_path / "a.csv", "text,label\n" + "\n".join(lines) + "\n"))
        last = min(closed, len(lines) - 1)
        told = " ".join(found.repairs)
        assert f"the first is row {opened + 1:,} in lines {opened + 2} to {last + 2}: is a quote" in told, (seed, told)
        span = int(re.search(r"1 row has (\d+) lines", told)[1])  # type: ignore[index]
        whole = sum("\n" not in row["text"] for row in found.splits["train"])
        assert whole + span == len(lines), seed
        # The row itself is used, or counted.
        assert len(found.splits["train"]) - whole + ("1 row left out" in told) == 1


@pytest.mark.parametrize(
    "text",
    ["two\nlines", "a list:\n- one, two\n- three, four", "dear sir,\n\nyours, me", 'he said "no,\nnever"', "x,\r\ny"],
)
def test_texts_of_several_lines_are_no_open_quotes(tmp_path: Path, text: str) -> None:
    rows = [{"text": f"plain {n}", "label": "ab"[n % 2]} for n in range(20)]
    rows.insert(9, {"text": text, "label": "a"})
    found = sources.read(write(tmp_path / "a.csv", csv_of(rows=rows)))
    assert (found.splits["train"], found.repairs) == (rows, [])


def test_rows_with_too_many_or_too_few_cells_are_counted_with_the_first(tmp_path: Path) -> None:
    lines = ["text,label", "a,x", "b,x,more", "c", "", "d,y", "e,x,y,z", "f"]
    found = sources.read(write(tmp_path / "a.csv", "\n".join(lines)))
    assert [row["text"] for row in found.splits["train"]] == ["a", "d"]
    assert found.repairs == [
        "a.csv: 2 rows left out with more cells than the header's 2; the first is row 2 in line 3",
        "a.csv: 2 rows left out with fewer cells than the header's 2; the first is row 3 in line 4",
    ]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("text;label, if any", ["a, b;x", "c, d, e;y"]),
        ("id,text | words,label", ["1,a | b,x", "2,c,y"]),
        ("text\tlabel", ["a, b; c\tx", "d\ty"]),
        ('"text, or words";label', ['"a";x', '"b, c";y']),
        ("text|label;code", ["a;b|x", "c|y"]),
    ],
)
def test_the_delimiter_is_that_which_the_rows_follow(tmp_path: Path, header: str, rows: list[str]) -> None:
    found = sources.read(write(tmp_path / "a.csv", "\n".join([header, *rows * 10])))
    assert len(found.splits["train"]) == 20
    assert {next(reversed(row.values())) for row in found.splits["train"]} == {"x", "y"}


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.csv.gz"])
def test_a_look_reads_the_beginning_of_a_file_only(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    rows = [{"text": f"{rng.getrandbits(1600):x}", "label": f"c{n % 3}"} for n in range(20_000)]
    content = csv_of(rows=rows) if "csv" in name else lines_of(rows) if name == "a.jsonl" else json.dumps(rows)
    path = write(tmp_path / name, gzip.compress(content.encode(), 1) if name.endswith("gz") else content)
    read = 0

    class Counted(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            nonlocal read
            got = super().readinto(buffer) or 0
            read += got
            return got

    def opened(path: Path) -> IO[bytes]:
        file = io.BufferedReader(Counted(path))
        return gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file  # type: ignore[return-value]

    monkeypatch.setattr(encodings, "open_bytes", opened)
    shown = tables.preview(str(path), count=40)
    assert (len(shown.rows), shown.rows[0], shown.encoding) == (40, tuple(rows[0].values()), "UTF-8")
    assert 0 < read < 3_000_000 < path.stat().st_size
    read = 0
    assert len(sources.read(path).splits["train"]) == 20_000
    assert read >= path.stat().st_size


def test_a_look_at_parquet_reads_its_first_rows_only(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", ROWS * 50, row_group_size=100, compression="gzip", use_dictionary=False)
    group = pyarrow.parquet.ParquetFile(path).metadata.row_group(3).column(0)
    content = bytearray(path.read_bytes())
    at = group.data_page_offset
    content[at : at + group.total_compressed_size] = b"\xff" * group.total_compressed_size
    write(path, bytes(content))
    assert list(tables.preview(str(path), count=7).rows[6]) == list(ROWS[6].values())
    with pytest.raises(TableError):
        sources.read(path)


def test_what_is_too_large_is_refused_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.csv", csv_of())
    write(tmp_path / "a.csv.gz", gzip.compress(csv_of().encode()))
    write(tmp_path / "b.csv.zst", zstd(csv_of()))
    write(tmp_path / "both" / "train.csv", csv_of())
    write(tmp_path / "both" / "test.csv", csv_of())
    monkeypatch.setattr(formats, "MOST_ROWS", 60)
    assert len(sources.read(tmp_path / "a.csv").splits["train"]) == 40
    with pytest.raises(TableError, match="more than 60 rows"):
        sources.read(tmp_path / "both")
    monkeypatch.setattr(formats, "LARGEST", 500)
    for name in ("a.csv", "a.csv.gz", "b.csv.zst"):
        with pytest.raises(TableError, match="the most that is read"):
            sources.read(tmp_path / name)
        assert len(sources.read(tmp_path / name, most=3).splits["train"]) == 3


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", gzip.compress(csv_of().encode())[:-20], "damaged or cut off"),
        ("a.csv.gz", csv_of(), "a.csv.gz"),
        ("a.csv.zst", zstd(csv_of())[:30], "a.csv.zst"),
        ("a.json", json.dumps(ROWS)[:-9], "no readable JSON near element 40"),
        ("a.json", '{\n "text": "one"\n}\n', "holds no rows; .* 3 rows left out that are no JSON objects"),
        ("a.parquet", "no parquet", "no readable Parquet"),
        ("a.parquet.gz", b"", "give .csv"),
        ("a.csv", bytes(range(256)) * 9, "binary"),
        ("a.csv", "text,text\na,b\n", "two columns have the same name"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        sources.read(write(tmp_path / name, content))


@pytest.mark.parametrize("encoding", ["cp1250", "cp1252", "gb18030", "shift_jis", "utf-16", "koi8_r"])
def test_an_encoding_that_is_given_is_used(tmp_path: Path, encoding: str) -> None:
    words = {"gb18030": "周末", "shift_jis": "かな", "koi8_r": "слово", "cp1250": "żółw"}.get(encoding, "caffè")
    path = write(tmp_path / "a.csv", f"text,label\n{words},x\n".encode(encoding))
    found = sources.read(path, encoding=encoding)
    assert found.splits["train"] == [{"text": words, "label": "x"}]
    assert found.encoding == encodings.title(encodings.named(encoding))
    with pytest.raises(TableError, match="not an encoding"):
        sources.read(path, encoding="utf-9")


def test_a_bad_byte_costs_its_character_and_is_told(tmp_path: Path) -> None:
    content = csv_of().encode()
    at = content.index("è".encode(), 900)
    path = write(tmp_path / "a.csv", content[:at] + b"\xff" + content[at + 2 :])
    found = sources.read(path)
    texts = "".join(row["text"] for row in found.splits["train"])
    assert (len(found.splits["train"]), texts.count("\ufffd"), found.encoding) == (40, 1, "UTF-8")
    assert "first in line" in found.repairs[0]


def test_splits_in_a_column_are_told_where_they_are_none(tmp_path: Path) -> None:
    rows = [{**row, "split": ("train", "test", "Validation", "fold 3")[n % 4]} for n, row in enumerate(ROWS)]
    found = sources.by_column(sources.read(write(tmp_path / "a.csv", csv_of(rows=rows))))
    assert {split: len(rows) for split, rows in found.splits.items()} == {"train": 20, "test": 10, "validation": 10}
    assert found.repairs == ["split: 10 rows whose split is 'fold 3' taken as train; the first is row 4 of a.csv"]


FAULTS: dict[str, Callable[[int], Any]] = {
    "no label": lambda n: {"text": f"fault {n}", "label": None},
    "an empty label": lambda n: {"text": f"fault {n}", "label": ""},
    "NaN": lambda n: {"text": f"fault {n}", "label": float("nan")},
    "infinity": lambda n: {"text": f"fault {n}", "label": float("inf")},
    "an empty list": lambda n: {"text": f"fault {n}", "label": []},
    "no text": lambda n: {"label": "c1"},
    "a blank text": lambda n: {"text": " \n", "label": "c1"},
    "a text that is NaN": lambda n: {"text": float("nan"), "label": "c1"},
    "no object": lambda n: [n],
    "no JSON": lambda n: ...,
    "a class of its own": lambda n: {"text": f"fault {n}", "label": "only in test"},
}


def test_every_row_is_used_or_counted_in_a_notice(tmp_path: Path) -> None:
    """Over random mixtures of faulty rows of every kind, in two splits."""
    for seed in range(40):
        rng = random.Random(seed)
        written = 0
        for split, count in (("train", 200), ("test", 60)):
            rows: list[Any] = [{"text": f"{split} {n}", "label": f"c{n % 3}"} for n in range(count)]
            for kind in rng.choices(list(FAULTS), k=rng.randint(0, 30)):
                if split == "test" or kind != "a class of its own":
                    rows.insert(rng.randrange(len(rows)), FAULTS[kind](len(rows)))
            written += len(rows)
            write(
                tmp_path / f"{split}.jsonl",
                "".join(("{cut" if row is ... else json.dumps(row)) + "\n" for row in rows),
            )
        data = tables.load(str(tmp_path))
        used = len(data.train) + len(data.validation) + len(data.test)
        dropped = [
            re.search(r": ([\d,]+) rows? .*left out.*; the first is (row|line) \d", line) for line in data.repairs
        ]
        counted = sum(int(found[1].replace(",", "")) for found in dropped if found)
        assert used + counted == written, (seed, data.repairs)
        assert sum("left out" in line for line in data.repairs) == sum(map(bool, dropped))


def test_every_row_of_a_csv_is_used_or_counted_in_a_notice(tmp_path: Path) -> None:
    for seed in range(40):
        rng = random.Random(seed)
        lines = [f"text {n},{n % 3}.0" for n in range(90)]
        faults = (
            "one cell",
            "three,cells,1",
            "no label,",
            "  ,1",
            "not a number,NaN",
            "infinite,inf",
            "none,None",
            ",",
        )
        for fault in rng.choices(faults, k=rng.randint(0, 40)):
            lines.insert(rng.randrange(len(lines)), fault)
        data = tables.load(str(write(tmp_path / "a.csv", "text,label\n" + "\n".join(lines))))
        used = len(data.train) + len(data.validation) + len(data.test)
        assert data.classes == ("0", "1", "2")
        counted = sum(
            int(found[1])
            for line in data.repairs
            if (found := re.search(r": (\d+) rows? .*left out.*; the first is", line))
        )
        assert used + counted == len(lines), (seed, data.repairs)


COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"train": ROWS, "test": ROWS[:9]}),
        json.dumps({"train": ROWS, "test": ROWS[:9]}, indent=1),
        "\ufeff" + json.dumps({"version": "1.0", "train": ROWS, "test": ROWS[:9], "about": {}}),
        json.dumps({"training": COLUMNS, "eval": {name: cells[:9] for name, cells in COLUMNS.items()}}),
        json.dumps({"train": [*ROWS, "no row", None], "test": ROWS[:9]}),
    ],
)
def test_an_object_of_splits_gives_them(tmp_path: Path, content: str) -> None:
    found = sources.by_column(sources.read(write(tmp_path / "a.json", content)))
    plain = {split: [{name: row[name] for name in COLUMNS} for row in rows] for split, rows in found.splits.items()}
    assert (plain, found.columns) == ({"train": ROWS, "test": ROWS[:9]}, ["text", "label"])
    assert ("not used: version, about" in " ".join(found.repairs)) == ("version" in content)
    assert ("a.json (train): 2 rows left out" in " ".join(found.repairs)) == ("no row" in content)


@pytest.mark.parametrize(
    "content",
    [
        COLUMNS,
        {name: {str(place): cell for place, cell in enumerate(cells)} for name, cells in COLUMNS.items()},  # pandas
        {"columns": [*COLUMNS], "index": [*range(40)], "data": [[*row.values()] for row in ROWS]},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_an_object_of_columns_gives_rows(tmp_path: Path, content: Any, indent: int | None) -> None:
    found = sources.read(write(tmp_path / "a.json", json.dumps(content, indent=indent)))
    assert (found.splits["train"], found.columns, found.repairs) == (ROWS, ["text", "label"], [])


def test_lines_that_begin_with_a_list_are_lines(tmp_path: Path) -> None:
    rows = [{"tags": ["a", "b"] * 40_000 * (n == 0), "more": n} for n in range(30)]
    assert sources.read(write(tmp_path / "a.json", lines_of(rows))).splits["train"] == rows
    broken = '{"tags": ["a"\n' + lines_of(rows)
    found = sources.read(write(tmp_path / "a.json", broken))
    assert found.splits["train"] == rows
    assert found.repairs == ["a.json: 1 row left out that are no JSON objects; the first is line 1"]


def test_a_table_without_a_header_has_numbers_for_names(tmp_path: Path) -> None:
    rows = [[str(n % 4 + 1), f"Title {n}, and more", f"text {n}"] for n in range(60)]
    made = io.StringIO()
    csv.writer(made).writerows(rows)
    found = sources.read(write(tmp_path / "a.csv", made.getvalue()))
    assert [[*row.values()] for row in found.splits["train"]] == rows
    assert (found.columns, found.splits["train"][0].line) == (["1", "2", "3"], 1)
    assert found.repairs == ["a.csv: no header, since the first row looks like data; columns are 1 to 3"]
    kept = tables.load(str(tmp_path / "a.csv"), text_column="2", label_column="1")
    assert (kept.classes, len(kept.train) + len(kept.validation) + len(kept.test)) == (("1", "2", "3", "4"), 60)
    with pytest.raises(TableError, match="no header"):
        tables.load(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("header", ["0,1", "1,2", ",0,1", "text,label", "3,text"])
def test_a_header_is_one_although_a_name_of_it_may_be_a_number(tmp_path: Path, header: str) -> None:
    width = header.count(",")
    lines = "".join(f"{n},"[: 9 * (width == 2)] + f"text {n},{n % 2}\n" for n in range(40))
    found = sources.read(write(tmp_path / "a.csv", f"{header}\n{lines}"))
    assert len(found.splits["train"]) == 40
    assert found.columns == header.lstrip(",").split(",")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_stray_zero_bytes_are_dropped_and_counted(tmp_path: Path, encoding: str) -> None:
    lines = [f"a text of some wörds {n},{'ab'[n % 2]}" for n in range(60)]
    spoilt = [line + "\0" * (n % 3 == 1) for n, line in enumerate(lines)]
    found = sources.read(write(tmp_path / "a.csv", "\n".join(["text,label", *spoilt]).encode(encoding)))
    assert [",".join(row.values()) for row in found.splits["train"]] == lines
    assert "20 characters are not valid" in found.repairs[-1]
    assert "the first in line 3" in found.repairs[-1]
    rows = [json.dumps({"text": line}).replace("text of", "te\0xt of") for line in lines]
    found = sources.read(write(tmp_path / "a.jsonl", "\n".join(rows)))
    assert [row["text"] for row in found.splits["train"]] == lines
    assert "60 characters are not valid UTF-8" in found.repairs[0]
