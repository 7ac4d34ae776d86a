"""Signals of a command at work: the first asks it to end, the second ends it."""

from __future__ import annotations

import os
import signal

from engine.runs.messages import Control, Stop

INTERRUPTED = 130


def obey_signals(control: Control) -> list[int]:
    """SIGINT and SIGTERM send ``Stop``, a second one ends at once; a hang-up changes nothing. Returns what came.

    Under torchrun every signal sends ``Stop``: it passes on what reached this process already, and kills it if need be.
    """
    came: list[int] = []
    torchrun = "RANK" in os.environ

    def stop(number: int, _: object) -> None:
        came.append(number)
        if len(came) == 1 or torchrun:
            control.send(Stop())
            return
        try:
            if len(came) == 2:  # a third one does not wait for the disk either
                control.abandon()
        finally:
            os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop if torchrun else signal.SIG_IGN)
    return came
