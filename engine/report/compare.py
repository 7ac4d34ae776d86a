"""Several runs beside each other: where their settings differ, their curves and figures, and what may be compared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpoints import store
from checkpoints.run import Run
from engine.report import curves, methods
from engine.report.curves import BINS, Story
from engine.report.methods import JudgedItems, Method
from engine.runs import codec, owner
from engine.runs.listing import Summary, summarise

if TYPE_CHECKING:
    from engine.comparison.statistics import PairedTest

_APART = ("task", "name")
"""fields of a spec that say nothing about how a run went"""


@dataclass(frozen=True)
class Compared:
    """What several runs came to."""

    runs: tuple[Summary, ...]
    specs: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    """why figures cannot be compared, in sentences"""
    axis: str
    """what ``x`` of the curves is, one of :data:`engine.report.curves.AXES`"""
    stories: tuple[Story, ...]
    methods: tuple[Method, ...]
    """of comparisons"""
    pairs: Mapping[tuple[str, str], PairedTest]
    """every two methods, in both orders, where all runs judged the same items"""

    @property
    def differences(self) -> dict[str, tuple[Any, ...]]:
        """The fields of specs of one task that differ, with the value in each run; None where it has no such field."""
        return differences(self.specs)

    def against_best(self) -> tuple[str, dict[str, PairedTest]]:
        """The tested method with the highest figure, and the test of it and each other one, by their names in pairs."""
        names = dict.fromkeys(name for pair in self.pairs for name in pair)
        figures = {f"{one.run}: {one.method}": one.figure for one in self.methods}
        best = max(names, key=lambda name: figures.get(name, -math.inf), default="")
        return best, {name: self.pairs[best, name] for name in names if name != best}


def differences(specs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """The fields of specs that differ, with the value in each or None; none of specs of different tasks."""
    if len({spec.get("task", "train") for spec in specs}) > 1:
        return {}
    names = dict.fromkeys(name for spec in specs for name in spec if name not in _APART)
    values = {name: tuple(spec.get(name) for spec in specs) for name in names}
    return {name: each for name, each in values.items() if any(one != each[0] for one in each[1:])}


def compare(runs: Sequence[Run], axis: str = "step", smoothing: float = 0.0, bins: int = BINS) -> Compared:
    """Read ``runs``, each journal once; see :func:`engine.report.curves.read` for the other arguments.

    Raises :class:`OSError`, and :class:`checkpoints.store.CheckpointError` for a run whose spec cannot be read.
    """
    tasks = [owner.task_of(run) for run in runs]
    kinds = tuple(dict.fromkeys(task for task, _ in tasks))
    stories = tuple(curves.read(run, axis, smoothing, bins) for run in runs)
    every = tuple(one for run in runs for one in methods.methods_of(run))
    warnings: list[str] = []
    pairs: Mapping[tuple[str, str], PairedTest] = {}
    if len(kinds) > 1:
        warnings.append(f"These runs have different tasks ({', '.join(kinds)}): their figures are not comparable.")
    elif kinds == ("train",):
        if len({_fingerprint(run, story) for run, story in zip(runs, stories, strict=True)}) > 1:
            warnings.append("These runs were trained on different texts: their losses are not comparable.")
    else:
        judged = _judged(runs, stories, warnings)
        if sum(len(one.values) for one in judged.values()) > methods.MOST:
            warnings.append(f"More than {methods.MOST} methods: pairs of them are not tested.")
        elif judged:
            pairs = methods.pairs_of(judged)
    return Compared(
        tuple(map(summarise, runs)),
        tuple(spec for _, spec in tasks),
        tuple(warnings),
        axis,
        stories,
        every,
        pairs,
    )


def _judged(runs: Sequence[Run], stories: Sequence[Story], warnings: list[str]) -> dict[str, JudgedItems]:
    """What was judged, by run, if it was the same in all; what differs is added to ``warnings``."""
    try:
        judged = {run.name: methods.judged_of(run) for run in runs}
    except store.CheckpointError as error:
        warnings.append(f"There are no paired tests: {error}.")
        return {}
    digests = {one.digest for one in judged.values()}
    data = {story.begun.get("fingerprint") for story in stories}
    if len(digests) > 1:
        what = "data sets" if len(data) > 1 else "judged items"
        warnings.append(f"The {what} of these runs differ: their figures are not comparable, and no pairs are tested.")
        return {}
    if len(data) > 1:
        warnings.append("The judged items are the same, but the methods were trained on different data.")
    return judged


def _fingerprint(run: Run, story: Story) -> str:
    """Of the text that a run was trained on."""
    return str(story.begun.get("fingerprint") or run.read_json("corpus.json").get("fingerprint"))


def record(compared: Compared) -> dict[str, Any]:
    """A comparison as JSON can hold it; figures that are NaN or infinite are None."""
    found: dict[str, Any] = codec.plain(
        {
            "runs": [dataclasses.asdict(one) for one in compared.runs],
            "warnings": compared.warnings,
            "differences": compared.differences,
            "axis": compared.axis,
            "curves": [
                {
                    "run": run.name,
                    "train": [dataclasses.astuple(one) for one in story.train],
                    "validation": story.validation,
                }
                for run, story in zip(compared.runs, compared.stories, strict=True)
            ],
            "methods": [dataclasses.asdict(one) for one in compared.methods],
            "paired_tests": methods.records(compared.pairs),
        }
    )
    return found
