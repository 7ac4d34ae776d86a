"""Several trainings of one method: their mean, their spread, the test over their outputs, and a stop between them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spying
import tiny
from scipy.stats import bootstrap
from sklearn.metrics import f1_score
from workbench import only

from checkpoints import home, store
from checkpoints.run import Run
from engine.classify import results as classify_results
from engine.classify import runs as classify_runs
from engine.classify import task as classify_task
from engine.classify.predict import Classifier
from engine.classify.spec import ClassifySpec
from engine.comparison import heads
from engine.encoders import epochs
from engine.runs.events import ContenderDone, ContenderStep, Notice, Progress
from engine.runs.messages import Control, Stop
from tui.classify.runs import Classifications

SEEDED = ("mlp", "finetune")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("seeds")
    for split, rows in (
        ("train", tiny.texts(60)),
        ("validation", tiny.texts(20, seed=4)),
        ("test", tiny.texts(40, seed=9)),
    ):
        tiny.write_csv(made / f"{split}.csv", rows)
    tiny.bert(made / "bert")
    return made


@pytest.fixture
def spec(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ClassifySpec:
    for module in ("device", "comparison.heads"):
        monkeypatch.setattr(f"engine.{module}.physical_cores", lambda: 1)
    names = {"data": str(folder), "encoder": str(folder / "bert")}
    return ClassifySpec(**names, heads=("lr", *SEEDED), epochs=1, learning_rate=3e-3, length=24, seeds=3, device="cpu")


def driven(spec: ClassifySpec) -> tuple[Run, list[Any]]:
    run = classify_runs.create(spec)
    return run, list(classify_runs.drive(run, Control()))


def test_figures_are_means_over_seeds_with_their_spread(spec: ClassifySpec, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = spying.record(monkeypatch, heads, "mlp")
    tuned = spying.record(monkeypatch, epochs, "tune")
    run, events = driven(spec)
    assert (len(trained), len(tuned)) == (3, 3)
    assert [training.settings.seed for training, *_ in tuned] == [1337, 1338, 1339]
    gold = np.array(tiny.texts(40, seed=9)[1])
    results = run.read_json("results.json")
    single = [driven(dataclasses.replace(spec, heads=SEEDED, seed=seed, seeds=1))[0] for seed in (1337, 1338, 1339)]
    for method in SEEDED:
        alone = [classify_results.read(one).probabilities[method] for one in single]
        assert all(one.read_json("results.json")[method]["seeds"] == [] for one in single)
        guesses = [found.argmax(1) for found in alone]
        accuracies = [float((guess == gold).mean()) for guess in guesses]
        assert len({found.tobytes() for found in alone}) == 3
        report = results[method]
        assert report["seeds"] == pytest.approx(accuracies)
        assert report["accuracy"] == pytest.approx(np.mean(accuracies))
        assert report["spread"] == pytest.approx(np.std(accuracies, ddof=1))
        assert report["macro_f1"] == pytest.approx(
            np.mean([f1_score(gold, guess, average="macro") for guess in guesses])
        )
        losses = [-np.log(found[np.arange(40), gold]).mean() for found in alone]
        assert report["log_loss"] == pytest.approx(np.mean(losses), abs=1e-6)
        assert sum(report["confusion"][row][row] for row in range(3)) == round(40 * accuracies[0])  # of the first
        right = np.mean([guess == gold for guess in guesses], axis=0)
        assert classify_results.read(run).right[method] == pytest.approx(right)
        if set(right.tolist()) - {0.0, 1.0}:
            exact = bootstrap((right,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(0))
            assert report["interval"] == pytest.approx(list(exact.confidence_interval), abs=0.03)
        first = classify_results.read(run).probabilities[method]
        assert np.array_equal(first, alone[0])
        kept = Classifier(run).predict(classify_results.read(run).texts, (method,))[method]
        assert np.abs(kept - first).max() < 1e-5
    for method in ("majority", "tfidf", "lr"):
        assert (results[method]["seeds"], results[method]["spread"]) == ([], None)
    steps = [event for event in only(ContenderStep, events) if event.held_out_loss is not None]
    assert sum(event.contender == "finetune" for event in steps) == 1  # the epoch of its own seed
    told = {event.what for event in only(Progress, events)}
    assert {f"{method}: seed {number} of 3" for method in SEEDED for number in (2, 3)} <= told
    shown = re.search(r"MLP \((\d\.\d{3}), n = 40\)", events[-1].verdict)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(results["mlp"]["accuracy"], abs=6e-4)
    pairs = Classifications().findings(run).pairs
    right = {method: classify_results.read(run).right[method] for method in results}
    assert pairs["mlp", "lr"].mean == pytest.approx((right["mlp"] - right["lr"]).mean())
    assert not list(home.cache().glob("finetune/*/step-*"))


def test_one_seed_is_what_it_was_before_there_were_several(spec: ClassifySpec) -> None:
    one, _ = driven(dataclasses.replace(spec, seeds=1))
    report = one.read_json("results.json")["mlp"]
    found, gold = classify_results.read(one).probabilities["mlp"], np.array(tiny.texts(40, seed=9)[1])
    right = int((found.argmax(1) == gold).sum())
    assert report["accuracy"] == right / 40
    assert report["interval"] == pytest.approx(classify_task.statistics.wilson(right, 40))


@pytest.mark.parametrize("method", SEEDED)
def test_all_seeds_are_taken_over_by_a_new_start(spec: ClassifySpec, method: str) -> None:
    spec = dataclasses.replace(spec, heads=(method,))
    whole, told = driven(spec)
    again = list(classify_runs.drive(whole, Control()))
    assert only(Progress, again)[-1].what.startswith("reading")  # no seed is trained
    assert again[-1].results == told[-1].results
    assert again[-1].verdict == told[-1].verdict


def test_a_stop_between_two_seeds_of_a_fine_tuning_loses_none_of_them(spec: ClassifySpec) -> None:
    spec = dataclasses.replace(spec, heads=("finetune",), epochs=2)
    _, whole = driven(spec)
    run, control = classify_runs.create(spec), Control()
    for event in classify_runs.drive(run, control):
        if isinstance(event, Progress) and event.what == "finetune: seed 3 of 3":
            control.send(Stop())
    assert "finetune" not in run.read_json("results.json")
    assert len(list(home.cache().glob("finetune/*"))) == 3
    events = list(classify_runs.drive(run, Control()))
    went_on = [one.text for one in only(Notice, events) if "goes on" in one.text]
    assert went_on[:2] == ["fine-tuning goes on after epoch 2 of 2"] * 2
    done = [{**each[-1].results["finetune"], "seconds": 0} for each in (whole, events)]
    assert done[0] == done[1]
    assert not list(home.cache().glob("finetune/*/step-*"))


def test_damaged_outputs_of_one_seed_are_no_outputs(spec: ClassifySpec) -> None:
    run, _ = driven(dataclasses.replace(spec, heads=("mlp",), seeds=2))
    file = run.path / "predictions" / "mlp.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert "SHA-256" in classify_results.read(run).unreadable["mlp"]
    events = list(classify_runs.drive(run, Control()))
    assert "mlp: seed 2 of 2" in {event.what for event in only(Progress, events)}
    assert json.loads(store.read_file(run.path / "results.json"))["mlp"] == only(ContenderDone, events)[-1].result
