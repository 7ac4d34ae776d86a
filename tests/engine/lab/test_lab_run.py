"""The lab without a screen: what is left is done, once; what was interrupted goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from small_lab import LAB, SORT, TRAIN, ended, made
from workbench import only, process

from checkpoints import home, trash
from checkpoints import run as runs
from engine.lab import progress, record, temperatures, tokens
from engine.lab import run as lab
from engine.lab.exercise import Exercise, Step, Work
from engine.lab.record import Settings
from engine.lab.results import Rung, Temperatures, Tokenized, Tokens, Verse
from engine.runs import owner
from engine.runs.events import ContenderDone, Event, Finished, LabStep, SampleText, Started
from engine.runs.events import Step as TrainingStep
from engine.runs.messages import Control, Stop
from engine.runs.spec import BadSpec


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose data set and encoder are tiny."""
    folder = tmp_path_factory.mktemp("small")
    data = tiny.write_csv(folder / "emotion.csv", tiny.texts(60))
    return Settings("dantesque", str(data), encoder=str(tiny.bert(folder / "encoder")))


@pytest.fixture(autouse=True)
def stored(small: Settings, known_peak: float) -> None:
    """The lab has these settings, and no training measures the machine."""
    record.save_settings(small)


def do(
    exercises: Any = LAB, *, quick: bool = True, on: Callable[[Event, Control], object] = lambda *_: None
) -> list[Event]:
    """Every event of the lab; ``on`` sees each as it comes."""
    control, events = Control(), []
    for event in lab.run(control, quick=quick, exercises=exercises):
        events.append(event)
        on(event, control)
    return events


def states(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(event.step, event.state, event.outcome) for event in only(LabStep, events)]


@pytest.fixture(scope="module")
def quick_lab(tmp_path_factory: pytest.TempPathFactory, small: Settings) -> Iterator[tuple[Path, list[Event]]]:
    """The home of a quick lab that was done, and its events."""
    where = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(where))
        patch.setattr("engine.gpt.train.measure_peak", lambda placement: 1e9)
        record.save_settings(small)
        yield where, do()


def test_the_whole_lab_is_done_and_every_claim_tested(quick_lab: tuple[Path, list[Event]]) -> None:
    _, events = quick_lab
    names = [step.name for exercise in LAB for step in exercise.steps]
    assert [event.step for event in only(LabStep, events)][: len(names)] == names
    estimates = {event.step: event.seconds for event in only(LabStep, events)[: len(names)]}
    assert {name for name, seconds in estimates.items() if seconds is not None} == {"1 train", "3.1 emotion"}
    changed = states(events)[len(names) :]
    assert changed[:3] == [("1 train", "running", ""), ("1 train", "done", ""), ("1 below", "done", "holds")]
    assert changed[3:5] == [("3.1 emotion", "running", ""), ("3.1 emotion", "done", "")]
    assert changed[5][:2] == ("3.1 better", "done")
    assert changed[5][2] in ("holds", "does not hold")
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.step, last.run) == ("done", 2, "lab")


