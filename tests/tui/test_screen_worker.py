"""The thread between a task and the screen, and the channel that its events come through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from stage import started, step

from engine.runs.events import Continued, Event, Finished, Notice, Paused, Progress, SampleText, Step
from engine.runs.messages import Continue, Control, Pause, Stop
from engine.runs.worker import Busy, Channel, Job, State, Worker


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Poll until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_events_leave_the_channel_in_the_order_in_which_they_came() -> None:
    channel = Channel()
    told = [started(), step(1), Notice("a"), step(2), SampleText(2, "2", "x"), step(3), Notice("b"), Paused(3)]
    for event in told:
        channel.put(event)
    assert channel.drain() == told
    assert channel.drain() == []


def test_steps_are_dropped_oldest_first_while_the_rest_is_kept() -> None:
    channel = Channel(limit=10)
    for number in range(100):
        channel.put(step(number))
        if number % 10 == 0:
            channel.put(Notice(str(number)))
    drained = channel.drain()
    assert [event.step for event in drained if isinstance(event, Step)] == list(range(90, 100))
    assert [event.text for event in drained if isinstance(event, Notice)] == [str(n) for n in range(0, 100, 10)]


def test_pieces_of_a_sample_are_merged_and_none_is_lost() -> None:
    channel = Channel(limit=2)
    channel.put(SampleText(5, "5", "", "prompt"))
    for number in range(1000):
        channel.put(SampleText(5, "5", f"{number},"))
        channel.put(step(number))
    channel.put(SampleText(5, "5", "", done=True))
    channel.put(SampleText(6, "6", "next", "prompt"))
    pieces = [event for event in channel.drain() if isinstance(event, SampleText)]
    assert [(piece.sample, piece.prompt, piece.done) for piece in pieces] == [
        ("5", "prompt", True),
        ("6", "prompt", False),
    ]
    assert pieces[0].text == "".join(f"{number}," for number in range(1000))


def test_of_progress_only_the_last_of_its_kind_is_kept() -> None:
    channel = Channel()
    for done in range(50):
        channel.put(Progress("reading", done, 50))
    channel.put(Progress("measuring", 0, 0))
    assert channel.drain() == [Progress("reading", 49, 50), Progress("measuring", 0, 0)]


def test_putting_and_draining_at_once_loses_and_repeats_nothing() -> None:
    channel, drained, count = Channel(limit=1 << 20), [], 20_000

    def put() -> None:
        for number in range(count):
            channel.put(step(number) if number % 2 else Notice(str(number)))

    thread = threading.Thread(target=put)
    thread.start()
    while thread.is_alive():
        drained += channel.drain()
    thread.join()
    drained += channel.drain()
    numbers = [event.step if isinstance(event, Step) else int(event.text) for event in drained]  # type: ignore[attr-defined]
    assert numbers == list(range(count))


def obedient(control: Control) -> Iterator[Event]:
    """A task that steps until it is stopped, and can be paused."""
    yield Progress("loading", 0, 0)
    yield started()
    number, paused = 0, False
    while True:
        for message in control.take():
            match message:
                case Pause():
                    paused = True
                    yield Paused(number)
                case Continue():
                    paused = False
                    yield Continued(number)
                case Stop():
                    yield Finished("stopped", number, None, "")
                    return
        if not paused:
            number += 1
            yield step(number)
        control.wait(0.002)


def test_a_job_goes_through_its_states_and_tells_them() -> None:
    job = Worker("test").start(obedient)
    eventually(lambda: job.state is State.RUNNING)
    job.control.send(Pause())
    eventually(lambda: job.state is State.PAUSED)
    job.control.send(Continue())
    eventually(lambda: job.state is State.RUNNING)
    assert job.active
    job.stop()
    assert job.wait(20)
    assert job.state is State.DONE
    assert not job.active
    assert isinstance(job.channel.drain()[-1], Finished)


def test_progress_and_notices_leave_a_job_starting_until_it_tells_more() -> None:
    job = Job(obedient)
    for event in (Progress("loading", 0, 0), Notice("hm")):
        job.note(event)
        assert job.state is State.STARTING
    job.note(started())
    assert job.state is State.RUNNING


def test_a_worker_that_is_busy_refuses_a_second_task_and_takes_it_afterwards() -> None:
    worker = Worker("test")
    job = worker.start(obedient)
    with pytest.raises(Busy, match="busy"):
        worker.start(obedient)
    job.stop()
    assert job.wait(20)
    again = worker.start(lambda control: iter([Finished("steps", 0, None, "")]))
    assert again.wait(20)
    assert again.state is State.DONE


def test_only_the_thread_leaves_stopping() -> None:
    release = threading.Event()

    def slow(control: Control) -> Iterator[Event]:
        yield started()
        release.wait(20)
        yield Paused(1)
        yield Continued(1)
        yield step(1)
        yield Finished("stopped", 1, None, "")

    worker = Worker("test")
    job = worker.start(slow)
    eventually(lambda: job.state is State.RUNNING)
    job.stop()
    assert job.state is State.STOPPING
    with pytest.raises(Busy):
        worker.start(obedient)
    seen = set()
    release.set()
    while job.active:
        seen.add(job.state)
    assert seen <= {State.STOPPING, State.DONE}
    assert job.wait(20)
    assert job.state is State.DONE
    job.stop()
    assert job.state is State.DONE


@pytest.mark.parametrize("error", [ValueError("it broke"), KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_a_task_that_raises_has_failed_with_a_notice_and_the_thread_lives_on(error: BaseException) -> None:
    def broken(control: Control) -> Iterator[Event]:
        yield started()
        raise error

    worker = Worker("test")
    job = worker.start(broken)
    assert job.wait(20)
    assert job.state is State.FAILED
    assert job.error is error
    *_, notice, finished = job.channel.drain()
    assert isinstance(notice, Notice)
    assert (notice.level, notice.text) == ("error", str(error) or type(error).__name__)
    assert isinstance(finished, Finished)
    assert finished.reason == "failed"
    after = worker.start(lambda control: iter([started(), Finished("steps", 0, None, "")]))
    assert after.wait(20)
    assert after.state is State.DONE


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("steps", State.DONE),
        ("stopped", State.DONE),
        ("early_stop", State.DONE),
        ("failed", State.FAILED),
        ("diverged", State.FAILED),
        ("died", State.FAILED),
    ],
)
def test_a_job_ends_as_its_task_says_it_ended(reason: str, state: State) -> None:
    job = Worker("test").start(lambda control: iter([started(), Finished(reason, 1, None, "")]))
    assert job.wait(20)
    assert job.state is state
