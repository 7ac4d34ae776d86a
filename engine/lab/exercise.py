"""What an exercise consists of: steps, the work that they need, and claims that are tested on results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from engine.lab.results import Results

Outcome = Literal["holds", "does not hold", "could be chance", "not tested"]
State = Literal["not started", "running", "done", "failed"]
RUNS = ("train", "classify", "choose", "retrieve")
"""tasks whose work is a run with a process of its own; the others are measured by :mod:`engine.lab.measure`"""


@dataclass(frozen=True)
class Verdict:
    """What results say about a claim."""

    outcome: Outcome
    why: str
    """one or two sentences with the figures and their intervals that decide it; of "not tested" what is missing"""


class NotTested(Exception):
    """A claim cannot be tested; the message says why not, and what to give or do."""


@dataclass(frozen=True)
class Claim:
    """A sentence that results can contradict."""

    text: str
    predicate: Callable[[Results], Verdict]
    """raises :class:`NotTested`"""
    notebook: str = ""
    """what the author of the notebook found, where the claim comes from there; figures included"""

    def judge(self, results: Results) -> Verdict:
        """What results say about it."""
        try:
            return self.predicate(results)
        except NotTested as error:
            return Verdict("not tested", str(error))


@dataclass(frozen=True)
class Work:
    """Something to compute for an exercise: a run of a task, or a measurement."""

    name: str
    """by which steps and results refer to it"""
    task: str
    """train, classify, choose, retrieve (a run), or tokens, ladder, temperatures, verse (a measurement)"""
    pane: str
    """the pane that shows it"""
    title: str
    roles: Mapping[str, str] = field(default_factory=dict)
    """fields of the spec that the settings of the lab decide: ``{"data": "emotion", "encoder": "encoder"}``"""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """other fields of the spec that differ from its defaults"""
    quick: Mapping[str, Any] = field(default_factory=dict)
    """fields that the quick lab replaces"""
    gpu: Mapping[str, Any] = field(default_factory=dict)
    """fields that are replaced where there is a GPU"""


@dataclass(frozen=True)
class Step:
    """One thing to do in an exercise. It is done when its work is, its guesses are made, or its sentence is written."""

    name: str
    """unique in the lab, such as ``2.1 case``; kept on the disk, so never renamed"""
    title: str
    text: str
    """what to do and what to look at, in a few sentences"""
    kind: Literal["work", "guess", "claim", "answer"]
    work: str = ""
    """name of the work that it needs"""
    claim: Claim | None = None
    hub: str = ""
    """what changes where the Hub can be reached"""


@dataclass(frozen=True)
class Exercise:
    """One exercise of the lab."""

    number: str
    """``1``, ``2.1``, …"""
    title: str
    text: str
    works: tuple[Work, ...]
    steps: tuple[Step, ...]
    question: str
    """what the student writes about, in a sentence or more; the step of kind ``answer`` asks it"""
