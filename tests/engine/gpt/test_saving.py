"""What is on the disk after saves that failed: the best, the last, the pinned."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from workbench import new_run, notices, only, spec, stop_at, train

from checkpoints import store
from engine.gpt import loss_buffer, saving
from engine.gpt import runs as gpt_runs
from engine.gpt import train as module
from engine.gpt.trained import load, take_sample
from engine.gpt.trainer import Trainer
from engine.runs import messages as ask
from engine.runs.events import Event, Finished, Saved, Started, Step
from engine.runs.messages import Control

pytestmark = pytest.mark.usefixtures("known_peak")

Commit = Callable[..., Path]


@pytest.fixture(autouse=True)
def _losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations at 10, 20, 30, 40 give 1.08, 1.02, 1.12, 1.22; each step is reported before the next; no waiting."""

    def evaluate(self: Trainer) -> Iterator[tuple[int, float]]:
        yield 1, 1.0 + abs(self.position.step - 18) / 100

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    monkeypatch.setattr(loss_buffer, "WINDOW", 0.0)
    monkeypatch.setattr(saving, "BACK_OFF", (0.0,))
    monkeypatch.setattr(module, "LAST_TRIES", 3)


def fail(monkeypatch: pytest.MonkeyPatch, step: int, times: int) -> list[int]:
    """Let the first ``times`` commits of ``step`` fail. Returns the steps of all commits that were tried."""
    real, tried = store.commit, []

    def commit(folder: Path, this: int, *rest: Any) -> Path:
        tried.append(this)
        if this == step and tried.count(step) <= times:
            raise OSError(errno.EIO, "Input/output error")
        return real(folder, this, *rest)

    monkeypatch.setattr(store, "commit", commit)
    return tried


def ask_at(requests: dict[int, ask.Message]) -> Callable[[Event, Control], None]:
    """Send a message as soon as a step is reported."""

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step in requests:
            control.send(requests[event.step])

    return on


def recorded(made: Any, on: Callable[[Event, Control], None]) -> tuple[Any, list[Event]]:
    """A run trained with its journal, and its events."""
    run, control = new_run(made), Control()
    events = []
    for event in gpt_runs.drive(run, control, resume=False):
        events.append(event)
        on(event, control)
    return run, events


def steps(run: Any) -> list[int]:
    return [store.step_of(path) for path in store.checkpoints(run.checkpoints)]


