"""The parts of the check, each in a process of its own with a time limit, so that one failure does not end it."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.bench.rows import FAILED, NEEDS_CUDA, SKIPPED, Row, place_of, table
from engine.bench.setup import Setup
from engine.runs.spec import BadSpec, Problem

SECONDS = 480.0  # the whole check at most
ROOT = Path(__file__).resolve().parents[2]
_LOG = 20_000  # characters of a part's other output that are kept, from its end
_PRELOADED = ["torch", *(f"transformers.models.{kind}.modeling_{kind}" for kind in ("gpt2", "llama", "bert"))]


@dataclass(frozen=True)
class Part:
    """One part: a function of its name in a module, which takes a setup and yields rows."""

    module: str
    about: str
    limit: float = 60.0
    """seconds"""
    cuda: bool = False
    """whether it needs a CUDA device"""


PARTS: dict[str, Part] = {
    "machine": Part("engine.bench.machine", "the device, its versions and its limits", 90),
    "losses": Part("engine.bench.training", "training losses, CPU and device", 90),
    "resume": Part("engine.bench.training", "an interrupted training and a whole one", 90),
    "validation": Part("engine.bench.training", "loss on the whole validation split, CPU and device"),
    "sample": Part("engine.bench.decoding", "samples with and without the captured decoding step"),
    "greedy": Part("engine.bench.decoding", "greedy decoding and generate of transformers"),
    "llama": Part("engine.bench.decoding", "a random SmolLM2 against transformers, and samples together", 90),
    "processors": Part("engine.bench.decoding", "logits processors, CPU and device"),
    "encoders": Part("engine.bench.encoding", "losses of bi-encoder, fine-tuning, scorer and MLP, CPU and device", 120),
    "sync": Part("engine.bench.cuda", "no synchronisation in a step or batch", cuda=True),
    "memory": Part("engine.bench.cuda", "halved batches after memory ran out", 90, cuda=True),
    "step": Part("engine.bench.training", "time of a training step: eager, captured, compiled", 120),
    "best": Part("engine.bench.training", "time to the best validation loss", 100),
    "decode": Part(
        "engine.bench.decoding", "decoding speed against generate of transformers, and of samples together", 240
    ),
    "zero-shot": Part(
        "engine.bench.zero_shot", "scores and speed of zero-shot against one forward for each choice", 120
    ),
    "features": Part("engine.bench.encoding", "speed of encoder features against other loops", 90),
    "ranks": Part("engine.bench.ranks", "one training on two processes and on one", 90),
}

BENCHES: dict[str, Part] = {
    "train": Part("engine.bench.training", "a recorded training against the bare loop, and where a step's time goes"),
    "save": Part("engine.bench.training", "how long training stands still for a checkpoint"),
    "decode": Part("engine.bench.decoding", "decoding against generate of transformers and the memory's bandwidth"),
    "zero-shot": Part("engine.bench.zero_shot", "Choose's zero-shot scores against one forward for each choice"),
    "encode": Part("engine.bench.encoding", "encoding against sentence-transformers"),
    "search": Part("engine.bench.encoding", "exact search among 100,000 vectors"),
    "peers": Part("engine.bench.peers", "training against nanoGPT, and decode and encode"),
}
"""What is measured by itself, in the process that asks; ``decode`` and ``zero-shot`` are parts of the check too."""


def rows_of(name: str, part: Part, setup: Setup) -> Iterator[Row]:
    """What a part finds, row by row."""
    found: Iterator[Row] = getattr(importlib.import_module(part.module), name.replace("-", "_"))(setup)
    return found


def check(
    setup: Setup,
    *,
    only: Sequence[str] = (),
    seconds: float = SECONDS,
    out: Path | None = None,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Run the parts named in ``only``, or all, within ``seconds``, print a table and return the record of everything.

    ``say`` prints a line of the table, ``tell`` one of the narration. ``out`` is written after every part. Changes the
    environment of this process, which those of the parts inherit. Raises
    :class:`BadSpec` for a part that there is not, and :class:`OSError` when ``out`` cannot be written.
    """
    if wrong := [name for name in only if name not in PARTS]:
        raise BadSpec([Problem("only", f"no part {', '.join(wrong)}; there are: {', '.join(PARTS)}")])
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    setup, deadline = setup.alone(), time.monotonic() + seconds
    rows: list[Row] = []
    parts: dict[str, dict[str, Any]] = {}
    for name in ["machine", *(name for name in PARTS if name != "machine" and (not only or name in only))]:
        begun = time.monotonic()
        found, log = _run(name, setup, deadline - begun)
        for row in found:
            tell("  ".join(filter(None, row.cells())))
        rows += found
        parts[name] = {"seconds": round(time.monotonic() - begun, 1), "output": log}
        if name == "machine" and "kind" in found[-1].figures:
            setup = dataclasses.replace(setup, device=str(found[-1].figures["kind"]))
        record = _record(rows, parts)
        if out is not None:
            out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    for line in table(rows):
        say(line)
    return {**record, "parts": {name: part["seconds"] for name, part in parts.items()}}


