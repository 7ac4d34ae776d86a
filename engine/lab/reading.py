"""Results of the lab, read from run directories. What cannot be read is absent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from checkpoints.run import Run
from engine.choose import report as choices
from engine.encoders.pretraining import SIMILARITY, WORDS
from engine.lab.results import Comparison, Results, Training
from engine.lab.verse import moments
from engine.markdown import without_folder
from engine.report import curves, journal, methods
from engine.report.journal import Happened
from engine.report.methods import JudgedItems, Method
from engine.runs import owner
from engine.runs.events import state_after
from engine.runs.listing import count, figure, partial, results_of

if TYPE_CHECKING:
    from engine.comparison.statistics import PairedTest

_COMPARISONS = ("emotion", "weighted", "news", "questions", "documents")
_SHALLOW = ("lr", "mlp")
_ABOUT = {"classify": "classifier.json", "choose": "choices.json"}
"""the file that names the encoder"""
R = TypeVar("R")
T = TypeVar("T")


def read(found: Mapping[str, Run]) -> Results:
    """The results of the runs that were ``found``, by name of the work.

    Raises nothing: a run that is damaged is absent, and one that has not ended holds what it has.
    """
    compared = {name: one for name in _COMPARISONS if (one := _read(_comparison, found.get(name))) is not None}
    if "weighted" in compared and "emotion" in compared:
        pairs = _read(_weights, {name: found[name] for name in ("weighted", "emotion")}) or {}
        compared["weighted"] = replace(compared["weighted"], pairs={**compared["weighted"].pairs, **pairs})
    return Results(training=_read(_training, found.get("inferno")), comparisons=compared)


def _read(reader: Callable[[R], T], given: R | None) -> T | None:
    """What ``reader`` makes of a run; None where there is none that can be read."""
    try:
        return None if given is None else reader(given)
    except Exception:  # whatever is wrong with one run must not hide the others
        return None


def _training(run: Run) -> Training | None:
    if owner.task_of(run)[0] != "train":
        return None
    story = curves.read(run, "time", bins=1)
    if not story.begun:
        return None
    begun, best = story.begun, story.best
    return Training(
        run=run.name,
        corpus=str(begun.get("corpus", "")),
        finished=state_after(str(story.ended.get("reason"))) == "finished",
        steps=count(begun.get("steps")),
        seconds=story.train[-1].x if story.train else None,
        parameters=count(begun.get("parameters")) or None,
        best_loss=figure(best.get("val_loss")),
        best_step=count(best.get("step")),
        validation=tuple((int(one["step"]), float(one["val_loss"])) for one in story.evaluations),
        uniform=figure(begun.get("uniform_entropy")),
        letters=figure(begun.get("unigram_entropy")),
        bigrams=figure(begun.get("bigram_entropy")),
        samples=moments(run),
    )


def _comparison(run: Run) -> Comparison | None:
    task, _ = owner.task_of(run)
    if task not in methods.MEASURES:
        return None
    begun: dict[str, Any] = {}
    ended: dict[str, Any] = {}
    notices: list[str] = []
    for part in journal.read(run):
        if isinstance(part, Happened):
            kind = part.record.get("event")
            begun = part.record if kind == "loaded" else begun
            ended = part.record if kind == "finished" else {}
            if kind == "notice" and part.record.get("level") in ("info", "warning"):
                notices.append(str(part.record.get("text")))
    results = results_of(run)
    known = {one.method: one for one in methods.methods_of(run)}
    unfinished = {name: told for name in known if (told := partial(results[name]))}
    notices += [f"{name}{told} items were judged." for name, told in unfinished.items()]
    controls = {name: known[name] for name in choices.CONTROLS if name in known}
    hidden: dict[str, float] = {}
    for name, result in results.items():
        if (alone := _hidden(run, name, result.get("question_hidden"))) is not None:
            controls[name], hidden[name] = alone
    counts = run.read_json("checks.json").get("checks", {}).get("counts", {}).get("train")
    encoder, pretraining = _encoder(run, task, results)
    return Comparison(
        run=run.name,
        task=task,
        data=str(without_folder(begun.get("data", ""))),
        encoder=encoder,
        finished=state_after(str(ended.get("reason"))) == "finished",
        seconds=figure(ended.get("seconds")),
        methods={name: one for name, one in known.items() if name not in choices.CONTROLS and name not in unfinished},
        pairs=_read(_pairs, run) or {},
        labels=tuple(map(str, begun.get("classes") or ())),
        counts=tuple(map(count, counts or ())),
        controls=controls,
        hidden=hidden,
        raw_encoder={WORDS: True, SIMILARITY: False}.get(pretraining),
        notices=tuple(dict.fromkeys(notices)),
        model=str(without_folder(run.read_json(_ABOUT["choose"]).get("model", ""))) if task == "choose" else "",
    )


def _hidden(run: Run, name: str, found: Any) -> tuple[Method, float] | None:
    """A method with the question hidden, and the p of its test with itself."""
    known = methods.scalars(found) if isinstance(found, dict) else {}
    value, p = figure(known.get("accuracy")), figure(known.get("p"))
    if value is None or p is None:
        return None
    low, high = (float(known.get(end, math.nan)) for end in ("low", "high"))
    return Method(run.name, name, "accuracy", value, low, high, count(known.get("items"))), p


def _encoder(run: Run, task: str, results: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Name of the encoder, and what it was pre-trained for; empty where that is not known."""
    if task == "retrieve":
        told: Any = next((one for one in results.values() if one.get("pretraining")), {})
        return str(without_folder(run.read_json("encoder.json").get("name", ""))), str(told.get("pretraining", ""))
    about = run.read_json(_ABOUT[task]).get("encoder")
    facts = about if isinstance(about, dict) else {}
    return str(without_folder(facts.get("name", ""))), str(facts.get("pretraining", ""))


def _pairs(run: Run) -> Mapping[tuple[str, str], PairedTest]:
    return methods.pairs_of({run.name: methods.judged_of(run)})


def _weights(runs: Mapping[str, Run]) -> Mapping[tuple[str, str], PairedTest]:
    """Tests of the shallow classifiers with and without class weights, ``weighted: lr`` with ``emotion: lr``."""
    judged = {name: methods.judged_of(run) for name, run in runs.items()}
    if len({one.digest for one in judged.values()}) > 1:
        return {}
    shallow = {
        name: JudgedItems(one.digest, {method: one.values[method] for method in _SHALLOW if method in one.values})
        for name, one in judged.items()
    }
    return methods.pairs_of(shallow)
