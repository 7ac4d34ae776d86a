"""``llmlab-tui lab``: the exercises of the lab without the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from data import sources
from engine.lab import record
from engine.lab.exercise import RUNS, Exercise, Step
from engine.lab.record import Settings
from engine.runs import events as happened
from engine.runs.events import Event, Finished, LabStep, Notice
from engine.runs.messages import Control
from engine.runs.spec import BadSpec, Problem, changed
from tui import units
from tui.command.driven import DONE, FAILED, narrated
from tui.command.interrupt import INTERRUPTED, obey_signals
from tui.command.narrate import Narrator
from tui.command.options import Flag, Json, asked
from tui.output import print_json, print_message, say
from tui.text import safe

lab = App(
    name="lab",
    help="List the steps of the lab and their states; do their work and write the report without the screen.",
)

PROGRESS = 10.0  # seconds between lines about the work that is under way
Quick = Annotated[bool, Flag]


@lab.default
def list_steps(*, quick: Quick = False, json: Json = False) -> int:
    """List every step of the lab: its state, its figures, and whether its claim holds.

    Parameters
    ----------
    quick
        Of the quick lab.
    """
    from engine.lab import progress
    from engine.lab import run as headless

    now = progress.read(quick)
    known = _steps(now.exercises)
    for event in headless.steps(now):
        if json:
            print_json(happened.to_dict(event))
            continue
        told = _told(known[event.step], event)
        say(safe(f"{event.exercise:<4} {event.outcome or event.state:<15} {told}", lines=False))
    return DONE


@lab.command
@asked(Settings, {})
def run(
    given: dict[str, Any],
    *,
    exercise: Annotated[list[str] | None, Parameter(negative="")] = None,
    quick: Quick = False,
    json: Json = False,
) -> int:
    """Do the work of the lab that is not done yet, and test its claims.

    What is interrupted is resumed by the next call. Data and models that are named here are remembered. The sentences
    of the exercises are written in the screen.

    Parameters
    ----------
    exercise
        Number of an exercise, such as 2.1; repeat the option for several.
    quick
        Fewer steps, rows and seeds.
    """
    from engine.lab import run as headless

    exercises = headless.chosen(exercise or ())
    settings = _settings(given, exercises, quick=quick)
    control = Control()
    came = obey_signals(control)
    work = headless.run(control, quick=quick, exercises=exercises, settings=settings)
    last: Finished | None = None
    states: dict[str, LabStep] = {}
    known = _steps(exercises)
    for event in narrated(work, Narrator(as_json=json, quiet=True, every=PROGRESS), control):
        last = event if isinstance(event, Finished) else last
        if not json:
            _tell(event, states, known)
        if isinstance(event, LabStep):
            states[event.step] = event
    if not json:
        _conclude(states, known)
        if came:
            print_message("interrupted: the next lab run goes on with what is left")
    return INTERRUPTED if came else DONE if last is not None and last.reason == "done" else FAILED


@lab.command
def report(*, out: Path = Path("lab-report")) -> int:
    """Write the report of the lab: claims, answers, tables, curves and commands, as Markdown and as HTML.

    Of the lab and the quick lab it is of the one with more steps done.

    Parameters
    ----------
    out
        The folder to write into.
    """
    from engine.lab import progress
    from engine.lab.report import write

    both = [progress.read(quick) for quick in (False, True)]
    more = max(both, key=lambda one: sum(step.state == "done" for step in one.steps.values()))
    say(safe(str(write(more, out.expanduser().absolute())), lines=False))
    return DONE


def _settings(given: Mapping[str, Any], exercises: Sequence[Exercise], *, quick: bool) -> Settings:
    """The settings with the names that were given, stored once every spec can be made of them."""
    from engine.lab import plan

    problems = [
        Problem(name, f"{value}: no such file or folder")
        for name, value in given.items()
        if value.startswith(("/", "~", ".")) and sources.existing(value) is None
    ]
    if problems:
        raise BadSpec(problems)
    settings = changed(record.settings(), {name: plan.placed(value) for name, value in given.items()})
    for work in (work for one in exercises for work in one.works if work.task in RUNS):
        plan.spec(work, settings, quick=quick)
    if given:
        record.save_settings(settings)
    return settings


def _tell(event: Event, states: dict[str, LabStep], known: Mapping[str, Step]) -> None:
    """Print one line about what has changed, and the plan once all states are known."""
    if isinstance(event, Notice) and event.level == "warning":
        print_message(f"warning: {event.text}")
    if not isinstance(event, LabStep):
        return
    step = known[event.step]
    if event.step not in states:
        if len(states) == len(known) - 1:
            for line in _plan({**states, event.step: event}, known):
                print_message(line)
    elif event.state == "running":
        print_message(f"{event.exercise:<4} started: {_title(step)}, {_about(event.seconds)}")
    elif event.outcome:
        print_message(f"{event.exercise:<4} {event.outcome}: {_told(step, event)}")
    elif event.state in ("done", "failed") and step.kind == "work":
        print_message(f"{event.exercise:<4} {event.state}: {_told(step, event)}")


def _plan(states: dict[str, LabStep], known: Mapping[str, Step]) -> Iterator[str]:
    """The work that is left, and how long it takes."""
    left = [event for event in states.values() if event.seconds is not None]
    seconds = {known[event.step].work: event.seconds or 0.0 for event in left}
    yield f"{_done(states, known)}; the rest takes {_about(sum(seconds.values()))} on this machine (estimate)"
    for event in left:
        yield f"{event.exercise:<4} {_title(known[event.step])}: {_about(event.seconds)}"


def _conclude(states: dict[str, LabStep], known: Mapping[str, Step]) -> None:
    """Print the claims with what has become of them, and what is left."""
    for event in states.values():
        step = known[event.step]
        if step.kind == "claim":
            say(safe(f"{event.exercise:<4} {event.outcome or event.state:<15} {_title(step)}", lines=False))
    print_message(_done(states, known))
    own = [event for event in states.values() if event.state != "done" and known[event.step].kind in _OWN]
    if own:
        named = ", ".join(f"{event.exercise} {_title(known[event.step])}" for event in own)
        print_message(f"left for you, in the pane Lab of the screen: {named}")


_OWN = ("answer", "guess")
"""kinds of steps that no program does"""


def _done(states: dict[str, LabStep], known: Mapping[str, Step]) -> str:
    counted = [event.state == "done" for event in states.values() if known[event.step].kind not in _OWN]
    return f"{sum(counted)} of {len(counted)} steps done"


def _steps(exercises: Sequence[Exercise]) -> dict[str, Step]:
    return {step.name: step for exercise in exercises for step in exercise.steps}


def _title(step: Step) -> str:
    return step.claim.text if step.claim is not None else step.title


def _told(step: Step, event: LabStep) -> str:
    """A step with its figures; a claim is a sentence already."""
    return f"{_title(step)}{'' if step.claim else ':'} {event.text}" if event.text else _title(step)


def _about(seconds: float | None) -> str:
    return f"about {units.duration(seconds)}"
