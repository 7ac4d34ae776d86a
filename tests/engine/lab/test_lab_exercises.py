"""The lab as data: names that are unique, steps that have what they need, and works that make valid specs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest

from engine.gpt import spec as gpt
from engine.lab.exercise import RUNS, Step, Work
from engine.lab.exercises import LAB, STEPS, WORKS
from engine.runs.spec import changed
from tui.panes import PANES

ROLES = {"corpus", "emotion", "news", "questions", "documents", "encoder", "model"}
EVERY_STEP = [step for exercise in LAB for step in exercise.steps]


def test_the_exercises_are_those_of_the_course_in_order() -> None:
    assert [exercise.number for exercise in LAB] == ["1", "2.1", "2.2", "3.1", "3.2", "3.3"]


def test_names_are_unique_and_begin_with_the_number_of_their_exercise() -> None:
    assert len(STEPS) == len(EVERY_STEP)
    assert len(WORKS) == sum(len(exercise.works) for exercise in LAB)
    for exercise in LAB:
        for step in exercise.steps:
            assert re.fullmatch(rf"{re.escape(exercise.number)} [a-z-]+", step.name)


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.name)
def test_a_step_has_what_its_kind_needs(step: Step) -> None:
    (exercise,) = [one for one in LAB if step in one.steps]
    assert step.title
    assert step.text
    assert (step.claim is not None) is (step.kind == "claim")
    assert bool(step.work) is (step.kind in ("work", "claim"))
    assert bool(step.hub) is (step.kind != "answer")
    if step.work:
        assert step.work in [work.name for work in exercise.works]
        before = exercise.steps[: exercise.steps.index(step)]
        assert step.kind == "work" or any(one.kind == "work" and one.work == step.work for one in before)


def test_every_exercise_asks_for_a_sentence_last_and_every_work_is_a_step_of_it() -> None:
    for exercise in LAB:
        assert [step.kind for step in exercise.steps].count("answer") == 1
        assert exercise.steps[-1].kind == "answer"
        assert exercise.question
        assert {step.work for step in exercise.steps if step.kind == "work"} == {work.name for work in exercise.works}


@pytest.mark.parametrize("work", WORKS.values(), ids=lambda work: work.name)
def test_the_fields_of_a_work_make_a_valid_spec(work: Work) -> None:
    assert work.pane in [pane.name for pane in PANES]
    assert {*work.roles.values()} <= ROLES
    if work.task not in RUNS:
        assert {*work.quick} <= {*work.fields}
        return
    given = dict.fromkeys(work.roles, "x")
    for changes in (work.fields, work.fields | work.quick, work.fields | work.gpu):
        assert made(work.task, {**given, **changes}).validate() == []


def made(task: str, given: Mapping[str, Any]) -> Any:
    if task == "train":
        return gpt.build(given, preset_for_auto="nano")
    spec = getattr(import_module(f"engine.{task}.spec"), f"{task.capitalize()}Spec")
    return changed(spec(), given)


def test_what_the_quick_lab_leaves_out_is_fixed_in_the_full_one() -> None:
    """Else a quick run would count as a full one: a field that is not fixed may have any value."""
    for work in WORKS.values():
        for name in work.quick.keys() & {"limit", "epochs", "steps", "seeds", "length"}:
            assert name in work.fields, (work.name, name)


def test_texts_name_no_figure_that_was_measured() -> None:
    """Shares and decimals stand in claims, which state what they ask, and in what the course found."""
    texts = [text for step in EVERY_STEP for text in (step.title, step.text, step.hub)]
    texts += [text for exercise in LAB for text in (exercise.title, exercise.text, exercise.question)]
    for text in texts:
        assert not re.search(r"\d%|\d\.\d", text), text
