"""Runs beside each other: curves against plain loops, differences of settings, and what may not be compared."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable

import journals
import numpy as np
import pytest
from scipy.stats import binomtest

from checkpoints import home, store
from checkpoints.run import Run
from engine.classify import results as classify_results
from engine.report import curves
from engine.report.compare import compare

Make = Callable[..., Run]


@pytest.fixture
def training() -> Make:
    return journals.training


@pytest.mark.parametrize(("axis", "each"), [("step", 1.0), ("epoch", 0.1), ("tokens", 32.0), ("time", 2.0)])
def test_bins_hold_every_step_on_each_axis(training: Make, axis: str, each: float) -> None:
    losses = np.random.default_rng(0).uniform(1, 3, 1003).tolist()
    found = curves.read(training("a", losses, {100: 2.5, 1003: 2.25}), axis, 0.0, 50)
    assert len(found.train) == 50
    assert found.train[-1].x == pytest.approx(1003 * each)
    first = 0
    for one in found.train:
        last = round(one.x / each)
        inside = losses[first:last]
        assert (one.low, one.high) == (min(inside), max(inside))
        assert one.loss == pytest.approx(sum(inside) / len(inside))
        first = last
    assert first == 1003
    assert [x for x, _ in found.validation] == pytest.approx([100 * each, 1003 * each])


def test_a_journal_is_read_once_for_all_axes_until_it_is_written_again(
    training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Run] = []
    read = curves.journal.read
    monkeypatch.setattr(curves.journal, "read", lambda run, fields: reads.append(run) or read(run, fields))
    run = training("a", [3.0, 2.0, 1.0], {3: 1.5})
    for axis, smoothing in (("step", 0.0), ("time", 0.0), ("tokens", 0.9)):
        assert len(curves.read(run, axis, smoothing).train) == 3
    assert reads == [run]
    with run.events.open("a") as file:
        file.write('{"event":"evaluated","step":3,"val_loss":1.25}\n')
    assert [loss for _, loss in curves.read(run).validation] == [1.5, 1.25]
    assert reads == [run, run]


def test_a_bin_keeps_as_much_of_the_mean_before_it_as_its_steps_together(training: Make) -> None:
    first, second = curves.read(training("a", [3.0] * 4 + [1.0] * 4, {}), "step", 0.5, 2).train
    assert (first.loss, second.loss) == pytest.approx((3.0, (3 * (1 - 1 / 16) / 16 + (1 - 1 / 16)) / (1 - 1 / 256)))


def test_smoothing_is_an_exponential_mean_corrected_for_its_beginning(training: Make) -> None:
    losses = np.random.default_rng(0).uniform(1, 3, 40).tolist()
    found = curves.read(training("a", losses, {}), "step", 0.9)
    mean = 0.0
    for number, (one, loss) in enumerate(zip(found.train, losses, strict=True), 1):
        mean = 0.9 * mean + 0.1 * loss
        assert one.loss == pytest.approx(mean / (1 - 0.9**number))
        assert (one.x, one.low, one.high) == (number, loss, loss)


def test_a_validation_loss_holds_until_the_next_and_not_after_the_end(training: Make) -> None:
    found = curves.read(training("a", [2.0] * 30, {10: 2.5, 20: 2.25}))
    places = {0: None, 9: None, 10: 2.5, 19.5: 2.5, 20: 2.25, 30: 2.25, 31: None}
    assert {x: found.validation_at(x) for x in places} == places


def test_only_settings_that_differ_are_named_and_other_texts_are_warned_of(training: Make) -> None:
    same = [training("a", [2.0], {1: 2.0}), training("b", [2.0], {1: 2.0}, seed=2, width=64)]
    found = compare(same)
    assert found.differences == {"seed": (1, 2), "width": (None, 64)}
    assert found.warnings == ()
    found = compare([*same, training("c", [2.0], {1: 2.0}, text="milton")])
    (warning,) = found.warnings
    assert "different texts" in warning


@pytest.fixture
def texts(older_runs: None) -> tuple[Run, Run]:
    """A classification, and another one of the same items that has another method right."""
    first, second = Run(home.runs() / "texts"), Run(home.runs() / "texts-again")
    shutil.copytree(first.path, second.path)
    folder = second.path / "predictions"
    shutil.copy(folder / "finetune.safetensors", folder / "tfidf.safetensors")
    return first, second


def test_all_methods_of_runs_with_the_same_items_are_tested_in_pairs(texts: tuple[Run, Run]) -> None:
    found = compare(texts)
    right = {
        f"{run.name}: {method}": of.argmax(1) == np.array(read.labels)
        for run in texts
        for read in (classify_results.read(run),)
        for method, of in read.probabilities.items()
    }
    assert len(right) == 10
    raw = {}
    for first, second in itertools.combinations(right, 2):
        better, worse = ((right[one] & ~right[two]).sum() for one, two in ((first, second), (second, first)))
        raw[first, second] = binomtest(better, better + worse).pvalue if better + worse else 1.0
    adjusted, highest = {}, 0.0
    for rank, pair in enumerate(sorted(raw, key=lambda pair: raw[pair])):
        highest = max(highest, min(1.0, raw[pair] * (len(raw) - rank)))
        adjusted[pair] = highest
    assert {names: one.p for names, one in found.pairs.items() if names in adjusted} == pytest.approx(adjusted)
    assert found.pairs.keys() == adjusted.keys() | {(second, first) for first, second in adjusted}
    best, tests = found.against_best()
    assert best == "texts: tfidf"
    assert tests.keys() == right.keys() - {best}
    turned = {first: one for (first, second), one in found.pairs.items() if second == best}
    assert [(tests[first].low, tests[first].high) for first in turned] == [
        (-one.high, -one.low) for one in turned.values()
    ]
    for name, test in tests.items():
        assert test.mean == pytest.approx(right[best].mean() - right[name].mean())
        assert test is found.pairs[best, name]
        assert test.low < test.mean < test.high or test.low == test.mean == test.high
        assert test.better - test.worse == pytest.approx(test.mean * test.n)
        assert test.p == pytest.approx(adjusted.get((best, name), adjusted.get((name, best), math.nan)))


def test_other_items_other_data_and_other_tasks_are_warned_of(texts: tuple[Run, Run], training: Make) -> None:
    lines = (texts[1].path / "test.jsonl").read_text().splitlines()
    journal = texts[1].events.read_text()
    fingerprint = next(json.loads(line)["fingerprint"] for line in journal.splitlines() if '"fingerprint"' in line)
    texts[1].events.write_text(journal.replace(fingerprint, "0" * 64))
    found = compare(texts)
    assert found.pairs
    assert "trained on different data" in found.warnings[0]
    rows = [json.loads(line) for line in lines]
    rows[3]["text"] += " changed"
    (texts[1].path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = compare(texts)
    assert "data sets of these runs differ" in found.warnings[0]
    assert not found.pairs
    found = compare([texts[0], training("a", [2.0], {1: 2.0})])
    assert "different tasks (classify, train)" in found.warnings[0]
    assert (found.pairs, found.differences) == ({}, {})


def test_a_run_without_a_spec_is_an_error(training: Make) -> None:
    run = training("a", [2.0], {})
    (run.path / "spec.json").write_text("{")
    with pytest.raises(store.CheckpointError, match="spec"):
        compare([run, run])
