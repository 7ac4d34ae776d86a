"""How many bytes the program sends on a pseudo-terminal: for a key, a change of focus, a second at rest and at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pseudoterminal import Terminal
from stage import recorded, started, step

from checkpoints.journal import Journal
from checkpoints.lock import Lock
from engine.runs.events import to_dict

FOCUS_OUT, FOCUS_IN, DOWN = b"\x1b[O", b"\x1b[I", b"\x1b[B"
HELP = b"\x1bOP"
SECONDS = 4.0  # of a live row, which is looked at every two


@contextmanager
def alive() -> Iterator[None]:
    """A run that this process owns and that gains steps five times a second."""
    run = recorded("alive", lambda name: [started(name, steps=100_000), *(step(n, 2.0) for n in range(1, 50))])
    ended = threading.Event()

    def train() -> None:
        journal, number = Journal(run.events), 50
        while not ended.wait(0.2):
            journal.append(to_dict(step(number, 2.0)))
            number += 1

    with Lock(run.path / "lock"):
        thread = threading.Thread(target=train)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def sent(terminal: Terminal, *keys: bytes) -> int:
    """Bytes that a burst of keys brings, until nothing has come for a while."""
    before = len(terminal.raw)
    terminal.press(*keys)
    terminal.settle(0.4)
    return len(terminal.raw) - before


def test_keys_and_focus_cost_what_they_change_and_rest_costs_nothing() -> None:
    recorded("one")
    recorded("other")
    with Terminal() as terminal:
        terminal.shows("Start training", "parameters")
        terminal.settle()
        assert sent(terminal, FOCUS_OUT, FOCUS_IN) == 0
        assert terminal.count(1.0) == 0
        assert sent(terminal, b"\t") < 4_000
        assert sent(terminal, b"x") < 4_000
        sent(terminal, b"\x1b")
        sent(terminal, b"7")
        terminal.shows("newest first")
        assert sent(terminal, DOWN) < 2_000
        assert sent(terminal, FOCUS_OUT, FOCUS_IN) == 0
        assert sent(terminal, HELP) < 45_000  # the pane behind it is dimmed: every cell changes
        assert sent(terminal, b"q") < 15_000  # what the page covered and dimmed, once


def test_runs_with_a_live_row_sends_its_cells_only() -> None:
    with alive():
        recorded("other")
        with Terminal() as terminal:
            terminal.shows("running")
            terminal.press(b"7")
            terminal.shows("newest first", "other")
            terminal.count(2.5)
            assert terminal.count(SECONDS) / SECONDS < 1024
