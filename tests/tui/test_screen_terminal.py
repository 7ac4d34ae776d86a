"""The real program on a real pseudo-terminal: opening, refusing, resting, leaving."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pseudoterminal import F12, PROJECT, Terminal


@pytest.mark.parametrize(
    ("term", "size", "word"),
    [("dumb", (120, 40), "TERM is dumb"), (None, (120, 40), "TERM is not set"), ("xterm", (40, 10), "40×10")],
)
def test_a_terminal_that_cannot_show_the_screen_is_told_so_in_one_plain_line(
    term: str | None, size: tuple[int, int], word: str
) -> None:
    with Terminal(term=term, size=size) as terminal:
        assert terminal.ended() == 2
        said = terminal.raw.decode()
        assert said.count("\n") == 1
        assert word in said
        assert said.startswith("llmlab-tui: ")
        assert "\x1b" not in said


def test_without_a_terminal_the_commands_are_named_and_nothing_is_drawn() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmlab_tui"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=PROJECT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert b"llmlab-tui --help" in done.stderr
    assert b"\x1b" not in done.stderr


def restored(terminal: Terminal) -> bool:
    """Whether the terminal was left as it was found: its own page, a cursor, no reports of the mouse or pastes."""
    raw = bytes(terminal.raw)
    modes = ((b"?1049h", b"?1049l"), (b"?25l", b"?25h"), (b"?1000h", b"?1000l"), (b"?2004h", b"?2004l"))
    return all(on in raw and raw.rfind(off) > raw.rfind(on) for on, off in modes)


def test_an_idle_screen_sends_nothing_and_gives_the_terminal_back_when_it_leaves() -> None:
    with Terminal() as terminal:
        terminal.shows("Start training", "corpus dante")
        terminal.settle(1.0)
        assert terminal.count(3.0) == 0
        terminal.press(F12)
        terminal.shows("versions", "encoding")
        terminal.press(b"q")
        terminal.shows("Start training")
        assert not restored(terminal)
        terminal.press(b"q")
        assert terminal.ended() == 0
        assert restored(terminal)


def test_keys_that_arrive_in_one_burst_take_effect_in_the_order_in_which_they_were_typed() -> None:
    with Terminal() as terminal:
        terminal.shows("Start training")
        terminal.press(b"2")
        terminal.shows("characters")
        terminal.settle(0.5)
        terminal.press(b"\x1b")  # out of the text
        terminal.settle(0.5)
        terminal.press(b"e\x1b[1;5F" + b"ab\x7f\x7fc" * 40)  # into the text, to its end, and 200 keys
        terminal.shows("c" * 40)
        assert "b" * 2 not in terminal.text
        terminal.press(b"\x1b3")  # Escape and a digit in one packet: out of the text, and to that pane
        terminal.shows("next token")
        terminal.press(b"e\x1b7")
        terminal.shows("No runs yet")


def test_a_terminal_that_loses_the_focus_and_gets_it_back_is_sent_nothing() -> None:
    with Terminal() as terminal:
        terminal.shows("Start training", "corpus dante")
        for pane in (b"1", b"2", b"7"):
            terminal.press(pane)
            terminal.settle(1.0)
            terminal.press(b"\x1b[O")
            assert terminal.count(0.5) == 0
            terminal.press(b"\x1b[I")
            assert terminal.count(0.5) == 0


def test_a_request_to_end_gives_the_terminal_back_too() -> None:
    with Terminal(size=(80, 24)) as terminal:
        terminal.shows("Start training")
        terminal.settle(0.3)
        os.kill(terminal.process.pid, signal.SIGTERM)
        terminal.ended()
        assert restored(terminal)


def test_stopped_and_continued_it_draws_everything_again_and_leaves_the_terminal_as_it_was() -> None:
    with Terminal(size=(80, 24)) as terminal:
        terminal.shows("Start training", "Quit")
        terminal.suspend()
        terminal.count(0.1)
        assert restored(terminal)
        assert terminal.cooked
        terminal.clear()
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.shows("Start training", "Quit")
        assert not terminal.cooked

        os.kill(terminal.process.pid, signal.SIGSTOP)  # without a word to the program
        terminal.clear()
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.shows("Start training", "Quit")

        terminal.settle(0.3)
        terminal.clear()
        terminal.press(b"\x0c")
        terminal.shows("Start training", "Quit")

        terminal.press(b"\xff\xe9", b"q")  # not UTF-8, as a Latin-1 terminal sends it
        assert terminal.ended() == 0
        assert restored(terminal)
        assert terminal.cooked


_COMPUTING = """
import sys, threading, time
import llmlab_tui.__main__, tui.start
def open_screen():
    import torch
    table = torch.randn(400, 400)
    def compute():
        while True:
            torch.mm(table, table)
    for _ in range(8):
        threading.Thread(target=compute, daemon=True).start()
    time.sleep(0.2)
    if {fails}:
        raise RuntimeError("the screen failed")
    return 3
tui.start.open_screen = open_screen
sys.argv = ["llmlab-tui"]
llmlab_tui.__main__.main()
"""


# An app that is busy while many keys are read: each of them wakes up the loop, as the thread that reads does.
BUSY = """
import asyncio, os, signal
from textual.app import App
from tui.driver import TerminalDriver
class Busy(App):
    def on_ready(self):
        for _ in range(5000):
            asyncio.get_running_loop().call_soon_threadsafe(int)
        os.kill(os.getpid(), signal.{name})
Busy(driver_class=TerminalDriver).run()
"""


def test_a_request_to_stop_or_to_end_is_kept_while_hundreds_of_keys_wait() -> None:
    with Terminal(program=[sys.executable, "-c", BUSY.format(name="SIGTSTP")]) as terminal:
        stat = Path(f"/proc/{terminal.process.pid}/stat")
        terminal.until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the program stops", 20)
        assert terminal.cooked
    with Terminal(program=[sys.executable, "-c", BUSY.format(name="SIGTERM")]) as terminal:
        assert terminal.ended() == 0


@pytest.mark.parametrize("fails", [False, True])
def test_leaving_while_a_model_computes_does_not_abort_the_process(fails: bool) -> None:
    program = [sys.executable, "-c", _COMPUTING.format(fails=fails)]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == (1 if fails else 3)
    assert done.stderr.rstrip().endswith("RuntimeError: the screen failed" if fails else "")
    assert bool(done.stderr) == fails


def test_a_benchmark_ends_with_one_line_of_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmlab_tui", "bench", "save", "--json"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=100,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["bench"] == "save"
    nano, karpathy = [row["figures"] for row in figures["rows"]]
    assert 0 < nano["MiB"] < karpathy["MiB"]
    assert nano["pause ms"] >= 0
