"""The work of the lab as specs and runs: what each needs, which runs are that work already, how long it takes.

Nothing links a run to the lab: a run belongs to a work when its task is the work's and every field that the work fixes
is equal in its spec.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run, mark, read_tail
from checkpoints.store import CheckpointError
from engine.lab import estimates, record
from engine.lab.exercise import RUNS, State, Work
from engine.lab.record import Measured, Settings
from engine.lab.results import Temperatures, Tokens, Verse
from engine.machine import likely_device, visible_gpus
from engine.runs import owner
from engine.runs.listing import figure, summarise
from engine.runs.spec import changed, options, to_dict
from engine.runs.tasks import absolute

_ORDER = ("done", "running", "not started", "failed")
"""the state of the run that counts, where there are several"""


def has_gpu() -> bool:
    """Whether a run started now would compute on a GPU of NVIDIA."""
    return likely_device(visible_gpus() > 0) == "cuda"


def fields(work: Work, settings: Settings, *, quick: bool = False, gpu: bool = False) -> dict[str, Any]:
    """The fields of the spec, or of a measurement its arguments, that differ from their defaults."""
    chosen = {field: getattr(settings, role) for field, role in work.roles.items()}
    return {**work.fields, **(work.gpu if gpu else {}), **(work.quick if quick else {}), **chosen}


def spec(work: Work, settings: Settings, *, quick: bool = False, gpu: bool | None = None) -> Any:
    """The spec of a work that is a run; with ``gpu`` None, for this machine.

    Raises :class:`engine.runs.spec.BadSpec`.
    """
    named = {"name": f"lab-{work.name}{'-quick' * quick}"}
    return _spec(work, {**named, **fields(work, settings, quick=quick, gpu=has_gpu() if gpu is None else gpu)})


def create(work: Work, settings: Settings, *, quick: bool = False, gpu: bool | None = None) -> Run:
    """Make the run of a work. Raises :class:`engine.runs.spec.BadSpec` and :class:`OSError`."""
    asked = spec(work, settings, quick=quick, gpu=gpu)
    module = import_module(f"engine.{owner.package_of(work.task)}.runs")
    if work.task == "train":
        module.check_corpus(asked)
    run: Run = module.create(asked)
    return run


def find(works: Iterable[Work], settings: Settings, *, quick: bool = False) -> dict[str, Run]:
    """For each work that is a run, by name: the newest finished run of it, else one at work, else one to go on with.

    For the quick lab a finished run of the full lab counts too. Reads the specs of all runs, each once while it does
    not change, and the ends of the journals of those that belong to a work. Raises :class:`OSError`.
    """
    wanted = {work.name: (work.task, _wanted(work, settings, quick=quick)) for work in works if work.task in RUNS}
    found: dict[str, tuple[str, Run]] = {}
    for run in runs.every(home.runs()):
        task, known = _spec_of(run)
        for name, (asked, ways) in wanted.items():
            best: str = found.get(name, ("", run))[0]
            if asked != task or best == "done":
                continue
            ends = [end for fixed, end in ways if all(known[field] == value for field, value in fixed.items())]
            now = state(run) if ends else best
            counts = bool(ends) and (now == "done" or not all(ends))
            if counts and (not best or _ORDER.index(now) < _ORDER.index(best)):
                found[name] = now, run
    return {name: run for name, (_, run) in found.items()}


def estimate(
    work: Work,
    settings: Settings,
    *,
    quick: bool = False,
    gpu: bool | None = None,
    found: Mapping[str, Run] | None = None,
) -> float:
    """Seconds that a work takes on this machine, roughly; what a finished run of it took corrects the reference time.

    ``found`` has the runs where they are known, best those of the quick lab, which are of either. Not for the thread
    of a screen. Raises :class:`OSError`.
    """
    gpu = has_gpu() if gpu is None else gpu
    if work.task not in RUNS:
        return estimates.seconds(work.task, fields(work, settings, quick=quick, gpu=gpu), gpu=gpu)
    expected = estimates.seconds(work.task, to_dict(spec(work, settings, quick=quick, gpu=gpu)), gpu=gpu)
    run = (find([work], settings, quick=True) if found is None else found).get(work.name)
    if run is None or state(run) != "done":
        return expected
    took = figure(read_tail(run, frozenset({"finished"})).get("finished", {}).get("seconds"))
    return expected * took / estimates.seconds(work.task, _spec_of(run)[1], gpu=gpu) if took else expected


def placed(name: str) -> str:
    """A name of data or a model as the spec of a run has it: a path is one from the root."""
    return name if name in ("dante", "dantesque") else absolute(name)


def state(run: Run) -> State:
    """The state of a run as that of a step: one that was interrupted or stopped counts as not started."""
    written, (known, ended) = mark(run.events), _ended.get(run.path, (None, "not started"))
    if written is not None and written == known and run.owner() is None:
        return ended
    now = summarise(run).state
    if now in ("finished", "failed", "unreadable"):
        ended = "done" if now == "finished" else "failed"
        _ended[run.path] = written, ended
        return ended
    return "not started" if now in ("interrupted", "stopped") else "running"


def measured(work: Work, settings: Settings, trained: Run | None, *, quick: bool = False) -> Measured | None:
    """The stored measurement where it is that of this work, else None; ``trained`` is the run whose verse is meant.

    One of the full lab counts for the quick lab.
    """
    if work.task in RUNS:
        return None
    asked = fields(work, settings, quick=quick)
    match record.measured("temperatures" if work.task == "ladder" else work.task):
        case Tokens() as tokens if set(record.own_texts()) <= {one.text for one in tokens.own}:
            return tokens
        case Verse() as verse if trained is not None and verse.run == trained.name:
            return verse if len(verse.text) >= asked.get("length", 0) else None
        case Temperatures() as ladder if ladder.rungs and settings.model in ("auto", ladder.model):
            enough = seeds_of(ladder) >= asked.get("seeds", 1) and ladder.tokens >= asked.get("length", 0)
            return ladder if enough or work.task == "ladder" else None
    return None


def seeds_of(ladder: Temperatures) -> int:
    """By how many seeds each temperature was sampled, the least; greedy decoding needs one."""
    return min((len(rung.seeds) for rung in ladder.rungs if rung.temperature), default=0)


_ended: dict[Path, tuple[object, State]] = {}
"""by run: the size and time of its journal when it had ended, and how"""


def _spec_of(run: Run) -> tuple[str, Mapping[str, Any]]:
    """The task and the spec of a run; no task where they cannot be read."""
    return ("", {}) if (written := mark(run.path / "spec.json")) is None else _read_spec(run.path, written)


@functools.lru_cache(4096)
def _read_spec(path: Path, written: tuple[int, int]) -> tuple[str, Mapping[str, Any]]:
    try:
        task, known = owner.task_of(Run(path))
    except (OSError, CheckpointError):
        return "", {}
    return task, {**to_dict(owner.kind_of(task)()), **known}


def _wanted(work: Work, settings: Settings, *, quick: bool) -> list[tuple[dict[str, Any], bool]]:
    """The fields that a run of this work must have, for each way to make it, and whether it must be finished."""
    fixed, ways = {*work.roles, *work.fields, *work.quick, *work.gpu}, []
    for quickly, gpu in ((quick, False), (quick, True), (False, False), (False, True)):
        made = _spec(work, fields(work, settings, quick=quickly, gpu=gpu))
        places = [name for name, known in options(type(made)).items() if known.path and name in fixed]
        asked = to_dict(replace(made, **{name: placed(getattr(made, name)) for name in places}))
        way = {field: asked[field] for field in fixed}, quick and not quickly
        ways += [way] if way not in ways else []
    return ways


def _spec(work: Work, given: Mapping[str, Any]) -> Any:
    if work.task == "train":
        from engine.gpt.spec import build

        return build(given, preset_for_auto="fast")
    return changed(owner.kind_of(work.task)(), given)
