"""Results of the lab equal what plain readings of the files of runs give; damaged runs are absent or partial."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file
from scipy.stats import binomtest

from checkpoints import home
from checkpoints.run import Run
from engine.classify import runs as classify_runs
from engine.classify.spec import ClassifySpec
from engine.classify.task import classify
from engine.lab.reading import read
from engine.lab.results import Comparison, Results, Sample, Tokens
from engine.runs import owner
from engine.runs.messages import Control

OLDER = {"inferno": "verse", "emotion": "texts", "questions": "questions", "documents": "documents"}
TOKENS = Tokens("gpt2", "bundled", (), (), (), (), ())


def older(*works: str) -> dict[str, Run]:
    return {work: Run(home.runs() / name) for work, name in OLDER.items() if not works or work in works}


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.events.read_text().splitlines()]


def results(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "results.json").read_text())
    return found


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    better, worse = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def adjusted(p: float, of: dict[Any, np.ndarray]) -> float:
    """``p`` of one of the tests of every two (Holm)."""
    raw = sorted(mcnemar(one, two) for one, two in itertools.combinations(of.values(), 2))
    return max(min(1.0, each * (len(raw) - rank)) for rank, each in enumerate(raw[: raw.index(p) + 1]))


def right(run: Run, method: str) -> np.ndarray:
    """Which test rows a classifier has right, of its stored probabilities."""
    classes = json.loads((run.path / "classifier.json").read_text())["classes"]
    rows = [json.loads(line) for line in (run.path / "test.jsonl").read_text().splitlines()]
    shares = load_file(run.path / "predictions" / f"{method}.safetensors")["probabilities"]
    return np.array([classes[place] == row["label"] for place, row in zip(shares.argmax(1), rows, strict=True)])


@pytest.mark.usefixtures("older_runs")
def test_a_training_is_what_its_journal_says() -> None:
    runs = older("inferno")
    found, records = read(runs).training, lines(runs["inferno"])
    assert found is not None
    started = next(one for one in records if one["event"] == "started")
    evaluated = [(one["step"], one["val_loss"]) for one in records if one["event"] == "evaluated"]
    steps = [one for one in records if one["event"] == "step"]
    texts: dict[int, str] = {}
    for one in records:
        if one["event"] == "sample_text":
            texts[one["step"]] = texts.get(one["step"], "") + one["text"]
    assert (found.run, found.corpus, found.finished) == ("verse", started["corpus"], True)
    assert (found.steps, found.parameters) == (started["steps"], started["parameters"])
    entropies = (found.uniform, found.letters, found.bigrams)
    assert entropies == tuple(started[f"{name}_entropy"] for name in ("uniform", "unigram", "bigram"))
    assert found.validation == tuple(evaluated)
    assert (found.best_step, found.best_loss) == min(evaluated, key=lambda one: one[1])
    assert found.seconds == pytest.approx(sum(started["tokens_per_step"] / one["tokens_per_second"] for one in steps))
    assert sorted(texts) == [0, 15, 30]
    assert found.samples == tuple(Sample(step, texts[step]) for step in (0, 15, 30))


@pytest.mark.usefixtures("older_runs")
def test_of_many_samples_three_moments_are_told() -> None:
    run = older("inferno")["inferno"]
    added = [
        {"event": "sample_text", "step": step, "sample": str(step), "text": "x", "done": True} for step in (40, 61)
    ]
    run.events.write_text(run.events.read_text() + "".join(json.dumps(one) + "\n" for one in added))
    found = read({"inferno": run}).training
    assert found is not None
    assert [one.step for one in found.samples] == [0, 30, 61]
    assert not found.finished


@pytest.mark.usefixtures("older_runs")
def test_a_classification_is_what_its_files_say() -> None:
    runs = older("emotion")
    found, run = read(runs).comparisons["emotion"], runs["emotion"]
    loaded = next(one for one in lines(run) if one["event"] == "data_loaded")
    assert (found.run, found.task, found.data) == ("texts", "classify", Path(loaded["data"]).name)
    assert (found.labels, found.counts, found.finished) == (("a", "b", "c"), (8, 8, 8), True)
    assert found.seconds == lines(run)[-1]["seconds"]
    assert (found.encoder, found.raw_encoder) == ("bert", None)
    figures = {name: (one["accuracy"], *one["interval"], one["rows"]) for name, one in results(run).items()}
    told = {name: (one.figure, one.low, one.high, one.n) for name, one in found.methods.items()}
    assert told == figures
    assert found.controls == {}
    test = found.pairs["lr", "tfidf"]
    of = {name: right(run, name) for name in figures}
    assert test.mean == pytest.approx(of["lr"].mean() - of["tfidf"].mean())
    assert test.p == pytest.approx(adjusted(mcnemar(of["lr"], of["tfidf"]), of))
    run.events.write_text(run.events.read_text() + json.dumps(loaded) + "\n")  # it has been started again
    assert not read(runs).comparisons["emotion"].finished


@pytest.mark.usefixtures("older_runs")
def test_a_ranking_of_choices_is_what_its_files_say() -> None:
    runs = older("questions")
    found, known = read(runs).comparisons["questions"], results(runs["questions"])
    assert found.methods.keys() == {"margin", "finetune"}
    assert found.controls.keys() == {"chance", "longest", "margin", "finetune"}
    assert found.controls["chance"].figure == known["chance"]["accuracy"]
    for name, method in found.methods.items():
        hidden = known[name]["question_hidden"]
        assert (method.figure, method.low, method.high) == (known[name]["accuracy"], *known[name]["interval"])
        alone = found.controls[name]
        assert (alone.figure, alone.low, alone.high) == (hidden["accuracy"], *hidden["interval"])
        assert found.hidden[name] == hidden["p"]
    about = runs["questions"].read_json("choices.json")
    runs["questions"].write_json("choices.json", about | {"model": "/models/gpt2"})
    assert read(runs).comparisons["questions"].model == "gpt2"


@pytest.mark.usefixtures("older_runs")
def test_a_method_that_has_judged_only_some_items_is_left_out_and_told() -> None:
    run = older("questions")["questions"]
    known = results(run)
    known["margin"] |= {"judged": 3, "of": 11}
    (run.path / "results.json").write_text(json.dumps(known))
    found = read({"questions": run}).comparisons["questions"]
    assert found.methods.keys() == {"finetune"}
    assert found.notices[-1] == "margin, partial: 3 of 11 items were judged."


@pytest.mark.usefixtures("older_runs")
def test_a_retrieval_is_what_its_files_say() -> None:
    runs = older("documents")
    found, known = read(runs).comparisons["documents"], results(runs["documents"])
    figures = {name: (one["ndcg@10"], *one["interval"], one["queries"]) for name, one in known.items()}
    assert {name: (one.figure, one.low, one.high, one.n) for name, one in found.methods.items()} == figures
    gains = {name: load_file(runs["documents"].path / "rankings" / f"{name}.safetensors")["ndcg@10"] for name in known}
    test = found.pairs["cls", "bm25"]
    assert test.mean == pytest.approx((gains["cls"] - gains["bm25"]).mean())
    assert found.pairs["bm25", "cls"].mean == -test.mean
    assert (found.encoder, found.raw_encoder) == ("bert", None)


@pytest.mark.usefixtures("older_runs")
def test_class_weights_are_tested_on_the_rows_that_both_runs_judge() -> None:
    runs = {"emotion": older("emotion")["emotion"], "weighted": Run(home.runs() / "again")}
    shutil.copytree(runs["emotion"].path, runs["weighted"].path)
    for name, other in (("lr", "tfidf"), ("mlp", "finetune")):  # as if class weights had changed what they say
        folder = runs["weighted"].path / "predictions"
        shutil.copy(folder / f"{other}.safetensors", folder / f"{name}.safetensors")
    found = read(runs).comparisons["weighted"]
    shallow = {(work, name): right(run, name) for work, run in runs.items() for name in ("lr", "mlp")}
    for name in ("lr", "mlp"):
        one, two = (right(runs[work], name) for work in ("weighted", "emotion"))
        assert (one != two).any()
        test = found.pairs[f"weighted: {name}", f"emotion: {name}"]
        assert test.mean == pytest.approx(one.mean() - two.mean())
        assert (test.better, test.worse) == ((one & ~two).sum(), (two & ~one).sum())
        assert test.p == pytest.approx(adjusted(mcnemar(one, two), shallow))
    assert ("lr", "mlp") in found.pairs
    rows = (runs["emotion"].path / "test.jsonl").read_text()
    (runs["emotion"].path / "test.jsonl").write_text(rows.replace("the", "that"))
    assert not [pair for pair in read(runs).comparisons["weighted"].pairs if "emotion: lr" in pair]


@pytest.mark.usefixtures("older_runs")
def test_what_an_encoder_was_trained_for_is_what_the_run_says() -> None:
    runs = older("emotion", "documents")
    about = runs["emotion"].read_json("classifier.json")
    runs["emotion"].write_json("classifier.json", about | {"encoder": about["encoder"] | {"pretraining": "similarity"}})
    known = results(runs["documents"])
    known["cls"]["pretraining"] = "words"
    runs["documents"].write_json("results.json", known)
    found = read(runs).comparisons
    assert (found["emotion"].raw_encoder, found["documents"].raw_encoder) == (False, True)


def test_a_run_tells_whether_its_encoder_was_trained_to_predict_words(tmp_path: Path) -> None:
    encoder, data = tiny.bert(tmp_path / "bert"), tmp_path / "rows"
    config = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    data.mkdir()
    for split in ("train", "validation", "test"):
        tiny.write_csv(data / f"{split}.csv", tiny.texts(15, seed=len(split)))
    spec = ClassifySpec(data=str(data), encoder=str(encoder), heads=("lr",), length=24, device="cpu")
    run = classify_runs.create(spec)
    for _ in owner.record(run, classify(spec, Control(), run)):
        pass
    found = read({"news": run}).comparisons["news"]
    assert (found.encoder, found.data, found.raw_encoder) == ("bert", "rows", True)


@pytest.mark.usefixtures("older_runs")
@pytest.mark.parametrize(
    "damage", [None, b"", b"[1]\n", b'{"event": "loaded", "classes": 3, "checks": [], "a": "b"}\n']
)
@pytest.mark.parametrize("work", OLDER)
def test_damaged_files_leave_a_run_absent_or_partial(
    work: str, damage: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.comparison.statistics.RESAMPLES", 10)
    monkeypatch.setattr("engine.comparison.statistics.FLIPS", 10)
    run = older(work)[work]
    whole = read({work: run})
    kinds = ("*.json", "*.jsonl", "*/*.safetensors")
    for file in [one for kind in kinds for one in run.path.glob(kind) if one.name != "env.json"]:
        content = file.read_bytes()
        file.unlink() if damage is None else file.write_bytes(damage)
        found = read({work: run})
        if work == "inferno":
            assert found.training is None or found.training.run == "verse"
        elif work in found.comparisons:
            assert_part(found.comparisons[work], whole.comparisons[work])
        file.write_bytes(content)
    assert read({work: run}) == whole


def assert_part(found: Comparison, whole: Comparison) -> None:
    """Figures of a damaged run are those of the whole one, or absent."""
    assert found.methods.items() <= whole.methods.items()
    assert found.pairs.keys() <= whole.pairs.keys()
    same = {entry.name for entry in dataclasses.fields(Comparison)} - {"methods", "pairs", "controls", "hidden"}
    for name in same:
        if (value := getattr(found, name)) != getattr(whole, name):
            assert value in ("", (), None, False), name


def test_a_run_that_is_not_there_or_of_another_task_is_absent(older_runs: None, tmp_path: Path) -> None:
    runs = older()
    assert read({"inferno": Run(tmp_path / "none"), "emotion": Run(tmp_path / "none")}) == Results()
    assert read({"inferno": runs["emotion"], "news": runs["inferno"]}) == Results()
