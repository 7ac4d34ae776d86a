"""What a pane asks of the engine: to start, follow and reopen the runs of its task.

They run in a process of their own, as a training does: a lost terminal loses nothing, and the next start of the program
finds them. Everything here reads files or starts processes: not for the thread of a screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.runs import owner, queue
from engine.runs.listing import explain, figure, partial
from engine.runs.worker import Task
from tui import units

OFFERED = 60  # the newest runs, for opening


@dataclass(frozen=True)
class Offered:
    """A run that can be opened."""

    run: Run
    about: str


class TaskRuns:
    """The runs of one task. A subclass says how one is made, and reads what came of it."""

    task: str
    """as ``spec.json`` names it"""
    runs: str
    """the module of the engine that makes them"""
    figure: str
    """of every entry of ``results.json``, told where runs are offered"""
    exported: tuple[str, str] = ("", "")
    """what of a run another program can load, and as what"""
    nothing: str
    """said of a run that has nothing of that kind"""

    def create(self, spec: Any) -> Run:
        """A run directory for a spec. Raises :class:`OSError` and :class:`engine.runs.spec.BadSpec`."""
        run: Run = import_module(self.runs).create(spec)
        return run

    def queue(self, specs: Sequence[Any]) -> Run:
        """Put a run for each spec into the queue; returns the one that the queue works on. Raises as :meth:`create`.

        :class:`checkpoints.store.CheckpointError` says that the queue is damaged.
        """
        queue.read()
        made: list[Run] = import_module(self.runs).create_each(specs)
        started = queue.add(made) or [entry.run for entry in queue.read() if entry.live]
        return (started or made)[0]

    def spec_of(self, run: Run) -> Any:
        """The spec of a run. Raises what :func:`engine.runs.owner.spec_as` raises."""
        return import_module(self.runs).spec_of(run)

    def cannot_export(self, run: Run) -> str:
        """Why the run has nothing that another program could load; empty when it has."""
        try:
            return "" if self._exporter.methods(run) else self.nothing
        except (CheckpointError, OSError) as error:
            return str(error)

    def export(self, run: Run, folder: Path, *, method: str = "", force: bool = False) -> str:
        """Write that, and say what was written. Raises :class:`checkpoints.store.CheckpointError`, :class:`OSError`."""
        from engine.encoders.find import NoEncoder

        try:
            method, written = self._exporter.export(run, folder, method=method, force=force)
        except NoEncoder as error:
            raise CheckpointError(str(error)) from None
        return f"{method}: {units.size(written)} exported to {folder}"

    @property
    def _exporter(self) -> Any:
        """The module of the engine that writes it."""
        return import_module(f"engine.{self.task}.export")

    def begin(self, run: Run) -> Task:
        """Start the process that works on a run, and a task that follows it."""
        told = owner.journal_size(run)
        process = owner.spawn(run)
        return lambda control: owner.attend(run, process, control, told, at_once=True)

    def follow(self, run: Run) -> Task:
        """A task that follows a run, living or done, or started by its queue."""

        def starting() -> bool:
            return queue.standing(run)[0] == "starting"

        return lambda control: owner.follow(run, control, alive=starting, at_once=True)

    def living(self) -> Run | None:
        """The newest run that a process works on."""
        return next(iter(owner.owned(self.task)), None)

    def offers(self) -> list[Offered]:
        """Runs there are, newest first, with the last figures of each."""
        found = []
        for run in runs.every(home.runs()):
            try:
                task, spec = owner.task_of(run)
            except (OSError, CheckpointError):
                continue  # its task is unknown; Runs lists it and says why
            if task != self.task:
                continue
            try:
                about = self._figures_of(run)
            except OSError as error:
                about = f"unreadable: {explain(run, error)}"
            found.append(Offered(run, f"{Path(str(spec.get('data'))).name}: {about}"))
            if len(found) == OFFERED:
                break
        return found

    def _figures_of(self, run: Run) -> str:
        results = run.read_json("results.json")
        found = {name: one for name, one in results.items() if isinstance(one, dict)}
        figures = {name: figure(one.get(self.figure)) for name, one in found.items()}
        known = [f"{name} {one:.3f}{partial(found[name])}" for name, one in figures.items() if one is not None]
        return ", ".join(known[-3:]) or "no results yet"
