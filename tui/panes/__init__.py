"""The panes and the tasks: one list of what there is. They are imported and made when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tui.comparing.laboratory import Laboratory
    from tui.panes.pane import Pane


class Entry(NamedTuple):
    """A pane; ``kind`` and ``runs`` name classes as ``module:class``."""

    name: str
    key: str
    title: str
    kind: str
    runs: str = ""
    """of the task that the pane is for, if it is for one"""


PANES = (
    Entry("train", "1", "Train", "tui.panes.train:TrainPane", "tui.train.runs:Trainings"),
    Entry("tokens", "2", "Tokens", "tui.panes.tokens:TokensPane"),
    Entry("generate", "3", "Generate", "tui.panes.generate:GeneratePane"),
    Entry("classify", "4", "Classify", "tui.panes.classify:ClassifyPane", "tui.classify.laboratory:Classifications"),
    Entry("choose", "5", "Choose", "tui.panes.choose:ChoosePane", "tui.choosing.laboratory:Rankings"),
    Entry("retrieve", "6", "Retrieve", "tui.panes.retrieve:RetrievePane", "tui.retrieving.laboratory:Retrievals"),
    Entry("runs", "7", "Runs", "tui.panes.runs:RunsPane"),
)
_BY_NAME = {entry.name: entry for entry in PANES}


def make(name: str) -> Pane:
    """A new pane."""
    module, kind = _BY_NAME[name].kind.split(":")
    made: Pane = getattr(import_module(module), kind)()
    return made


def laboratory_of(task: str) -> Laboratory:
    """What can be done with the runs of a task. Raises :class:`KeyError`."""
    module, kind = _BY_NAME[task].runs.split(":")
    made: Laboratory = getattr(import_module(module), kind)()
    return made
