"""Signals of a command at work: the first asks it to end, the second ends it."""

from __future__ import annotations

import os
import signal

from engine.runs.messages import Control, Stop

INTERRUPTED = 130


def obey_signals(control: Control) -> list[int]:
    """SIGINT and SIGTERM send ``Stop``, a second one ends at once; a hang-up changes nothing. Returns what came."""
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        if came:
            os._exit(INTERRUPTED)
        came.append(number)
        control.send(Stop())

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return came
