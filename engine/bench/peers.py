"""The program against others that do the same, pair by pair in one run. Nothing is fetched."""

from __future__ import annotations

import os
import pickle
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.corpus import Corpus
from engine.bench import decoding, encoding, setups
from engine.bench.rows import Row, judged, measured, skipped, spread
from engine.bench.setup import Setup
from engine.gpt.spec import TrainSpec
from engine.gpt.trainer import Trainer

PAIRS = 3
ITERATIONS = 1500
JUDGED = 200  # batches of nanoGPT's estimate of a loss
BLOCK = 50  # steps of fast between two evaluations
_ITERATION = re.compile(r"^iter (\d+): loss \S+, time ([\d.]+)ms", re.MULTILINE)
_EVALUATION = re.compile(r"^step (\d+): train loss \S+, val loss ([\d.]+)", re.MULTILINE)


def peers(setup: Setup) -> Iterator[Row]:
    """nanoGPT, ``generate`` of transformers and sentence-transformers; what is missing is a row without figures."""
    compared = "training, ours and nanoGPT"
    if not setup.nanogpt:
        yield skipped(compared, "not measured: give the folder of a checkout, --nanogpt PATH")
    elif not (Path(setup.nanogpt).expanduser() / "train.py").is_file():
        yield skipped(compared, f"not measured: there is no train.py in {setup.nanogpt}")
    else:
        try:
            yield from _nanogpt(setup)
        except RuntimeError as error:
            yield judged(compared, False, "", str(error))
    yield from decoding.decode(setup)
    yield from encoding.encode(setup)


def _nanogpt(setup: Setup) -> Iterator[Row]:
    """Steps of nanoGPT's recipe for a CPU and of ``nano``, and how soon ``fast`` has nanoGPT's loss.

    Seconds of ``fast`` are those by the clock until an exact loss on the whole validation part is as low, evaluations
    included; those of nanoGPT are its iterations alone.
    """
    text, count = setups.corpus(setup), setup.of(20, ITERATIONS)
    nano = setup.spec("nano")
    steps: list[float] = []
    sooner: list[float] = []
    ends: list[tuple[float, float, float]] = []
    for pair in range(setup.of(1, PAIRS)):
        before = _seconds_of_step(setups.trainer(nano, text), count // 10)
        theirs, wanted = _train(setup, text, nano, count)
        ours = statistics.mean((before, _seconds_of_step(setups.trainer(nano, text), count // 10)))
        steps.append(theirs / ours)
        made = setups.trainer(setup.spec("fast", seed=pair + 1, steps=setup.of(100, 1000)), text)
        seconds, loss = _seconds_to(wanted, made)
        if loss > wanted:
            yield skipped(f"fast at nanoGPT's loss of {wanted:.3f}", f"it ended at {loss:.3f}")
            continue
        sooner.append(theirs * count / seconds)
        ends.append((wanted, loss, seconds))
    yield measured(
        f"a step of nanoGPT's recipe of {nano.layers} layers, {nano.width} wide, ours (nano) and nanoGPT's",
        **spread("times_as_fast", steps),
        other_ms_per_step=theirs * 1e3,
        threads=made.placement.threads,
    )
    if ends:
        yield measured(
            f"seconds to nanoGPT's validation loss after {count:,} iterations, fast and nanoGPT",
            **spread("times_as_soon", sooner),
            **spread("seconds", [seconds for *_, seconds in ends]),
            other_loss=statistics.median(loss for loss, *_ in ends),
            loss=statistics.median(loss for _, loss, _ in ends),
        )


def _seconds_of_step(made: Trainer, count: int) -> float:
    """Seconds of a step, the median of ``count`` after the first."""
    times = []
    for _ in range(count + 1):
        begun = time.perf_counter()
        made.step()[0].item()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def _seconds_to(wanted: float, made: Trainer) -> tuple[float, float]:
    """Seconds until the validation loss is at most ``wanted``, and that loss; to the end where it never is."""
    begun, loss = time.perf_counter(), float("inf")
    while made.position.step < made.spec.steps and loss > wanted:
        for _ in range(min(BLOCK, made.spec.steps - made.position.step)):
            made.step()
        *_, (_, loss) = made.evaluate()
    return time.perf_counter() - begun, loss


def _train(setup: Setup, text: Corpus, shape: TrainSpec, count: int) -> tuple[float, float]:
    """Train with nanoGPT's ``train.py`` on the same split, in a scratch folder that refers to the checkout.

    Returns the seconds of an iteration, the median of those without an evaluation, and its estimate of the validation
    loss after the last one, nats per character. Raises :class:`RuntimeError` when it fails or prints no times.
    """
    checkout = Path(setup.nanogpt).expanduser().resolve()
    with tempfile.TemporaryDirectory(prefix="llmlab-nanogpt-") as scratch:
        folder = Path(scratch)
        for entry in checkout.iterdir():
            if entry.name != "data":
                (folder / entry.name).symlink_to(entry)
        (data := folder / "data" / "ours").mkdir(parents=True)
        for name, ids in zip(("train", "val"), text.split(), strict=True):
            np.asarray(ids, np.uint16).tofile(data / f"{name}.bin")
        (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(text.vocabulary)}))  # which train.py reads
        options = {
            "dataset": "ours",
            "out_dir": "out",
            "device": setups.place(setup).device.type,
            "compile": False,
            "n_layer": shape.layers,
            "n_head": shape.heads,
            "n_embd": shape.width,
            "block_size": shape.context,
            "batch_size": shape.batch,
            "dropout": 0.0,
            "learning_rate": 1e-3,
            "min_lr": 1e-4,
            "beta2": 0.99,
            "warmup_iters": 100,
            "gradient_accumulation_steps": 1,
            "max_iters": count,
            "lr_decay_iters": count,
            "log_interval": 1,
            "eval_interval": count,
            "eval_iters": setup.of(2, JUDGED),
            "always_save_checkpoint": False,
        }
        done = subprocess.run(
            [sys.executable, "-P", "train.py", *(f"--{name}={value}" for name, value in options.items())],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": scratch},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    times = [float(ms) / 1e3 for number, ms in _ITERATION.findall(done.stdout) if int(number) % count]
    losses = {int(number): float(loss) for number, loss in _EVALUATION.findall(done.stdout)}
    if done.returncode or not times or count not in losses:
        last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise RuntimeError(f"nanoGPT's train.py ended with {done.returncode}: {last[:200]}")
    return statistics.median(times), losses[count]
