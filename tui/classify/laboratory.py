"""What the pane asks of the engine: to start, follow and reopen classifications, and to read what came of them.

A classification runs in a process of its own, as a training does: a lost terminal loses nothing, and the next start of
the program finds it. Everything here reads files or starts processes: not for the thread of a screen.
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
from tui.classify.findings import Findings, Suspect, pairs_of

TASK = "classify"
RUNS = 60  # the newest that are offered for opening


@dataclass(frozen=True)
class Offered:
    """A classification that can be opened."""

    run: Run
    about: str


def create(given: Mapping[str, str]) -> Run:
    """A run directory for what the form says. Raises :class:`OSError` and :class:`engine.spec.BadSpec`."""
    from engine import classify_run
    from engine.classify import ClassifySpec
    from engine.spec import BadSpec

    spec = ClassifySpec(
        data=given["data"].strip(),
        test=given["test"].strip(),
        text_column=_column(given["text_column"]),
        label_column=_column(given["label_column"]),
        encoder=given["encoder"].strip(),
        pooling=given["pooling"],
        heads=tuple(given["heads"].split()),
        class_weights=given["class_weights"] == "on",
        limit=int(given["limit"]),
        seed=int(given["seed"]),
        curve=True,
        suspects=True,
    )
    if wrong := spec.validate():
        raise BadSpec(wrong)
    return classify_run.create(spec)


def values_of(run: Run) -> dict[str, str]:
    """What the form would have to say for this run."""
    from tui.classify.values import DEFAULTS

    record = run.read_json("spec.json")
    found = dict(DEFAULTS)
    for name in DEFAULTS:
        value: Any = record.get(name)
        if value is None:
            continue
        if name == "heads":
            found[name] = " ".join(map(str, value))
        elif name == "class_weights":
            found[name] = "on" if value else "off"
        else:
            found[name] = str(value) or DEFAULTS[name]
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


def is_classification(run: Run) -> bool:
    """Whether a run is one of this pane."""
    return run.read_json("spec.json").get("task") == TASK


def living() -> Run | None:
    """The newest classification that a process works on."""
    every = (run for run in runs.every(home.runs())[:200] if run.owner() is not None)
    return next((run for run in every if is_classification(run)), None)


def offers() -> list[Offered]:
    """Classifications there are, newest first."""
    found = []
    for run in runs.every(home.runs()):
        if not is_classification(run):
            continue
        results = run.read_json("results.json")
        told = [f"{name} {float(one.get('accuracy', 0)):.3f}" for name, one in results.items() if isinstance(one, dict)]
        spec = run.read_json("spec.json")
        found.append(Offered(run, f"{spec.get('data')}: {', '.join(told[-3:]) or 'nothing finished'}"))
        if len(found) == RUNS:
            break
    return found


def findings(run: Run) -> Findings:
    """What the routes said of every test row. Raises :class:`checkpoints.store.CheckpointError`."""
    from engine import outcome

    found = outcome.read(run)
    leaked = found.checks.get("checks", {}).get("leaked", [])
    return Findings(
        found.classes,
        found.texts,
        found.labels,
        found.probabilities,
        frozenset(int(row) for row in leaked),
        tuple(
            Suspect("train", one.row, text, one.label, one.suggested, one.suggested_probability, one.probability)
            for one, text in found.suspects
        ),
        pairs_of(found.probabilities, found.labels),
    )


def export(run: Run, folder: Path) -> str:
    """Copy the fine-tuned model to ``folder``. Raises :class:`OSError` and :class:`FileNotFoundError`."""
    import shutil

    from engine.outcome import TUNED

    source = run.path / TUNED
    if not source.is_dir():
        raise FileNotFoundError("this run has no fine-tuned model: tick fine-tune in the form and run it")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    shutil.copytree(source, folder, dirs_exist_ok=True)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return f"{units.size(size)} exported to {folder}"


def _column(name: str) -> str:
    return "" if name == "auto" else name
