"""``llmlab-tui lab`` and ``lab run``: what they print, remember and return."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from workbench import TINY, Command

from engine.lab import record
from engine.lab import run as headless
from engine.lab.exercise import Claim, Exercise, Step, Verdict, Work
from engine.lab.exercises import LAB
from engine.lab.record import Settings
from engine.lab.results import Results
from engine.runs.events import Event, Finished, LabStep
from engine.runs.messages import Control, Stop


def below(results: Results) -> Verdict:
    """A claim on a training."""
    loss = results.training.best_loss if results.training else None
    return Verdict("not tested", "train") if loss is None else Verdict("holds", f"the loss is {loss:.2f}")


WORK = Work("inferno", "train", "train", "", roles={"corpus": "corpus"}, fields={**TINY, "preset": "fast"})
STEPS = (
    Step("1 train", "Train \x1b[31mit", "", "work", "inferno"),
    Step("1 below", "Below", "", "claim", "inferno", Claim("The loss is below 10 nats.", below)),
    Step("1 answer", "Your judgement", "", "answer"),
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, known_peak: float) -> None:
    """The lab is one exercise with a training of 40 steps."""
    table = (Exercise("1", "", "", (WORK,), STEPS, ""),)
    monkeypatch.setattr(headless, "chosen", partial(headless.chosen, exercises=table))


def test_the_lab_is_done_once_and_says_what_became_of_its_claims(run: Command, small: None, verse: Path) -> None:
    done = run("lab", "run", "--corpus", verse)
    assert done.code == 0
    assert done.out.split("\n") == ["1    holds           The loss is below 10 nats.", ""]
    first, plan, *_ = lines = done.err.splitlines()
    assert first.startswith("0 of 2 steps done; the rest takes about ")
    assert plan.startswith("1    Train ␛[31mit: about ")
    assert any(line.startswith("1    started: Train ␛[31mit, about ") for line in lines)
    assert any(line.startswith("1    done: Train ␛[31mit: validation loss ") for line in lines)
    assert any(line.startswith("1    holds: The loss is below 10 nats. the loss is ") for line in lines)
    assert lines[-2] == "2 of 2 steps done"
    assert "Your judgement" in lines[-1]
    assert record.settings() == Settings(str(verse))
    again = run("lab", "run", "--json")
    assert again.code == 0
    events = [json.loads(line) for line in again.out.splitlines()]
    assert [(one["step"], one["state"]) for one in events[:-1]] == [
        ("1 train", "done"), ("1 below", "done"), ("1 answer", "not started"),
    ]  # fmt: skip
    assert (events[-1]["event"], events[-1]["reason"], events[-1]["run"]) == ("finished", "done", "lab")


def test_every_line_of_json_is_an_event(run: Command, small: None) -> None:
    done = run("lab", "run", "--corpus", "dantesque", "--json")
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert {"lab_step", "started", "step", "evaluated", "sample_text", "finished"} <= {one["event"] for one in events}
    assert [one["run"] for one in events if one["event"] == "finished"][-1] == "lab"


def test_bad_input_is_told_before_anything_is_done_or_stored(run: Command, tmp_path: Path) -> None:
    for arguments, message in (
        (["--exercise", "7"], "exercise: there is no 7; there are 1, 2.1, 2.2, 3.1, 3.2, 3.3"),
        (["--emotion", tmp_path / "nothing.csv"], "nothing.csv: no such file or folder"),
        (["--news", ""], "news: must not be empty"),
        (["--nonsense"], "--nonsense"),
    ):
        done = run("lab", "run", *arguments)
        assert done.code == 2
        assert message in done.err
        assert done.out == ""
    assert record.settings() == Settings()


def test_the_state_of_every_step_is_listed(run: Command) -> None:
    record.save_answer("2.1", "Spaces count.")
    done = run("lab", "--json")
    listed = {one["step"]: one["state"] for one in map(json.loads, done.out.splitlines())}
    assert list(listed) == [step.name for exercise in LAB for step in exercise.steps]
    assert {name for name, state in listed.items() if state == "done"} == {"2.1 answer"}
    assert len(run("lab").out.splitlines()) == len(listed)


@pytest.mark.parametrize(("reason", "code"), [("done", 0), ("failed", 1), ("stopped", 130)])
def test_the_exit_code_says_how_it_ended(run: Command, monkeypatch: pytest.MonkeyPatch, reason: str, code: int) -> None:
    def lab(control: Control, **_: Any) -> Iterator[Event]:
        yield from (LabStep(one.number, step.name, "done") for one in LAB for step in one.steps)
        if reason == "stopped":
            os.kill(os.getpid(), signal.SIGINT)
            assert control.take() == [Stop()]
        yield Finished(reason, 0, None, "lab")

    monkeypatch.setattr(headless, "run", lab)
    assert run("lab", "run").code == code
