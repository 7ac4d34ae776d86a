"""What the pane asks of the engine: to start, follow and reopen retrievals, and to read what came of them.

A retrieval runs in a process of its own, as a training does. Everything here reads files or starts processes: not for
the thread of a screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from engine import session
from engine.control import Control
from engine.events import Event
from engine.worker import Task
from tui import units

TASK = "retrieve"
RUNS = 60  # the newest that are offered for opening


@dataclass(frozen=True)
class Offered:
    """A retrieval that can be opened."""

    run: Run
    about: str


@dataclass(frozen=True)
class Gain:
    """One judged query: its measure by every ranker."""

    name: str
    text: str
    values: Mapping[str, float]


def create(given: Mapping[str, str]) -> Run:
    """A run directory for what the form says. Raises :class:`OSError` and :class:`engine.spec.BadSpec`."""
    from engine import retrieve_run
    from engine.retrieve import RetrieveSpec
    from engine.spec import BadSpec

    spec = RetrieveSpec(
        data=given["data"].strip(),
        encoder=given["encoder"].strip(),
        methods=tuple(given["methods"].split()),
        mode=given["mode"],
        hard_negatives=int(given["hard_negatives"]),
        epochs=int(given["epochs"]),
        length=int(given["length"]),
        seed=int(given["seed"]),
    )
    if wrong := spec.validate():
        raise BadSpec(wrong)
    return retrieve_run.create(spec)


def values_of(run: Run) -> dict[str, str]:
    """What the form would have to say for this run."""
    from tui.retrieving.values import DEFAULTS

    record = run.read_json("spec.json")
    found = dict(DEFAULTS)
    for name in DEFAULTS:
        value: Any = record.get(name)
        if value is not None:
            found[name] = " ".join(map(str, value)) if name == "methods" else str(value)
    return found


def begin(run: Run) -> Task:
    """Start the process that runs it, and a task that follows it."""
    told = run.events.stat().st_size
    process = session.spawn(run)

    def task(control: Control) -> Iterator[Event]:
        return session.attend(run, process, control, told)

    return task


def follow(run: Run) -> Task:
    """A task that follows a run, living or done."""

    def task(control: Control) -> Iterator[Event]:
        return session.follow(run, control)

    return task


def is_retrieval(run: Run) -> bool:
    """Whether a run is one of this pane."""
    return run.read_json("spec.json").get("task") == TASK


def living() -> Run | None:
    """The newest retrieval that a process works on."""
    every = (run for run in runs.every(home.runs())[:200] if run.owner() is not None)
    return next((run for run in every if is_retrieval(run)), None)


def latest() -> Run | None:
    """The newest retrieval that came to figures."""
    every = (run for run in runs.every(home.runs())[:200] if is_retrieval(run))
    return next((run for run in every if run.read_json("results.json")), None)


def offers() -> list[Offered]:
    """Retrievals there are, newest first."""
    found = []
    for run in runs.every(home.runs()):
        if not is_retrieval(run):
            continue
        results = run.read_json("results.json")
        told = [f"{name} {float(one.get('ndcg@10', 0)):.3f}" for name, one in results.items() if isinstance(one, dict)]
        spec = run.read_json("spec.json")
        data = Path(str(spec.get("data"))).name
        found.append(Offered(run, f"{data}: {', '.join(told[-3:]) or 'nothing judged'}"))
        if len(found) == RUNS:
            break
    return found


def gains(run: Run, texts: Mapping[str, str]) -> list[Gain]:
    """Every judged query with its nDCG@10 by ranker. Raises :class:`checkpoints.store.CheckpointError`."""
    from engine import rankers_store
    from engine.ranking import NDCG

    found = rankers_store.read(run)
    return [
        Gain(
            name, texts.get(name, name), {method: float(one.values[NDCG][row]) for method, one in found.judged.items()}
        )
        for row, name in enumerate(found.queries)
    ]


def export(run: Run, folder: Path) -> str:
    """Write the bi-encoder for sentence-transformers.

    Raises :class:`OSError`, :class:`engine.rankers_export.CannotExport`, :class:`engine.encoders.NoEncoder`.
    """
    from engine.rankers_export import export as write

    return f"{units.size(write(run, folder))} exported to {folder}"
