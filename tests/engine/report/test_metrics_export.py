"""Exported metrics, read back by pandas, pyarrow and TensorBoard's own loader, against a plain reading of journals."""

from __future__ import annotations

import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import workbench
from pyarrow import parquet
from scipy.stats import binomtest

from checkpoints import home
from checkpoints.journal import Reader
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.classify import results as classify_results
from engine.gpt import runs as gpt_runs
from engine.report import journal
from engine.report.export import FORMATS, export
from engine.runs.messages import Control
from engine.runs.spec import BadSpec

TOKENS, TRAIN = 96, 4800  # tokens of a step and of the training split
SAMPLE = '=HYPERLINK("x")\n``` ends\x1b[31m "here", or\r not'
STEP = (
    '{{"event":"step","step":{},"loss":{!r},"learning_rate":{!r},"gradient_norm":1.5,"tokens_per_second":{!r},'
    '"peak_share":0.25,"seconds_left":3.5}}\n'
)


def step(number: int, loss: float, speed: float) -> str:
    return STEP.format(number, loss, number / 7e3, speed)


def line(event: str, **fields: Any) -> str:
    return json.dumps({"event": event, **fields}, separators=(",", ":"), ensure_ascii=False) + "\n"


def begun(at: int, when: float) -> str:
    return line("started", step=at, tokens_per_step=TOKENS, train_tokens=TRAIN, steps=60, time=when)


