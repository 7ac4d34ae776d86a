"""Runs, their owners, and processes of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from workbench import NANO, launch, measured, new_run, notices, only, process, samples, spec, stop_at, train, weights

from checkpoints import home, store
from checkpoints import journal as journals
from checkpoints import run as runs
from checkpoints.lock import Locked
from checkpoints.store import CheckpointError
from engine.gpt import runs as gpt_runs
from engine.gpt.train import TrainingFailed
from engine.runs import events as happened
from engine.runs import messages as ask
from engine.runs import owner as run_owner
from engine.runs.events import Evaluated, Event, Finished, Notice, Paused, Progress, SampleText, Saved, Started, Step
from engine.runs.listing import summarise
from engine.runs.messages import Control

pytestmark = pytest.mark.usefixtures("known_peak")


def drive(run: Any, on: Any = None, **options: Any) -> list[Event]:
    """Every event of driving ``run`` in this process."""
    control = run_owner.inbox(run)
    events = []
    for event in gpt_runs.drive(run, control, **{"resume": False, **options}):
        events.append(event)
        if on is not None:
            on(event, control)
    return events


def followed(run: Any) -> list[Event]:
    """What a follower of a run that nobody owns reads."""
    return list(run_owner.follow(run, Control()))


def test_a_run_is_created_with_what_was_asked_and_where(verse: Path) -> None:
    run = new_run(spec(verse))
    assert run.path.parent == home.runs()
    assert run.name.endswith("-verse-nano")
    assert run.read_json("spec.json")["width"] == 16
    assert {"python", "torch", "cpu", "llmlab-tui"} <= run.read_json("env.json").keys()
    assert new_run(spec(verse, name="My run!")).name.endswith("-my-run")


def test_what_is_recorded_is_what_happened(verse: Path) -> None:
    run = new_run(spec(verse))
    events = drive(run)
    assert followed(run) == events
    assert isinstance(events[-1], Finished)
    assert run.owner() is None
    assert summarise(run).state == "finished"


def test_a_follower_of_a_resumed_run_reads_both_stretches(verse: Path) -> None:
    run = new_run(spec(verse))
    first = drive(run, stop_at(20))
    rest = drive(run, resume=True)
    found = followed(run)
    assert found == [*first[:-1], *rest]  # it is not finished any more, so the first end is not told
    assert measured(found) == measured(train(spec(verse)))
    assert len(only(Started, found)) == 2


def test_numbers_that_json_has_no_number_for_come_back() -> None:
    step = happened.to_dict(Step(1, float("nan"), 1e-3, float("inf"), float("-inf"), 0.5, 2.0))
    back = happened.from_dict(json.loads(json.dumps(step, allow_nan=False)))
    assert isinstance(back, Step)
    assert math.isnan(back.loss)
    assert (back.gradient_norm, back.tokens_per_second) == (math.inf, -math.inf)
    evaluated = Evaluated(1, 2.0, 3.0, None, 2.0, 1, 0.1)
    assert happened.from_dict(happened.to_dict(evaluated)) == evaluated


def test_records_of_other_versions_are_passed_over_or_trimmed() -> None:
    assert happened.from_dict({"event": "teleported", "step": 1}) is None
    assert happened.from_dict({"step": 1}) is None
    assert happened.from_dict({"event": "step", "step": 1}) is None
    assert happened.from_dict({"event": "paused", "step": 1, "mood": "calm"}) == Paused(1)


@pytest.mark.parametrize("kind", [kind for kind in ask.Message.__subclasses__() if kind.__module__ == ask.__name__])
def test_messages_survive_the_inbox(kind: type[ask.Message]) -> None:
    given = {"learning_rate": 0.5} if kind is ask.SetLearningRate else {}
    message = kind(**given)
    assert ask.from_record(ask.to_record(message)) == message


@pytest.mark.parametrize("record", [{}, {"message": "Explode"}, {"message": "Stop", "how": 1}, {"message": ["Stop"]}])
def test_what_is_no_message_is_ignored(record: dict[str, Any]) -> None:
    assert ask.from_record(record) is None


def test_a_failure_is_recorded_and_then_raised(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Iterator[Event]:
        yield Notice("so far so good", step=3)
        raise TrainingFailed("out of luck")

    monkeypatch.setattr("engine.gpt.train.train", broken)
    run = new_run(spec(verse))
    seen: list[Event] = []
    with pytest.raises(TrainingFailed, match="out of luck"):
        seen.extend(gpt_runs.drive(run, Control(), resume=False))
    assert seen == [Notice("so far so good", step=3)]
    assert followed(run) == [
        *seen,
        Notice("out of luck", "error", "failure", 3),
        Finished("failed", 3, None, run.name),
    ]
    assert run.owner() is None
    assert summarise(run).state == "failed"


def many() -> list[Event]:
    """Events of which a channel to the screen would drop or merge some."""
    each = [Progress("reading", 1, 9), Progress("reading", 2, 9), SampleText(1, "1", "a"), SampleText(1, "1", "b")]
    steps = [Step(number, 1.0, 0.1, 1.0, 1.0, 0.5, 1.0) for number in range(5000)]
    return [*each, *steps, *each]


@pytest.mark.parametrize("ends", ["whole", "closed", "failed"])
def test_the_work_runs_in_one_other_thread_which_ends_with_it(ends: str) -> None:
    given, threads = many(), []

    def begin(_: Any) -> Iterator[Event]:
        try:
            for event in given:
                threads.append(threading.current_thread())
                yield event
            if ends == "failed":
                raise TrainingFailed("out of luck")
        finally:
            threads.append(threading.current_thread())

    run = runs.create(home.runs(), "threads", {}, {})
    work = run_owner.own(run, Control(), begin)
    seen: list[Event] = []
    with pytest.raises(TrainingFailed, match="out of luck") if ends == "failed" else contextlib.nullcontext():
        for event in work:
            seen.append(event)
            if ends == "closed" and len(seen) == 10:
                work.close()  # type: ignore[attr-defined]
    assert seen == given[: len(seen)]
    assert len(seen) == (10 if ends == "closed" else len(given))
    recorded = [happened.from_dict(json.loads(line)) for line in run.events.read_bytes().splitlines()]
    assert recorded[: len(seen)] == seen
    assert len(recorded) == len(seen) + 2 * (ends == "failed")
    (thread,) = set(threads)
    assert thread is not threading.current_thread()
    thread.join(30)
    assert not thread.is_alive()
    assert run.owner() is None


@pytest.mark.parametrize("sent", ["inbox", "second signal"])
def test_a_stop_reaches_a_run_whose_work_blocks(sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_owner, "GRACE", 0.0)
    unblock, left = threading.Event(), threading.Event()
    opened: list[journals.Journal] = []
    step = Step(3, 1.0, 0.1, 1.0, 1.0, 0.5, 1.0)

    def begin(journal: journals.Journal) -> Iterator[Event]:
        opened.append(journal)
        try:
            yield step
            unblock.wait(30)
            yield dataclasses.replace(step, step=4)
        finally:
            left.set()

    run = runs.create(home.runs(), "blocks", {}, {})
    control = run_owner.inbox(run)
    seen: list[Event] = []
    work = run_owner.own(run, control, begin)
    for event in work:
        seen.append(event)
        if event == step and sent == "inbox":
            run.post(ask.to_record(ask.Stop()))
        elif event == step:
            control.abandon()
            break  # the process exits
    ends = [Notice(run_owner.LEFT, "warning", "stop", 3), Finished("stopped", 3, None, run.name)]
    assert not left.is_set()
    assert seen == ([step, *ends] if sent == "inbox" else [step])
    recorded = run.events.read_bytes()
    with pytest.raises(OSError, match="the journal is closed"):  # no checkpoint is committed from here on
        opened[0].sync()
    unblock.set()
    work.close()  # type: ignore[attr-defined]
    assert left.wait(30)
    assert run.events.read_bytes() == recorded
    assert [happened.from_dict(json.loads(line)) for line in recorded.splitlines()] == [step, *ends]
    assert run.owner() is None


STUCK = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from engine.gpt.trainer import Trainer
from engine.runs import owner
from llmlab_tui.__main__ import main

def stuck(self):
    if self.position.step < 30:
        return step(self)
    Path(marker).touch()
    if where == "work":
        time.sleep(3600)
    ThreadPoolExecutor().submit(time.sleep, 3600).result()

where, marker, owner.GRACE, step = sys.argv.pop(1), sys.argv.pop(1), 0.2, Trainer.step
Trainer.step = stuck
main()
"""
"""``own`` with a step that never comes back; Python waits at its exit for the threads of a pool, not for a worker's"""


