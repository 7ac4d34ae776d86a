"""F1 in the Lab: every figure of every step has a hint, with the figures that decide its claim."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from explaining import SIZES, unexplained
from stage import until

from engine.lab import progress, tokens
from engine.lab.exercise import Step, Verdict
from engine.lab.exercises import LAB
from engine.lab.results import Results, Tokenized, Tokens
from tui.app import LabApp
from tui.lab import doing
from tui.lab.pane import LabPane

WHY = "accuracy 76.1% (95%: 74.2% to 77.9%, n = 2,000) against 19.8%, p = 0.012"
OUTCOMES: Any = ("holds", "does not hold", "could be chance", "not tested")
EXAMPLES = tuple(Tokenized(text, (15496, 2159), ("Hello", " World")) for text in tokens.EXAMPLES)


def _known(place: int, step: Step) -> Any:
    """What progress might know of a step."""
    verdict = Verdict(OUTCOMES[place % 4], WHY) if step.kind == "claim" else None
    result = "best loss 1.78 nats per character at step 950" if step.kind == "work" else ""
    return SimpleNamespace(state="done", result=result, verdict=verdict, run="")


@pytest.mark.parametrize("size", SIZES)
async def test_every_figure_of_the_lab_is_explained(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    told = progress.read()
    monkeypatch.setattr(doing, "read", lambda quick: (told, "14 min"))
    async with LabApp(pane="lab").run_test(size=size) as pilot:
        await until(pilot, lambda: pilot.app.query(LabPane) and pilot.app.query_one(LabPane).lab is not None)
        pane = pilot.app.query_one(LabPane)
        assert not unexplained(pilot.app, _of_texts(LAB[0].steps[0], pane))  # type: ignore[arg-type]
        steps = [step for exercise in LAB for step in exercise.steps]
        results = Results(tokens=Tokens("gpt2", "bundled", EXAMPLES, (), (), (1, 2), (15496, 2159)))
        known = {step.name: _known(place, step) for place, step in enumerate(steps)}
        told = replace(told, steps=known, results=results, guesses=dict.fromkeys(tokens.EXAMPLES, 3))
        pane.look()
        await until(pilot, lambda: pane.lab is told)
        for place, step in enumerate(steps):
            pane._select(place)
            wrong = unexplained(pilot.app, _of_texts(step, pane))  # type: ignore[arg-type]
            assert not wrong, step.name
            if step.kind == "claim":
                (hint, *_) = [hint for hint in pane.hints() if hint.name == OUTCOMES[place % 4]]
                assert hint.text.startswith(f"{step.title}: {WHY}.")
                assert "76.1%" in hint.shown


def _of_texts(step: Step, pane: LabPane) -> dict[str, str]:
    """Words with figures in the text of an exercise, of its question, and of a step."""
    exercise = pane.shown.here[0]
    words = " ".join((exercise.text, exercise.question, step.text, step.hub, *(one.title for one in exercise.steps)))
    return {
        rf"(?<!\S){re.escape(word)}(?!\S)": "the exercise says so" for word in words.split() if re.search(r"\d", word)
    }


async def test_terms_of_the_selected_step_are_defined() -> None:
    from engine.lab.glossary import TERMS

    async with LabApp(pane="lab").run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: pilot.app.query(LabPane) and pilot.app.query_one(LabPane).lab is not None)
        pane = pilot.app.query_one(LabPane)
        pane._select([step.name for exercise in LAB for step in exercise.steps].index("3.3 cls"))
        assert TERMS["[CLS]"].definition in {hint.text for hint in pane.hints() if hint.name == "[CLS]"}
