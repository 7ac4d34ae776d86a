"""A lab of two exercises whose work takes seconds, and runs of it that look finished."""

from __future__ import annotations

import json
from pathlib import Path

from checkpoints.run import Run
from engine.lab import plan
from engine.lab.exercise import Claim, Exercise, Step, Verdict, Work
from engine.lab.record import Settings
from engine.lab.results import Results
from engine.runs.events import Event, Finished, to_dict

TINY = {"preset": "fast", "layers": 1, "heads": 1, "width": 16, "context": 8, "batch": 2, "threads": 1, "device": "cpu"}
TRAIN = Work(
    "inferno",
    "train",
    "train",
    "Train a GPT",
    roles={"corpus": "corpus"},
    fields={**TINY, "steps": 40, "evaluate_every": 20, "sample_every": 20},
    quick={"steps": 20, "evaluate_every": 10, "sample_every": 10},
)
SORT = Work(
    "emotion",
    "classify",
    "classify",
    "Compare classifiers",
    roles={"data": "emotion", "encoder": "encoder"},
    fields={"heads": ("lr",), "length": 16, "device": "cpu"},
    quick={"limit": 60},
)


def below(results: Results) -> Verdict:
    """A claim on a training."""
    if results.training is None or results.training.best_loss is None:
        return Verdict("not tested", "no training")
    loss = results.training.best_loss
    return Verdict("holds" if loss < 10 else "does not hold", f"the loss is {loss:.2f}")


def better(results: Results) -> Verdict:
    """A claim on a classification."""
    one = results.comparisons.get("emotion")
    if one is None or "lr" not in one.methods:
        return Verdict("not tested", "no classification")
    figure = one.methods["lr"].figure
    return Verdict("holds" if figure > one.methods["majority"].figure else "does not hold", f"accuracy {figure:.2f}")


LAB = (
    Exercise(
        "1",
        "Training",
        "",
        (TRAIN,),
        (
            Step("1 train", "Train", "", "work", "inferno"),
            Step("1 below", "Below", "", "claim", "inferno", Claim("The loss is below 10 nats.", below)),
            Step("1 answer", "Answer", "", "answer"),
        ),
        "What did you see?",
    ),
    Exercise(
        "3.1",
        "Classifying",
        "",
        (SORT,),
        (
            Step("3.1 emotion", "Classify", "", "work", "emotion"),
            Step("3.1 better", "Better", "", "claim", "emotion", Claim("Features beat the majority class.", better)),
        ),
        "",
    ),
)
SETTINGS = Settings(corpus="dantesque", emotion="helpdesk", encoder="minilm")


def ended(run: Run, reason: str = "steps", *more: Event) -> Run:
    """The run with a journal that ends so."""
    events = (*more, Finished(reason, 20, 2.0, run.name, 3.0))
    run.events.write_text("".join(json.dumps(to_dict(event)) + "\n" for event in events))
    return run


def made(work: Work, *, quick: bool = False, reason: str = "", settings: Settings = SETTINGS) -> Run:
    """A run of a work, which has ended for a reason unless that is empty."""
    run = plan.create(work, settings, quick=quick, gpu=False)
    return ended(run, reason) if reason else run


def table(path: Path, rows: int = 40) -> Path:
    """A table of two classes."""
    lines = [
        f'"{("a good day", "a bad night")[row % 2]} number {row}",{("up", "down")[row % 2]}' for row in range(rows)
    ]
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    return path
