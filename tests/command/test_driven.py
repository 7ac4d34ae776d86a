"""What a command makes of a run that ends in one way or another: exit code, words, and what is left of the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checkpoints.lock import Locked
from checkpoints.run import Run
from engine.choose.spec import ChooseSpec
from engine.classify.spec import ClassifySpec
from engine.encoders.encode import EncodeFailed
from engine.encoders.find import NoEncoder
from engine.gpt.spec import TrainSpec
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.spec import RetrieveSpec
from engine.runs import owner
from engine.runs.events import Classified, Event, Progress
from engine.runs.messages import Control, Stop
from tui import output
from tui.command import comparison as comparison_command
from tui.command import driven
from tui.command.driven import BAD_INPUT, DONE, FAILED
from tui.command.interrupt import INTERRUPTED, obey_signals

END = Classified("done", 0, None, "a run", 0.1, {"bm25": {}}, "")


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Those that came; none are caught here."""
    came: list[int] = []
    monkeypatch.setattr(driven, "obey_signals", lambda control: came)
    return came


@pytest.fixture
def run() -> Run:
    return retrieve_runs.create(RetrieveSpec())


def drive(run: Run, work: Callable[[Run, Control], Iterator[Event]], **changes: Any) -> int:
    options = {"as_json": False, "quiet": False, **changes}
    return driven.drive(run, work, lambda last: output.say(f"table of {len(last.results)}"), **options)


def ends(*events: Event, error: Exception | None = None) -> Callable[[Run, Control], Iterator[Event]]:
    def work(run: Run, control: Control) -> Iterator[Event]:
        yield from events
        if error is not None:
            raise error

    return work


def test_at_the_end_come_the_table_and_the_name(
    run: Run, signals: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert drive(run, ends(END)) == DONE
    assert capfd.readouterr().out == f"table of 1\n{run.name}\n"
    assert drive(run, ends(END), quiet=True) == DONE
    assert capfd.readouterr() == ("", "")
    assert drive(run, ends(END), as_json=True) == DONE
    assert capfd.readouterr().out.startswith("{")
    signals.append(2)
    assert drive(run, ends(END)) == INTERRUPTED


@pytest.mark.parametrize("results", [{}, {"majority": {}, "chance": {}, "longest": {}}])
def test_bad_input_of_a_fresh_run_leaves_nothing(
    run: Run, signals: list[int], capfd: pytest.CaptureFixture[str], results: dict[str, Any]
) -> None:
    run.write_json("results.json", results)
    bad = ends(error=NoEncoder("no such\nencoder \x1b[31m"))
    assert drive(run, bad) == BAD_INPUT
    assert run.path.exists()
    assert drive(run, bad, fresh=True) == BAD_INPUT
    assert not run.path.exists()
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "llmlab-tui: no such"
    assert all("\x1b" not in line for line in lines)


def test_a_fresh_run_that_another_process_owns_stays(
    run: Run, signals: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert drive(run, ends(error=Locked(None)), fresh=True) == BAD_INPUT
    assert run.path.exists()
    assert "in use by another process" in capfd.readouterr().err


def test_what_has_come_to_results_stays(run: Run, signals: list[int]) -> None:
    run.write_json("results.json", {"majority": {}, "tfidf": {}})
    assert drive(run, ends(error=NoEncoder("gone")), fresh=True) == BAD_INPUT
    assert drive(run, ends(error=EncodeFailed("full")), fresh=True) == FAILED
    assert drive(run, ends(error=OSError("full")), fresh=True) == FAILED
    assert run.path.exists()
    with pytest.raises(ZeroDivisionError):  # no fault of the user's
        drive(run, ends(error=ZeroDivisionError()), fresh=True)


def test_it_stops_when_nobody_reads_any_more(run: Run, signals: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Event] = []

    def broken(self: Any, event: Event) -> None:
        told.append(event)
        raise BrokenPipeError(32, "Broken pipe")

    def work(run: Run, control: Control) -> Iterator[Event]:
        yield Progress("reading", 0, 0)
        assert control.take() == [Stop()]
        yield END

    turned: list[int] = []
    monkeypatch.setattr(driven.os, "dup2", lambda source, target: turned.append(target))
    monkeypatch.setattr(driven.Narrator, "tell", broken)
    assert drive(run, work) == DONE
    assert len(told) == len(turned) == 1


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put back how signals are handled."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_under_torchrun_every_signal_asks_for_a_stop(handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches the process twice, from the terminal and from torchrun: the second one does not end it unsaved."""
    monkeypatch.setenv("RANK", "0")
    control = Control()
    came = obey_signals(control)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)
    assert came == [2, 2, 1, 15]
    assert set(control.take()) == {Stop()}


def test_a_comparison_on_several_gpus_is_started_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **_: Any) -> None:
            self.pid, self.returncode = os.getpid(), 0
            commands.append(command)

        def poll(self) -> int:
            return 1

    monkeypatch.setattr(owner, "NICENESS", 0)
    monkeypatch.setattr(owner.subprocess, "Popen", Process)
    made = retrieve_runs.create(RetrieveSpec(gpus="3"))
    assert comparison_command.resume(made, "retrieve", as_json=False, quiet=True) == FAILED
    (command,) = commands
    assert command[command.index("--nproc-per-node") + 1] == "3"
    assert command[-4:] == ["-m", "llmlab_tui", "own", str(made.path)]


@pytest.mark.parametrize(("gpus", "device"), [("0", "auto"), ("two", "auto"), ("65", "auto"), ("2", "cuda:1")])
def test_a_number_of_gpus_that_cannot_be_is_refused(gpus: str, device: str) -> None:
    for kind in (ClassifySpec, ChooseSpec, RetrieveSpec, TrainSpec):
        assert len(kind(gpus=gpus, device=device).validate()) == 1
        assert kind(gpus="all").validate() == kind(gpus="2").validate() == []
