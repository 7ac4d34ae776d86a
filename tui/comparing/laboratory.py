"""What a pane asks of the engine: to start, follow and reopen the runs of its task.

They run in a process of their own, as a training does: a lost terminal loses nothing, and the next start of the program
finds them. Everything here reads files or starts processes: not for the thread of a screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from engine import session
from engine.control import Control
from engine.events import Event
from engine.worker import Task
from tui.comparing.values import typed
from tui.exporting import CannotExport

OFFERED = 60  # the newest runs, for opening
LOOKED_AT = 200  # the newest runs, for one that a process works on


@dataclass(frozen=True)
class Offered:
    """A run that can be opened."""

    run: Run
    about: str


class Laboratory:
    """The runs of one task. A subclass says how one is made, and reads what came of it."""

    task: str
    """as ``spec.json`` names it"""
    figure: str
    """of every entry of ``results.json``, told where runs are offered"""
    exported: tuple[str, str] = ("", "")
    """what of a run another program can load, and as what"""

    def create(self, given: Mapping[str, str]) -> Run:
        """A run directory for what the form says. Raises :class:`OSError` and :class:`engine.spec.BadSpec`."""
        raise NotImplementedError

    def cannot_export(self, run: Run) -> str:
        """Why the run has nothing that another program could load; empty when it has."""
        return "A run of this kind leaves nothing that another program could load."

    def export(self, run: Run, folder: Path) -> str:
        """Write that, and say what was written. Raises :class:`tui.exporting.CannotExport` and :class:`OSError`."""
        raise CannotExport(self.cannot_export(run))

    def values_of(self, run: Run, defaults: Mapping[str, str]) -> dict[str, str]:
        """What the form would have to say for this run."""
        record = run.read_json("spec.json")
        return {name: typed(record.get(name), default) for name, default in defaults.items()}

    def begin(self, run: Run) -> Task:
        """Start the process that works on a run, and a task that follows it."""
        told = run.events.stat().st_size
        process = session.spawn(run)

        def task(control: Control) -> Iterator[Event]:
            return session.attend(run, process, control, told)

        return task

    def follow(self, run: Run) -> Task:
        """A task that follows a run, living or done."""

        def task(control: Control) -> Iterator[Event]:
            return session.follow(run, control)

        return task

    def is_one(self, run: Run) -> bool:
        """Whether a run is of this task."""
        return bool(run.read_json("spec.json").get("task") == self.task)

    def living(self) -> Run | None:
        """The newest run that a process works on."""
        every = (run for run in runs.every(home.runs())[:LOOKED_AT] if run.owner() is not None)
        return next((run for run in every if self.is_one(run)), None)

    def offers(self) -> list[Offered]:
        """Runs there are, newest first, with the last figures of each."""
        found = []
        for run in runs.every(home.runs()):
            if not self.is_one(run):
                continue
            results = run.read_json("results.json")
            figures = {name: one.get(self.figure) for name, one in results.items() if isinstance(one, dict)}
            told = [f"{name} {one:.3f}" for name, one in figures.items() if isinstance(one, int | float)]
            data = Path(str(run.read_json("spec.json").get("data"))).name
            found.append(Offered(run, f"{data}: {', '.join(told[-3:]) or 'nothing finished'}"))
            if len(found) == OFFERED:
                break
        return found
