"""What becomes of a run when the terminal, the link or the screen itself goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pseudoterminal import F5, F6, F7, PROJECT, Terminal, no_trainer_left
from workbench import VERSE

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run

MODEL: dict[str, int] = {"layers": 2, "width": 32, "context": 16, "patience": 0}
"""of a run that goes on until its last step"""


def only_run() -> Run:
    """The one run of this test."""
    (run,) = runs.every(places.runs())
    return run


def events(run: Run) -> list[dict[str, Any]]:
    """Whole lines of the run's journal."""
    text = run.events.read_text("utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def of_kind(run: Run, kind: str) -> list[dict[str, Any]]:
    """The events of one kind in the run's journal."""
    return [event for event in events(run) if event["event"] == kind]


def losses(run: Run) -> list[tuple[int, str]]:
    """Step and exact loss of every step."""
    return [(event["step"], float(event["loss"]).hex()) for event in of_kind(run, "step")]


def eventually(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Poll until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def begin_run(terminal: Terminal, corpus: Path, steps: int, *, frozen: bool = False) -> Run:
    """Fill the form, start, and wait until steps stand on the screen.

    ``frozen`` stops the trainer's process in the middle of its work, so that it cannot end before SIGCONT comes.
    """
    terminal.shows("Start training")
    terminal.fill(corpus=corpus, steps=steps, **MODEL)
    terminal.press(F5)
    terminal.until(lambda: runs.every(places.runs()), "a run is made")
    run = only_run()
    terminal.until(lambda: of_kind(run, "step"), "the trainer steps")
    if frozen:
        owner = run.owner()
        assert owner is not None
        os.kill(owner.pid, signal.SIGSTOP)
    terminal.shows("● running", " left")
    return run


def test_a_hang_up_ends_the_screen_and_not_the_run_whose_losses_stay_the_same_to_the_bit(
    home: Path, verse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 700
    with no_trainer_left(home):
        with Terminal() as terminal:
            run = begin_run(terminal, verse, steps, frozen=True)
            owner = run.owner()
            assert owner is not None
            assert owner.pid != terminal.process.pid
            terminal.hang_up()
            assert terminal.process.wait(15) != 0
            assert not of_kind(run, "finished"), "the run ended before the hang-up; it must be longer"
            assert run.owner() == owner
            os.kill(owner.pid, signal.SIGCONT)
        eventually(lambda: of_kind(run, "finished"), "the run finishes")
        assert [event["reason"] for event in of_kind(run, "finished")] == ["steps"]
        assert len(of_kind(run, "started")) == 1
        disturbed = losses(run)
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path / "undisturbed"))
    given = [f"--{name.replace('_', '-')}={value}" for name, value in MODEL.items()]
    command = [
        sys.executable,
        "-m",
        "llmlab_tui",
        "train",
        f"--corpus={verse}",
        f"--steps={steps}",
        "--threads=1",
        "--quiet",
        *given,
    ]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=120)
    undisturbed = losses(only_run())
    assert [step for step, _ in disturbed] == list(range(1, steps + 1))
    assert disturbed == undisturbed


def test_a_killed_screen_leaves_a_run_that_the_next_screen_shows_pauses_and_stops(home: Path, verse: Path) -> None:
    with no_trainer_left(home):
        with Terminal() as first:
            run = begin_run(first, verse, 10_000_000)
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(10)
        seen = len(of_kind(run, "step"))
        eventually(lambda: len(of_kind(run, "step")) > seen + 20, "the trainer goes on")

        with Terminal() as second:
            second.shows("● running", run.name.split("-", 2)[2], " left")
            second.count(1.5)  # whole pictures, until all that it has told is drawn
            assert 0 < second.count(2.0) < 2 * 60_000, "a followed run sends differences, not whole pictures"

            second.press(F6)
            second.shows("paused")
            eventually(lambda: of_kind(run, "paused"), "the trainer pauses")
            still = len(of_kind(run, "step"))
            second.count(0.5)
            assert len(of_kind(run, "step")) == still
            second.press(F6)
            eventually(lambda: len(of_kind(run, "step")) > still, "the trainer goes on after the pause")

            second.press(F7)
            second.shows("stopped")
            assert of_kind(run, "finished")[-1]["reason"] == "stopped"
            last = of_kind(run, "step")[-1]["step"]
            assert (run.checkpoints / f"step-{last:06d}").is_dir()
            eventually(lambda: run.owner() is None, "the trainer lets go of the run")
            second.press(b"q")
            assert second.ended() == 0
        assert len(runs.every(places.runs())) == 1


def test_a_terminal_that_goes_away_without_a_signal_ends_the_screen_too() -> None:
    with Terminal(controlling=False) as terminal:
        terminal.shows("Start training")
        terminal.hang_up()
        assert terminal.process.wait(25) is not None


def test_what_a_run_says_never_reaches_the_terminal_as_commands(home: Path, tmp_path: Path) -> None:
    """File name, run name, prompt and samples full of markup and of sequences that would set the window's title."""
    from engine.gpt import runs as gpt_runs
    from engine.gpt.spec import build
    from engine.runs import owner as run_owner

    payload = "\x1b]0;PAYLOAD\x07"
    corpus = tmp_path / f"[red]{payload}[bold.txt"
    corpus.write_text((VERSE + payload + "[/nonsense] \x9b31m \x1b[2J\x1b[?1049l \x08\n") * 3, encoding="utf-8")
    given = {**MODEL, "corpus": str(corpus), "steps": 60, "sample_every": 20, "sample_prompt": payload + "[/no]"}
    spec = build(
        {**given, "evaluate_every": 20, "temperature": 3.0, "sample_length": 60, "threads": 1}, preset_for_auto="nano"
    )
    with no_trainer_left(home):
        run = gpt_runs.create(spec)
        with run_owner.spawn(run) as trainer:
            eventually(lambda: run.owner() is not None, "the trainer owns the run")
            trainer.send_signal(signal.SIGSTOP)  # so that it is at work when the screen looks
            with Terminal() as terminal:
                terminal.shows("loss, nats")
                trainer.send_signal(signal.SIGCONT)
                terminal.shows("finished", "␛]0;PAYLOAD␇", seconds=40)
                assert trainer.wait(30) == 0
                terminal.press(b"7")
                terminal.shows("trained on [red]␛", "60 / 60")
                terminal.press(b"1")
                terminal.shows("sample at step 60")
                assert b"\x1b]0;PAYLOAD" not in terminal.raw
                assert b"\x9b31m" not in terminal.raw
                assert b"\x1b[?1049l" not in terminal.raw
                assert terminal.process.poll() is None
    assert of_kind(run, "sample_text")
