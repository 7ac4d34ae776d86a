"""Runs of several processes: trainings equal those of one, features are equal to the bit, a lost process ends a run."""

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

import forked
import pytest
import tiny
from safetensors.numpy import load_file
from workbench import PROJECT

from checkpoints import run as runs
from checkpoints import store
from checkpoints.journal import Reader, records
from checkpoints.run import Run
from data import dante
from engine.device import place
from engine.gpt.spec import PRESETS, TrainSpec
from engine.gpt.trainer import Trainer
from engine.runs.messages import finish
from engine.runs.spec import to_dict

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
    """Three processes, each of which can be any rank of a run."""

    def __init__(self) -> None:
        code = "import sys; sys.path.insert(0, sys.argv[1]); import ranks_process; ranks_process.main()"
        pipe = subprocess.PIPE
        self.all = [
            forked.Code(
                [sys.executable, "-c", code, str(Path(__file__).parent)],
                stdin=pipe,
                stdout=pipe,
                text=True,
                cwd=PROJECT,
            )
            for _ in range(3)
        ]
        self.all.sort(key=lambda process: process.pid)  # c10d gives the lowest one rank 0

    def begin(self, world: int, work: str = "train", **asked: Any) -> None:
        """Start work of so many ranks."""
        port = free_port()
        for rank in range(world):
            environment = {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(world)}
            environment |= {"LLMLAB_HOME": asked.get("home", os.environ["LLMLAB_HOME"])}
            self.send({**asked, "work": work, "environment": environment}, rank)

    def send(self, asked: dict[str, Any], rank: int = 0) -> None:
        """Send a process a line."""
        pipe = self.all[rank].stdin
        assert pipe is not None
        pipe.write(json.dumps(asked) + "\n")
        pipe.flush()

    def answer(self, rank: int = 0) -> dict[str, Any]:
        """The next line of a process."""
        pipe = self.all[rank].stdout
        assert pipe is not None
        line = pipe.readline()
        assert line, f"rank {rank} ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def work(self, world: int, work: str = "train", **asked: Any) -> dict[str, Any]:
        """Work with so many ranks and return what rank 0 tells."""
        self.begin(world, work, **asked)
        told, *_ = [self.answer(rank) for rank in range(world)]
        return told


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


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
    """Of a text that is evaluated in several forward passes."""
    verse.write_text(verse.read_text("utf-8") * 15, "utf-8")
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
    one, two = (processes.work(world, spec=to_dict(muon)) for world in (1, 2))
    assert one["losses"][-1] < one["losses"][0] - 0.5
    assert furthest(one["losses"], two["losses"]) < 2e-3
    assert furthest(one["validation"], two["validation"]) < 2e-3


def test_losses_of_two_and_three_ranks_equal_those_of_one(processes: Processes, spec: TrainSpec) -> None:
    one = processes.work(1, spec=to_dict(spec))
    assert len(one["losses"]) == 20
    assert len(one["validation"]) == 3
    for world in (2, 3):
        several = processes.work(world, spec=to_dict(spec))
        assert furthest(one["losses"], several["losses"]) < 2e-6
        assert furthest(one["validation"], several["validation"]) < 2e-6


def test_a_run_resumes_to_the_bit_on_as_many_ranks_and_within_rounding_on_others(
    processes: Processes, spec: TrainSpec, tmp_path: Path
) -> None:
    dropped = dataclasses.replace(spec, dropout=0.2)
    whole = new_run(tmp_path / "whole", dropped)
    losses = processes.work(2, spec=to_dict(dropped), run=str(whole.path))["losses"]
    again = new_run(tmp_path / "again", dropped)
    stop = {"10": [["Stop", {"save": True}]]}
    processes.work(2, spec=to_dict(dropped), run=str(again.path), messages=stop)
    resumed = processes.work(2, spec=to_dict(dropped), run=str(again.path), resume=True)["losses"]
    assert 0 < len(resumed) <= 10
    assert resumed == losses[-len(resumed) :]
    assert all((part == weights(whole)[name]).all() for name, part in weights(again).items())

    plain = new_run(tmp_path / "plain", spec)
    alone = processes.work(1, spec=to_dict(spec))["losses"]
    processes.work(3, spec=to_dict(spec), run=str(plain.path), messages=stop)
    fewer = processes.work(1, spec=to_dict(spec), run=str(plain.path), resume=True)["losses"]
    assert furthest(fewer, alone[-len(fewer) :]) < 2e-6


def test_messages_reach_all_ranks_and_change_only_what_they_name(
    processes: Processes, spec: TrainSpec, tmp_path: Path
) -> None:
    """Pause, save and sample leave the losses equal to the bit; a rate changes them in all ranks from its step on."""
    plain = processes.work(2, spec=to_dict(spec))
    asked = {
        "4": [["Pause", {}], ["Continue", {}]],
        "6": [["SaveNow", {"pin": True}]],
        "8": [["SampleNow", {"prompt": "", "length": 30}]],
    }
    run = new_run(tmp_path / "run", spec)
    found = processes.work(2, spec=to_dict(spec), run=str(run.path), messages=asked)
    assert (found["losses"], found["validation"]) == (plain["losses"], plain["validation"])
    assert len(found["sample"]) == 30
    saved = [store.read_state(path)["step"] for path in store.checkpoints(run.checkpoints)]
    assert 6 <= min(saved) < max(saved) == 20

    rated = {"5": [["SetLearningRate", {"learning_rate": 0.01}]], "60": [["Stop", {"save": True}]]}
    longer = dataclasses.replace(spec, steps=4000, evaluate_every=4000, schedule="constant", warmup=0)
    several = processes.work(2, spec=to_dict(longer), run=str(new_run(tmp_path / "rated", longer).path), messages=rated)
    assert several["reason"] == "stopped"
    assert 60 <= len(several["losses"]) < 4000
    changed = several["rates"].index(0.01)
    assert set(several["rates"][:changed]) == {spec.learning_rate}
    assert set(several["rates"][changed:]) == {0.01}
    trainer = Trainer(longer, finish(dante.load(longer.corpus, cache=tmp_path)), place("cpu", threads=1))
    alone = [float(trainer.step(rate)[0]) for rate in several["rates"]]
    assert furthest(alone, several["losses"]) < 1e-4


