"""Saving in the background: one at a time, failures handed back."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from checkpoints import store
from checkpoints.saver import Save, Saver

FILES = {"model": b"12345"}


def submit(saver: Saver, step: int, *, begun: float | None = None, **options: bool) -> None:
    saver.submit(Save(step, lambda: FILES, {}, **options), begun=begun or time.perf_counter())


def test_outcomes_come_in_order_and_once(tmp_path: Path) -> None:
    saver = Saver(tmp_path)
    submit(saver, 1)
    submit(saver, 2, best=True)
    results = saver.wait()
    assert [(o.save.step, o.save.best, o.bytes, o.error) for o in results] == [(1, False, 5, None), (2, True, 5, None)]
    assert [o.path for o in results] == [tmp_path / "step-000001", tmp_path / "step-000002"]
    assert saver.wait() == []
    saver.close()


def test_a_save_does_not_hold_up_the_caller_but_the_next_one_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    real = store.commit
    order: list[int] = []

    def commit(folder: Path, step: int, *rest: object) -> Path:
        assert gate.wait(30)
        order.append(step)
        return real(folder, step, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", commit)
    saver = Saver(tmp_path)
    submit(saver, 1)
    assert saver.poll() == []
    assert order == []
    begun = time.perf_counter()
    second = threading.Thread(target=submit, args=(saver, 2), kwargs={"begun": begun})
    second.start()
    second.join(0.1)
    assert second.is_alive()
    waited = time.perf_counter() - begun
    gate.set()
    second.join(30)
    assert order[0] == 1
    results = saver.wait()
    assert [result.save.step for result in results] == order == [1, 2]
    assert results[1].stall >= waited
    saver.close()


def test_failures_are_handed_back_and_the_next_save_works(tmp_path: Path) -> None:
    blocked = tmp_path / "checkpoints"
    blocked.write_text("a file in the way")
    saver = Saver(blocked)
    submit(saver, 1)
    (failed,) = saver.wait()
    assert failed.path is None
    assert isinstance(failed.error, OSError)
    blocked.unlink()
    submit(saver, 2)
    (done,) = saver.wait()
    assert done.error is None
    assert store.read(blocked / "step-000002")[1] == FILES
    saver.close()


def test_old_checkpoints_go_but_the_best_and_the_pinned(tmp_path: Path) -> None:
    saver = Saver(tmp_path)
    for step in range(1, 8):
        submit(saver, step, best=step in (1, 3), pin=step == 2)
    saver.wait()
    assert [store.step_of(path) for path in store.checkpoints(tmp_path)] == [7, 6, 3, 2]
    saver.close()


def test_closing_finishes_the_save_under_way(tmp_path: Path) -> None:
    saver = Saver(tmp_path)
    submit(saver, 1)
    saver.close()
    assert store.read(tmp_path / "step-000001")[1] == FILES