@pytest.mark.parametrize("where", ["work", "pool"])
def test_an_owner_whose_work_is_stuck_in_a_call_ends_after_the_grace_period(
    where: str, verse: Path, tmp_path: Path
) -> None:
    made = spec(verse, save_every=0, evaluate_every=20, sample_every=0)
    run, marker = new_run(made), tmp_path / "stuck"
    with process([sys.executable, "-c", STUCK, where, str(marker), "own", str(run.path)]) as child:
        while not marker.exists() and child.poll() is None:
            time.sleep(0.01)
        assert run_owner.send(run, ask.Stop())
        out, err = child.communicate(timeout=60)
        assert (child.returncode, out, err) == (0, "", "")
    *_, notice, last = [happened.from_dict(json.loads(line)) for line in run.events.read_bytes().splitlines()]
    assert notice == Notice(run_owner.LEFT, "warning", "stop", 30)
    assert isinstance(last, Finished)
    assert (last.reason, last.step) == ("stopped", 30)
    assert run.owner() is None
    assert list(run.inbox.iterdir()) == []
    rest = train(made, run=run, resume=True)
    (started,) = only(Started, rest)
    assert started.step in (29, 30)
    assert measured(rest) == measured(train(made))[started.step :]


def test_a_stop_is_overdue_only_when_the_task_does_not_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("engine.runs.messages.time", SimpleNamespace(monotonic=lambda: now))
    control = Control()
    now += 500
    assert not control.overdue(60)
    control.take()
    control.send(ask.Pause())
    now += 100  # a slow step
    assert control.take() == [ask.Pause()]
    control.send(ask.Stop())
    for seconds, overdue in ((0, False), (199, False), (2, True)):
        now += seconds
        assert control.overdue(60) is overdue
        assert control.overdue(300) is False
    assert control.take() == [ask.Stop()]
    control.send(ask.Stop())
    now += 10_000  # the final save
    assert not control.overdue(60)


