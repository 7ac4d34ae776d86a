"""The panes and the tasks: one list of what there is. They are imported and made when they are first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.follow.task_runs import TaskRuns
    from tui.pane import Pane


@dataclass(frozen=True)
class Entry:
    """A pane: ``tui.<name>.pane`` holds the class ``<title>Pane``.

    A task has a command of the same name, and ``tui.<name>.runs`` holds the class that makes and reads its runs.
    """

    name: str
    key: str
    title: str
    help: str
    runs: str = ""
    """the class of the runs of its task, if the pane is for one"""
    figure: str = ""
    """of a comparison: its best figure, in words"""
    models: str = ""
    """of a comparison: its methods, by the data and by pooling or encoder"""


PANES = (
    Entry("train", "1", "Train", "Train: a GPT from scratch, with loss curve and samples.", "Trainings"),
    Entry("tokens", "2", "Tokens", "Tokens: one text in several vocabularies."),
    Entry("generate", "3", "Generate", "Generate: text completed by a language model."),
    Entry(
        "classify",
        "4",
        "Classify",
        "Classify: methods of text classification, compared.",
        "Classifications",
        "accuracy {} on the test split",
        "classifiers of {}, {} pooling",
    ),
    Entry(
        "choose",
        "5",
        "Choose",
        "Choose: methods of multiple choice, compared.",
        "Rankings",
        "accuracy {} on the evaluated questions",
        "rankers of {}, {} pooling",
    ),
    Entry(
        "retrieve",
        "6",
        "Retrieve",
        "Retrieve: methods of search, compared.",
        "Retrievals",
        "nDCG@10 {} on the judged queries",
        "rankers of {}, encoder {}",
    ),
    Entry("runs", "7", "Runs", "Runs: the list of all runs."),
    Entry("lab", "8", "Lab", "Lab: the exercises, step by step, and a report."),
)
BY_NAME = {entry.name: entry for entry in PANES}


def make(name: str) -> Pane:
    """A new pane."""
    made: Pane = getattr(import_module(f"tui.{name}.pane"), f"{BY_NAME[name].title}Pane")()
    return made


def runs_of(task: str) -> TaskRuns:
    """What can be done with the runs of a task. Raises :class:`KeyError`."""
    made: TaskRuns = getattr(import_module(f"tui.{task}.runs"), BY_NAME[task].runs)()
    return made
