"""What the Train pane and Runs ask of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from checkpoints.run import Run
from engine.gpt import runs as gpt_runs
from engine.gpt.spec import TrainSpec
from engine.runs.events import Event, Step
from engine.runs.messages import Control, Stop
from engine.runs.spec import convert
from engine.runs.worker import Task
from tui.follow.task_runs import TaskRuns


class Trainings(TaskRuns):
    """Runs that train a model from scratch."""

    task, runs = "train", "engine.gpt.runs"
    exported = ("the best checkpoint", "A folder for AutoModelForCausalLM and AutoTokenizer.")

    def cannot_export(self, run: Run) -> str:
        return ""

    def export(self, run: Run, folder: Path, *, method: str = "", force: bool = False) -> str:
        from engine.gpt.trained import load, write_export

        trained = load(str(run.path))
        write_export(trained, folder, force=force)
        return f"{trained.source} exported to {folder}" + (f"\n\n{trained.notice}" if trained.notice else "")


def before(run: Run) -> tuple[tuple[float, float], ...]:
    """Step and validation loss of what a branch goes on from, see :func:`engine.report.curves.before`."""
    from engine.report import curves  # not needed for the first picture

    return curves.before(run)


def peak_rate(run: Run, last: Step | None) -> float:
    """The learning rate at which the schedule of a run peaks, as it was at the ``last`` step, where there was one.

    Raises what reading its spec raises.
    """
    spec = gpt_runs.spec_of(run)
    share = spec.rate(last.step - 1, 1.0) if last is not None else 0.0
    return last.learning_rate / share if last is not None and share else spec.learning_rate


def extend(run: Run, steps: str) -> None:
    """Let a run train to a later step. Raises :class:`OSError` and what reading and changing its spec raises."""
    spec = gpt_runs.spec_of(run)
    gpt_runs.write_spec(run, replace(spec, steps=convert(TrainSpec, "steps", steps)))


def sampling(run: Run, prompt: str, taken: int) -> Task:
    """Sample from the last checkpoint of a run that nothing trains; ``taken`` samples were taken before.

    The engine, and torch with it, is imported when the task runs, in the worker's thread.
    """

    def task(control: Control) -> Iterator[Event]:
        from engine.gpt.trained import load, take_sample

        trained, spec = load(str(run.path), which="last"), gpt_runs.spec_of(run)
        length, seed = spec.sample_length, spec.seed + taken
        for event in take_sample(trained, prompt or spec.sample_prompt, length, seed, spec.temperature):
            if any(isinstance(message, Stop) for message in control.take()):
                return
            yield event

    return task