@pytest.mark.parametrize(
    ("short", "failing", "told"),
    [
        (0, {"step": 6}, "taking 6 windows at a time"),
        (1, {"step": 6}, "taking 6 windows at a time"),
        (1, {"evaluation": 2}, "evaluating 1,024 characters at a time"),
    ],
)
def test_all_ranks_take_less_where_memory_runs_out_in_one(
    processes: Processes, spec: TrainSpec, short: int, failing: dict[str, int], told: str
) -> None:
    plain = processes.work(2, spec=to_dict(spec))
    found = processes.work(2, spec=to_dict(spec), fail={short: failing})
    assert furthest(plain["losses"], found["losses"]) < 2e-6
    assert furthest(plain["validation"], found["validation"]) < 2e-6
    assert [text for text in found["notices"] if told in text]


@pytest.mark.parametrize("backend", ["static", "c10d"])
def test_two_machines_train_what_one_of_them_has(
    processes: Processes, spec: TrainSpec, tmp_path: Path, backend: str
) -> None:
    """Two torchruns meet; the second has neither the run nor a folder for runs."""
    alone = processes.work(1, spec=to_dict(spec))["losses"]
    run, port = new_run(tmp_path / "runs", spec), free_port()
    run.write_json("spec.json", to_dict(dataclasses.replace(spec, name="two")))
    for node, home in enumerate((str(tmp_path / "home"), "/dev/null/nowhere")):
        meeting = ["--rdzv-backend", backend, "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(node)]
        meeting += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "two"]
        path = str(run.path) if node == 0 else "/dev/null/nowhere"
        environment = {"RANK": "0", "LLMLAB_HOME": home}
        asked = {"work": "agent", "arguments": [*meeting, "-m", "llmlab_tui", "own", path], "environment": environment}
        processes.send(asked, node)
    assert [processes.answer(0), processes.answer(1)] == [{}, {}]
    several = [event["loss"] for event in records(Reader(run.events).lines()) if event["event"] == "step"]
    assert furthest(several, alone) < 2e-6


def test_features_of_two_processes_equal_those_of_one_to_the_bit(processes: Processes, tmp_path: Path) -> None:
    encoder, texts = str(tiny.bert(tmp_path / "bert")), tiny.texts(150)[0]

    def encode(home: str, world: int, **more: Any) -> tuple[dict[str, Any], bytes]:
        """What rank 0 tells, and the features; ``home`` names the cache."""
        file, home = tmp_path / f"{home}.features", str(tmp_path / home)
        found = processes.work(world, "encode", encoder=encoder, texts=texts, features=str(file), home=home, **more)
        return found, file.read_bytes() if file.exists() else b""

    plain, one = encode("one", 1)
    found, two = encode("two", 2)
    assert len(one) == 150 * 16 * 4
    assert two == one
    assert (plain["shards"], found["shards"]) == (10, 5)
    assert (found["done"][-1], found["notices"]) == (150, [])

    failed, alone = encode("failed", 2, fail={1: {"encoder": "no room"}})
    assert (alone, failed["shards"]) == (one, 10)
    assert (failed["done"][-1], failed["notices"]) == (150, ["another process could not encode its texts (no room)"])

    stopped, none = encode("stopped", 2, stop_at=16)
    assert (stopped["reason"], none) == ("stopped", b"")
    kept = len(list((tmp_path / "stopped").rglob("shard-*.safetensors")))
    assert 1 <= kept < 10
    resumed, rest = encode("stopped", 2)
    assert rest == one
    assert resumed["done"][0] >= 16 * (kept - 1)


def test_a_process_that_is_killed_ends_the_training_with_a_message(
    processes: Processes, spec: TrainSpec, tmp_path: Path
) -> None:
    longer = dataclasses.replace(spec, steps=1_000_000, evaluate_every=1_000_000, save_every=0.2)
    run = new_run(tmp_path / "run", longer)
    processes.begin(3, spec=to_dict(longer), run=str(run.path), told_at=200)
    assert processes.answer() == {"step": 200}
    processes.all[2].kill()
    told = processes.answer()
    assert "another process of this run ended" in told["failed"]
    assert "resume continues from the last checkpoint" in told["failed"]
    processes.all[1].wait()  # the third one is missed by the second too
    saved = store.checkpoints(run.checkpoints)
    assert saved
    resumed = dataclasses.replace(longer, steps=store.read_state(saved[0])["step"] + 5)
    after = processes.work(1, spec=to_dict(resumed), run=str(run.path), resume=True)
    assert len(after["losses"]) == 5
