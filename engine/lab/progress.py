"""How far the lab is: the state of every step, from what runs, measurements and answers are on the disk."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from checkpoints.run import Run, mark
from engine.lab import plan, reading, record
from engine.lab.exercise import Exercise, State, Step, Verdict, Work
from engine.lab.exercises import LAB
from engine.lab.record import Settings
from engine.lab.results import Results, Temperatures, Tokens, Verse

GUESSES = 5
"""texts whose tokens are guessed"""
_FILES = ("events.jsonl", "results.json")


@dataclass(frozen=True)
class StepState:
    """How far one step is."""

    state: State
    result: str = ""
    """one line with the figures that there are"""
    verdict: Verdict | None = None
    """of a claim that is done"""
    run: str = ""
    """name of the run that the step's work is, where it is one"""


@dataclass(frozen=True)
class Lab:
    """Everything that there is of the lab."""

    exercises: tuple[Exercise, ...]
    quick: bool
    settings: Settings
    found: Mapping[str, Run]
    """by name of the work its run, finished or not"""
    works: Mapping[str, State]
    results: Results
    steps: Mapping[str, StepState]
    answers: Mapping[str, str]
    """by number of the exercise"""
    guesses: Mapping[str, int]

    @property
    def trained(self) -> Run | None:
        """The run whose verse is measured, once it is finished."""
        works = [work for exercise in self.exercises for work in exercise.works]
        done = [work.name for work in works if work.task == "train" and self.works[work.name] == "done"]
        return self.found[done[0]] if done else None


def read(quick: bool = False, exercises: Sequence[Exercise] = LAB, settings: Settings | None = None) -> Lab:
    """The state of the lab now, or of other ``exercises``; with ``settings`` None, by those that are stored.

    What has not changed since the last call is not read again. Not for the thread of a screen. Raises
    :class:`OSError`.
    """
    settings = settings or record.settings()
    works = {work.name: work for exercise in exercises for work in exercise.works}
    found = plan.find(works.values(), settings, quick=quick)
    trained = next((run for name, run in found.items() if works[name].task == "train"), None)
    stored = {name: plan.measured(work, settings, trained, quick=quick) for name, work in works.items()}
    states: dict[str, State] = {name: "done" if one else "not started" for name, one in stored.items()}
    states |= {name: plan.state(run) for name, run in found.items()}
    results = _results(tuple(found.items()), tuple(mark(run.path / file) for run in found.values() for file in _FILES))
    kinds: dict[type, Any] = {type(one): one for one in stored.values()}
    results = replace(results, tokens=kinds.get(Tokens), verse=kinds.get(Verse), temperatures=kinds.get(Temperatures))
    lab = Lab(tuple(exercises), quick, settings, found, states, results, {}, record.answers(), record.guesses())
    return replace(lab, steps={step.name: _step(lab, one, step, works) for one in exercises for step in one.steps})


def figures(work: Work, results: Results) -> str:
    """What has come of a work, in one line; empty where nothing has."""
    training, one = results.training, results.comparisons.get(work.name)
    if work.task == "train" and training is not None and training.best_loss is not None:
        loss = training.best_loss
        bits = f"{loss / math.log(2):.2f} bits per character"
        return f"validation loss {loss:.3f} nats = {bits} at step {training.best_step:,}"
    if one is not None and one.methods:
        best = max(one.methods.values(), key=lambda method: method.figure)
        measure = "nDCG@10" if best.measure == "ndcg@10" else best.measure
        interval = f"95% {best.low:.3f} to {best.high:.3f}"
        return f"best of {len(one.methods)} methods: {best.method}, {measure} {best.figure:.3f} ({interval})"
    if work.task == "verse" and results.verse is not None:
        text = results.verse.generated
        known = "" if text.known_words is None else f"{text.known_words:.0%} of "
        return f"{known}{text.words:,} words occur in the corpus, longest copy {text.longest_copy:,} characters"
    if work.task == "tokens" and results.tokens is not None:
        return f"{len(results.tokens.examples) + len(results.tokens.own)} texts, tokenizer {results.tokens.tokenizer}"
    if work.task in ("ladder", "temperatures") and results.temperatures is not None:
        rungs = results.temperatures.rungs
        seeds = plan.seeds_of(results.temperatures)
        return f"{len(rungs)} settings, {seeds} seed{'s' * (seeds != 1)} each, model {results.temperatures.model}"
    return ""


def _step(lab: Lab, exercise: Exercise, step: Step, works: Mapping[str, Work]) -> StepState:
    if step.kind == "answer":
        return StepState("done" if exercise.number in lab.answers else "not started")
    if step.kind == "guess":
        return _guessed(lab.guesses, lab.results.tokens)
    now = lab.works.get(step.work, "not started")
    run = lab.found[step.work].name if step.work in lab.found else ""
    if step.claim is not None:
        verdict = step.claim.judge(lab.results)
        if now == "done" or verdict.outcome != "not tested":
            return StepState("done", verdict.why, verdict, run)
        return StepState(now, run=run)
    left = "interrupted; the next start resumes it" if run and now == "not started" else ""
    return StepState(now, left or (figures(works[step.work], lab.results) if step.work in works else ""), run=run)


def _guessed(guesses: Mapping[str, int], tokens: Tokens | None) -> StepState:
    if len(guesses) < GUESSES:
        return StepState("not started", f"{len(guesses)} of {GUESSES} guessed" if guesses else "")
    if tokens is None:
        return StepState("done", f"{len(guesses)} guessed")
    right = sum(guesses.get(one.text) == len(one.ids) for one in tokens.examples)
    return StepState("done", f"{right} of {len(tokens.examples)} guesses right")


@functools.lru_cache(2)
def _results(found: tuple[tuple[str, Run], ...], marks: tuple[object, ...]) -> Results:
    """The results of these runs; ``marks`` differ when a file of them was written."""
    return reading.read(dict(found))
