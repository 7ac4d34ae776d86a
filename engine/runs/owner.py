"""Runs and the processes that own them: recording, following, and handing work to a process of its own.

A run is always trained by one process that owns its lock. The screen never trains: it starts such a process in a
session of its own, follows the run's journal and posts messages to its inbox, exactly as it does with a run that it
finds already going. So a closed terminal, a lost link or a killed screen has nothing to hand over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from typing import Any, TypeVar

from checkpoints import home, store
from checkpoints import run as runs
from checkpoints.journal import Journal, Reader
from checkpoints.run import Run
from engine.machine import Gpus, cpu_name, physical_cores
from engine.runs import events as happened
from engine.runs import past
from engine.runs.events import Event, Finished, Notice, Progress, Step
from engine.runs.messages import Control, Detach, Message, from_record, to_record
from engine.runs.spec import BadSpec, Spec, restored
from engine.runs.worker import in_thread

S = TypeVar("S", bound=Spec)
_SPECS = {"train": "TrainSpec", "classify": "ClassifySpec", "choose": "ChooseSpec", "retrieve": "RetrieveSpec"}
TASKS = tuple(_SPECS)
LOOKED_AT = 200  # the newest runs, for those that a process works on
POLL = 0.1  # seconds between looks at a journal
START_UP = 120.0  # seconds that a new owner has to take the lock: loading torch from a slow network disk takes long
NICENESS = 5
GRACE = 60.0  # seconds that the work has to take a stop
SINCE = "LLMLAB_MESSAGES_SINCE"  # tells a launched process which messages are for it
LEFT = "stopped without waiting for the current step: resuming continues from what was saved"
_OF_TORCHRUN = re.compile(
    r"((LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE|NAME)|OMP_NUM_THREADS|(MASTER_|TORCHELASTIC_|TORCH_NCCL_).*)$"
)
"""variables of the environment"""
PROGRAM = "llmlab_tui"  # the package whose ``python -m`` starts a process of this program


def environment() -> dict[str, Any]:
    """The machine and the versions, for ``env.json``."""
    import platform

    packages = ("llmlab-tui", "torch", "numpy", "safetensors", "transformers", "tokenizers", "textual")
    system = {"python": platform.python_version(), "system": platform.platform(), "cpu": cpu_name()}
    return system | {package: version(package) for package in packages}


def version(package: str) -> str:
    """The version of a package, or ``not installed``."""
    from importlib import metadata  # it reads mails: 10 ms that the first picture need not wait for

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def inbox(run: Run) -> Control:
    """A control that takes the messages in the run's inbox. Once the run is removed: :class:`FileNotFoundError`."""

    def poll() -> list[Message]:
        if _removed(run):
            raise FileNotFoundError(f"{run.events} does not exist any more: the run was deleted or moved")
        return _messages(run, 0)

    return Control(poll)


def task_of(run: Run) -> tuple[str, dict[str, Any]]:
    """The task of a run, one of ``TASKS``, and the record of its spec.

    Raises :class:`OSError` when the spec cannot be read and :class:`checkpoints.store.CheckpointError` when there is
    none or the task is unknown: it is never taken for another one.
    """
    record = run.spec()
    task = record.get("task", "train")
    if not isinstance(task, str) or task not in TASKS:
        named = f"{run.name}: this version does not know the task {str(task)[:60]!r}"
        raise store.CheckpointError(f"{named}; it knows {', '.join(TASKS)}")
    return task, record


def kind_of(task: str) -> type[Spec]:
    """The class of the specs of a task."""
    kind: type[Spec] = getattr(import_module(f"engine.{package_of(task)}.spec"), _SPECS[task])
    return kind


def package_of(task: str) -> str:
    """The package of the engine that does a task."""
    return "gpt" if task == "train" else task


def another_task(run: Run, wanted: str, what: str) -> str:
    """Says that ``run`` holds no ``what``, since its task is not ``wanted``, and how it is used; empty if it may be."""
    try:
        task, _ = task_of(run)
    except (OSError, store.CheckpointError):
        return ""
    use = {
        "train": f"llmlab-tui sample {run.name}",
        "classify": f"llmlab-tui predict {run.name} TEXT",
        "choose": f"llmlab-tui rank {run.name} --input FILE",
        "retrieve": f"llmlab-tui search QUERY --run {run.name}",
    }
    told = f"{run.name}: its task is {task}, so it holds no {what}. It is used by: {use[task]}"
    return told if task != wanted else ""


def owned(task: str) -> list[Run]:
    """Runs of ``task`` that a process works on, newest first, of the newest ``LOOKED_AT`` runs."""
    found = []
    for run in runs.every(home.runs())[:LOOKED_AT]:
        with contextlib.suppress(OSError, store.CheckpointError):  # one that cannot be read is listed as such by Runs
            if run.owner() is not None and task_of(run)[0] == task:
                found.append(run)
    return found


