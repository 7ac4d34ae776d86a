"""What comparisons write: one failed write is told, tried again and costs nothing; a new start drops no entry."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from retrieving import collection
from workbench import notices

from checkpoints import store
from checkpoints.run import Run
from engine.choose import runs as choose_runs
from engine.choose.spec import ChooseSpec
from engine.classify import results as classify_results
from engine.classify import runs as classify_runs
from engine.classify.spec import ClassifySpec
from engine.retrieve import results as retrieve_results
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.spec import RetrieveSpec
from engine.runs import writes
from engine.runs.events import Classified, ContenderDone, Event, Notice
from engine.runs.messages import Control, Stop, Stopped
from engine.runs.spec import to_dict
from engine.runs.tasks import TaskRuns
from engine.runs.writes import PendingWrites
from tui.command import cli

FULL = OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "BACK_OFF", (0.0, 0.0, 0.0))


@dataclass
class Done:
    """A comparison that nothing disturbed, as small as it can be with a fine-tuning in it."""

    runs: TaskRuns[Any]
    spec: Any
    other: str
    """another encoder"""
    run: Run
    results: dict[str, Any]
    written: dict[str, Any]
    """results.json"""
    files: list[str]


@pytest.fixture(scope="module", params=["classify", "choose", "retrieve"])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("comparison")
    encoder, other = (str(tiny.bert(folder / f"bert{seed}", seed=seed)) for seed in (0, 1))
    common: dict[str, Any] = {"encoder": encoder, "epochs": 1, "device": "cpu"}
    runs: Any = {"classify": classify_runs, "choose": choose_runs, "retrieve": retrieve_runs}[request.param].RUNS
    spec: Any
    if request.param == "classify":
        (folder / "rows").mkdir()
        for number, split in enumerate(("train", "validation", "test")):
            tiny.write_csv(folder / "rows" / f"{split}.csv", tiny.texts(24, seed=number))
        spec = ClassifySpec(str(folder / "rows"), length=24, heads=("mlp", "finetune"), **common)
    elif request.param == "choose":
        rows = [{"question": f"where is {word}", "choices": [word, "the", "a"], "answer": 0} for word in tiny.WORDS[7:]]
        (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows * 3)))
        spec = ChooseSpec(str(folder / "rows.jsonl"), methods=("margin", "finetune"), seeds=1, **common)
    else:
        methods = ("bm25", "mean", "trained")
        spec = RetrieveSpec(str(collection(folder / "small")), mode="whole", methods=methods, **common)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(folder / "home"))
        for module in ("device", "comparison.heads"):
            patch.setattr(f"engine.{module}.physical_cores", lambda: 1)
        run = runs.create(spec)
        told = list(runs.drive(run, Control()))
        assert not notices("save", told)
        assert isinstance(told[-1], Classified)
        yield Done(runs, spec, other, run, told[-1].results, run.read_json("results.json"), files(run))


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Results without what the clock decides."""
    measured = ("seconds", "index_seconds", "queries_per_second")
    return {name: {key: v for key, v in one.items() if key not in measured} for name, one in results.items()}


def files(run: Run) -> list[str]:
    return sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file())


def test_a_new_start_that_is_killed_drops_no_finished_entry(done: Done) -> None:
    rng = random.Random(4)
    for number in (0, 1, 2, rng.randint(3, 8), rng.randint(9, 20)):
        again = done.runs.drive(done.run, Control())
        for _ in range(number):
            next(again, None)
        assert isinstance(again, Generator)
        again.close()  # as after a kill, nothing is written at the end
        assert set(done.run.read_json("results.json")) == set(done.results)
        if done.runs.kind.task == "retrieve":
            assert set(done.run.read_json("comparisons.json")) == {"mean-bm25", "trained-bm25", "trained-mean"}


