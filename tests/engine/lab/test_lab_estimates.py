"""Estimates of the lab's time: for every work, by the size of the data, the speed of the machine and what was done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_lab import SETTINGS, SORT, TRAIN, ended, made

from engine.lab import estimates, plan, record
from engine.lab.exercises import WORKS
from engine.lab.record import Settings


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is the reference machine."""
    monkeypatch.setattr(estimates, "speed", lambda: 1.0)


def test_every_work_has_an_estimate_and_the_quick_lab_a_smaller_one(speed: None) -> None:
    for gpu in (False, True):
        full, quick = (
            sum(plan.estimate(work, Settings(), quick=one, gpu=gpu) for work in WORKS.values()) for one in (False, True)
        )
        assert 0 < quick < full
    assert all(plan.estimate(work, Settings()) > 0 for work in WORKS.values())


def test_more_data_takes_longer_and_a_limit_counts(speed: None, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("text,label\n" + "twenty bytes, a row\n" * 50_000)
    assert estimates.megabytes(str(table)) == pytest.approx(1.0, rel=0.01)
    assert estimates.megabytes(str(tmp_path)) == estimates.megabytes(str(table))
    assert estimates.megabytes(str(table), 5000) == pytest.approx(0.1, rel=0.01)
    assert estimates.megabytes("someone/something") == estimates.UNKNOWN
    assert 0 < estimates.megabytes("helpdesk") < 0.1
    large = replace(SETTINGS, emotion=str(table))
    assert plan.estimate(SORT, large) > 2 * plan.estimate(SORT, SETTINGS)
    tuned = [replace(SORT, fields={**SORT.fields, "heads": ("finetune",), "epochs": epochs}) for epochs in (1, 3)]
    assert plan.estimate(SORT, large) < plan.estimate(tuned[0], large) < plan.estimate(tuned[1], large)


def test_a_finished_run_corrects_the_estimate_of_both_labs(speed: None) -> None:
    full, quick = (plan.estimate(TRAIN, SETTINGS, quick=one) for one in (False, True))
    assert full > quick
    run = made(TRAIN, quick=True, reason="stopped")
    assert plan.estimate(TRAIN, SETTINGS, quick=True) == quick  # it has not shown how long it takes
    ended(run, "steps")  # in 3 seconds
    assert plan.estimate(TRAIN, SETTINGS, quick=True) == pytest.approx(3.0)
    assert plan.estimate(TRAIN, SETTINGS) == pytest.approx(3.0 * full / quick)


def test_the_machine_is_measured_once_by_a_process_and_the_fastest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = estimates._probe()
    assert measured > 0
    rates = [1.0, 3.0, 2.0, 0.5, 4.0]  # of processes one after the other

    def speed() -> float:
        estimates._rate.cache_clear()
        return estimates.speed()

    monkeypatch.setattr(estimates, "_probe", lambda: estimates.REFERENCE * rates.pop(0))
    slow = plan.estimate(TRAIN, SETTINGS, gpu=False)
    assert estimates.speed() == 1.0
    assert speed() == speed() == 3.0
    assert plan.estimate(TRAIN, SETTINGS, gpu=False) == pytest.approx(slow / 3)
    path = record.folder() / "machine.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cpu": "another"}))  # as in a home that has moved
    assert speed() == 0.5
    path.write_text("{")
    assert speed() == 4.0