def spec_as(run: Run, kind: type[S]) -> S:
    """The spec of a run. Raises what :func:`task_of` raises, and CheckpointError for a run of another task."""
    found, record = task_of(run)
    if found != kind.task:
        raise store.CheckpointError(f"{run.name}: its task is {found}, not {kind.task}")
    try:
        return restored(kind, record)
    except BadSpec as error:
        raise store.CheckpointError(f"{run.name}: its spec cannot be used: {error}") from None


def own(run: Run, control: Control, begin: Callable[[Journal], Iterator[Event]]) -> Iterator[Event]:
    """Own ``run`` while the work that ``begin`` returns runs in a thread, and record all its events in the journal.

    This thread keeps the lock and looks into the inbox while the work blocks. Work that does not take a stop within
    ``GRACE`` seconds is left: the run is recorded as stopped, and the process must exit without waiting for the thread.
    Raises :class:`checkpoints.lock.Locked`, what ``begin`` raises, and, recorded first, what the work raises.
    """
    with run.lock() as lock, contextlib.closing(Journal(run.events)) as journal:
        store.sweep(run.checkpoints)
        run.inbox.mkdir(exist_ok=True)  # what copies a run may leave out empty folders
        # What was asked of the owner before is not for this one; what was asked since this one was launched is.
        for message in _messages(run, int(os.environ.get(SINCE) or time.time_ns())):
            control.send(message)
        told: list[Event] = []
        if lock.inherited is not None:
            told.append(Notice(f"{lock.inherited} ended without releasing this run: taken over", "warning", "lock"))
        last, ended, left = Finished("stopped", 0, None, run.name), False, False

        def leave() -> bool:
            nonlocal left
            with contextlib.suppress(OSError):  # the work gets the same error when it takes its messages
                control.look()
            left = control.overdue(GRACE) and not ended
            return left

        def abandon() -> list[Event]:
            nonlocal ended
            if ended:
                return []
            ended = True  # first, since a signal may interrupt the rest
            ends: list[Event] = [Notice(LEFT, "warning", "stop", last.step), last]
            journal.end(*map(_dated, ends))
            return ends

        work = record(run, _chain(told, begin(journal)), journal)
        control.abandon = abandon
        try:
            with contextlib.closing(in_thread(work, leave)) as events:
                for event in events:
                    ended = isinstance(event, Finished)
                    step = max(last.step, getattr(event, "step", None) or 0)  # a save is reported after later steps
                    best = getattr(event, "best_val_loss", last.best_val_loss)
                    last = dataclasses.replace(last, step=step, best_val_loss=best)
                    yield event
            if left:
                yield from abandon()
        finally:
            control.abandon = lambda: None


def record(run: Run, events: Iterator[Event], journal: Journal | None = None) -> Generator[Event, None, None]:
    """Pass ``events`` on and append them to the run's journal; an exception is recorded and raised again.

    A journal that cannot be written is reported once and tried again with every event.
    """
    journal = journal or Journal(run.events)
    failing = False
    step = 0
    try:
        with contextlib.closing(_chain([], events)) as work:  # what still saves syncs the journal: it ends first
            for event in work:
                step = getattr(event, "step", None) or step
                journal.append(_dated(event))
                yield event
                failure = journal.failure
                if failure is not None and not failing:
                    reason = failure.strerror or failure
                    yield Notice(f"the run's journal could not be written ({reason}); trying again", "error", "journal")
                failing = failure is not None
    except GeneratorExit:
        raise
    except BaseException as error:
        text = str(error) or type(error).__name__
        for last in (Notice(text, "error", "failure", step), Finished("failed", step, None, run.name)):
            journal.append(_dated(last))
        raise
    finally:
        journal.close()


def follow(
    run: Run, control: Control, *, alive: Callable[[], bool] | None = None, at_once: bool = False
) -> Iterator[Event]:
    """Everything that happened in ``run`` and, while a process owns it, everything that goes on to happen.

    Messages to ``control`` are posted to the owner, but :class:`Detach`, which ends this. Ends with
    the run's :class:`Finished`; when the owner died without one, with ``Finished("died")``.
    ``alive`` says that an owner is expected that has not taken the lock yet. With ``at_once`` the first event is a
    :class:`engine.runs.past.Past`, whose events must be read before the next one is asked for.
    """
    reader = Reader(run.events)
    last: Finished | None = None
    step, best, left_out, detached = 0, None, 0, False

    def posted() -> Iterator[Event]:
        """Pass messages on to the owner."""
        nonlocal detached
        for message in control.take():
            detached = detached or isinstance(message, Detach)
            if detached:
                return
            try:
                run.post(to_record(message))
            except OSError as error:
                if not _removed(run):  # that is reported below
                    reason = error.strerror or error
                    yield Notice(f"the training process could not be reached: {reason}", "error", "inbox", step)

    def told(events: Iterator[Event | None]) -> Iterator[Event]:
        nonlocal last, step, best, left_out
        for event in events:
            if event is None:
                left_out += 1
                continue
            # Any other event after the end: the run was taken up again.
            last = event if isinstance(event, Finished) else None
            if last is None:
                step = getattr(event, "step", None) or step
                best = getattr(event, "best_val_loss", best)
                yield event

    def before_now() -> Iterator[Event]:
        size, read = journal_size(run), 0
        while not detached and (lines := reader.lines()):
            yield from posted()
            yield from told(past.condensed(lines))
            read += sum(map(len, lines)) + len(lines)
            yield Progress(past.READING, read, max(read, size))

    try:
        if at_once:
            yield past.Past(before_now())
        while True:
            yield from posted()
            if detached:
                return
            owned = run.owner() is not None or (alive is not None and alive())
            if lines := reader.lines():
                yield from told(past.each(lines))
                continue
            if left_out:
                text = f"{left_out:,} lines of the journal are damaged or from another version; they are ignored"
                yield Notice(text, "warning", "journal", step)
                left_out = 0
            if not owned:
                break
            control.wait(POLL)
    finally:
        reader.close()
    if last is not None:
        yield last
        return
    if _removed(run):
        yield Notice(f"{run.events} does not exist any more: the run was deleted or moved", "error", "died", step)
    elif step or journal_size(run):
        yield Notice("the training process died; resume the run to continue", "warning", "died", step)
    yield Finished("died", step, best, run.name)


