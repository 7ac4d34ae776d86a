"""Runs as an earlier version wrote them, whose events had other names: a training and one comparison of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from checkpoints import home
from checkpoints.run import Run
from engine.choose import results as choose_results
from engine.classify import results as classify_results
from engine.classify.predict import Classifier
from engine.comparison.results import TUNED
from engine.gpt.trained import load
from engine.retrieve import results as retrieve_results
from engine.runs import events as happened
from engine.runs.events import Classified, ContenderDone, ContenderStep, CurvePoint, Event, ItemJudged, Loaded
from engine.runs.listing import summarise
from engine.runs.messages import Control
from engine.runs.owner import follow
from tui.command import cli

RUNS = {"verse": "steps", "texts": "done", "questions": "done", "documents": "done"}


pytestmark = pytest.mark.usefixtures("older_runs")


def told(name: str) -> list[Event]:
    return list(follow(Run(home.runs() / name), Control()))


def loaded(name: str) -> Loaded:
    (found,) = [event for event in told(name) if isinstance(event, Loaded)]
    return found


@pytest.mark.parametrize("name", RUNS)
def test_every_line_of_their_journals_is_understood(name: str) -> None:
    run = Run(home.runs() / name)
    lines = run.events.read_bytes().splitlines()
    assert len(told(name)) == len(lines)
    for line in lines:
        record = json.loads(line)
        event = happened.from_dict(record)
        assert event is not None
        kept = list(happened.to_dict(event).values())
        assert all(value in kept for entry, value in record.items() if entry != "event"), line


@pytest.mark.parametrize(("name", "reason"), RUNS.items())
def test_they_are_listed_with_how_they_ended(name: str, reason: str) -> None:
    found = summarise(Run(home.runs() / name))
    assert (found.reason, found.why) == (reason, "")
    assert found.step == found.steps > 0


def test_events_of_other_names_have_the_same_content() -> None:
    texts, questions, documents = map(loaded, ("texts", "questions", "documents"))
    assert (texts.task, texts.train, texts.held_out, texts.judged, texts.judged_split) == (
        "classify",
        24,
        24,
        24,
        "test",
    )
    assert texts.contenders == ("majority", "tfidf", "lr", "mlp", "finetune")
    assert (questions.task, questions.contenders) == ("choose", ("chance", "longest", "margin", "finetune"))
    assert (documents.task, documents.held_out, documents.documents > 10) == ("retrieve", 0, True)
    for name in ("texts", "questions", "documents"):
        done = {event.contender: event.result for event in told(name) if isinstance(event, ContenderDone)}
        assert tuple(done) == loaded(name).contenders
        last = told(name)[-1]
        assert isinstance(last, Classified)
        assert last.results.keys() == done.keys()
    steps = [event for event in told("texts") if isinstance(event, ContenderStep) and event.contender == "finetune"]
    assert steps[-1].held_out_score is not None
    steps = [event for event in told("documents") if isinstance(event, ContenderStep)]
    assert {event.contender for event in steps} == {"trained"}
    assert max(event.held_out_score or 0.0 for event in steps) == steps[-1].best_score
    assert next(event for event in told("texts") if isinstance(event, CurvePoint)).contender == "lr"
    judged = [event for event in told("questions") if isinstance(event, ItemJudged)]
    assert {event.contender for event in judged} == {"margin", "finetune"}


def test_what_they_came_to_is_read() -> None:
    texts = Run(home.runs() / "texts")
    outcome = classify_results.read(texts)
    assert not outcome.unreadable
    found = Classifier(texts).predict(outcome.texts, ("tfidf", "finetune"))
    for method, shares in found.items():
        assert np.abs(shares - outcome.probabilities[method]).max() < 1e-5
    assert choose_results.read(Run(home.runs() / "questions")).results.keys() == {
        "chance",
        "longest",
        "margin",
        "finetune",
    }
    documents = Run(home.runs() / "documents")
    assert not retrieve_results.read(documents).unreadable
    assert retrieve_results.checkpoint(documents) is not None


def test_a_training_is_exported_and_goes_on(tmp_path: Path) -> None:
    assert load(str(home.runs() / "verse"), which="best").notice == ""
    assert cli.main(["export", "verse", str(tmp_path / "exported")]) == 0
    assert (tmp_path / "exported" / "model.safetensors").is_file()
    assert cli.main(["resume", "verse", "--steps", "40", "--quiet"]) == 0
    found = summarise(Run(home.runs() / "verse"))
    assert (found.state, found.step) == ("finished", 40)


def test_a_fine_tuned_encoder_is_loaded_by_transformers() -> None:
    from transformers import AutoModelForSequenceClassification

    folder = home.runs() / "texts" / TUNED
    assert AutoModelForSequenceClassification.from_pretrained(folder).config.num_labels == 3
