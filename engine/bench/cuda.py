"""What only CUDA can tell: whether anything waits for the device, and what happens when its memory runs out."""

from __future__ import annotations

import gc
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.bench import setups
from engine.bench.encoding import same_features
from engine.bench.rows import Row, judged, place_of
from engine.bench.setup import Setup
from engine.encoders.encode import machine_for
from engine.gpt.loss_buffer import LossBuffer
from engine.gpt.train import train
from engine.gpt.trainer import Trainer
from engine.runs.events import Finished, Notice, Step
from engine.runs.messages import Control

COUNT = 20  # steps, and batches
PIECES = ("cls", "max")  # pooled vectors of an encoder
SCARCE = 0.75  # of the memory that the whole batch takes


def sync(setup: Setup) -> Iterator[Row]:
    """``torch.cuda.set_sync_debug_mode("error")`` over training steps and batches of an encoder."""
    text = setups.corpus(setup)
    for recipe, (name, stepping) in itertools.product(setups.RECIPES, setups.STEPPINGS.items()):
        made = setups.trainer(setup.spec(recipe), text)
        losses, run = LossBuffer(made.placement.device), stepping(made)
        made.position.step = 50  # the positions of the windows are drawn anew at step 64

        def step(made: Trainer = made, losses: LossBuffer = losses, run: setups.Step = run) -> None:
            loss, norm, rate = run()
            losses.add(made.position.step, rate, loss, norm)

        yield _silent(f"{COUNT} {name} steps of {setup.named(recipe)}", step)
    from transformers import masking_utils

    # transformers asks of every batch whether its mask masks anything, which waits; what is ours must not.
    masking_utils._ignore_bidirectional_mask_sdpa = lambda *_, **__: False
    with tempfile.TemporaryDirectory() as folder:
        found = setups.encoder(setup, Path(folder))
        machine = machine_for(found, setup.device)
        given, _ = setups.texts(64)
        batch = sorted(found.ids(given, 128), key=len, reverse=True)
        compared = f"{COUNT} batches of an encoder, but for what transformers asks of their masks"
        yield _silent(compared, lambda: machine._pool(batch, PIECES))


def memory(setup: Setup) -> Iterator[Row]:
    """``torch.cuda.set_per_process_memory_fraction``: less memory than a whole batch takes, and then its half."""
    yield from _training(setup)
    yield from _encoding(setup)


def _training(setup: Setup) -> Iterator[Row]:
    asked = setup.spec("karpathy", steps=6, evaluate_every=6)
    text = setups.corpus(setup)
    _limit(lambda: setups.trainer(asked, text).step())
    events = list(train(asked))
    notices = [event.text for event in events if isinstance(event, Notice) and event.kind == "memory"]
    steps = sum(isinstance(event, Step) for event in events)
    ended = next(event.reason for event in events if isinstance(event, Finished))
    yield judged(
        "training short of memory: the micro-batch is halved",
        ended == "steps" and steps == asked.steps and any("windows at a time" in text for text in notices),
        f"{asked.steps} steps and a notice",
        "; ".join(notices) or "memory did not run out",
        steps=steps,
        ended_by=ended,
        notices=len(notices),
    )
    torch.cuda.set_per_process_memory_fraction(1.0)


def _encoding(setup: Setup) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        found = setups.encoder(setup, Path(folder))
        machine = machine_for(found, setup.device)
    given, _ = setups.texts(4096)
    ids = sorted(found.ids(given, 128), key=len, reverse=True)
    wanted: dict[str, Any] = {}
    _limit(lambda: list(machine.run(ids, PIECES, lambda _, found, __: wanted.update(found), Control())))
    there: dict[str, Any] = {}
    again = machine.run(ids, PIECES, lambda _, found, __: there.update(found), Control())
    notices = [event.text for event in again if isinstance(event, Notice)]
    yield judged(
        "encoding short of memory: the batch is halved",
        any("out of memory" in text for text in notices),
        "a notice",
        "memory did not run out",
        notices=len(notices),
    )
    whole, halved = (np.concatenate([found[name] for name in PIECES]) for found in (wanted, there))
    yield same_features("features with a halved batch and a whole one", whole, halved, machine)


def _limit(work: Callable[[], object]) -> None:
    """Let this process have less memory from now on than ``work`` takes."""
    torch.cuda.reset_peak_memory_stats()
    work()
    taken = torch.cuda.max_memory_allocated()
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.set_per_process_memory_fraction(SCARCE * taken / total)


def _silent(compared: str, work: Callable[[], object]) -> Row:
    """Work that must not wait for the device, after a few times in which it may."""
    for _ in range(setups.WARM_UP):
        work()
    torch.cuda.set_sync_debug_mode("error")
    reason, done = "", 0
    try:
        for _ in range(COUNT):
            work()
            done += 1
    except RuntimeError as error:
        if "synchronizing" not in str(error):
            raise
        reason = f"it waits for the device in {place_of(error)}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return judged(compared, not reason, "no synchronisation", reason, done=done)
