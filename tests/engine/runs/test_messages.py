"""The mailbox of a task: what signal handlers leave in it."""

from __future__ import annotations

import subprocess
import sys

SIGNALS = """
import signal, time
from engine.runs.messages import Control, Stop

control, sent, taken = Control(), 0, 0

def handler(*_):
    global sent
    sent += 1
    control.send(Stop())

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 3e-4, 3e-4)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    control.wait(1e-4)
    taken += len(control.take())
signal.setitimer(signal.ITIMER_REAL, 0)
taken += len(control.take())
print(sent > 50, sent == taken)
"""


def test_a_signal_that_comes_while_messages_are_awaited_or_taken_is_not_lost_and_blocks_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True", "True"]
