"""One training on two processes, a GPU each or on the CPU, against the same training on one."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.bench import setups
from engine.bench.rows import Row, measured, skipped, within
from engine.bench.setups import Setup

WORLD = 2
LIMITS = {"float32": 2e-6, "bfloat16": 5e-2}
"""nats of a loss: sums in another order, and in bfloat16 products of other batches"""
CUDA_LIMIT = 2e-2  # of float32 with TF32


def ranks(setup: Setup) -> Iterator[Row]:
    """Losses, without dropout, whose masks differ from rank to rank, and speed."""
    import torch

    compared = f"training on {WORLD} processes and on one"
    if setup.cuda and torch.cuda.device_count() < WORLD:
        yield skipped(compared, "needs a second CUDA device")
        return
    preset = "karpathy" if setup.cuda else "nano"
    asked = setups.spec(setup, preset, dropout=0.0, steps=setup.of(6, 40 if setup.cuda else 20), threads=1)
    from engine.runs.spec import to_dict

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spec").write_text(json.dumps(to_dict(asked)))
        one, several = (_trained(Path(folder), world) for world in (1, WORLD))
    apart = max(abs(a - b) for a, b in zip(one["losses"], several["losses"], strict=True))
    limit = CUDA_LIMIT if setup.cuda and one["precision"] == "float32" else LIMITS[one["precision"]]
    yield within(f"{asked.steps} losses of a {compared}", apart, limit, precision=one["precision"])
    yield measured(
        compared,
        tokens_per_s_on_one=one["rate"],
        tokens_per_s_together=several["rate"],
        times_as_fast=several["rate"] / one["rate"],
    )


def _trained(folder: Path, world: int) -> dict[str, Any]:
    """Losses, precision and tokens per second of the training in ``folder``, by so many processes."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(world), "-m"] if world > 1 else []
    subprocess.run([sys.executable, "-P", "-m", *launcher, __name__, str(folder)], check=True)
    found: dict[str, Any] = json.loads((folder / "found").read_text())
    return found


def _work(folder: Path) -> None:
    """Train as one of the processes; rank 0 writes what it found."""
    from engine import other_ranks
    from engine.gpt.spec import TrainSpec
    from engine.gpt.train import train
    from engine.runs.events import Started, Step
    from engine.runs.spec import restored

    if os.environ.get("RANK", "0") != "0":
        other_ranks.serve()
        return
    events = list(train(restored(TrainSpec, json.loads((folder / "spec").read_text()))))
    steps = [event for event in events if isinstance(event, Step)]
    found = {
        "losses": [step.loss for step in steps],
        "rate": statistics.median(step.tokens_per_second for step in steps[len(steps) // 2 :]),
        "precision": next(event.precision for event in events if isinstance(event, Started)),
    }
    (folder / "found").write_text(json.dumps(found))


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # threads of torch's process group that have not ended yet can abort an ordinary exit
