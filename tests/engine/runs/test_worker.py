"""The thread that drives tasks, and the channel through which their events arrive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from workbench import only, samples, spec

from engine.runs.events import Continued, Event, Finished, Notice, Paused, Progress, SampleText, Step
from engine.runs.messages import Continue, Control, Pause, Stop
from engine.runs.worker import Busy, Channel, Job, State, Worker

WAIT_SECONDS = 30.0  # seconds; far more than anything here takes


def step(number: int) -> Step:
    return Step(number, 1.0, 1e-3, 1.0, 1.0, 0.1, 1.0)


def until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def test_a_full_channel_drops_the_oldest_steps_and_nothing_else() -> None:
    channel = Channel(limit=10)
    notices = [Notice(f"n{number}") for number in range(50)]
    for number in range(50):
        channel.put(step(number))
        channel.put(notices[number])
    drained = channel.drain()
    assert only(Notice, drained) == notices
    assert [event.step for event in only(Step, drained)] == list(range(40, 50))
    assert drained[-2:] == [step(49), notices[49]]
    assert channel.drain() == []


def test_who_reads_a_long_journal_waits_for_a_slow_screen_and_loses_nothing() -> None:
    job = Worker("follower").start(lambda control: map(step, range(20_000)))
    seen: list[Event] = []
    while job.active:
        seen += job.channel.drain()
        time.sleep(0.01)
    seen += job.channel.drain()
    assert [event.step for event in only(Step, seen)] == list(range(20_000))


def test_text_is_merged_and_never_lost() -> None:
    channel = Channel(limit=2)
    pieces = [
        SampleText(1, "1", "", "prompt"),
        *(SampleText(1, "1", c) for c in "abc"),
        SampleText(1, "1", "", done=True),
    ]
    other = [SampleText(2, "2", "", "p"), SampleText(2, "2", "x"), SampleText(2, "2", "", done=True)]
    for event in [*pieces, *other]:
        channel.put(event)
        channel.put(step(1))
    drained = channel.drain()
    assert samples(drained) == {"1": ("prompt", "abc"), "2": ("p", "x")}
    assert len(only(SampleText, drained)) == 2


def test_of_progress_the_last_of_its_kind_is_kept() -> None:
    channel = Channel()
    for event in (Progress("a", 1, 9), Progress("a", 2, 9), Progress("b", 1, 9), Progress("b", 9, 9)):
        channel.put(event)
    assert channel.drain() == [Progress("a", 2, 9), Progress("b", 9, 9)]


def test_draining_beside_a_busy_writer_loses_no_order() -> None:
    channel = Channel(limit=100_000)

    def write() -> None:
        for number in range(5000):
            channel.put(step(number))

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[Event] = []
    while writer.is_alive():
        seen += channel.drain()
    writer.join()
    seen += channel.drain()
    assert [event.step for event in only(Step, seen)] == list(range(5000))


def obedient(control: Control) -> Iterator[Event]:
    """Steps until told to stop; pauses when told to."""
    number, paused = 0, False
    while True:
        for message in control.take():
            if isinstance(message, Stop):
                yield Finished("stopped", number, None, "")
                return
            if isinstance(message, Pause):
                paused = True
                yield Paused(number)
            if isinstance(message, Continue):
                paused = False
                yield Continued(number)
        if paused:
            control.wait(0.01)
            continue
        number += 1
        yield step(number)
        time.sleep(0.001)


def test_a_job_goes_through_its_states() -> None:
    worker = Worker("trainer")
    job = worker.start(obedient)
    until(lambda: job.state is State.RUNNING)
    job.control.send(Pause())
    until(lambda: job.state is State.PAUSED)
    job.control.send(Continue())
    until(lambda: job.state is State.RUNNING)
    job.stop()
    assert job.state in (State.STOPPING, State.DONE)
    assert job.wait(WAIT_SECONDS)
    assert (job.state, job.active, job.error) == (State.DONE, False, None)
    assert isinstance(job.channel.drain()[-1], Finished)
    job.stop()
    assert job.state is State.DONE


def test_two_tasks_never_share_a_worker() -> None:
    worker = Worker("trainer")
    first = worker.start(obedient)
    with pytest.raises(Busy, match="the trainer is busy"):
        worker.start(obedient)
    first.stop()
    assert first.wait(WAIT_SECONDS)
    second = worker.start(obedient)
    second.stop()
    assert second.wait(WAIT_SECONDS)


def test_a_job_that_is_stopping_stays_so_until_its_thread_has_left_the_task() -> None:
    entered, leave = threading.Event(), threading.Event()

    def stubborn(control: Control) -> Iterator[Event]:
        yield step(1)
        entered.set()
        assert leave.wait(WAIT_SECONDS)
        yield Continued(1)
        yield Finished("stopped", 1, None, "")

    worker = Worker("trainer")
    job = worker.start(stubborn)
    assert entered.wait(WAIT_SECONDS)
    job.stop()
    assert job.state is State.STOPPING
    assert not job.wait(0.05)
    with pytest.raises(Busy, match="stopping"):
        worker.start(obedient)
    leave.set()
    assert job.wait(WAIT_SECONDS)
    assert job.state is State.DONE


@pytest.mark.parametrize("error", [ValueError("bad luck"), KeyboardInterrupt(), SystemExit(3)])
def test_a_task_that_raises_is_told_and_the_thread_lives_on(error: BaseException) -> None:
    def broken(control: Control) -> Iterator[Event]:
        yield step(1)
        raise error

    worker = Worker("trainer")
    job = worker.start(broken)
    assert job.wait(WAIT_SECONDS)
    assert (job.state, job.error) == (State.FAILED, error)
    *_, notice, last = job.channel.drain()
    assert isinstance(notice, Notice)
    assert notice.text == (str(error) or "KeyboardInterrupt")
    assert isinstance(last, Finished)
    assert last.reason == "failed"
    again = worker.start(obedient)
    again.stop()
    assert again.wait(WAIT_SECONDS)
    assert again.state is State.DONE


@pytest.mark.usefixtures("known_peak")
def test_training_on_a_worker_is_training(verse: Path) -> None:
    from workbench import measured, train

    from engine.gpt.train import train as task

    job: Job = Worker("trainer").start(lambda control: task(spec(verse), control))
    assert job.wait(WAIT_SECONDS)
    assert job.error is None
    found = job.channel.drain()
    expected = train(spec(verse))
    assert measured(found) == measured(expected)
    assert samples(found) == samples(expected)