def evaluated(at: int, when: float) -> str:
    losses = {"val_loss": 3 - at / 100, "bits_per_character": 4.1, "train_loss": 2.5 if at else None}
    return line("evaluated", step=at, **losses, best_val_loss=2.0, best_step=at, seconds=0.1, time=when)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A training of 60 steps that was resumed at 30 twice, and had come to 45; some of its lines are damaged."""
    made = Run(tmp_path / "20261101-101500-training")
    made.path.mkdir()
    made.write_json("spec.json", {"task": "train", "batch": 12, "context": 8})
    rng = np.random.default_rng(3)
    lines = [begun(0, 1000.0), evaluated(0, 1001.5)]
    lines += [step(number, float(rng.random()), 960.0) for number in range(1, 31)]
    lines.insert(12, '{"event":"step","step":11,"loss":1.5,"tokens_per_second":960.0}\n')
    lines += [line("sample_text", step=30, sample="30", text="", prompt="\n", done=False, time=1010.0)]
    lines += [step(number, float(rng.random()), 480.0) for number in range(31, 41)]
    lines += [line("sample_text", step=30, sample="30", text=part, time=1020.0) for part in ("cut", " off")]
    lines += ['{"event":"step","step":41,"loss":\n', "not JSON\n", '{"event":"step","step":41}\n']
    lines += [step(41, 0.5, 480.0), evaluated(45, 1030.0), line("unknown", step=41, time=1031.0)]
    for when in (2000.0, 2005.0):
        lines += [begun(30, when), line("sample_text", step=30, sample="30", text="", prompt="\n", time=when + 0.5)]
        lines += [line("sample_text", step=30, sample="30", text=SAMPLE, done=True, time=when + 1)]
    lines += [step(number, float(rng.random()), 960.5) for number in range(31, 61)]
    lines += [evaluated(60, 2010.0), line("finished", reason="steps", step=60, time=2011.0)]
    made.events.write_text("".join(lines))
    return made


def plainly(run: Run) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """Steps and evaluations of a journal by step, with the time of each, read line by line."""
    steps: dict[int, dict[str, Any]] = {}
    evaluations: dict[int, dict[str, Any]] = {}
    now = math.nan
    for text in run.events.read_text().splitlines():
        try:
            record = json.loads(text)
        except ValueError:
            continue
        now = record.get("time", now)
        match record:
            case {"event": "started", "step": at}:
                for found in (steps, evaluations):
                    for later in [number for number in found if number > at]:
                        del found[later]
            case {"event": "step", "tokens_per_second": speed, "seconds_left": _}:
                now += TOKENS / speed
                steps[record["step"]] = {**record, "wall_time": now}
            case {"event": "evaluated"}:
                evaluations[record["step"]] = {**record, "wall_time": now}
    return steps, evaluations


def read_back(folder: Path, kind: str, table: str) -> list[dict[str, Any]]:
    file = folder / f"{table}.{kind}"
    if kind == "jsonl":
        return [json.loads(row) for row in file.read_text().splitlines()]
    if kind == "parquet":
        rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
        return rows
    found = pandas.read_csv(file, keep_default_na=False, na_values=[""])
    return [
        {name: None if value != value else value for name, value in row.items()} for row in found.to_dict("records")
    ]


@pytest.mark.parametrize("limit", [300, 1 << 20])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_files_equal_the_journal(
    run: Run, kind: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "LIMIT", limit)
    folder = export(run, kind, tmp_path / "out")
    steps, evaluations = plainly(run)
    assert len(steps) == 60
    for table, wanted in (("steps", steps), ("evaluations", evaluations)):
        found = read_back(folder, kind, table)
        assert [row["step"] for row in found] == list(wanted)
        for row in found:
            record = wanted[row["step"]]
            for name in row.keys() & record.keys() - {"wall_time", "seconds"}:
                assert row[name] == record[name], name
            assert row["wall_time"] == pytest.approx(record["wall_time"], abs=1e-6)
            assert row["tokens"] == row["step"] * TOKENS
            assert row["epoch"] == pytest.approx(row["step"] * TOKENS / TRAIN)
    spent = [TOKENS / steps[number]["tokens_per_second"] for number in steps]
    found = read_back(folder, kind, "steps")
    assert [row["seconds"] for row in found] == pytest.approx(list(itertools.accumulate(spent)))
    (sample,) = read_back(folder, kind, "samples")
    assert (sample["step"], sample["prompt"], sample["wall_time"]) == (30, "\n", 2001.0)
    assert sample["text"] == SAMPLE


def test_tensorboard_reads_the_same_steps_values_and_times(run: Run, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    export(run, "tensorboard", tmp_path / "out")
    export(run, "tensorboard", tmp_path / "out")  # takes the place of the first
    (file,) = (tmp_path / "out" / run.name).glob("events.out.*")
    read = EventAccumulator(str(file.parent), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    steps, evaluations = plainly(run)
    names = {"train/loss": "loss", "train/learning_rate": "learning_rate", "train/gradient_norm": "gradient_norm"}
    for tag, name, wanted in (
        *((tag, name, steps) for tag, name in names.items()),
        ("validation/loss", "val_loss", evaluations),
    ):
        scalars = read.Scalars(tag)
        assert [one.step for one in scalars] == list(wanted)
        assert [one.value for one in scalars] == [float(np.float32(one[name])) for one in wanted.values()]
        assert [one.wall_time for one in scalars] == pytest.approx([one["wall_time"] for one in wanted.values()])
    assert len(read.Scalars("validation/train_loss")) == len(evaluations) - 1
    (text,) = read.Tensors("sample/text_summary")
    assert (text.step, text.wall_time) == (30, 2001.0)
    shown = text.tensor_proto.string_val[0].decode()
    assert (shown[:5], shown[-5:]) == ("````t", "\n````")
    assert '"here", or' in shown
    assert "\x1b" not in shown


def test_without_tensorboard_a_sentence_says_how_to_install_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.partition(".")[0] == "tensorboard":
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(BadSpec, match=r"pip install 'llmlab-tui\[tensorboard\]'"):
        export(run, "tensorboard", tmp_path / "out")
    assert not [*(tmp_path / "out").glob("*")]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_that_holds_something_else_is_left_alone(run: Run, kind: str, tmp_path: Path) -> None:
    other = tmp_path / "out" / run.name / "thesis.txt"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    with pytest.raises(CheckpointError, match="choose another folder"):
        export(run, kind, tmp_path / "out")
    assert [*other.parent.iterdir()] == [other]


def test_the_journal_holds_the_time_of_all_but_steps(verse: Path, known_peak: float) -> None:
    run, before = workbench.new_run(workbench.spec(verse)), time.time()
    assert list(gpt_runs.drive(run, Control(), resume=False))
    after = time.time()
    records = [json.loads(text) for text in run.events.read_text().splitlines()]
    times = [record["time"] for record in records if record["event"] != "step"]
    assert times == sorted(times)
    assert before - 0.001 <= times[0] <= times[-1] <= after + 0.001
    assert not any("time" in record for record in records if record["event"] == "step")
    exported = [part for part in journal.read(run) if isinstance(part, journal.Steps)]
    walls = np.concatenate([part.columns["wall_time"] for part in exported])
    assert len(walls) == 40
    assert before <= walls[0] <= walls[-1] <= after + 0.1


@pytest.mark.usefixtures("older_runs")
def test_results_and_paired_tests_are_those_of_the_run(tmp_path: Path) -> None:
    run = Run(home.runs() / "texts")
    folder = export(run, "csv", tmp_path)
    results = run.read_json("results.json")
    rows = read_back(folder, "csv", "results")
    assert [row["method"] for row in rows] == list(results)
    for row in rows:
        one = results[row["method"]]
        assert (row["accuracy"], row["low"], row["high"]) == (one["accuracy"], *one["interval"])
        assert (row["rows"], row["settings"]) == (one["rows"], one["settings"])

    found = classify_results.read(run)
    right = {name: found.probabilities[name].argmax(1) == np.array(found.labels) for name in results}
    pairs = list(itertools.combinations(results, 2))
    raw = {}
    for first, second in pairs:
        better, worse = ((right[one] & ~right[two]).sum() for one, two in ((first, second), (second, first)))
        raw[first, second] = binomtest(better, better + worse).pvalue if better + worse else 1.0
    adjusted, highest = {}, 0.0
    for rank, pair in enumerate(sorted(raw, key=lambda pair: raw[pair])):
        highest = max(highest, min(1.0, raw[pair] * (len(raw) - rank)))
        adjusted[pair] = highest
    tests = read_back(folder, "csv", "paired_tests")
    assert [(row["first"], row["second"]) for row in tests] == pairs
    for row in tests:
        pair = row["first"], row["second"]
        assert row["p"] == pytest.approx(adjusted[pair])
        assert row["difference"] == pytest.approx(right[pair[0]].mean() - right[pair[1]].mean())
        assert row["n"] == len(found.labels)
    page = (folder / "results.md").read_text()
    assert f"| `tfidf` | {results['tfidf']['accuracy']:.4f} |" in page


@pytest.mark.usefixtures("older_runs")
@pytest.mark.parametrize(("name", "table"), [("questions", "method_steps"), ("documents", "paired_tests")])
def test_comparisons_of_each_task_have_tables(name: str, table: str, tmp_path: Path) -> None:
    folder = export(Run(home.runs() / name), "jsonl", tmp_path)
    assert read_back(folder, "jsonl", table)
    assert read_back(folder, "jsonl", "results")


def test_json_lines_hold_no_number_that_json_has_not(tmp_path: Path) -> None:
    """The losses of a run that diverged."""
    run = Run(tmp_path / "20261101-101500-diverged")
    run.path.mkdir()
    run.write_json("spec.json", {"task": "train", "batch": 12, "context": 8})
    losses = '"Infinity"', '"-Infinity"', '"NaN"', "2.5"
    steps = [step(number, 0.5, 960.0).replace("0.5", loss, 1) for number, loss in enumerate(losses, 1)]
    run.events.write_text("".join([begun(0, 1000.0), *steps]))
    folder = export(run, "jsonl", tmp_path / "out")
    rows = [json.loads(row, parse_constant=pytest.fail) for row in (folder / "steps.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == [None, None, None, 2.5]


@pytest.mark.usefixtures("older_runs")
@pytest.mark.parametrize(("name", "trained"), [("texts", 4), ("questions", 2), ("documents", 0)])
def test_tensorboard_has_the_steps_and_figures_of_a_comparison(name: str, trained: int, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Run(home.runs() / name)
    folder = export(run, "tensorboard", tmp_path)
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    for method, figures in run.read_json("results.json").items():
        for figure, value in figures.items():
            if type(value) in (int, float):
                (scalar,) = read.Scalars(f"results/{method}/{figure}")
                assert (scalar.step, scalar.value) == (0, float(np.float32(value)))
    losses: dict[str, list[tuple[int, float]]] = {}
    for one in map(json.loads, run.events.read_text().splitlines()):
        if one["event"] == "route_step":  # the name in earlier versions
            losses.setdefault(one["route"], []).append((one["step"], float(np.float32(one["loss"]))))
    assert len(losses) == trained
    for method, steps in losses.items():
        assert [(one.step, one.value) for one in read.Scalars(f"{method}/loss")] == steps
    (page,) = read.Tensors("results/text_summary")
    assert page.tensor_proto.string_val[0].decode() + "\n" == (folder / "results.md").read_text()
