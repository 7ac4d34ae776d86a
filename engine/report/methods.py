"""The methods of comparisons, of one run or of several: their figures, and the paired tests of all of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from checkpoints import store
from checkpoints.run import Run
from engine.comparison import statistics
from engine.comparison.results import UNREADABLE
from engine.runs import owner
from engine.runs.listing import figure, results_of

if TYPE_CHECKING:
    from engine.comparison.statistics import PairedTest, Values

MEASURES = {"classify": "accuracy", "choose": "accuracy", "retrieve": "ndcg@10"}
"""by which the methods of a task are compared"""
_COUNTS = ("rows", "items", "queries")
MOST = 40  # methods that are tested with each other


@dataclass(frozen=True)
class Method:
    """One method of a comparison with its figure."""

    run: str
    method: str
    measure: str
    figure: float
    low: float
    """of the 95% interval; NaN where the run holds none, as the next"""
    high: float
    n: int
    """judged items that the figure is of"""


@dataclass(frozen=True)
class JudgedItems:
    """What each method did with the judged items of a run."""

    digest: str
    """of the items with their right answers: equal where they are the same"""
    values: Mapping[str, Values]
    """by method the figure of each item ``(items,)``; NaN where it could not be scored"""


def scalars(result: Mapping[str, Any]) -> dict[str, float | int | str]:
    """Figures of a method that are numbers or text; the ends of its interval as ``low`` and ``high``."""
    found: dict[str, float | int | str] = {}
    for name, value in result.items():
        if name == "interval" and isinstance(value, list) and len(value) == 2:
            ends = [figure(end) for end in value]
            found |= {end: at for end, at in zip(("low", "high"), ends, strict=True) if at is not None}
        elif (type(value) in (int, float) and figure(value) is not None) or (isinstance(value, str) and value):
            found[name] = value
    return found


def methods_of(run: Run) -> list[Method]:
    """The methods of a comparison; none of a training. Raises :class:`OSError` and what ``task_of`` raises."""
    measure = MEASURES.get(owner.task_of(run)[0])
    if measure is None:
        return []
    found = []
    for name, result in results_of(run).items():
        known = scalars(result)
        if (value := figure(known.get(measure))) is not None:
            n = next((count for one in _COUNTS if type(count := known.get(one)) is int), 0)
            low, high = (float(known.get(end, math.nan)) for end in ("low", "high"))
            found.append(Method(run.name, name, measure, value, low, high, n))
    return found


def judged_of(run: Run) -> JudgedItems:
    """What the methods of a comparison did with each judged item; those that cannot be read are left out.

    Of a ranking of choices with several seeds this is the first one. Raises :class:`checkpoints.store.CheckpointError`.
    """
    task, spec = owner.task_of(run)
    values: dict[str, Values] = {}
    if task == "classify":
        from engine.classify import results as classify

        found = classify.read(run)
        return JudgedItems(_digest(task, found.texts, found.labels, found.classes), found.right)
    if task == "choose":
        from engine.choose import report
        from engine.choose import results as choose

        ranked = choose.read(run)
        items = ranked.items
        for name in ranked.results:
            try:
                if name == report.LONGEST:
                    values[name] = report.correct(report.longest(items, int(spec.get("seed", 0))), items)
                elif name != report.CHANCE:
                    values[name] = report.correct(choose.RankingStore.outputs_of(run, name)[0], items)
            except UNREADABLE:
                continue
        return JudgedItems(_digest(task, items), values)
    if task == "retrieve":
        from engine.retrieve import results as retrieve

        searched = retrieve.read(run)
        for name, one in searched.judged.items():
            values[name] = one.values[MEASURES[task]]
        return JudgedItems(_digest(task, searched.fingerprint, searched.split, searched.queries), values)
    raise store.CheckpointError(f"{run.name} is a training: it has no judged items")


def pairs_of(judged: Mapping[str, JudgedItems], seed: int = 1337) -> dict[tuple[str, str], PairedTest]:
    """Every two methods of runs, by name and in both orders, that judged the same items; none of more than ``MOST``.

    Where there are several runs, methods are called by run and method.
    """
    values = {
        name if len(judged) == 1 else f"{run}: {name}": of
        for run, one in judged.items()
        for name, of in one.values.items()
    }
    return statistics.paired_tests(values, seed) if len(values) <= MOST else {}


def records(pairs: Mapping[tuple[str, str], PairedTest]) -> list[dict[str, Any]]:
    """The tests as JSON and tables have them, each two methods once, with the mean as ``difference``."""
    names = dict.fromkeys(name for pair in pairs for name in pair)
    return [
        {"first": first, "second": second, "difference": known.pop("mean"), **known}
        for first, second in combinations(names, 2)
        for known in (asdict(pairs[first, second]),)
    ]


def _digest(*facts: Any) -> str:
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()
