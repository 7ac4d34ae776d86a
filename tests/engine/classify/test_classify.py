"""Methods from data to a run directory: equal to scikit-learn, frozen where they say so, resumable, readable again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spying
import tiny
from sklearn.utils.class_weight import compute_class_weight

from checkpoints import home, store
from checkpoints.lock import Lock
from checkpoints.run import Run
from data import tables
from engine.classify import contenders
from engine.classify import results as classify_results
from engine.classify import runs as classify_runs
from engine.classify.predict import Classifier
from engine.classify.spec import ClassifySpec
from engine.classify.task import classify
from engine.comparison import heads, statistics
from engine.comparison.results import TUNED
from engine.comparison.tuned_encoder import FineTuned
from engine.encoders import epochs
from engine.encoders import find as encoders
from engine.encoders.class_weights import balanced
from engine.encoders.encode import encode
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.epochs import made_of
from engine.encoders.features import group_of
from engine.encoders.fine_tune import Classifying, TuneSettings, probabilities
from engine.model_folder import present, replaced
from engine.runs import events
from engine.runs.events import Classified, ContenderDone, ContenderStep, CurvePoint, Encoded, Loaded, Notice
from engine.runs.listing import summarise
from engine.runs.messages import Control, Pause, Stop, Stopped
from engine.runs.spec import BadSpec

ROWS = tiny.texts(120)
TEST = tiny.texts(60, seed=9)
NAMES = ("a", "b", "c")
QUICK = TuneSettings(epochs=3, rows=16, learning_rate=3e-3, patience=9, length=24)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny products only wait for each other on several threads."""
    for module in ("device", "comparison.heads"):
        monkeypatch.setattr(f"engine.{module}.physical_cores", lambda: 1)


@pytest.fixture
def encoder(encoder_folder: Path) -> encoders.Encoder:
    found: encoders.Encoder = tiny.finish(encoders.find(str(encoder_folder)))[1]
    return found


@pytest.fixture
def spec(tmp_path: Path, encoder_folder: Path) -> ClassifySpec:
    data = tmp_path / "messages"
    data.mkdir()
    tiny.write_csv(data / "train.csv", ROWS)
    tiny.write_csv(data / "validation.csv", tiny.texts(30, seed=4))
    tiny.write_csv(data / "test.csv", (TEST[0] + ROWS[0][:2], TEST[1] + ROWS[1][:2]))
    return ClassifySpec(data=str(data), encoder=str(encoder_folder), pooling="all", length=24, device="cpu")


@pytest.fixture
def vectors(encoder: encoders.Encoder) -> tuple[Any, Any]:
    made = [
        tiny.finish(encode(texts, encoder, Control(), length=24))[1].pooled("last4") for texts in (ROWS[0], TEST[0])
    ]
    return made[0], made[1]


