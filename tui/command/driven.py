"""A run of a task driven from a command: narrated, stopped by signals, told by its exit code."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from checkpoints.lock import Locked
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.lm.find import NoModel
from engine.runs import owner, queue
from engine.runs.events import Classified, Event, Finished, Started
from engine.runs.messages import Control, Message, Stop
from engine.runs.spec import BadSpec
from engine.tokenization.encoding import NoTokenizer
from tui import config as configuration
from tui.command.interrupt import INTERRUPTED, obey_signals
from tui.command.narrate import Narrator
from tui.output import print_message, say

DONE, FAILED, BAD_INPUT = 0, 1, 2
_CONTROLS = frozenset({"majority", "chance", "longest"})
"""results that cost nothing"""


def drive(
    run: Run,
    work: Callable[[Run, Control], Iterator[Event]],
    table: Callable[[Classified], None] | None = None,
    messages: Sequence[Message] = (),
    *,
    as_json: bool,
    quiet: bool,
    fresh: bool = False,
) -> int:
    """Do the ``work`` of a run and return the exit code; at the end come the ``table`` of results and the run's name.

    ``messages`` are what the run is told first. A ``fresh`` run whose input is bad leaves nothing behind, unless it has
    begun to train, has come to results, cannot be read or is owned by another process.
    """
    control = owner.inbox(run)
    for message in messages:
        control.send(message)
    came = obey_signals(control)
    begun, last, mine = False, None, True
    try:
        for event in narrated(work(run, control), Narrator(as_json=as_json, quiet=quiet), control):
            begun = begun or isinstance(event, Started)
            last = event if isinstance(event, Finished) else last
    except (Locked, CheckpointError) as error:
        mine = not isinstance(error, Locked)
        return complain(str(error), BAD_INPUT)
    except Exception as error:
        code = FAILED if isinstance(error, OSError) else code_of(error)
        if code is None:
            raise
        if code == BAD_INPUT and fresh and not begun and not run.read_json("results.json").keys() - _CONTROLS:
            run.delete()
        return complain(str(error), code)
    finally:
        if last is not None and last.state != "stopped":
            _at_end(run, last.state)
        if mine and not came:  # a signal is for the queue too: the next start of the program goes on with it
            _start_next(run)
    if not as_json and not quiet:
        if isinstance(last, Classified) and table is not None:
            table(last)
            if last.verdict:
                say(last.verdict)
        say(run.name)
    if came:
        return INTERRUPTED
    return DONE if last is not None and last.state in ("finished", "stopped") else FAILED


def _start_next(run: Run) -> None:
    try:
        queue.advance(run.name)
    except (OSError, CheckpointError) as error:
        print_message(f"warning: the next run of the queue was not started: {error}")


def _at_end(run: Run, state: str) -> None:
    """Start the user's command for the end of a run, if the configuration has one; nobody waits for it."""
    with contextlib.suppress(BadSpec, OSError):
        if command := configuration.read().at_end.command:
            told = {"LLMLAB_RUN": run.name, "LLMLAB_RUN_PATH": str(run.path), "LLMLAB_STATE": state}
            quiet = subprocess.DEVNULL
            subprocess.Popen(
                command,
                shell=True,
                env=os.environ | told,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                start_new_session=True,
            )


def code_of(error: Exception) -> int | None:
    """The exit code for input that cannot be used and for work that cannot go on; None for any other error."""
    from data.beir import BeirError
    from data.corpus import CorpusError
    from data.formats import TableError
    from engine.encoders.encode import EncodeFailed
    from engine.encoders.find import NoEncoder
    from engine.gpt.train import TrainingFailed
    from engine.retrieve.search import NotTrained
    from engine.retrieve.training_data import CannotTrain

    bad = (TableError, BeirError, CorpusError, NoEncoder, NoModel, NoTokenizer, NotTrained, CannotTrain, BadSpec)
    return BAD_INPUT if isinstance(error, bad) else FAILED if isinstance(error, EncodeFailed | TrainingFailed) else None


def narrated(events: Iterator[Event], narrator: Narrator, control: Control) -> Iterator[Event]:
    """Narrate; when whoever reads stdout goes away, end."""
    broken = False
    for event in events:
        if not broken:
            try:
                narrator.tell(event)
            except BrokenPipeError:
                broken = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                control.send(Stop())
        yield event


def complain(message: str, code: int) -> int:
    """Say what is wrong on stderr and return the exit code."""
    for line in message.splitlines() or [""]:
        print_message(f"llmlab-tui: {line}")
    return code