def test_entries_that_stand_on_another_encoder_are_dropped(done: Done, tmp_path: Path) -> None:
    run = Run(tmp_path / "copy")
    shutil.copytree(done.run.path, run.path)
    run.write_json("spec.json", to_dict(replace(done.spec, encoder=done.other)))
    again = done.runs.drive(run, Control())
    for event in again:
        if {"mlp", "margin", "mean"} & set(map(str, vars(event).values())) and isinstance(event, ContenderDone):
            break
    kept = set(run.read_json("results.json"))
    assert kept == set(done.results) - {"finetune", "trained"}
    assert isinstance(again, Generator)
    again.close()


def test_every_file_fails_at_first_and_the_run_is_the_undisturbed_one(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: set[str] = set()
    run = done.runs.create(done.spec)

    def failing(really: Callable[..., Any], name_of: Callable[..., Path]) -> Callable[..., Any]:
        def once(*given: Any) -> Any:
            path = name_of(*given)
            if not path.is_relative_to(run.path) or str(path) in failed:
                return really(*given)
            failed.add(str(path))
            raise FULL

        return once

    monkeypatch.setenv("LLMLAB_HOME", str(run.path.parent / "empty"))  # nothing is cached
    monkeypatch.setattr(store, "replace_file", failing(store.replace_file, lambda path, _: path))
    monkeypatch.setattr(store, "commit", failing(store.commit, lambda folder, step, *_: folder / store.name_of(step)))
    again = list(done.runs.drive(run, Control()))
    assert len(failed) > 5
    assert isinstance(again[-1], Classified)
    assert again[-1].reason == "done"
    told = [event.text for event in notices("save", again)]
    assert "No space left on device" in told[0]
    assert told[-1] == "what could not be written is on the disk now"
    assert figures(again[-1].results) == figures(done.results)
    assert figures(run.read_json("results.json")) == figures(done.written)
    assert files(run) == done.files


def test_a_disk_that_stays_full_is_told_and_what_was_trained_is_found_again(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, really, events = done.runs.create(done.spec), store.replace_file, []

    def full(path: Path, content: bytes) -> None:
        if path.is_relative_to(run.path):
            raise FULL
        really(path, content)

    def work() -> None:
        for event in done.runs.drive(run, Control()):
            events.append(event)

    with monkeypatch.context() as patch:
        patch.setattr(store, "replace_file", full)
        with pytest.raises(OSError, match="No space"):
            work()
    assert len([event for event in events if isinstance(event, ContenderDone)]) >= 2  # it went on till then
    again = list(done.runs.drive(run, Control()))
    assert any("goes on after epoch 1 of 1" in event.text for event in again if isinstance(event, Notice))
    assert isinstance(again[-1], Classified)
    assert figures(again[-1].results) == figures(done.results)


def test_one_damaged_file_hides_no_other_and_is_made_again(
    done: Done, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "copy")
    shutil.copytree(done.run.path, run.path)
    names = {"classify": "predictions/tfidf", "choose": "scores/finetune", "retrieve": "rankings/mean"}
    file = run.path / f"{names[done.runs.kind.task]}.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert cli.main(["sample", str(run.path)]) == 2
    assert f"its task is {done.runs.kind.task}" in capfd.readouterr().err
    if done.runs.kind.task == "classify":
        found = classify_results.read(run)
        assert set(found.reports) == set(found.probabilities) == {"majority", "mlp", "finetune"}
        assert "SHA-256" in found.unreadable["tfidf"]
        (run.path / "heads" / "mlp.safetensors").write_bytes(b"damaged")
        assert cli.main(["predict", str(run.path), "the card"]) == 0
        said = capfd.readouterr()
        assert "mlp: unreadable: mlp.safetensors is damaged" in said.err
        assert [line.split()[0] for line in said.out.splitlines()] == ["tfidf", "finetune"]
    if done.runs.kind.task == "retrieve":
        ranked = retrieve_results.read(run)
        assert set(ranked.judged) == {"bm25", "trained"}
        assert "SHA-256" in ranked.unreadable["mean"]
    again = list(done.runs.drive(run, Control()))
    assert isinstance(again[-1], Classified)
    assert figures(again[-1].results) == figures(done.results)
    assert file.read_bytes() == content


# -- the queue -----------------------------------------------------------------------------------------------------


class Disk:
    """Takes the writes, or fails."""

    def __init__(self) -> None:
        self.full, self.taken = False, []

    def write(self, name: str) -> Callable[[], None]:
        def done() -> None:
            if self.full:
                raise FULL
            self.taken.append(name)

        return done


def test_writes_keep_their_order_and_a_newer_version_takes_the_place_of_an_older_one() -> None:
    disk, queue = Disk(), PendingWrites()
    queue.put("a", disk.write("a1"))
    disk.full = True
    for name in ("a2", "b1", "a3"):
        queue.put(name[0], disk.write(name))
    assert disk.taken == ["a1"]
    assert ["No space" in event.text for event in queue.report()] == [True]
    assert list(queue.report()) == []  # once
    disk.full = False
    queue.put("c", disk.write("c1"))
    assert disk.taken == ["a1", "b1", "a3", "c1"]
    assert [event.text for event in queue.report()] == ["what could not be written is on the disk now"]
    assert list(queue.report()) == []


def test_a_failure_that_is_made_good_before_anybody_looked_is_told() -> None:
    disk, queue = Disk(), PendingWrites()
    disk.full = True
    queue.put("a", disk.write("a"))
    disk.full = False
    queue.put("b", disk.write("b"))
    assert [event.level for event in queue.report()] == ["error", "info"]


def test_work_that_fails_tries_once_more_and_a_stop_is_obeyed_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, queue, control = Disk(), PendingWrites(), Control()

    def work() -> Iterator[Event]:
        yield Notice("working")
        raise ValueError("broken")

    disk.full = True
    queue.put("a", disk.write("a"))
    watched = queue.watch(work())
    assert [next(watched).text, next(watched).text[:1]] == ["working", "a"]
    disk.full = False
    with pytest.raises(ValueError, match="broken"):
        next(watched)
    assert disk.taken == ["a"]
    disk.full = True
    queue.put("b", disk.write("b"))
    monkeypatch.setattr(writes, "BACK_OFF", (60.0,))
    control.send(Stop())
    with pytest.raises(Stopped):
        list(queue.settle(control))
    assert "b could not be written" in list(queue.abandon())[-1].text


def test_what_can_be_written_is_when_one_file_never_can(tmp_path: Path) -> None:
    queue = PendingWrites()
    (tmp_path / "blocked").mkdir()
    queue.file(tmp_path / "blocked", b"never")
    queue.file(tmp_path / "folder" / "after", b"written")
    assert not (tmp_path / "folder").exists()
    with pytest.raises(IsADirectoryError):
        list(queue.settle(Control()))
    assert (tmp_path / "folder" / "after").read_bytes() == b"written"


def test_what_refers_to_a_file_that_cannot_be_written_is_not_written(tmp_path: Path) -> None:
    queue, written = PendingWrites(), []
    (tmp_path / "model").mkdir()
    queue.file(tmp_path / "model", b"a folder is in the way")
    queue.put("what it is", lambda: written.append("what it is"), after=None)
    queue.put("results", lambda: written.append("results"))
    with pytest.raises(IsADirectoryError):
        list(queue.settle(Control()))
    assert written == ["results"]
    (tmp_path / "model").rmdir()
    queue.flush()
    assert written == ["results", "what it is"]


def test_what_says_what_figures_are_of_is_written_before_them_also_when_all_are_tried_a_last_time(
    tmp_path: Path,
) -> None:
    def work() -> Generator[Event, None, None]:
        yield Notice("begun")
        queue.json(about, {"data": 1})
        queue.json(figures, {"accuracy": 1.0}, after=(about,))
        queue.json(tmp_path / "other.json", {})
        queue.json(about, {"data": 1, "encoder": 2})  # a newer version, which comes last

    about, figures, queue = tmp_path / "about.json", tmp_path / "figures.json", PendingWrites()
    about.mkdir()
    list(queue.watch(work()))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["about.json", "other.json"]
    about.rmdir()
    queue.flush(every=True)
    assert (store.read_object(about), figures.is_file()) == ({"data": 1, "encoder": 2}, True)
