"""What the steps of the lab do: runs that are found or made, measurements, and what other panes are given.

The engine is imported when it is needed: what reads files or makes runs is not for the thread of a screen.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from checkpoints.run import Run
from engine.lab import record
from engine.lab.exercise import RUNS, Exercise, Work
from engine.lm.sweep import PROMPT
from engine.runs.events import Event
from engine.runs.messages import Control, Stopped
from engine.runs.worker import Task
from tui.pane import Swept, UseLadder, UsePrompt, UseRun, UseSpec

if TYPE_CHECKING:
    from engine.lab.progress import Lab


def read(quick: bool) -> tuple[Lab, str]:
    """How far the lab is, and the time that the rest of it takes here, in words. Raises :class:`OSError`."""
    from engine.lab import progress

    lab = progress.read(quick)
    return lab, _left(lab.settings, quick, tuple(name for name, state in lab.works.items() if state != "done"))


@functools.lru_cache(4)
def _left(settings: record.Settings, quick: bool, names: tuple[str, ...]) -> str:
    """The time that these works take, in words. A ladder of one seed is not counted beside that of several."""
    from engine.lab import plan
    from engine.lab.exercises import WORKS

    works = [WORKS[name] for name in names if WORKS[name].task != "ladder"]
    seconds = sum(plan.estimate(work, settings, quick=quick) for work in works)
    return f"{max(1, round(seconds / 60))} min" if seconds else ""


def run_of(work: Work, lab: Lab) -> tuple[Run, Literal["opened", "resumed"]]:
    """The run of a work, made where there is none, and whether it is to be resumed.

    Raises :class:`engine.runs.spec.BadSpec` and :class:`OSError`.
    """
    from engine.lab import plan

    if (run := lab.found.get(work.name)) is None:
        return plan.create(work, lab.settings, quick=lab.quick), "resumed"
    return run, "opened" if lab.works[work.name] in ("done", "running") else "resumed"


def ladder(lab: Lab) -> UseLadder:
    """What the Generate pane is to compare: completions as long as those that are measured by several seeds."""
    from engine.lab import plan, temperatures
    from engine.lm import find, smollm2

    works = (work for exercise in lab.exercises for work in exercise.works if work.task == "temperatures")
    length = plan.fields(next(works), lab.settings, quick=lab.quick)["length"]
    auto = ("gpt2",) * find.gpt2_cached() + (smollm2.NAME, "bundled")
    models = auto if lab.settings.model == find.AUTO else (lab.settings.model,)
    return UseLadder(models, (PROMPT, temperatures.VERSE), length)


def write_report(lab: Lab, pictures: Mapping[str, str], folder: Path) -> str:
    """Write the report of the lab into a folder, and say where it is. Raises :class:`OSError`."""
    from engine.lab import report

    return f"the report is {report.write(lab, folder, pictures)}"


def record_sweep(swept: Swept) -> None:
    """Store a comparison of the Generate pane, if it is of the lab's prompt. Raises :class:`OSError`."""
    from engine.lab import temperatures
    from engine.lab.results import Temperatures

    if swept.prompt in (PROMPT, temperatures.VERSE):
        made = temperatures.from_sweep(swept.model, swept.source, swept.prompt, swept.results)
        if made.rungs:
            stored = record.measured("temperatures")
            stored = stored if isinstance(stored, Temperatures) else None
            record.save_measured("temperatures", temperatures.merge(stored, made))


def measurement(work: Work, lab: Lab) -> Task:
    """A task that measures, and stores what it has measured."""

    def task(control: Control) -> Iterator[Event]:
        from engine.lab import run

        with contextlib.suppress(Stopped):
            yield from run.measure(work, lab, control)

    return task


def examples() -> tuple[str, ...]:
    """The texts whose tokens are guessed."""
    from engine.lab import tokens

    return tuple(tokens.EXAMPLES)


def work_of(exercise: Exercise, name: str) -> Work | None:
    """The work of an exercise that has this name."""
    return next((work for work in exercise.works if work.name == name), None)


def before(work: Work, exercise: Exercise, lab: Lab) -> Work:
    """What is to be done first: a training before what it writes is measured; else ``work`` itself."""
    trained = next((one for one in exercise.works if one.task == "train"), work)
    return trained if work.task == "verse" and lab.works.get(trained.name) != "done" else work


def there(work: Work, lab: Lab) -> UseRun | UseSpec | UsePrompt | UseLadder:
    """What there is of a work, for its pane: a run, else the form with its settings, or a text.

    Raises :class:`engine.runs.spec.BadSpec`.
    """
    if (run := lab.found.get(work.name)) is not None:
        return UseRun(run, "opened")
    if work.task in RUNS:
        from engine.lab import plan

        return UseSpec(plan.spec(work, lab.settings, quick=lab.quick))
    if work.task == "tokens":
        return UsePrompt("\n".join((*examples(), *record.own_texts())), "tokens")
    made, wanted = lab.results.temperatures, ladder(lab)
    first = () if made is None else (made.model,)
    return replace(wanted, models=(*first, *wanted.models), begin=False)