def test_a_journal_that_cannot_be_written_is_told_once_and_kept_up(
    verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk:
        full = False

        def write(self, file: int, content: bytes) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return os.write(file, content)

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    disk = Disk()
    monkeypatch.setattr(journals, "os", disk)

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step):
            disk.full = 10 <= event.step < 20

    run = new_run(spec(verse))
    events = drive(run, on)
    (notice,) = notices("journal", events)
    assert "No space left on device" in notice.text
    events.remove(notice)  # it could not be recorded, that is what it says
    assert followed(run) == events


@pytest.mark.parametrize("full_from", [3, 9, 17])
def test_the_journal_is_on_the_disk_before_a_checkpoint_that_needs_it(
    full_from: int, verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk:
        full = False
        synced = 0

        def write(self, file: int, content: bytes) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return os.write(file, content)

        def fsync(self, file: int) -> None:
            os.fsync(file)
            self.synced = os.fstat(file).st_size

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    disk, real, committed = Disk(), store.commit, []

    def commit(folder: Path, step: int, *rest: Any) -> Path:
        whole = run.events.read_bytes()[: disk.synced].rpartition(b"\n")[0]  # the last line may be half written
        reached = [record["step"] for record in map(json.loads, whole.splitlines()) if record["event"] == "step"]
        committed.append((step, max(reached, default=0)))
        return real(folder, step, *rest)

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step):
            disk.full = full_from <= event.step < full_from + 8

    monkeypatch.setattr(journals, "os", disk)
    monkeypatch.setattr(store, "commit", commit)
    monkeypatch.setattr("engine.gpt.saving.BACK_OFF", (0.0,))
    run = new_run(spec(verse, save_every=0))
    events = drive(run, on)
    assert all(reached >= step for step, reached in committed)
    assert len({step for step, _ in committed}) > 25
    assert any("No space left on device" in notice.text for notice in notices("save", events))
    assert measured(followed(run)) == measured(events)
    assert only(Finished, events)[0].reason == "steps"


