"""The lab without a screen: all work that is not done, in this process, one after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module

from checkpoints import store
from checkpoints.run import Run
from engine.lab import plan, progress, record
from engine.lab.exercise import RUNS, Exercise, Work
from engine.lab.exercises import LAB
from engine.lab.progress import Lab
from engine.lab.record import Settings
from engine.runs import owner
from engine.runs.events import Event, Finished, LabStep, Notice
from engine.runs.messages import Control, Detach, Message, Stop
from engine.runs.past import Past
from engine.runs.spec import BadSpec, Problem

NAME = "lab"
"""stands for the name of a run in the last event"""
LENGTH = 60
"""tokens of a completion, where a work does not say"""


class CannotMeasure(Exception):
    """A measurement needs what is not there; the message says what."""


def chosen(numbers: Sequence[str], exercises: Sequence[Exercise] = LAB) -> tuple[Exercise, ...]:
    """The exercises with these numbers, all without one. Raises :class:`engine.runs.spec.BadSpec`."""
    known = [exercise.number for exercise in exercises]
    if strange := [number for number in numbers if number not in known]:
        raise BadSpec([Problem("exercise", f"there is no {', '.join(strange)}; there are {', '.join(known)}")])
    return tuple(exercise for exercise in exercises if not numbers or exercise.number in numbers)


def steps(lab: Lab, seconds: Mapping[str, float] = {}) -> Iterator[LabStep]:
    """The state of every step. ``seconds`` has the time that works take, by their names."""
    for exercise in lab.exercises:
        for step in exercise.steps:
            now = lab.steps[step.name]
            left = seconds.get(step.work) if step.kind == "work" and now.state != "done" else None
            outcome = now.verdict.outcome if now.verdict else ""
            yield LabStep(exercise.number, step.name, now.state, outcome, now.result, left)


def run(
    control: Control,
    *,
    quick: bool = False,
    exercises: Sequence[Exercise] = LAB,
    settings: Settings | None = None,
) -> Iterator[Event]:
    """Do all work that is not done: a run that was interrupted is resumed, one of another process is followed.

    Yields the state of every step, then the events of the work and the states that change with it, and last a
    :class:`Finished` whose ``step`` counts the works that are done. Work that fails is reported, and the next is begun.
    A ``Stop`` ends it; what was done is kept. Raises :class:`engine.runs.spec.BadSpec` and :class:`OSError`.
    """
    begun, settings = time.monotonic(), settings or record.settings()
    lab = progress.read(quick, exercises, settings)
    works = [(exercise, work) for exercise in exercises for work in exercise.works]
    found = plan.find([work for _, work in works], settings, quick=True)
    seconds = {
        work.name: plan.estimate(work, settings, quick=quick, found=found)
        for exercise, work in works
        if not _waits(work, exercise)
    }
    failed: dict[str, str] = {}
    told: dict[str, LabStep] = {}

    def changes(running: str = "") -> Iterator[LabStep]:
        kinds = {step.name: step for exercise in lab.exercises for step in exercise.steps}
        for event in steps(lab, seconds):
            step = kinds[event.step]
            if step.work in failed and event.state != "done":
                event = replace(event, state="failed", text=failed[step.work], seconds=None)
            if running and step.work == running and step.kind == "work":
                event = replace(event, state="running", text="")
            if told.get(event.step) != event:
                told[event.step] = event
                yield event

    yield from changes()
    stopped = False
    for exercise, work in works:
        if lab.works[work.name] == "done" or _waits(work, exercise):
            continue
        yield from changes(work.name)
        relay = _Relay(control)
        try:
            for event in _do(work, lab, relay):
                yield event
                if isinstance(event, Finished):
                    relay.stopped = relay.stopped or event.state == "stopped"
                    if event.state in ("failed", "interrupted"):
                        failed[work.name] = f"{event.run} {event.reason}"
        except Exception as error:  # the other works do not depend on it
            if not relay.stopped:
                failed[work.name] = str(error) or type(error).__name__
                yield Notice(f"{work.title}: {failed[work.name]}", "error", "failure")
        with contextlib.suppress(OSError):  # a stop that came at the very end
            relay.control.look()
        lab = progress.read(quick, exercises, settings)
        yield from changes()
        if stopped := relay.stopped:
            break
    done = sum(state == "done" for state in lab.works.values())
    reason = "stopped" if stopped else "failed" if done < len(works) else "done"
    yield Finished(reason, done, None, NAME, time.monotonic() - begun)


class _Relay:
    """Passes what is sent to the lab, and to the run at work, on to that work."""

    def __init__(self, outer: Control) -> None:
        self.stopped = False
        """whether it was asked to stop"""
        self._outer, self._inbox = outer, Control()
        self.control = Control(self._poll)
        self._follows = False
        outer.abandon = lambda: self.control.abandon()

    def work_on(self, run: Run) -> None:
        """Take the messages in the run's inbox too, unless another process does, which is then only followed."""
        self._follows = run.owner() is not None
        if not self._follows:
            self._inbox = owner.inbox(run)

    def _poll(self) -> list[Message]:
        messages = [*self._outer.take(), *self._inbox.take()]
        self.stopped = self.stopped or any(isinstance(message, Stop) for message in messages)
        return [Detach() if self._follows and isinstance(message, Stop) else message for message in messages]


def _waits(work: Work, exercise: Exercise) -> bool:
    """Whether the work is a part of another one of its exercise, which does it."""
    return work.task == "ladder" and any(other.task == "temperatures" for other in exercise.works)


def measure(work: Work, lab: Lab, control: Control) -> Iterator[Event]:
    """Make a measurement and store it. Raises what the measurement raises, :class:`CannotMeasure` and OSError."""
    asked = plan.fields(work, lab.settings, quick=lab.quick)
    if work.task == "tokens":
        from engine.lab import tokens

        record.save_measured("tokens", tokens.measure(record.own_texts()))
    elif work.task == "verse":
        from engine.lab import verse

        if lab.trained is None:
            raise CannotMeasure("it needs a finished training")
        record.save_measured("verse", (yield from verse.measure(lab.trained, control, **asked)))
    else:
        from engine.lab import temperatures

        seeds, length = asked.get("seeds", 1), asked.get("length", LENGTH)
        ladder = yield from temperatures.measure(asked["model"], control, seeds=seeds, length=length)
        record.save_measured("temperatures", ladder)


def _do(work: Work, lab: Lab, relay: _Relay) -> Iterator[Event]:
    """The events of one work, whose outcome is stored."""
    if work.task not in RUNS:
        yield from measure(work, lab, relay.control)
        return
    run = lab.found.get(work.name) or plan.create(work, lab.settings, quick=lab.quick)
    relay.work_on(run)
    if run.owner() is not None:
        for event in owner.follow(run, relay.control, at_once=True):
            if isinstance(event, Past):
                for _ in event.events:
                    pass
            else:
                yield event
    elif work.task == "train":
        from engine.gpt import runs as trainings

        begun = bool(store.checkpoints(run.checkpoints)) or owner.journal_size(run) > 0
        yield from trainings.drive(run, relay.control, resume=begun)
    else:
        yield from import_module(f"engine.{work.task}.runs").drive(run, relay.control)