def journal_size(run: Run) -> int:
    """Bytes of the run's journal; 0 when there is none."""
    try:
        return run.events.stat().st_size
    except FileNotFoundError:
        return 0


def attend(
    run: Run, process: subprocess.Popen[bytes], control: Control, told: int, *, at_once: bool = False
) -> Iterator[Event]:
    """Follow ``run``, which ``process`` was started to train when its journal had ``told`` bytes.

    When it ends without having recorded anything, the end of its output is told in an error notice.
    ``at_once`` is as in :func:`follow`.
    """
    begun = time.monotonic()
    owned = False

    def alive() -> bool:
        nonlocal owned
        owned = owned or run.owner() is not None
        return not owned and process.poll() is None and time.monotonic() - begun < START_UP

    for event in follow(run, control, alive=alive, at_once=at_once):
        ended = isinstance(event, Finished) and event.reason == "died" and process.poll() not in (None, 0)
        if ended and not _removed(run) and journal_size(run) == told:
            yield Notice(_tail(run), "error", "failure")
        yield event
    process.poll()


def processes(gpus: str) -> int:
    """How many processes work on a run together whose spec asks for so many GPUs, or for all."""
    return max(1, len(Gpus().read()) if gpus == "all" else int(gpus) if gpus.isdecimal() else 1)


def hands_over(gpus: str) -> bool:
    """Whether torchrun must start the processes of such a run; False in those that it has started."""
    return processes(gpus) > 1 and "RANK" not in os.environ


def launch(run: Run, control: Control) -> Iterator[Event]:
    """Let processes of their own work on ``run`` and follow them."""
    told = journal_size(run)
    yield from attend(run, spawn(run), control, told)


def spawn(run: Run) -> subprocess.Popen[bytes]:
    """Start a process that owns ``run``, in a session of its own, without a terminal, and a little nicer.

    Where several work on it together, torchrun starts them.
    """
    count = 1
    with contextlib.suppress(OSError, store.CheckpointError):  # who cannot read the spec says so in the log
        count = processes(str(run.spec().get("gpus", "1")))
    several = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m"] if count > 1 else []
    # Without it torchrun takes one thread for all libraries; torch itself is given its own number.
    threads = {"OMP_NUM_THREADS": str(physical_cores())} if several else {}
    # A process of torchrun that starts another run does not pass on what torchrun gave it.
    ranked = "TORCHELASTIC_RUN_ID" in os.environ
    alone = {name: value for name, value in os.environ.items() if not (ranked and _OF_TORCHRUN.match(name))}
    since = time.time_ns()
    log = os.open(run.path / "trainer.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", *several, PROGRAM, "own", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**threads, **alone, SINCE: str(since), "LLMLAB_HOME": str(home.home())},
        )
        # Threads inherit it: whoever types beside the training comes first.
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process
    finally:
        os.close(log)


def send(run: Run, message: Message) -> bool:
    """Post a message to the run's owner; False when no process owns it."""
    if run.owner() is None:
        return False
    run.post(to_record(message))
    return True


def _dated(event: Event) -> dict[str, Any]:
    """An event as the journal has it: with the Unix time under ``time``, but for steps, whose speed tells theirs."""
    record = happened.to_dict(event)
    return record if isinstance(event, Step) else {**record, "time": round(time.time(), 3)}


def _messages(run: Run, since: int) -> list[Message]:
    return [message for record in run.collect(since) if (message := from_record(record))]


def _removed(run: Run) -> bool:
    try:
        run.events.stat()
    except FileNotFoundError:
        return True
    except OSError:  # a network disk that does not answer this moment
        pass
    return False


def _chain(first: list[Event], rest: Iterator[Event]) -> Generator[Event, None, None]:
    yield from first
    yield from rest


def _tail(run: Run) -> str:
    try:
        lines = store.read_file(run.path / "trainer.log").decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return "the trainer could not start: " + (lines[-1] if lines else "no error message")