def test_work_that_is_left_midway_ends_before_its_journal_is_closed(
    verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real, close = store.commit, journals.Journal.close

    def commit(*arguments: Any) -> Path:
        left.wait(30)
        order.append("committed")
        return real(*arguments)

    left = threading.Event()
    monkeypatch.setattr(store, "commit", commit)
    monkeypatch.setattr(journals.Journal, "close", lambda self: (order.append("closed"), close(self)))
    run = new_run(spec(verse, save_every=0))
    work = gpt_runs.drive(run, Control(), resume=False)
    for event in work:
        if isinstance(event, Step):
            break
    threading.Timer(0.05, left.set).start()
    work.close()  # type: ignore[attr-defined]
    assert order[:2] == ["committed", "closed"]
    assert run.owner() is None


@pytest.mark.parametrize("when", ["set up", "steps", "pause"])
def test_a_run_that_is_removed_while_it_trains_stops_and_says_so(
    when: str, verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Control, "POLL", 0.0)
    run = new_run(spec(verse, steps=1_000_000, save_every=0, sample_every=0))
    follower = run_owner.follow(run, Control(), alive=lambda: True)
    if when == "set up":
        monkeypatch.setattr("engine.gpt.train.measure_peak", lambda _: shutil.rmtree(run.path) or 1e9)

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and when == "pause":
            control.send(ask.Pause())
        if isinstance(event, Step if when == "steps" else Paused):
            next(follower)  # it has the journal open
            while run.path.exists():  # a save under way makes a folder in it
                shutil.rmtree(run.path, ignore_errors=True)

    with pytest.raises(FileNotFoundError, match=rf"{run.events} does not exist any more: the run was deleted"):
        drive(run, on)
    assert not run.path.exists()
    if when != "set up":
        seen = Control()
        seen.send(ask.Stop())
        *_, notice, last = run_owner.follow(run, seen)
        assert isinstance(notice, Notice)
        assert notice.text == f"{run.events} does not exist any more: the run was deleted or moved"
        assert isinstance(last, Finished)
        assert last.reason == "died"


def test_a_run_copied_without_its_empty_folders_can_be_stopped_again(verse: Path) -> None:
    run = new_run(spec(verse))
    drive(run, stop_at(20))
    run.inbox.rmdir()

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Started):
            assert run_owner.send(run, ask.Stop())

    assert only(Finished, drive(run, on, resume=True))[0].reason == "stopped"


def test_a_run_has_one_owner(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkpoints.lock.LOCK_TIMEOUT", 0.0)
    run = new_run(spec(verse))
    with run.lock(), pytest.raises(Locked, match=f"process {os.getpid()}"):
        drive(run)
    assert run.events.read_bytes() == b""


def test_messages_to_an_earlier_owner_are_not_obeyed(verse: Path) -> None:
    run = new_run(spec(verse))
    run.post(ask.to_record(ask.Stop()))
    assert only(Finished, drive(run))[0].reason == "steps"


def test_a_training_survives_whatever_lies_in_its_inbox(verse: Path) -> None:
    run = new_run(spec(verse))
    os.mkfifo(run.inbox / "9-fifo.json")
    (run.inbox / "9-folder.json").mkdir()
    (run.inbox / "9-deep.json").write_text('{"message":' * 100_000)
    (run.inbox / "9-deep-too.json").write_text('{"message":' + "[" * 900 + "]" * 900 + "}")
    (run.inbox / "9-long.json").write_text('{"message": "SetLearningRate", "learning_rate": 1' + "0" * 400 + "}")
    assert only(Finished, drive(run))[0].reason == "steps"


def test_a_message_that_cannot_be_left_is_told_by_the_follower(verse: Path) -> None:
    run = new_run(spec(verse))
    run.inbox.rmdir()
    control = Control()
    with run.lock():
        control.send(ask.SaveNow())
        told = []
        for event in run_owner.follow(run, control):
            told.append(event)
            control.send(ask.Detach())
    assert [event.kind for event in notices("inbox", told)] == ["inbox"]


def test_nobody_is_there_to_get_a_message(verse: Path) -> None:
    run = new_run(spec(verse))
    assert run_owner.send(run, ask.Stop()) is False
    assert run.collect() == []
    with run.lock():
        assert run_owner.send(run, ask.Stop()) is True
    assert run.collect() == [{"message": "Stop", "save": True}]


def test_a_follower_of_a_run_without_an_end_says_that_it_died(verse: Path) -> None:
    run = new_run(spec(verse))
    events = drive(run)
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"".join(lines[:-1]) + lines[-1][:5])
    *told, notice, last = followed(run)
    assert told == events[:-1]
    assert isinstance(notice, Notice)
    assert isinstance(last, Finished)
    assert (notice.kind, notice.level) == ("died", "warning")
    assert (last.reason, last.step, last.best_val_loss) == ("died", 40, events[-1].best_val_loss)  # type: ignore[attr-defined]


