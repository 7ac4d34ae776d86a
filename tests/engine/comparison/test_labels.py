"""Suspicious labels and the label curve: against a plain loop, planted mistakes and counted rows."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from data import tables
from engine.classify import runs as classify_runs
from engine.classify.export import suspects_csv
from engine.classify.spec import ClassifySpec
from engine.comparison import heads, statistics
from engine.comparison import labels as label_checks
from engine.comparison.labels import confident_joint, efficiency, off_diagonal, suspects
from engine.encoders import find as encoders
from engine.encoders.encode import encode
from engine.runs.events import ContenderStep, CurvePoint
from engine.runs.messages import Control


def planted(gold: np.ndarray, classes: int, count: int, seed: int) -> tuple[list[int], set[int]]:
    """Labels of which ``count`` are turned into another class, and the rows of these."""
    rng = np.random.default_rng(seed)
    turned = gold.copy()
    rows = rng.permutation(len(gold))[:count]
    turned[rows] = (turned[rows] + rng.integers(1, classes, count)) % classes
    return turned.tolist(), set(rows.tolist())


def found_in(features: Any, labels: list[int], classes: int) -> Any:
    return tiny.finish(suspects(features, labels, classes, Control()))[1]


@pytest.mark.parametrize("seed", range(4))
def test_most_of_twenty_planted_labels_are_among_the_first_twenty(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 4, 400)
    points = np.concatenate([np.eye(4)[gold] * 4, np.zeros((400, 12))], 1) + rng.normal(size=(400, 16))
    labels, rows = planted(gold, 4, 20, seed)
    found = found_in(points.astype(np.float32), labels, 4)
    assert len({one.row for one in found[:20]} & rows) >= 14
    assert sum(one.suggested == gold[one.row] for one in found[:20] if one.row in rows) >= 13


def test_planted_labels_of_real_texts_are_found() -> None:
    data = tables.load("helpdesk")
    splits = (data.train, data.validation, data.test)
    texts = [text for split in splits for text in split.texts]
    gold = np.array([label for split in splits for label in split.labels])
    labels, rows = planted(gold, 4, 20, 0)
    made = tiny.finish(encode(texts, encoders.minilm(), Control(), length=64, device="cpu"))[1]
    found = found_in(made.pooled("mean"), labels, 4)
    assert len({one.row for one in found[:20]} & rows) >= 14


def test_the_confident_joint_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(5)
    found = rng.dirichlet(np.ones(4), 200)
    gold = rng.integers(0, 3, 200)  # class 3 has no row, so nothing counts for it
    thresholds = {label: np.mean([found[row, label] for row in range(200) if gold[row] == label]) for label in range(3)}
    counts = np.zeros((4, 4))
    for shares, label in zip(found, gold, strict=True):
        reached = [one for one in range(3) if shares[one] >= thresholds[one]]
        if reached:
            counts[label, max(reached, key=lambda one: shares[one])] += 1
    assert 0 < counts.sum() < 200
    expected: set[int] = set()
    joint = confident_joint(found, gold)
    for given in range(3):
        rows = [row for row in range(200) if gold[row] == given]
        assert joint[given] == pytest.approx(counts[given] / counts[given].sum() * len(rows))
        for true in {0, 1, 2} - {given}:
            rows.sort(key=lambda row: found[row, given] - found[row, true])
            expected.update(rows[: round(joint[given, true])])
    assert off_diagonal(found, gold).tolist() == sorted(expected)


def test_suspects_are_ranked_by_their_normalized_margin() -> None:
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 3, 240)
    points = (np.eye(3)[gold] * 2 + rng.normal(size=(240, 3))).astype(np.float32)
    found = found_in(points, planted(gold, 3, 12, 1)[0], 3)
    margins = [one.probability - one.suggested_probability for one in found]
    assert margins == sorted(margins)
    assert all(one.suggested != one.label for one in found)


def test_every_fold_has_every_class_and_a_class_with_one_row_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Counter[int]] = []
    for name in ("fit_once", "logistic"):
        really = getattr(label_checks, name)

        def watched(*given: Any, really: Any = really, **more: Any) -> Any:
            # ``logistic`` is given features and labels in one pair.
            seen.append(Counter(given[1][1] if isinstance(given[1], tuple) else given[1]))
            return really(*given, **more)

        monkeypatch.setattr(label_checks, name, watched)
    gold = [0] * 40 + [1] + [2] * 30 + [3] * 5 + [4] * 2
    rng = np.random.default_rng(2)
    points = (np.eye(5)[gold] * 4 + rng.normal(size=(78, 5))).astype(np.float32)
    found = found_in(points, gold, 5)
    assert all((one[0], one[1], one[2], one[3]) == (32, 0, 24, 4) for one in seen)
    assert sorted(one[4] for one in seen) == [1, 1, 2, 2, 2]
    assert all(1 not in (one.label, one.suggested) and one.row != 40 for one in found)
    assert found_in(points[:41], [0] * 40 + [1], 2) == ()


@pytest.mark.parametrize("layout", ["one file", "with a column of splits", "a folder", "json lines", "parquet"])
def test_rows_are_numbered_as_in_their_file(tmp_path: Path, layout: str) -> None:
    import json

    import pyarrow
    import pyarrow.parquet

    texts, labels = tiny.texts(60)
    lines = [
        [text, "abc"[label], "test" if row % 5 == 0 else "train"]
        for row, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    lines[3][1] = lines[17][0] = ""  # left out: no label, no text
    folder = tmp_path / "set"
    folder.mkdir()

    def write(name: str, rows: list[list[str]], *, splits: bool = False, damaged: bool = False) -> None:
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "split"][: 2 + splits])
            for number, row in enumerate(rows):
                if damaged and number == 10:
                    file.write("one cell only\n\n")
                writer.writerow(row[: 2 + splits])

    if layout == "one file":
        write("all.csv", lines, damaged=True)
    elif layout == "with a column of splits":
        write("all.csv", lines, splits=True)
    elif layout == "json lines":
        records = [json.dumps({"text": text, "label": label or None}) for text, label, _ in lines]
        (folder / "all.jsonl").write_text("\n\n".join(records[:20]) + "\nnot json\n" + "\n".join(records[20:]))
    elif layout == "parquet":
        columns = {"text": [row[0] for row in lines], "label": [row[1] for row in lines]}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / "all.parquet")
    else:
        write("train-1.csv", lines[:20])
        write("train-2.csv", lines[20:45])
        write("test.csv", lines[45:])

    file = folder if layout == "a folder" else next(folder.iterdir())
    data = tables.load(str(file), limit=20)
    for split in (data.train, data.validation, data.test):
        assert len(split.places) == len(split) > 0
        for text, label, (name, line) in zip(split.texts, split.labels, split.places, strict=True):
            if name.endswith(".csv"):
                # The physical line, since no text here has a line break; the header is the line before the first row.
                cells = next(csv.reader([(folder / name).read_text().splitlines()[line]]))
            elif name.endswith(".jsonl"):
                record = json.loads((folder / name).read_text().splitlines()[line - 1])
                cells = [record["text"], record["label"]]
            else:
                cells = lines[line - 1]
            assert cells[:2] == [text, data.classes[label]]


def test_suspects_are_exported_with_the_rows_of_the_file(tmp_path: Path) -> None:
    texts, labels = tiny.texts(120)
    rows = [[text, "abc"[label]] for text, label in zip(texts, labels, strict=True)]
    for row in (31, 62, 92):
        rows[row][1] = "abc"[("abc".index(rows[row][1]) + 1) % 3]
    rows[5][0] = ""
    rows[40][0] = 'a "quoted" card,\nlate ' + rows[40][0]
    source = tmp_path / "train.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    spec = ClassifySpec(
        data=str(source),
        encoder=str(tiny.bert(tmp_path / "bert")),
        length=24,
        heads=("lr",),
        suspects=True,
        device="cpu",
    )
    run = classify_runs.create(spec)
    list(classify_runs.drive(run, Control()))
    found = list(csv.DictReader(io.StringIO(suspects_csv(run))))
    assert found
    for one in found:
        assert one["file"] == "train.csv"
        assert rows[int(one["row"]) - 1] == [one["text"], one["label"]]
        assert one["suggested"] != one["label"]


def test_the_label_curve_draws_equally_from_every_class_and_chooses_on_validation_alone() -> None:
    rng = np.random.default_rng(0)

    def points(counts: tuple[int, ...]) -> tuple[Any, list[int]]:
        gold = np.repeat(np.arange(3), counts)
        return (np.eye(3)[gold] * 2 + rng.normal(size=(len(gold), 3))).astype(np.float32), gold.tolist()

    train, validation, test = points((70, 40, 33)), points((20, 20, 20)), points((30, 30, 30))
    place = {row.tobytes(): number for number, row in enumerate(train[0])}
    drawn: dict[str, list[list[int]]] = {"lr": [], "mlp": []}
    settings: list[str] = []

    def watched(name: str, fit: Any) -> Any:
        def learn(learnt: Any, looked: Any, control: Control) -> Any:
            assert looked is validation
            rows = [place[row.tobytes()] for row in learnt[0]]
            assert learnt[1] == [train[1][row] for row in rows]
            drawn[name].append(rows)
            head = yield from fit(name, learnt, looked, control, classes=3)
            settings.append(head.settings)
            return head

        return learn

    judged: list[int] = []

    def accuracy(found: Any) -> float:
        judged.append(len(found))
        return statistics.accuracy(found, test[1])

    fits = {name: watched(name, heads.logistic) for name in ("lr", "mlp")}  # two methods, both quick
    told = tiny.finish(efficiency(train, validation, test[0], accuracy, fits, Control(), classes=3))[0]
    assert not [event for event in told if isinstance(event, ContenderStep)]
    found = [event for event in told if isinstance(event, CurvePoint)]
    expected = [(labels, method, 3 * labels) for labels in (8, 16, 32) for method in ("lr", "mlp")]
    assert [(event.labels, event.contender, event.rows) for event in found] == expected
    assert drawn["lr"] == drawn["mlp"]
    assert [len(rows) for rows in drawn["lr"]] == [24] * 3 + [48] * 3 + [96] * 3
    for rows in drawn["lr"]:
        assert len(set(rows)) == len(rows)
        assert set(Counter(train[1][row] for row in rows).values()) == {len(rows) // 3}
    assert drawn["lr"][0] != drawn["lr"][1]
    assert judged == [90] * 18
    assert len({one for one in settings if one.startswith("C")}) > 1  # chosen anew for each point
    assert all(event.low <= event.accuracy <= event.high for event in found)
    assert found[-1].accuracy >= found[0].accuracy - 0.05 > 0.6

    few = points((70, 40, 7))
    place |= {row.tobytes(): number for number, row in enumerate(few[0])}
    train = few
    told = tiny.finish(efficiency(few, validation, test[0], accuracy, fits, Control(), classes=3))[0]
    assert [(event.contender, event.labels, event.rows) for event in told] == [("lr", 4, 12), ("mlp", 4, 12)]