@pytest.mark.parametrize("times", [1, 2])
def test_a_best_whose_write_failed_is_written_again_itself(
    times: int, verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = fail(monkeypatch, 20, times)
    run, events = recorded(spec(verse), ask_at({25: ask.SaveNow(pin=False)}))
    assert len(notices("save", events)) == times
    assert tried.count(20) == times + 1
    assert len(set(tried)) == len(tried) - times  # no other step is saved twice
    assert [(event.step, event.best) for event in only(Saved, events) if event.best] == [(20, True)]
    assert only(Finished, events)[0].reason == "steps"
    trained = load(str(run.path), which="best")
    assert (trained.step, trained.notice) == (20, "")


def test_nothing_is_saved_whose_best_could_not_be_saved(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = store.commit
    tried = fail(monkeypatch, 20, 1000)
    run, events = recorded(spec(verse), ask_at({n: ask.SaveNow(pin=n == 26) for n in (12, 22, 26, 32, 36)}))
    assert only(Finished, events)[0].reason == "failed"
    assert max(steps(run)) == 12
    assert 10 in steps(run)  # the best before it stays until there is a better one on the disk
    assert tried.count(20) > 4
    assert load(str(run.path), which="best").step == 10
    monkeypatch.setattr(store, "commit", commit)
    list(gpt_runs.drive(run, Control(), resume=True))
    assert (load(str(run.path), which="best").step, max(steps(run))) == (20, 40)


def test_a_damaged_best_is_reported_and_the_next_best_is_used(verse: Path) -> None:
    run, _ = recorded(spec(verse), ask_at({12: ask.SaveNow(pin=True)}))
    assert steps(run) == [40, 20, 12]  # 12 was never evaluated
    (run.checkpoints / "step-000020" / "model.safetensors").write_bytes(b"")
    trained = load(str(run.path))
    assert trained.step == 40
    assert "instead of the best checkpoint, step 20: step-000020/model.safetensors has 0 bytes" in trained.notice
    (notice,) = notices("checkpoint", list(take_sample(trained, "ma", 3, 1, 0.0)))
    assert (notice.level, notice.text) == ("warning", trained.notice)
    assert load(str(run.path), which="last").notice == ""


def test_a_run_that_diverges_still_saves_its_best_after_a_failed_write(
    verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.nn.utils.get_total_norm
    norms = iter([1.0] * 25)
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda grads: real(grads) * next(norms, torch.nan))
    tried = fail(monkeypatch, 20, 1)
    run, events = recorded(spec(verse), lambda *_: None)
    assert only(Finished, events)[0].reason == "diverged"
    assert tried == [20, 20]
    assert steps(run) == [20]


def test_a_pin_that_failed_is_made_up_for_and_a_pause_tries_again(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = fail(monkeypatch, 15, 1)
    control = Control()

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 15:
            control.send(ask.SaveNow(pin=True))
            control.send(ask.Pause())
        if isinstance(event, Saved) and event.step == 15:
            control.send(ask.Continue())

    run = new_run(spec(verse))
    train(spec(verse), run=run, control=control, on=on)
    assert tried == [10, 15, 15, 20, 40]
    assert (run.checkpoints / "step-000015" / store.PINNED).exists()
    assert not (run.checkpoints / "step-000040" / store.PINNED).exists()


def test_a_learning_rate_changed_after_a_save_is_in_the_checkpoint_of_that_step(verse: Path) -> None:
    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 15:
            for message in (ask.Pause(), ask.SaveNow(pin=False), ask.SetLearningRate(0.25), ask.Stop()):
                control.send(message)

    run = new_run(spec(verse))
    assert only(Finished, train(spec(verse), run=run, on=on))[0].step == 15
    assert store.read_state(run.checkpoints / "step-000015")["position"]["learning_rate"] == 0.25


def test_what_a_resume_passed_over_does_not_cost_what_is_saved_after_it(verse: Path) -> None:
    made = spec(verse, save_every=0)
    run = new_run(made)
    train(made, run=run, on=stop_at(25))
    assert steps(run) == [25, 24, 20]
    for step in (24, 25):
        (run.checkpoints / f"step-{step:06d}" / "model.safetensors").write_bytes(
            bytes((run.checkpoints / f"step-{step:06d}" / "model.safetensors").stat().st_size)
        )
    rest = train(made, run=run, resume=True, on=stop_at(22))
    assert (only(Started, rest)[0].step, only(Finished, rest)[0].step) == (20, 22)
    assert only(Started, train(made, run=run, resume=True))[0].step == 22


# -- in the background -------------------------------------------------------------------------------------------------

FILES = {"model": b"12345"}


class Contents:
    """A snapshot whose files are those of ``FILES``."""

    def encode(self) -> dict[str, bytes]:
        return FILES


@pytest.fixture
def checkpointer(tmp_path: Path) -> Iterator[saving.Checkpointer]:
    made = saving.Checkpointer(tmp_path / "checkpoints", 1e9, lambda: (Contents(), {}))  # type: ignore[arg-type, return-value]
    yield made
    made.close()


def test_a_save_is_reported_once_when_it_is_on_the_disk(checkpointer: saving.Checkpointer, tmp_path: Path) -> None:
    told = [*checkpointer.save(1, best=False), *checkpointer.save(2, best=True), *checkpointer.report(wait=True)]
    assert [(saved.step, saved.best, saved.bytes) for saved in only(Saved, told)] == [(1, False, 5), (2, True, 5)]
    assert [saved.path for saved in told] == [f"{tmp_path}/checkpoints/step-00000{step}" for step in (1, 2)]  # type: ignore[attr-defined]
    assert list(checkpointer.report(wait=True)) == []


def test_a_save_does_not_hold_up_the_caller_but_the_next_one_waits_for_it(
    checkpointer: saving.Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real, order, told = threading.Event(), store.commit, [], []

    def commit(folder: Path, step: int, *rest: Any) -> Path:
        assert gate.wait(30)
        order.append(step)
        return real(folder, step, *rest)

    monkeypatch.setattr(store, "commit", commit)
    assert list(checkpointer.save(1, best=False)) == list(checkpointer.report()) == order == []
    begun = time.perf_counter()
    second = threading.Thread(target=lambda: told.extend(checkpointer.save(2, best=False)))
    second.start()
    second.join(0.1)
    assert second.is_alive()
    waited = time.perf_counter() - begun
    gate.set()
    second.join(30)
    told += checkpointer.report(wait=True)
    assert [saved.step for saved in only(Saved, told)] == order == [1, 2]
    assert told[1].stall >= waited - 1e-3


def test_a_save_that_fails_is_told_and_the_next_one_works(checkpointer: saving.Checkpointer, tmp_path: Path) -> None:
    blocked = tmp_path / "checkpoints"
    blocked.write_text("a file in the way")
    told = [*checkpointer.save(1, best=False), *checkpointer.report(wait=True)]
    assert [event.step for event in notices("save", told)] == [1]
    assert checkpointer.failing
    blocked.unlink()
    told = [*checkpointer.save(2, best=False), *checkpointer.report(wait=True)]
    assert [saved.step for saved in only(Saved, told)] == [2]
    assert store.read(blocked / "step-000002")[1] == FILES


def test_old_checkpoints_go_but_the_best_and_the_pinned(checkpointer: saving.Checkpointer, tmp_path: Path) -> None:
    for step in range(1, 8):
        list(checkpointer.save(step, best=step in (1, 3), pin=step == 2))
    checkpointer.close()
    assert [store.step_of(path) for path in store.checkpoints(tmp_path / "checkpoints")] == [7, 6, 3, 2]


def test_closing_finishes_the_save_under_way(checkpointer: saving.Checkpointer, tmp_path: Path) -> None:
    list(checkpointer.save(1, best=False))
    checkpointer.close()
    assert store.read(tmp_path / "checkpoints" / "step-000001")[1] == FILES