def test_a_finished_run_that_was_taken_up_again_and_killed_is_not_finished(verse: Path) -> None:
    run = new_run(spec(verse))
    drive(run)
    journal = journals.Journal(run.events)
    journal.append({"event": "continued", "step": 40})
    journal.close()
    assert [event.reason for event in only(Finished, followed(run))] == ["died"]


def test_a_killed_trainer_is_told_resumed_and_its_run_is_the_undisturbed_one(verse: Path) -> None:
    given = {"evaluate_every": 100, "sample_every": 200, "save_every": 0.05, "schedule": "constant"}
    run = new_run(spec(verse, steps=1_000_000, **given))  # far more than it gets to do
    owner = 0
    first = []
    for event in launch(run, Control()):
        first.append(event)
        if isinstance(event, Saved) and event.step > 5 and not owner:
            found = run.owner()
            assert found is not None
            owner = found.pid
            assert owner != os.getpid()
            os.kill(owner, signal.SIGKILL)
    assert owner
    assert isinstance(first[-1], Finished)
    assert first[-1].reason == "died"
    assert len(notices("died", first)) == 1
    assert summarise(run).state == "interrupted"

    made = spec(verse, steps=max(store.step_of(path) for path in store.checkpoints(run.checkpoints)) + 100, **given)
    run.write_json("spec.json", vars(made))
    undisturbed = new_run(made)
    expected = train(made, run=undisturbed)
    rest = list(launch(run, Control()))[len(first) - 2 :]
    assert f"process {owner} ended without releasing this run" in notices("lock", rest)[0].text
    resumed_at = only(Started, rest)[0].step
    assert resumed_at >= 5
    before = [row for row in measured(first) if row[0] <= resumed_at]
    assert before + measured(rest) == measured(expected)
    assert only(Finished, rest)[0].reason == "steps"
    assert weights(run, made.steps) == weights(undisturbed, made.steps)
    told = {name: text for name, text in samples(first).items() if int(name) <= resumed_at}
    assert told | samples(rest) == samples(expected)
    assert not [entry.name for entry in run.checkpoints.iterdir() if entry.name.startswith("tmp-")]


def test_a_launched_run_obeys_its_inbox(verse: Path) -> None:
    run = new_run(spec(verse, steps=1_000_000, evaluate_every=1000, sample_every=0))
    control = Control()
    told = []
    for event in launch(run, control):
        told.append(event)
        if isinstance(event, Step) and not only(Paused, told):
            control.send(ask.Pause())
        if isinstance(event, Paused):
            assert summarise(run).state == "paused"
            control.send(ask.SampleNow("ma", 6))
        if isinstance(event, SampleText) and event.done:
            control.send(ask.SaveNow(pin=True))
            control.send(ask.Stop())
    assert samples(told)[f"{only(Paused, told)[0].step}-1"][0] == "ma"
    (finished,) = only(Finished, told)
    assert (finished.reason, finished.step) == ("stopped", only(Paused, told)[0].step)
    (checkpoint,) = run.checkpoints.iterdir()
    assert (checkpoint / "pinned").exists()
    assert run.owner() is None


def test_looking_away_leaves_the_run_alone(verse: Path) -> None:
    run = new_run(spec(verse))
    with run.lock():
        control = Control()
        control.send(ask.Detach())
        assert list(run_owner.follow(run, control)) == []
    assert run.collect() == []


def test_a_launch_that_fails_says_why(tmp_path: Path) -> None:
    run = runs.create(home.runs(), "short", {**dataclasses.asdict(spec("x")), **NANO}, {})
    run.write_json("spec.json", {**run.read_json("spec.json"), "corpus": str(tmp_path / "none.txt")})
    events = list(launch(run, Control()))
    assert "no such file" in notices("failure", events)[0].text
    assert only(Finished, events)[0].reason == "failed"
    assert run.owner() is None


