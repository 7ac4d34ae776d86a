"""What encoding costs: a line of its own, the same whenever it was done, and no part of any method's seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
from retrieving import collection
from workbench import notices, only

from checkpoints import home, store
from checkpoints.run import Run
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.classify import runs as classify_runs
from engine.classify.export import export
from engine.classify.spec import ClassifySpec
from engine.comparison import comparison
from engine.encoders import encode as encoding
from engine.encoders import find as encoders
from engine.retrieve import rankers
from engine.retrieve.spec import RetrieveSpec
from engine.retrieve.task import retrieve
from engine.runs.events import ContenderDone, EncodingDone
from engine.runs.messages import Control
from tui.command import cli

BATCH = 1000.0  # seconds, by the clock of these tests
WORDS = tiny.WORDS[7:]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Only encoding takes time: so many seconds a batch. Returns the time."""
    now = [0.0]
    pool = encoding._Machine._pool

    def later(self: Any, *given: Any) -> Any:
        now[0] += BATCH
        return pool(self, *given)

    monkeypatch.setattr(encoding._Machine, "_pool", later)
    monkeypatch.setattr(encoding, "physical_cores", lambda: 1)
    for module in (encoding, comparison):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for task in ("classify", "choose"):
        monkeypatch.setattr(f"engine.{task}.task.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    return str(tiny.bert(tmp_path / "bert"))


@pytest.fixture
def classifying(tmp_path: Path, encoder: str) -> ClassifySpec:
    data = tiny.write_csv(tmp_path / "texts.csv", tiny.texts(60))
    return ClassifySpec(data=str(data), encoder=encoder, length=8, device="cpu")


@pytest.fixture
def choosing(tmp_path: Path, encoder: str) -> ChooseSpec:
    rows: list[dict[str, Any]] = []
    for number in range(40):
        own, other = WORDS[number % len(WORDS)], WORDS[(number + 1) % len(WORDS)]
        question = f"where is {own} " + "the card " * (number % 5)
        rows.append({"question": question, "choices": [own, other], "answer": 0})
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    data = str(tmp_path / "items.jsonl")
    return ChooseSpec(data=data, encoder=encoder, length=8, seeds=1, epochs=1, device="cpu")


@pytest.mark.parametrize("task", ["classifying", "choosing"])
def test_encoding_is_a_cost_of_its_own_and_the_same_from_the_cache(
    task: str, request: pytest.FixtureRequest, clock: list[float]
) -> None:
    spec = request.getfixturevalue(task)
    runs: Any = classify_runs if task == "classifying" else choose_runs
    for start in range(2):
        run = runs.create(spec)
        events = list(runs.drive(run, Control()))
        (done,) = only(EncodingDone, events)
        if not start:
            first, spent = done, clock[0]
        assert done == first
        assert clock[0] == spent  # nothing is encoded again
        assert done.seconds == spent > 2 * BATCH
        assert events[-1].encodings == (done,)
        assert {one.result["seconds"] for one in only(ContenderDone, events)} == {0.0}
        about = run.read_json("classifier.json" if task == "classifying" else "choices.json")
        assert about["encoder"]["encoding"]["seconds"] == done.seconds


@pytest.mark.parametrize("mode", ["projection", "whole"])
def test_encoding_of_documents_and_queries_is_a_cost_of_its_own_with_and_without_an_index(
    tmp_path: Path, encoder: str, clock: list[float], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    for module in ("task", "contenders", "rankers"):
        monkeypatch.setattr(f"engine.retrieve.{module}.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(rankers.Embedder, "__call__", answered_at_once(clock))
    data = str(collection(tmp_path / "small"))
    spec = RetrieveSpec(data, encoder, mode=mode, epochs=1, length=6, device="cpu")
    costs = []
    for start in ("fresh", "index", "features", "older"):
        events = list(retrieve(spec, Control()))
        costs.append(events[-1].encodings)
        assert only(EncodingDone, events)[-1:] == list(costs[-1])
        seconds = {one.contender: one.result["seconds"] for one in only(ContenderDone, events)}
        own = seconds.pop("trained")
        assert set(seconds.values()) == {0.0}
        assert own == 0.0 if mode == "projection" or start == "older" else own >= BATCH
        told = [one.text for one in notices("length", events)]
        assert told == ["36 of 36 documents were cut to 6 tokens"] * (start != "older")
        if start == "index":
            for folder in home.cache().glob("indexes/*"):
                store.remove(folder)
        elif start == "features":
            for file in home.cache().glob("indexes/*/index.json"):
                about = json.loads(file.read_bytes())
                del about["cost"]
                file.write_text(json.dumps(about))
    (fresh,) = costs[0]
    assert (fresh.texts, fresh.truncated_texts) == (36 + 24, 36)
    assert fresh.seconds is not None
    assert fresh.seconds >= 2 * BATCH
    assert costs[1] == costs[2] == costs[0]
    assert [one.seconds for one in costs[3]] == [None]


def answered_at_once(clock: list[float]) -> Any:
    """An embedder that takes no time: asking is no part of what is looked at here."""
    really = rankers.Embedder.__call__

    def ask(self: Any, *given: Any, **named: Any) -> Any:
        before = clock[0]
        found = really(self, *given, **named)
        clock[0] = before
        return found

    return ask


def test_it_is_told_by_the_command_and_in_the_readme_of_an_export(
    classifying: ClassifySpec, clock: list[float], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", classifying.data, "--encoder", classifying.encoder, "--length", "8", "--device", "cpu"]
    assert cli.main(["classify", *options, "--head", "lr"]) == 0
    told = f"encoding ({classifying.encoder}): {clock[0]:.1f} s, 60 texts, "
    captured = capfd.readouterr()
    assert told in captured.out
    assert told in captured.err
    (folder,) = home.runs().iterdir()
    export(Run(folder), tmp_path / "exported", method="lr")
    assert told.replace(classifying.encoder, "bert") in (tmp_path / "exported" / "README.md").read_text("utf-8")
    assert cli.main(["classify", *options, "--head", "lr", "--json"]) == 0
    last = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert [one["seconds"] for one in last["encodings"]] == [clock[0]]


def tokens(spec: Any, texts: list[str]) -> list[int]:
    found = tiny.finish(encoders.find(spec.encoder))[1]
    return [len(ids) for ids in found.ids(texts, 1000)]


def test_texts_that_are_cut_are_counted_for_features_and_for_fine_tuning(classifying: ClassifySpec) -> None:
    lengths = tokens(classifying, tiny.texts(60)[0])
    wanted = sum(length > 8 for length in lengths)
    assert 60 > wanted > 5
    for heads in (("lr",), ("finetune",), ("lr", "finetune")):
        run = classify_runs.create(replace(classifying, heads=heads, epochs=1))
        events = list(classify_runs.drive(run, Control()))
        assert [one.text for one in notices("length", events)] == [f"{wanted} of 60 texts were cut to 8 tokens"]
        if "lr" in heads:
            assert [one.truncated_texts for one in only(EncodingDone, events)] == [wanted]
        if "finetune" in heads:
            report = run.read_json("results.json")["finetune"]
            assert (report["texts"], report["truncated_texts"]) == (60, wanted)
    uncut = classify_runs.create(replace(classifying, heads=("lr", "finetune"), epochs=1, length=max(lengths)))
    assert notices("length", list(classify_runs.drive(uncut, Control()))) == []


def test_questions_and_pairs_that_are_cut_are_counted(choosing: ChooseSpec) -> None:
    run = choose_runs.create(replace(choosing, methods=("margin", "finetune")))
    events = list(choose_runs.drive(run, Control()))
    questions = [json.loads(line)["question"].strip() for line in Path(choosing.data).read_text().splitlines()]
    cut = sum(len(question) > 3 * 8 for question in questions)
    told = [one.text for one in notices("length", events)]
    assert told[0] == f"{cut} of 40 questions were cut at their beginning"
    judged = [len(json.loads(line)["question"]) for line in (run.path / "items.jsonl").read_text().splitlines()]
    for method in ("margin", "finetune"):
        assert events[-1].results[method]["truncated"] == sum(length > 3 * 8 for length in judged)
    pairs = [
        f"{question[-24:]} {WORDS[(row + by) % len(WORDS)]}" for row, question in enumerate(questions) for by in (0, 1)
    ]
    wanted = sum(length > 8 for length in tokens(choosing, pairs))
    assert events[-1].results["finetune"]["texts"] == 80
    assert events[-1].results["finetune"]["truncated_texts"] == wanted > 0
    assert told[-1] == f"{wanted} of 80 texts were cut to 8 tokens"