def test_what_is_done_is_not_done_again(quick_lab: tuple[Path, list[Event]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLAB_HOME", str(quick_lab[0]))
    before = {run.name: run.events.read_bytes() for run in runs.every(home.runs())}
    assert len(before) == 2
    events = do()
    assert {type(event) for event in events} == {LabStep, Finished}
    assert {event.state for event in only(LabStep, events) if event.step != "1 answer"} == {"done"}
    assert {run.name: run.events.read_bytes() for run in runs.every(home.runs())} == before


def test_a_deleted_run_is_done_again() -> None:
    first = do(LAB[:1])
    (run,) = runs.every(home.runs())
    trash.delete(run)
    assert runs.every(home.runs()) == []
    assert states(do(LAB[:1])) == states(first)
    (again,) = runs.every(home.runs())
    (deleted,) = trash.deleted(home.runs())
    assert again.read_json("spec.json") == deleted.run.read_json("spec.json")


def test_a_stop_leaves_what_the_next_call_goes_on_with() -> None:
    def stop(event: Event, control: Control) -> None:
        if isinstance(event, TrainingStep) and event.step == 10:
            control.send(Stop())

    first = do(LAB, on=stop)
    assert isinstance(first[-1], Finished)
    assert (first[-1].reason, first[-1].step) == ("stopped", 0)
    assert not any(name.startswith("3.1") and state == "running" for name, state, _ in states(first))
    (run,) = runs.every(home.runs())
    second = do(LAB[:1])
    assert only(Started, second)[0].step >= 10
    assert runs.every(home.runs()) == [run]
    assert second[-1] == replace(second[-1], reason="done", step=1)  # type: ignore[type-var]


KILLED = """
import sys
sys.path[:0] = sys.argv[1:]
from small_lab import LAB
from engine.lab import run
from engine.runs.events import to_dict
from engine.runs.messages import Control
import json
for event in run.run(Control(), quick=True, exercises=LAB):
    print(json.dumps(to_dict(event)), flush=True)
"""


def killed_at(found: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The events of a process that does the lab, killed at one of them."""
    events = []
    with process([sys.executable, "-c", KILLED, str(Path(__file__).parent)]) as child:
        assert child.stdout is not None
        for line in child.stdout:
            events.append(json.loads(line))
            if found(events[-1]):
                child.kill()
                break
    return events


def test_after_a_kill_nothing_is_repeated() -> None:
    before = killed_at(lambda event: event["event"] == "contender_done" and event["contender"] == "tfidf")
    half, trained = runs.every(home.runs())
    assert half.owner() is None
    assert progress.read(True, LAB).works == {"inferno": "done", "emotion": "not started"}
    journal = trained.events.read_bytes()
    events = do()
    assert trained.events.read_bytes() == journal
    assert runs.every(home.runs()) == [half, trained]
    results = {event.contender: event.result for event in only(ContenderDone, events)}
    assert results["tfidf"] == before[-1]["result"]  # with the seconds that it took, so it was taken over
    assert "lr" in results
    assert states(events)[-1][:2] == ("3.1 better", "done")


def test_work_that_fails_does_not_end_the_others() -> None:
    broken = replace(SORT, roles={"encoder": "encoder"}, fields={**SORT.fields, "data": "/nowhere.csv"})
    exercises = (replace(LAB[1], works=(broken,)), LAB[0])
    events = do(exercises)
    final = {event.step: event for event in only(LabStep, events)}
    assert final["3.1 emotion"].state == final["3.1 better"].state == "failed"
    assert "/nowhere.csv" in final["3.1 emotion"].text
    assert final["1 train"].state == "done"
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, events[-1].step) == ("failed", 1)


def test_a_run_of_another_process_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(TRAIN, quick=True, settings=record.settings())
    with run.lock():
        follow = owner.follow

        def following(run: Any, control: Control, **more: Any) -> Iterator[Event]:
            ended(run)
            monkeypatch.setattr(type(run), "owner", lambda run: None)  # it has ended too
            yield from follow(run, control, **more)

        monkeypatch.setattr(owner, "follow", following)
        events = do(LAB[:1])
    assert states(events)[-2:] == [("1 train", "done", ""), ("1 below", "done", "not tested")]


def test_a_stop_leaves_the_run_of_another_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(TRAIN, quick=True, settings=record.settings())

    def stop(event: Event, control: Control) -> None:
        if isinstance(event, LabStep) and event.state == "running":
            control.send(Stop())

    with run.lock():
        events = do(LAB[:1], on=stop)
    assert run.collect() == []
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stopped"


def test_tokens_are_measured_once_and_again_for_other_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def measure(own: tuple[str, ...]) -> Tokens:
        asked.append(own)
        return Tokens("gpt2", "", (), tuple(Tokenized(text, (1,), (text,)) for text in own), (), (1,), (1,))

    monkeypatch.setattr(tokens, "measure", measure)
    work = Work("tokens", "tokens", "tokens", "Encode")
    table = (Exercise("2.1", "", "", (work,), (Step("2.1 t", "", "", "work", "tokens"),), ""),)
    for _ in range(2):
        assert states(do(table))[-1] == ("2.1 t", "done", "")
    record.save_own_texts(["mine"])  # which is not among those that were measured
    do(table)
    assert asked == [(), ("mine",)]


def test_a_ladder_is_a_part_of_the_temperatures_where_both_are_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []

    def measure(model: str, control: Control, *, seeds: int, length: int) -> Iterator[Event]:
        asked.append((model, seeds, length))
        yield from ()
        rung = Rung("temperature 1", 1.0, tuple(range(seeds)), ("",) * seeds, (0.0,) * seeds, (), ())
        return Temperatures("gpt2", "", "", length, (rung,))

    monkeypatch.setattr(temperatures, "measure", measure)
    ladder = Work("ladder", "ladder", "generate", "", roles={"model": "model"})
    many = replace(ladder, name="t", task="temperatures", fields={"seeds": 8, "length": 60}, quick={"seeds": 2})
    steps = (Step("2.2 l", "", "", "work", "ladder"), Step("2.2 t", "", "", "work", "t"))
    table = (Exercise("2.2", "", "", (ladder, many), steps, ""),)
    assert states(do(table))[-2:] == [("2.2 l", "done", ""), ("2.2 t", "done", "")]
    assert asked == [("auto", 2, 60)]
    do(table, quick=False)  # two seeds are too few, the ladder has enough
    assert asked[1:] == [("auto", 8, 60)]
    record.save_settings(replace(record.settings(), model="smollm2"))
    do((replace(table[0], works=(ladder,), steps=steps[:1]),))
    assert asked[2:] == [("smollm2", 1, lab.LENGTH)]


def test_verse_is_measured_once_the_training_is_done_and_not_stored_when_it_is_stopped() -> None:
    verse = Work("verse", "verse", "train", "Count", fields={"length": 400}, quick={"length": 300})
    steps = (*LAB[0].steps, Step("1 verse", "", "", "work", "verse"))
    early = (replace(LAB[0], works=(verse,), steps=steps[-1:]),)
    events = do(early)
    assert states(events)[-1] == ("1 verse", "failed", "")
    assert "needs a finished training" in only(LabStep, events)[-1].text
    table = (replace(LAB[0], works=(TRAIN, verse), steps=steps),)
    seen: list[Event] = []

    def stop(event: Event, control: Control) -> None:
        seen.append(event)
        if isinstance(event, SampleText) and only(LabStep, seen)[-1].step == "1 verse":
            control.send(Stop())

    assert do(table, on=stop)[-1].reason == "stopped"  # type: ignore[attr-defined]
    assert record.measured("verse") is None
    events = do(table)
    assert states(events)[-1] == ("1 verse", "done", ""), events[-3:]
    measured = record.measured("verse")
    assert isinstance(measured, Verse)
    assert len(measured.text) >= 300
    assert measured.run == runs.every(home.runs())[0].name
    assert progress.read(False, table).results.verse is None  # neither its training nor its length


def test_numbers_of_exercises_choose_and_unknown_ones_are_told() -> None:
    assert lab.chosen((), LAB) == LAB
    assert lab.chosen(("3.1",), LAB) == LAB[1:]
    with pytest.raises(BadSpec, match=r"there is no 7; there are 1, 3\.1"):
        lab.chosen(("1", "7"), LAB)
