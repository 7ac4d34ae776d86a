"""The panes and the tasks: one list of what there is. They are imported and made when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tui.follow.task_runs import TaskRuns
    from tui.pane import Pane


class Entry(NamedTuple):
    """A pane; ``kind`` and ``runs`` name classes as ``module:class``."""

    name: str
    key: str
    title: str
    kind: str
    runs: str = ""
    """of the task that the pane is for, if it is for one"""


PANES = (
    Entry("train", "1", "Train", "tui.train.pane:TrainPane", "tui.train.runs:Trainings"),
    Entry("tokens", "2", "Tokens", "tui.tokens.pane:TokensPane"),
    Entry("generate", "3", "Generate", "tui.generate.pane:GeneratePane"),
    Entry("classify", "4", "Classify", "tui.classify.pane:ClassifyPane", "tui.classify.runs:Classifications"),
    Entry("choose", "5", "Choose", "tui.choose.pane:ChoosePane", "tui.choose.runs:Rankings"),
    Entry("retrieve", "6", "Retrieve", "tui.retrieve.pane:RetrievePane", "tui.retrieve.runs:Retrievals"),
    Entry("runs", "7", "Runs", "tui.runs.pane:RunsPane"),
)
_BY_NAME = {entry.name: entry for entry in PANES}


def make(name: str) -> Pane:
    """A new pane."""
    module, kind = _BY_NAME[name].kind.split(":")
    made: Pane = getattr(import_module(module), kind)()
    return made


def runs_of(task: str) -> TaskRuns:
    """What can be done with the runs of a task. Raises :class:`KeyError`."""
    module, kind = _BY_NAME[task].runs.split(":")
    made: TaskRuns = getattr(import_module(module), kind)()
    return made
