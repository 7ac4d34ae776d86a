"""Trainings of several processes equal those of one, resume on any number of them, and end when one is killed."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from checkpoints import run as runs
from checkpoints import store
from checkpoints.run import Run
from engine.gpt.spec import PRESETS, TrainSpec
from engine.runs.spec import to_dict

ROOT = Path(__file__).resolve().parents[3]
SPEC = TrainSpec(
    preset="nano",
    steps=20,
    layers=2,
    heads=2,
    width=32,
    context=16,
    batch=11,
    warmup=5,
    evaluate_every=10,
    sample_every=0,
    save_every=3600.0,
    device="cpu",
    threads=1,
)


class Processes:
    """Three processes, each of which can be any rank of a training."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("ranks_process.py")
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.all = [
            subprocess.Popen(
                [sys.executable, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for _ in range(3)
        ]

    def begin(self, world: int, **asked: Any) -> None:
        """Start a training of so many ranks."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank in range(world):
            environment = {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(world)}
            pipe = self.all[rank].stdin
            assert pipe is not None
            pipe.write(json.dumps({**asked, "environment": environment}) + "\n")
            pipe.flush()

    def answer(self, rank: int = 0) -> dict[str, Any]:
        """The next line of a process."""
        pipe = self.all[rank].stdout
        assert pipe is not None
        line = pipe.readline()
        assert line, f"rank {rank} ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def train(self, world: int, **asked: Any) -> dict[str, Any]:
        """Train with so many ranks and return what rank 0 tells."""
        self.begin(world, **asked)
        told, *_ = [self.answer(rank) for rank in range(world)]
        return told


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    made = Processes()
    yield made
    for process in made.all:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def spec(verse: Path) -> TrainSpec:
    return dataclasses.replace(SPEC, corpus=str(verse))


def new_run(folder: Path, spec: TrainSpec) -> Run:
    return runs.create(folder, "ranks", to_dict(spec), {})


def weights(run: Run) -> dict[str, Any]:
    newest = store.checkpoints(run.checkpoints)[0]
    return dict(load_file(newest / "model.safetensors"))


def furthest(first: list[float], second: list[float]) -> float:
    assert len(first) == len(second) > 0
    return max(abs(one - two) for one, two in zip(first, second, strict=True))


def test_losses_of_two_ranks_equal_those_of_one_with_muon(processes: Processes, spec: TrainSpec) -> None:
    """Rounding differs by more than in AdamW: where the products are in bfloat16, by a 256th."""
    names = ("batch", "steps", "evaluate_every", "sample_every")
    muon = dataclasses.replace(spec, **{**PRESETS["fast"], **{name: getattr(spec, name) for name in names}})
    one, two = (processes.train(world, spec=to_dict(muon)) for world in (1, 2))
    assert one["losses"][-1] < one["losses"][0] - 0.5
    assert furthest(one["losses"], two["losses"]) < 2e-3
    assert furthest(one["validation"], two["validation"]) < 2e-3


def test_losses_of_two_and_three_ranks_equal_those_of_one(processes: Processes, spec: TrainSpec) -> None:
    one = processes.train(1, spec=to_dict(spec))
    assert len(one["losses"]) == 20
    assert len(one["validation"]) == 3
    for world in (2, 3):
        several = processes.train(world, spec=to_dict(spec))
        assert furthest(one["losses"], several["losses"]) < 2e-6
        assert furthest(one["validation"], several["validation"]) < 2e-6


def test_a_run_resumes_to_the_bit_on_as_many_ranks_and_within_rounding_on_others(
    processes: Processes, spec: TrainSpec, tmp_path: Path
) -> None:
    dropped = dataclasses.replace(spec, dropout=0.2)
    whole = new_run(tmp_path / "whole", dropped)
    losses = processes.train(2, spec=to_dict(dropped), run=str(whole.path))["losses"]
    again = new_run(tmp_path / "again", dropped)
    stop = {"10": [["Stop", {"save": True}]]}
    processes.train(2, spec=to_dict(dropped), run=str(again.path), messages=stop)
    resumed = processes.train(2, spec=to_dict(dropped), run=str(again.path), resume=True)["losses"]
    assert 0 < len(resumed) <= 10
    assert resumed == losses[-len(resumed) :]
    assert all((part == weights(whole)[name]).all() for name, part in weights(again).items())

    plain = new_run(tmp_path / "plain", spec)
    alone = processes.train(1, spec=to_dict(spec))["losses"]
    processes.train(3, spec=to_dict(spec), run=str(plain.path), messages=stop)
    fewer = processes.train(1, spec=to_dict(spec), run=str(plain.path), resume=True)["losses"]
    assert furthest(fewer, alone[-len(fewer) :]) < 2e-6


def test_pause_rate_and_stop_reach_all_ranks(processes: Processes, spec: TrainSpec, tmp_path: Path) -> None:
    rated = {"5": [["Pause", {}], ["SetLearningRate", {"learning_rate": 0.01}], ["Continue", {}]]}
    longer = dataclasses.replace(spec, steps=4000, evaluate_every=4000, schedule="constant", warmup=0)
    stop = {"60": [["Stop", {"save": True}]]}
    run = new_run(tmp_path / "run", longer)
    several = processes.train(2, spec=to_dict(longer), run=str(run.path), messages=rated | stop)
    assert several["reason"] == "stopped"
    assert 60 <= len(several["losses"]) < 4000
    changed = several["rates"].index(0.01)
    assert set(several["rates"][:changed]) == {spec.learning_rate}
    assert set(several["rates"][changed:]) == {0.01}
    assert store.checkpoints(run.checkpoints)


@pytest.mark.parametrize("short", [0, 1])
def test_all_ranks_take_fewer_windows_where_memory_runs_out_in_one(
    processes: Processes, spec: TrainSpec, short: int
) -> None:
    plain = processes.train(2, spec=to_dict(spec))
    found = processes.train(2, spec=to_dict(spec), out_of_memory=short)
    assert furthest(plain["losses"], found["losses"]) < 2e-6
    assert any("taking 6 windows at a time" in text for text in found["notices"])


def test_a_rank_that_is_killed_ends_the_training_with_a_message(
    processes: Processes, spec: TrainSpec, tmp_path: Path
) -> None:
    longer = dataclasses.replace(spec, steps=1_000_000, evaluate_every=1_000_000, save_every=0.2)
    run = new_run(tmp_path / "run", longer)
    processes.begin(2, spec=to_dict(longer), run=str(run.path), told_at=200)
    assert processes.answer() == {"step": 200}
    processes.all[1].kill()
    told = processes.answer()
    assert "another process of this training ended" in told["failed"]
    saved = store.checkpoints(run.checkpoints)
    assert saved
    resumed = dataclasses.replace(longer, steps=store.read_state(saved[0])["step"] + 5)
    after = processes.train(1, spec=to_dict(resumed), run=str(run.path), resume=True)
    assert len(after["losses"]) == 5
