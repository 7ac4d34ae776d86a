"""How far the lab is: by what runs, measurements and answers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from small_lab import LAB, SETTINGS, TRAIN, made

from checkpoints import trash
from checkpoints.run import Run
from engine.lab import progress, record
from engine.lab.exercise import Exercise, Step, Verdict, Work
from engine.lab.progress import Lab, StepState
from engine.lab.results import Results, Rung, Temperatures, Tokenized, Tokens, Training

TRAINING = Training("", "", True, 40, 3.0, 9, 2.0, 20, ((20, 2.0),), 3.0, 2.5, 2.2, ())


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Run]]:
    """Stands in for what reads runs; the list has what it was asked for."""
    asked: list[dict[str, Run]] = []

    def read(found: Mapping[str, Run]) -> Results:
        asked.append(dict(found))
        return Results(training=replace(TRAINING, run=found["inferno"].name) if "inferno" in found else None)

    monkeypatch.setattr("engine.lab.reading.read", read)
    progress._results.cache_clear()
    return asked


def lab(*, quick: bool = False) -> Lab:
    return progress.read(quick, LAB, SETTINGS)


def test_nothing_is_started_in_an_empty_home() -> None:
    now = lab()
    assert set(now.steps) == {step.name for exercise in LAB for step in exercise.steps}
    assert set(now.steps.values()) == {StepState("not started")}
    assert now.works == {"inferno": "not started", "emotion": "not started"}


def test_a_finished_run_is_work_done_and_claims_are_tested_on_it() -> None:
    run = made(TRAIN, reason="steps")
    now = lab()
    assert now.steps["1 train"].state == "done"
    assert "2.000 nats = 2.89 bits per character at step 20" in now.steps["1 train"].result
    assert now.steps["1 train"].run == run.name
    assert now.steps["1 below"].verdict == Verdict("holds", "the loss is 2.00")
    assert now.steps["3.1 better"] == StepState("not started")
    trash.delete(run)
    assert lab().steps["1 train"] == lab().steps["1 below"] == StepState("not started")


def test_a_run_at_work_an_interrupted_and_a_failed_one() -> None:
    run = made(TRAIN)
    with run.lock():
        assert lab().steps["1 train"].state == "running"
        assert lab().steps["1 below"].verdict is not None  # what it has come to is enough for that
    state = lab().steps["1 train"]
    assert (state.state, state.run) == ("not started", run.name)
    assert "resumes" in state.result
    trash.delete(run)
    made(TRAIN, reason="failed")
    assert lab().steps["1 train"].state == "failed"


def test_a_claim_that_cannot_be_tested_is_done_with_its_work() -> None:
    made(TRAIN, reason="steps")
    claims = replace(LAB[0], steps=(replace(LAB[1].steps[1], work="inferno"),))
    state = progress.read(False, [claims], SETTINGS).steps["3.1 better"]
    assert (state.state, state.result) == ("done", "no classification")
    assert state.verdict == Verdict("not tested", "no classification")


def test_results_are_read_again_only_when_a_run_has_changed(reading: list[dict[str, Run]]) -> None:
    run = made(TRAIN, reason="steps")
    for _ in range(3):
        lab()
    assert reading == [{"inferno": run}]
    with run.events.open("a") as file:
        file.write("\n")
    lab()
    assert len(reading) == 2
    run.write_json("results.json", {})
    lab()
    assert len(reading) == 3


def test_sentences_and_guesses_are_done_once_they_are_stored() -> None:
    texts = ("a", "b", "c", "d", "e")
    works = (Work("tokens", "tokens", "tokens", ""), Work("ladder", "ladder", "", ""))
    wide = replace(
        TRAIN, name="temperatures", task="temperatures", roles={}, fields={"seeds": 2, "length": 9}, quick={}
    )
    steps = (Step("g", "", "", "guess"), Step("a", "", "", "answer"), Step("t", "", "", "work", "tokens"))
    ladder = (Step("l", "", "", "work", "ladder"), Step("w", "", "", "work", "temperatures"))
    table = [Exercise("2.1", "", "", (*works, wide), (*steps, *ladder), "?")]

    def states() -> dict[str, str]:
        return {name: one.state for name, one in progress.read(False, table, SETTINGS).steps.items()}

    assert set(states().values()) == {"not started"}
    record.save_guesses(dict.fromkeys(texts[1:], 1))
    record.save_answer("2.2", "of another exercise")
    assert set(states().values()) == {"not started"}
    record.save_guesses(dict.fromkeys(texts, 1))
    record.save_answer("2.1", "Spaces count.")
    assert states() == {"g": "done", "a": "done", "t": "not started", "l": "not started", "w": "not started"}
    examples = tuple(Tokenized(text, (1,) * (1 + (text == "a")), (text,)) for text in texts)
    record.save_measured("tokens", Tokens("gpt2", "", examples, (), (), (1,), (1,)))
    now = progress.read(False, table, SETTINGS).steps
    assert now["g"] == StepState("done", "4 of 5 guesses right")
    assert now["t"].state == "done"
    greedy = Rung("greedy", 0.0, (1,), ("x",), (0.0,), (0.0,), (1.0,))
    rung = replace(greedy, temperature=0.7)
    record.save_measured("temperatures", Temperatures("gpt2", "", "", 9, (greedy, rung)))
    assert (states()["l"], states()["w"]) == ("done", "not started")  # one seed is enough for the ladder alone
    record.save_measured("temperatures", Temperatures("gpt2", "", "", 9, (greedy, replace(rung, seeds=(1, 2)))))
    assert (states()["l"], states()["w"]) == ("done", "done")
    other = progress.read(False, table, replace(SETTINGS, model="smollm2"))
    assert (other.steps["l"].state, other.results.temperatures) == ("not started", None)