def test_a_launch_that_dies_at_once_tells_its_last_words(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_owner, "PROGRAM", "no_such_program")
    events = list(launch(new_run(spec(verse)), Control()))
    assert "no_such_program" in notices("failure", events)[0].text
    assert only(Finished, events)[0].reason == "died"


def test_a_message_sent_while_the_trainer_still_starts_is_obeyed(verse: Path) -> None:
    run, control = new_run(spec(verse, steps=5000)), Control()
    control.send(ask.Stop())
    events = list(launch(run, control))
    assert events[-1] == Finished("stopped", events[-1].step, events[-1].best_val_loss, run.name, events[-1].seconds)
    assert events[-1].step < 5000


@pytest.mark.parametrize(
    "record",
    [
        {"message": "SetLearningRate", "learning_rate": "abc"},
        {"message": "SampleNow", "prompt": 5, "length": 3},
        {"message": "SampleNow", "prompt": "a", "length": 1.5},
        {"message": "Stop", "save": 1},
    ],
)
def test_a_message_with_a_value_of_the_wrong_type_is_no_message(record: dict[str, Any]) -> None:
    assert ask.from_record(record) is None


def test_a_sample_of_negative_length_gets_the_usual_one(verse: Path) -> None:
    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 5:
            control.send(ask.SampleNow("a", -3))

    made = spec(verse)
    events = train(made, on=on)
    (text,) = [text for name, (_, text) in samples(events).items() if "-" in name]
    assert len(text) == made.sample_length


@pytest.mark.parametrize("loss", [None, "3", [1.0], True])
def test_a_journal_line_with_a_value_of_the_wrong_type_is_passed_over(loss: object) -> None:
    record = happened.to_dict(Step(1, 2.0, 0.1, 1.0, 1.0, 0.5, 1.0))
    assert happened.from_dict(record) == Step(1, 2.0, 0.1, 1.0, 1.0, 0.5, 1.0)
    assert happened.from_dict({**record, "loss": loss}) is None


def test_lines_of_a_journal_that_are_not_understood_are_counted(verse: Path) -> None:
    run = new_run(spec(verse))
    told = [Notice("begun"), Step(1, 2.0, 0.1, 1.0, 1.0, 0.5, 1.0), Finished("steps", 1, None, run.name)]
    lines = [json.dumps(happened.to_dict(event)) for event in told]
    strange = ['{"event": "teleported", "step": 1}', '{"event": "step", "step": "one"}']
    run.events.write_text("\n".join([*lines[:2], *strange, lines[2]]) + "\n")
    *rest, notice, last = followed(run)
    assert [*rest, last] == told
    assert isinstance(notice, Notice)
    assert notice.text.startswith("2 lines of the journal are damaged or from another version")


def test_what_a_newer_version_has_put_into_the_spec_is_kept_when_a_run_is_given_more_steps(verse: Path) -> None:
    made = spec(verse, steps=10)
    run = new_run(made)
    run.write_json("spec.json", {**run.spec(), "from_the_future": {"a": [1]}})
    list(gpt_runs.drive(run, Control(), resume=False))
    list(gpt_runs.drive(run, Control(), resume=True, spec=dataclasses.replace(made, steps=20)))
    written = json.loads((run.path / "spec.json").read_bytes())
    assert (written["from_the_future"], written["steps"]) == ({"a": [1]}, 20)
    assert gpt_runs.spec_of(run).steps == 20


def test_a_damaged_spec_is_taken_from_the_newest_checkpoint(verse: Path) -> None:
    made = spec(verse)
    run = new_run(made)
    train(made, run=run, on=stop_at(20))
    (run.path / "spec.json").write_text("{damaged")
    assert dataclasses.replace(gpt_runs.spec_of(run), threads=made.threads) == made
    for checkpoint in run.checkpoints.iterdir():
        (checkpoint / "state.json").unlink()
    with pytest.raises(CheckpointError, match=r"spec\.json is damaged"):
        gpt_runs.spec_of(run)


def test_a_text_given_by_a_relative_path_is_found_from_any_folder(
    verse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "verse.txt").write_bytes(verse.read_bytes())
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LLMLAB_HOME", "relative")
    run = gpt_runs.create(spec("verse.txt", steps=3))
    assert list(launch(run, Control()))[-1].reason == "steps"  # type: ignore[attr-defined]
    assert run.path.is_relative_to(tmp_path / "here" / "relative")