def only(kind: type, told: list[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_equals_scikit_learn_solved_at_once(
    vectors: tuple[Any, Any], classes: int, weighted: bool
) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    saved_epochs = [row for row, label in enumerate(ROWS[1]) if label < classes and (label or row % 2)]
    rows, labels = vectors[0][saved_epochs], [ROWS[1][row] for row in saved_epochs]
    grid = (1 / 97, 1 / 9)
    told, head = tiny.finish(
        heads.logistic(
            "lr",
            (rows, labels),
            (vectors[1][:9], [0, 1, 0] * 3),
            Control(),
            classes=classes,
            class_weights=weighted,
            grid=grid,
        )
    )
    assert head.penalty in grid
    solver = LogisticRegression(C=head.penalty, max_iter=5000, tol=1e-8, class_weight="balanced" if weighted else None)
    exact = make_pipeline(StandardScaler(), solver).fit(rows, labels).predict_proba(vectors[1])
    assert np.abs(head.probabilities(vectors[1]) - exact).max() < 2e-3
    assert [event.note for event in told if event.held_out_loss is not None] == ["C = 0.0103093", "C = 0.111111"]


def test_the_mlp_learns_equals_its_arrays_and_is_the_same_again(vectors: tuple[Any, Any]) -> None:
    def train() -> Any:
        return tiny.finish(heads.mlp("mlp", (vectors[0], ROWS[1]), (vectors[1], TEST[1]), Control(), classes=3, seed=1))

    told, head = train()
    found = head.probabilities(vectors[1])
    best = min(only(ContenderStep, told), key=lambda event: event.held_out_loss)
    assert statistics.log_loss(found, TEST[1]) == pytest.approx(best.held_out_loss, abs=1e-4)
    assert head.validation_accuracy == best.held_out_score > 0.6
    again = heads.head_from(train()[1].arrays(), "")
    assert np.array_equal(again.probabilities(vectors[1]), found)


def test_the_other_bundled_data_set_is_classified_whatever_lies_in_the_folder(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "feelings").write_text("another file")
    run = classify_runs.create(
        ClassifySpec(data="feelings", encoder=str(encoder_folder), heads=("lr",), limit=30, length=8, device="cpu")
    )
    told = list(classify_runs.drive(run, Control()))
    (loaded,) = only(Loaded, told)
    assert (loaded.data, loaded.source, loaded.judged) == ("feelings", "bundled with the program", 30)
    assert set(loaded.classes) == {"sadness", "joy", "love", "anger", "fear", "surprise"}
    assert run.name.endswith("-classify-feelings")
    assert only(Classified, told)[-1].reason == "done"


def test_the_whole_comparison_and_what_stays_of_it(spec: ClassifySpec, tmp_path: Path) -> None:
    from dataclasses import replace

    run = classify_runs.create(
        replace(spec, heads=("lr", "mlp", "finetune"), epochs=2, learning_rate=3e-3, curve=True, suspects=True)
    )
    told = list(classify_runs.drive(run, Control()))
    last = told[-1]
    assert isinstance(last, Classified)
    assert (last.reason, list(last.results)) == ("done", ["majority", "tfidf", "lr", "mlp", "finetune"])
    assert last.results["majority"]["accuracy"] == pytest.approx(21 / 62)
    assert last.results["lr"]["trained_parameters"] == 6 * 16 * 3 + 3
    assert set(last.results["lr"]) >= {"accuracy", "interval", "macro_f1", "log_loss", "seconds"}
    compared = re.findall(r"(?:^|\. )([^.]+? \(\d\.\d{3}, n = \d+\).+?)(?=\. [A-Z])", last.verdict)
    assert [one.partition(" (")[0] for one in compared] == ["Logistic regression", "MLP", "Fine-tuning"]
    assert all("the majority class (" in one and "TF-IDF (" in one for one in compared)
    assert "logistic regression (" in compared[2]
    assert "MLP (" in compared[2]
    points = [(event.contender, event.labels) for event in only(CurvePoint, told)]
    assert points == [(method, labels) for labels in (8, 16, 32) for method in ("lr", "mlp")]
    loaded = only(Loaded, told)[0]
    assert "test texts that are in train too: 2" in " ".join(loaded.checks)

    read = classify_results.read(run)
    assert read.texts[0] == TEST[0][0]
    for method, report in read.reports.items():
        assert report.accuracy == pytest.approx(last.results[method]["accuracy"], abs=1e-6)
        assert report.accuracy_without_leaks is not None
        assert sum(map(sum, report.confusion)) == 62
    assert len(read.cell("lr", 0, 1)) == read.reports["lr"].confusion[0][1]

    classifier = Classifier(run)
    assert classifier.methods == ["tfidf", "lr", "mlp", "finetune"]
    for method, found in classifier.predict(read.texts).items():
        assert np.abs(found - read.probabilities[method]).max() < 1e-5, method
    chosen, effects = classifier.attribute("card late the", "tfidf")
    full, less = classifier.predict(["card late the", "card  the"], ["tfidf"])["tfidf"]
    assert (effects[1].text, effects[1].start, effects[1].end) == ("late", 5, 9)
    assert effects[1].effect == pytest.approx(full[chosen] - less[chosen])

    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    theirs = AutoModelForSequenceClassification.from_pretrained(run.path / TUNED).eval()
    words = AutoTokenizer.from_pretrained(run.path / TUNED)
    given = words(list(read.texts[:8]), padding=True, truncation=True, max_length=24, return_tensors="pt")
    logits = theirs(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits
    assert np.abs(logits.softmax(1).detach().numpy() - read.probabilities["finetune"][:8]).max() < 1e-5
    assert theirs.config.id2label == {0: "a", 1: "b", 2: "c"}

    summary = summarise(run)
    assert (summary.task, summary.state, summary.step, summary.steps) == ("classify", "finished", 5, 5)
    assert summary.accuracy == max(last.results[method]["accuracy"] for method in ("tfidf", "lr", "mlp", "finetune"))
    journal = [json.loads(line) for line in run.events.read_text().splitlines()]
    assert [events.from_dict(record) for record in journal] == told
    assert not [file for file in run.path.rglob("*") if file.suffix in (".pkl", ".pt", ".bin", ".joblib")]


def state_of(model: Any) -> dict[str, Any]:
    """Every weight and buffer as a hash, and whether each part trains."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    found: dict[str, Any] = {
        name: hashlib.sha256(tensor.detach().numpy().tobytes()).hexdigest() for name, tensor in tensors.items()
    }
    found |= {f"{name} trains": part.training for name, part in model.named_modules()}
    return found | {f"{name} gradient": (one.requires_grad, one.grad) for name, one in model.named_parameters()}


def test_the_frozen_encoder_is_frozen(
    spec: ClassifySpec, encoder: encoders.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def features() -> Any:
        return tiny.finish(encode(ROWS[0], encoder, Control(), length=24, group=group_of("all"), device="cpu"))[1]

    with tiny.uncached():
        before = features().pooled("all")
    opened: list[tuple[Any, dict[str, Any]]] = []
    really = encoders.Encoder.open

    def watched(self: encoders.Encoder, *arguments: str) -> Any:
        model = really(self, *arguments)
        opened.append((model, state_of(model)))
        return model

    with monkeypatch.context() as patch:
        patch.setattr(encoders.Encoder, "open", watched)
        last = list(classify(spec, Control()))[-1]
    assert list(last.results) == ["majority", "tfidf", "lr", "mlp"]
    assert len(opened) == 3  # for each split
    for model, first in opened:
        assert state_of(model) == first
        assert not any(trains for name, trains in first.items() if name.endswith(" trains"))
        assert all(found == (False, None) for name, found in first.items() if name.endswith(" gradient"))
        assert len(first) > 100
    used = features()
    assert all(shard.path is not None for shard in used.shards)  # as classify put them there
    assert np.array_equal(used.pooled("all"), before)
    monkeypatch.setattr(encoders.Encoder, "open", lambda *_: opened[-1][0])
    with tiny.uncached():
        assert np.array_equal(features().pooled("all"), before)


def test_a_stop_ends_it_with_what_was_done_and_resuming_finds_the_features(spec: ClassifySpec) -> None:
    run, control = classify_runs.create(spec), Control()
    told = []
    for event in classify_runs.drive(run, control):
        told.append(event)
        if isinstance(event, ContenderDone) and event.contender == "tfidf":
            control.send(Stop())
    assert (told[-1].reason, list(told[-1].results)) == ("stopped", ["majority", "tfidf"])
    assert summarise(run).state == "stopped"
    again = list(classify_runs.drive(run, Control()))
    assert list(again[-1].results) == ["majority", "tfidf", "lr", "mlp"]
    third = list(classify(spec, Control()))
    assert {event.cached for event in only(Encoded, third)} == {62, 30, 120}
    assert third[-1].results["lr"]["accuracy"] == again[-1].results["lr"]["accuracy"]


def looks(told: list[Any]) -> list[ContenderStep]:
    """At what was held out, without the time that was left."""
    return [
        dataclasses.replace(one, seconds_left=None)
        for one in only(ContenderStep, told)
        if one.held_out_loss is not None
    ]


def routes_trained(told: list[Any]) -> set[str]:
    """Whose steps are not only told again."""
    again = {id(event) for event in only(ContenderStep, told) if event.held_out_loss and event.seconds_left is None}
    return {event.contender for event in only(ContenderStep, told) if id(event) not in again}


def test_a_new_start_takes_over_the_heads_that_were_trained(spec: ClassifySpec, tmp_path: Path) -> None:
    run, control = classify_runs.create(spec), Control()
    told = []
    for event in classify_runs.drive(run, control):
        told.append(event)
        if isinstance(event, ContenderDone) and event.contender == "lr":
            control.send(Stop())
    heads_before = {file.name: file.read_bytes() for file in (run.path / "heads").iterdir()}
    assert set(heads_before) == {"tfidf.safetensors", "lr.safetensors"}
    control = Control()
    for event in classify_runs.drive(run, control):  # a stop at once loses none of them
        if isinstance(event, Loaded):
            control.send(Stop())
    again = list(classify_runs.drive(run, Control()))
    assert routes_trained(again) == {"mlp"}
    assert {name: (run.path / "heads" / name).read_bytes() for name in heads_before} == heads_before
    third = list(classify_runs.drive(run, Control()))
    assert routes_trained(third) == set()
    done = {event.contender: event.result for event in only(ContenderDone, told)}
    later = {event.contender: event.result for event in only(ContenderDone, again)}
    assert list(later) == ["majority", "tfidf", "lr", "mlp"]
    assert all(later[method] == done[method] for method in ("tfidf", "lr"))
    assert set(classify_results.read(run).reports) == set(later)
    for method, found in Classifier(run).predict(classify_results.read(run).texts).items():
        assert np.abs(found - classify_results.read(run).probabilities[method]).max() < 1e-5, method

    curves = [[event for event in looks(each) if event.contender == "mlp"] for each in (again, third)]
    assert curves[0] == curves[1] != []
    (run.path / "heads" / "lr.safetensors").write_bytes(b"gone")
    other = tiny.bert(tmp_path / "other", seed=1)
    damaged = list(classify_runs.drive(run, Control()))
    assert routes_trained(damaged) == {"lr"}
    words = (run.path / "words.json").read_bytes()
    vocabulary = json.loads(words)["vocabulary"]
    (one, first), (two, second) = list(vocabulary.items())[:2]
    run.write_json("words.json", {"vocabulary": {**vocabulary, one: second, two: first}})
    assert Classifier(run).methods == ["lr", "mlp"]
    assert routes_trained(list(classify_runs.drive(run, Control()))) == {"tfidf"}
    assert (run.path / "words.json").read_bytes() == words
    (run.path / "results.json").unlink()
    assert routes_trained(list(classify_runs.drive(run, Control()))) == set()
    assert set(classify_results.read(run).reports) == set(later)
    about = (run.path / "classifier.json").read_bytes()
    (run.path / "classifier.json").write_bytes(about.replace(b'"accuracy": 0.', b'"accuracy": 1.', 1))
    assert routes_trained(list(classify_runs.drive(run, Control()))) == {"tfidf", "lr", "mlp"}
    run.write_json("spec.json", {**run.read_json("spec.json"), "encoder": str(other)})
    elsewhere = list(classify_runs.drive(run, Control()))
    assert routes_trained(elsewhere) == {"lr", "mlp"}
    run.write_json("spec.json", {**run.read_json("spec.json"), "length": 12})
    assert routes_trained(list(classify_runs.drive(run, Control()))) == {"tfidf", "lr", "mlp"}


def tune(encoder: encoders.Encoder, control: Control | None = None, on: Any = None, **changes: Any) -> Any:
    from dataclasses import replace

    settings = replace(QUICK, **changes)
    with EpochCheckpoints(*made_of(encoder, settings, "f")) as saved_epochs:
        training = Classifying(ROWS, TEST, encoder, settings, control or Control(), "cpu", classes=NAMES)
        done = tiny.finish(epochs.tune(training, saved_epochs), on)
        saved_epochs.clear()
    return done


def stopped_in(epoch: int, encoder: encoders.Encoder) -> None:
    """A fine-tuning that is asked to stop when it tells of the end of an epoch."""
    control = Control()

    def stop(event: Any) -> None:
        if isinstance(event, ContenderStep) and event.note.startswith(f"epoch {epoch} "):
            control.send(Stop())

    with pytest.raises(Stopped):
        tune(encoder, control, stop)


def test_fine_tuning_goes_on_after_the_last_epoch_and_comes_to_the_same(encoder: encoders.Encoder) -> None:
    begun, whole = tune(encoder)
    at_once = only(ContenderStep, begun)
    stopped_in(2, encoder)
    told, resumed = tune(encoder)
    assert [event.text for event in only(Notice, told)] == ["fine-tuning goes on after epoch 2 of 3"]
    assert resumed.history == whole.history
    ends = [event for event in only(ContenderStep, told) if event.held_out_loss is not None]
    assert [(event.held_out_loss, event.held_out_score) for event in ends] == list(whole.history)
    assert [(event.step, event.steps) for event in ends] == [(8, 24), (16, 24), (24, 24)]
    assert [(event.loss, event.note) for event in ends] == [
        (event.loss, event.note) for event in at_once if event.held_out_loss is not None
    ]
    assert all(event.seconds_left is not None for event in ends)
    exact = tiny.finish(probabilities(whole, TEST[0]))[1]
    assert np.array_equal(tiny.finish(probabilities(resumed, TEST[0]))[1], exact)
    assert [file.name for folder in (home.cache() / "finetune").iterdir() for file in folder.iterdir()] == ["lock"]
    assert whole.history[whole.best_epoch - 1][1] == max(accuracy for _, accuracy in whole.history)
    assert statistics.accuracy(exact, TEST[1]) == whole.history[whole.best_epoch - 1][1] > 0.5


def test_epochs_that_an_earlier_version_kept_are_resumed(encoder: encoders.Encoder) -> None:
    whole = tune(encoder)[1]
    stopped_in(2, encoder)
    folder = next((home.cache() / "finetune").iterdir())
    for path in store.checkpoints(folder):
        state, files = store.read(path)
        pairs = [[loss, accuracy] for _, accuracy, loss, _ in state["looks"]]
        store.remove(path)
        earlier = {"history": pairs, "steps_done": state["looks"][-1][0], "spent": state["spent"]}
        store.commit(folder, store.step_of(path), files, earlier)
    told, resumed = tune(encoder)
    assert [event.text for event in only(Notice, told)] == ["fine-tuning goes on after epoch 2 of 3"]
    assert resumed.history == whole.history
    looked = [event for event in only(ContenderStep, told) if event.held_out_loss is not None]
    assert [event.step for event in looked] == [8, 16, 24]


def test_a_damaged_epoch_is_passed_over(encoder: encoders.Encoder) -> None:
    stopped_in(1, encoder)
    (saved_epochs,) = store.checkpoints(next((home.cache() / "finetune").iterdir()))
    (saved_epochs / "model.safetensors").write_bytes(b"gone")
    told, tuned = tune(encoder)
    assert "passed over" in only(Notice, told)[0].text
    assert tuned.epochs == 3


def test_epochs_that_another_process_goes_on_with_are_left_to_it(encoder: encoders.Encoder) -> None:
    stopped_in(1, encoder)
    folder = next((home.cache() / "finetune").iterdir())
    with Lock(folder / "lock"):
        told, tuned = tune(encoder)
    assert "epochs are not kept" in only(Notice, told)[0].text
    assert tuned.epochs == 3
    assert len(store.checkpoints(folder)) == 1


def tuning(spec: ClassifySpec) -> Run:
    return classify_runs.create(dataclasses.replace(spec, heads=("finetune",), epochs=2, learning_rate=3e-3))


@pytest.mark.parametrize("lost_in", ["tuned", "report", "settled"])
def test_a_failed_write_after_fine_tuning_loses_none_of_it(
    spec: ClassifySpec, monkeypatch: pytest.MonkeyPatch, lost_in: str
) -> None:
    whole = list(classify_runs.drive(tuning(spec), Control()))
    run, really = tuning(spec), getattr(classify_results.Store, lost_in)

    def full(self: Any, *given: Any) -> None:
        if lost_in != "report" or given[0] == "finetune":
            raise OSError(28, "No space left on device")
        really(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(classify_results.Store, lost_in, full)
        with pytest.raises(OSError, match="No space"):
            list(classify_runs.drive(run, Control()))
    again = list(classify_runs.drive(run, Control()))
    assert "fine-tuning goes on after epoch 2 of 2" in [event.text for event in only(Notice, again)]
    assert routes_trained(again) <= {"finetune"}
    assert again[-1].results["finetune"]["log_loss"] == whole[-1].results["finetune"]["log_loss"]
    assert not list(home.cache().glob("finetune/*/step-*"))


def test_a_new_start_takes_over_the_fine_tuned_encoder(spec: ClassifySpec, tmp_path: Path) -> None:
    run, control = tuning(spec), Control()
    begun = []
    for event in classify_runs.drive(run, control):
        begun.append(event)
        if isinstance(event, ContenderDone) and event.contender == "finetune":
            control.send(Stop())
    (saved_epochs,) = (home.cache() / "finetune").iterdir()
    store.commit(saved_epochs, 1, {"model.safetensors": b"of a start that was killed before it removed its epochs"}, {})
    again = list(classify_runs.drive(run, Control()))
    assert routes_trained(again) == set()
    assert [entry.name for entry in saved_epochs.iterdir()] == ["lock"]
    assert not [event for event in only(Notice, again) if "goes on" in event.text]
    assert again[-1].results == begun[-1].results
    tuned = [[event for event in looks(told) if event.contender == "finetune"] for told in (begun, again)]
    assert tuned[0] == tuned[1] != []
    weights = run.path / TUNED / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    control = Control()
    for event in classify_runs.drive(run, control):  # it is not whole: its figures stay until there are others
        if isinstance(event, ContenderDone) and event.contender == "majority":
            control.send(Stop())
    assert "finetune" in classify_results.read(run).reports
    assert routes_trained(list(classify_runs.drive(run, Control()))) == {"finetune"}
    assert list(Classifier(run).predict(["the card"], ["finetune"])) == ["finetune"]
    run.write_json("spec.json", {**run.read_json("spec.json"), "encoder": str(tiny.bert(tmp_path / "other", seed=1))})
    assert routes_trained(list(classify_runs.drive(run, Control()))) == {"finetune"}


@pytest.mark.parametrize("damage", ["[]", "3", "null"])
def test_damaged_records_are_as_if_they_were_not_there(spec: ClassifySpec, damage: str) -> None:
    run = classify_runs.create(dataclasses.replace(spec, heads=("lr",)))
    list(classify_runs.drive(run, Control()))
    about, results = run.read_json("classifier.json"), run.read_json("results.json")
    del about["reports"]  # as earlier versions wrote it
    broken = json.loads(damage)
    run.write_json("results.json", {**results, "lr": broken, "finetune": broken})
    run.write_json("classifier.json", {**about, "encoder": broken, "tuned": broken})
    assert "lr" in routes_trained(list(classify_runs.drive(run, Control())))
    run.write_json("classifier.json", {**about, "heads": {"lr": broken, "tfidf": broken}})
    assert list(classify_runs.drive(run, Control()))[-1].reason == "done"


def test_the_epochs_of_a_training_keep_their_lock_and_their_best(tmp_path: Path, monkeypatch: Any) -> None:
    import torch

    def model() -> tuple[Any, Any]:
        torch.manual_seed(0)
        made = torch.nn.Linear(2, 2)
        return made, torch.optim.AdamW(made.parameters())

    trained, optimizer = model()

    def put(saved_epochs: EpochCheckpoints, epoch: int, best: int) -> list[Any]:
        torch.nn.init.constant_(trained.weight, epoch)
        trained(torch.ones(2)).sum().backward()
        optimizer.step()
        return list(saved_epochs.put(epoch, trained, optimizer, {"best": best}, best=best))

    with EpochCheckpoints("a training") as saved_epochs:
        put(saved_epochs, 1, 1)
        with monkeypatch.context() as patch:
            patch.setattr(store, "commit", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
            assert "No space left" in put(saved_epochs, 2, 2)[0].text
        assert [store.step_of(one) for one in store.checkpoints(saved_epochs.folder)] == [1]
        put(saved_epochs, 3, 2)
        assert [store.step_of(one) for one in store.checkpoints(saved_epochs.folder)] == [3, 2]
        other, its = model()
        found = tiny.finish(saved_epochs.resume(other, its, lambda state: int(state["best"])))[1]
        assert found is not None
        assert found.state["best"] == 2
        put(saved_epochs, 2, 2)
        for one in store.checkpoints(saved_epochs.folder):
            (one / "optimizer.safetensors").write_bytes(b"")
        fresh, its = model()
        before = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
        monkeypatch.setattr("checkpoints.state.restore_optimizer", refuse)
        put(saved_epochs, 4, 4)
        assert tiny.finish(saved_epochs.resume(fresh, its, lambda state: int(state["best"])))[1] is None
        assert all(torch.equal(before[name], tensor) for name, tensor in fresh.state_dict().items())
        inode = (saved_epochs.folder / "lock").stat().st_ino
        saved_epochs.clear()
        assert [file.name for file in saved_epochs.folder.iterdir()] == ["lock"]
        assert (saved_epochs.folder / "lock").stat().st_ino == inode


def refuse(*_: Any) -> None:
    raise store.CheckpointError("its optimizer does not fit")


@pytest.mark.parametrize("call", [1, 2])
def test_a_crash_while_a_model_is_replaced_leaves_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    folder = tmp_path / "model"
    with replaced(folder) as new:
        (new / "weights").write_text("old")
    assert present(folder) == folder
    really, calls = os.rename, 0

    def crash(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise KeyboardInterrupt
        really(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", crash)
        with pytest.raises(KeyboardInterrupt), replaced(folder) as new:
            (new / "weights").write_text("new")
    assert (present(folder) / "weights").read_text() == "old"
    with replaced(folder) as new:
        (new / "weights").write_text("newer")
    assert (present(folder) / "weights").read_text() == "newer"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith("model")] == ["model"]
    for left in ("old-model", "tmp-999999999-model"):  # a crash came before they were removed
        (tmp_path / left).mkdir()
    assert present(folder) == folder
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith("model")] == ["model"]


def test_a_file_where_a_model_is_to_be_is_replaced_and_none_is_left(tmp_path: Path) -> None:
    for name in ("model", "old-model"):
        (tmp_path / name).write_text("in the way")
        with replaced(tmp_path / "model") as new:
            (new / "weights").write_text(name)
        assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    (tmp_path / "old-model").write_text("in the way")
    assert (present(tmp_path / "model") / "weights").read_text() == "old-model"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_no_contender_is_ever_given_labels_of_the_judged_split(
    spec: ClassifySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = dataclasses.replace(spec, heads=("lr", "mlp", "finetune"), epochs=1)
    gold = list(tables.load(spec.data).test.labels)

    def labels(one: Any) -> bool:
        return isinstance(one, list | tuple | np.ndarray) and len(one) == len(gold) and list(one) == gold

    methods = (contenders.Majority, contenders.TfIdf, contenders.FrozenHead, FineTuned)
    fitted = (contenders.FittedClassifier, contenders.TunedClassifier)
    watched = dict.fromkeys(methods, ("fit",)) | dict.fromkeys(fitted, ("outputs",))
    asked = spying.watch(monkeypatch, watched, labels)
    told = list(classify(spec, Control()))
    assert len(only(ContenderDone, told)) == 5
    assert asked == 5 * [("fit", "Labelled", "Labelled", "SplitFeatures", "Control"), ("outputs", "Inputs", "Control")]


def test_class_weights_are_those_of_scikit_learn() -> None:
    labels = [0] * 7 + [1] * 2 + [2]
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced(labels, 3).numpy() == pytest.approx(wanted)
    assert balanced(labels, 4).numpy()[3] == pytest.approx(10 / 4)  # without rows, as if it had one


def test_class_weights_change_what_is_learnt(encoder: encoders.Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_epochs = [row for row, label in enumerate(ROWS[1]) if label == 0 or row % 4 == 0]
    skewed = ([ROWS[0][row] for row in saved_epochs], [ROWS[1][row] for row in saved_epochs])
    monkeypatch.setitem(globals(), "ROWS", skewed)
    assert tune(encoder, epochs=1)[1].history != tune(encoder, epochs=1, class_weights=True)[1].history


def test_a_spec_tells_everything_that_is_wrong_with_it() -> None:
    with pytest.raises(BadSpec) as error:
        list(classify(ClassifySpec(heads=("lr", "svm"), pooling="median", limit=-1, epochs=0), Control()))
    assert [problem.field for problem in error.value.problems] == ["pooling", "heads", "limit", "epochs"]


def test_names_of_labels_and_the_encoding_reach_the_data(spec: ClassifySpec, tmp_path: Path) -> None:
    file = tmp_path / "żółw.csv"
    file.write_bytes(("text,label\n" + "".join(f"żółw {n},{n % 3 - 1}\n" for n in range(60))).encode("cp1250"))
    made = dataclasses.replace(spec, data=str(file), test="", label_names="bad, so so,good", encoding="cp1250")
    loaded = next(event for event in classify(made, Control()) if isinstance(event, Loaded))
    assert loaded.classes == ("bad", "so so", "good")
    assert "żółw.csv is read as cp1250" in loaded.repairs
    with pytest.raises(BadSpec, match="encoding: 'utf-9' is not an encoding"):
        list(classify(dataclasses.replace(made, encoding="utf-9"), Control()))


def test_a_failure_is_recorded_and_told(tmp_path: Path) -> None:
    from data.formats import TableError

    run = classify_runs.create(ClassifySpec(data=str(tmp_path / "gone.csv")))
    with pytest.raises(TableError):
        list(classify_runs.drive(run, Control()))
    assert summarise(run).state == "failed"
    shutil.rmtree(run.path / "inbox")
    with pytest.raises(store.CheckpointError, match="no classification"):
        classify_results.read(run)
    with pytest.raises(store.CheckpointError, match="no trained classifier"):
        Classifier(run)


def test_a_pause_before_a_stop_still_stops(spec: ClassifySpec) -> None:
    control = Control()
    control.send(Pause())
    control.send(Stop())
    assert list(classify(spec, control))[-1].reason == "stopped"
