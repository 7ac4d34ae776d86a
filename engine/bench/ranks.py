"""One training on two processes, a GPU each or on the CPU, against the same training on one."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from engine import other_ranks
from engine.bench.rows import Row, measured, skipped, within
from engine.bench.setup import Setup
from engine.gpt.spec import TrainSpec
from engine.gpt.train import train
from engine.runs.events import Started, Step

WORLD = 2
LIMITS = {"float32": 2e-6, "bfloat16": 5e-2}
"""nats of a loss: sums in another order, and in bfloat16 products of other batches"""
CUDA_LIMIT = 2e-2  # of float32 with TF32


def ranks(setup: Setup) -> Iterator[Row]:
    """Losses, without dropout, whose masks differ from rank to rank, and speed."""
    compared = f"training on {WORLD} processes and on one"
    if setup.cuda and torch.cuda.device_count() < WORLD:
        yield skipped(compared, "needs a second CUDA device")
        return
    preset = "karpathy" if setup.cuda else "nano"
    asked = setup.spec(preset, dropout=0.0, steps=setup.of(6, 40 if setup.cuda else 20), threads=1)
    several, one = _together(asked, setup), _trained(asked)
    apart = max(abs(a - b) for a, b in zip(one["losses"], several["losses"], strict=True))
    limit = CUDA_LIMIT if setup.cuda and one["precision"] == "float32" else LIMITS[one["precision"]]
    yield within(f"{asked.steps} losses of a {compared}", apart, limit, precision=one["precision"])
    yield measured(
        compared,
        tokens_per_s_on_one=one["rate"],
        tokens_per_s_together=several["rate"],
        times_as_fast=several["rate"] / one["rate"],
    )


def _together(asked: TrainSpec, setup: Setup) -> dict[str, Any]:
    """What rank 0 of a training on ``WORLD`` processes found. Raises :class:`RuntimeError` when a process failed.

    They are told of each other as torchrun tells them. Before this process computes anything, since it is forked.
    """
    context: Any = multiprocessing.get_context("fork" if setup.device == "cpu" else "spawn")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        free.close()
        found = Path(folder, "found")
        processes = [context.Process(target=_rank, args=(rank, told, asked, found)) for rank in range(WORLD)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if codes := [process.exitcode for process in processes if process.exitcode]:
            raise RuntimeError(f"processes ended with {codes}")
        results: dict[str, Any] = json.loads(found.read_text())
    return results


def _rank(rank: int, told: dict[str, str], asked: TrainSpec, found: Path) -> None:
    """Train as one of the processes; rank 0 writes what it found."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": WORLD, "LOCAL_WORLD_SIZE": WORLD}
    os.environ.update(told, **{name: str(number) for name, number in numbers.items()})
    if rank:
        other_ranks.serve()
    else:
        found.write_text(json.dumps(_trained(asked)))
    sys.stdout.flush()
    os._exit(0)  # threads of torch's process group that have not ended yet can abort an ordinary exit


def _trained(asked: TrainSpec) -> dict[str, Any]:
    """Losses, precision and tokens per second of a training."""
    events = list(train(asked))
    steps = [event for event in events if isinstance(event, Step)]
    return {
        "losses": [step.loss for step in steps],
        "rate": statistics.median(step.tokens_per_second for step in steps[len(steps) // 2 :]),
        "precision": next(event.precision for event in events if isinstance(event, Started)),
    }