def _record(rows: Sequence[Row], parts: dict[str, Any]) -> dict[str, Any]:
    return {
        "bench": "gpu",
        "machine": dict(rows[0].figures),
        "failed": sum(row.result == FAILED for row in rows),
        "rows": [dataclasses.asdict(row) for row in rows],
        "parts": parts,
    }


def _run(name: str, setup: Setup, left: float) -> tuple[list[Row], str]:
    """The rows of a part, those before a failure included, and what else its process printed."""
    part = PARTS[name]

    def ended(result: str, reason: str) -> Row:
        return Row(part.about, result=result, reason=reason, part=name)

    if part.cuda and not setup.cuda:
        return [ended(SKIPPED, NEEDS_CUDA)], ""
    if left <= 0:
        return [ended(SKIPPED, "the time of the whole check is over")], ""
    limit = min(part.limit, left)
    with tempfile.TemporaryDirectory(prefix="llmlab-gpu-") as folder:
        process = _start(name, setup, folder, limit)
        try:
            process.join(limit)
            late = process.is_alive()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started itself
            process.kill()
            process.join()
        rows = [Row(**json.loads(line), part=name) for line in _text(folder, "rows").splitlines()]
        if late:
            rows.append(ended(FAILED, f"not done after {limit:.0f} s"))
        elif process.exitcode and not any(row.result == FAILED for row in rows):
            rows.append(ended(FAILED, f"the process ended with {process.exitcode}"))
        return rows, _text(folder, "log")[-_LOG:]


def _start(name: str, setup: Setup, folder: str, limit: float) -> Any:
    """A process for one part. For the CPU it is forked from a server that has the libraries loaded.

    With CUDA it is a fresh one, since a process cannot be forked from one in which a library has touched CUDA.
    """
    context: Any = multiprocessing.get_context("forkserver" if setup.device == "cpu" else "spawn")
    if setup.device == "cpu":
        context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_work, args=(name, PARTS[name], setup, folder, limit))
    process.start()
    return process


def _work(name: str, part: Part, setup: Setup, folder: str, limit: float) -> None:
    """Compute a part and write each row as a line of JSON; in a session of its own, its other output in a file.

    That holds the traceback of an error, and where every thread was shortly before the ``limit`` in seconds.
    """
    os.setsid()
    log = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    faulthandler.enable(log)
    faulthandler.dump_traceback_later(0.9 * limit, file=log)
    os.environ["LLMLAB_HOME"] = f"{folder}/home"
    with open(f"{folder}/rows", "w", encoding="utf-8", buffering=1) as file:

        def write(row: Row) -> None:
            record = dataclasses.asdict(row)
            del record["part"]
            file.write(json.dumps(record) + "\n")

        try:
            for row in rows_of(name, part, setup):
                write(row)
        except BaseException as error:
            traceback.print_exc()
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            write(Row(part.about, result=FAILED, reason=f"{text} ({place_of(error)})"))
            sys.exit(1)


def _text(folder: str, name: str) -> str:
    """A file of a part's process; empty where it wrote none."""
    try:
        return Path(folder, name).read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
