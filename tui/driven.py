"""A run of a task driven from a command: narrated, stopped by signals, told by its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from checkpoints.lock import Locked
from checkpoints.run import Run
from engine.lm.find import NoModel
from engine.runs import owner
from engine.runs.events import Classified, Event
from engine.runs.messages import Control, Stop
from engine.runs.spec import BadSpec
from engine.tokenization.encoding import NoTokenizer
from tui.interrupt import INTERRUPTED, obey_signals
from tui.narrate import Narrator
from tui.output import print_message, say

DONE, FAILED, BAD_INPUT = 0, 1, 2
_CONTROLS = frozenset({"majority", "chance", "longest"})
"""results that cost nothing"""


def drive(
    run: Run,
    work: Callable[[Run, Control], Iterator[Event]],
    table: Callable[[Classified], None],
    *,
    as_json: bool,
    quiet: bool,
    fresh: bool = False,
) -> int:
    """Do the ``work`` of a run and return the exit code; at the end come the ``table`` of results and the run's name.

    A ``fresh`` run whose input is bad leaves nothing behind, unless it has come to results or another process owns it.
    """
    from data.beir import BeirError
    from data.tablefiles import TableError
    from engine.encoders.encode import EncodeFailed
    from engine.encoders.find import NoEncoder
    from engine.retrieve.training_data import CannotTrain

    control = owner.inbox(run)
    came = obey_signals(control)
    last: Classified | None = None
    try:
        for event in narrated(work(run, control), Narrator(as_json=as_json, quiet=quiet), control):
            last = event if isinstance(event, Classified) else last
    except (TableError, BeirError, NoEncoder, NoModel, NoTokenizer, CannotTrain, BadSpec, Locked) as error:
        owned = isinstance(error, Locked)  # by another process, whose run it is then
        if fresh and not owned and not run.read_json("results.json").keys() - _CONTROLS:
            run.delete()
        return complain(str(error), BAD_INPUT)
    except (EncodeFailed, OSError) as error:
        return complain(str(error), FAILED)
    if not as_json and not quiet:
        if last is not None:
            table(last)
            if last.verdict:
                say(last.verdict)
        say(run.name)
    return INTERRUPTED if came else DONE


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
