"""Where measurements live: ratios from pairs taken in one run, since a machine drifts, and one JSON line last."""

from __future__ import annotations

import math
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engine.bench import gpu
from engine.bench.setups import Setup
from engine.machine import cpu_name
from tui.command.bench_decode import decode
from tui.command.bench_encode import encode, search
from tui.command.bench_figures import spread
from tui.command.bench_terminal import Screen, panes
from tui.output import print_json, print_message, say

PAIRS = 5
SPAN = 250  # steps that a pair of the training benchmark counts


def measure(what: str, seconds: float, *, as_json: bool, model: str = "") -> int:
    """Run one benchmark, narrate it on stderr and print its figures, as JSON on the last line of stdout."""
    benches: dict[str, Callable[[], dict[str, Any]]] = {
        "start": _start,
        "train": _train,
        "ui": partial(_ui, seconds),
        "save": _save,
        "decode": partial(decode, model, print_message),
        "encode": partial(encode, model),
        "search": search,
        "panes": partial(panes, print_message),
    }
    print_message(f"bench {what} on {cpu_name()}")
    with tempfile.TemporaryDirectory(prefix="llmlab-bench-") as home:
        if what not in ("decode", "encode", "search"):  # those may use the user's models
            os.environ["LLMLAB_HOME"] = home
        figures = benches[what]()
    if not as_json:
        for name, value in figures.items():
            say(f"{name:<34} {value}")
    print_json({"bench": what, "machine": cpu_name(), **figures})
    return 0


def check_gpu(setup: Setup, only: Sequence[str], out: Path | None, *, as_json: bool) -> int:
    """Check and measure the device (:mod:`engine.bench.gpu`): a table on stdout, and JSON on its last line."""
    record = gpu.check(setup, only=only, out=out, say=print_message if as_json else say, tell=print_message)
    print_json(record)
    return 1 if record["failed"] else 0


# -- start-up --------------------------------------------------------------------------------------------------------


def _start() -> dict[str, Any]:
    """From starting the process to the last byte of the first full picture, on a real pseudo-terminal."""
    times = []
    for number in range(PAIRS + 1):
        with Screen() as screen:
            painted = screen.wait_for("Start training", 30.0)
            if number:  # the first run fills the file cache
                times.append(painted)
    return {**spread("first_paint_s", times), "runs": len(times)}


# -- training --------------------------------------------------------------------------------------------------------


def _train() -> dict[str, Any]:
    """Steps per second of a recorded run, with its evaluation, sample and saves, against the bare loop.

    One evaluation, one sample and whatever saves fall due lie within the ``SPAN`` steps of a recorded run that count.
    """
    import torch

    from data import dante
    from engine.device import measure_peak, place
    from engine.gpt import runs as gpt_runs
    from engine.gpt.spec import build
    from engine.gpt.trainer import Trainer
    from engine.runs.events import Step
    from engine.runs.messages import Control, Stop, finish

    given = {"corpus": "dantesque", "preset": "nano", "steps": "1000000", "evaluate_every": str(SPAN)}
    spec = build({**given, "sample_every": str(SPAN)}, preset_for_auto="nano")
    placement = place(spec.device, spec.precision, spec.threads)
    corpus = finish(dante.load("dantesque", cache=Path(os.environ["LLMLAB_HOME"])))
    ours, bare, rates = [], [], []

    def loop(trainer: Trainer) -> float:
        """Seconds for half a span of the bare loop; one half goes before ours and one after, against the drift."""
        begun = time.perf_counter()
        for step in range(SPAN // 2):
            inputs, targets = trainer.windows.at(step)
            trainer.optimizer.zero_grad(set_to_none=True)
            loss = trainer.model.loss(inputs, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), spec.clip)
            trainer.optimizer.step()
        loss.item()
        return time.perf_counter() - begun

    for pair in range(PAIRS):
        trainer = Trainer(spec, corpus, placement)
        trainer.step()
        before = loop(trainer)
        control, times = Control(), {}
        for event in gpt_runs.drive(gpt_runs.create(spec), control, resume=False):
            if isinstance(event, Step):
                times[event.step] = time.perf_counter()
                rates.append(event.tokens_per_second)
                if event.step >= SPAN + 40:
                    control.send(Stop(save=False))
        first = min(step for step in times if step >= 20)
        last = min(step for step in times if step >= first + SPAN)
        ours.append((last - first) / (times[last] - times[first]))
        bare.append(SPAN / (before + loop(trainer)))
        print_message(
            f"pair {pair + 1}: bare {bare[-1]:.2f}, ours {ours[-1]:.2f} steps/s, ratio {ours[-1] / bare[-1]:.3f}"
        )
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    return {
        "bare_steps_per_s_median": round(statistics.median(bare), 2),
        "ours_steps_per_s_median": round(statistics.median(ours), 2),
        **spread("ratio", ratios),
        "tokens_per_s_median": round(statistics.median(rates)),
        "peak_gflops": round(measure_peak(placement) / 1e9, 1),
        "steps_each": SPAN,
        "pairs": PAIRS,
    }


# -- what the screen costs -------------------------------------------------------------------------------------------


def _ui(seconds: float) -> dict[str, Any]:
    """One run, watched and not watched in turn: steps per second, bytes to the terminal, key to paint; then idle."""
    from engine.gpt import runs as gpt_runs
    from engine.gpt.spec import build
    from engine.runs import owner
    from engine.runs.messages import Stop

    spec = build({"corpus": "dantesque", "preset": "nano", "steps": "1000000", "patience": "0"}, preset_for_auto="nano")
    run = gpt_runs.create(spec)
    process = owner.spawn(run)
    each = max(4.0, seconds / PAIRS / 2)
    try:
        _wait_for_steps(run.events, 20)
        with_screen, without, sent, keys = [], [], [], []
        for pair in range(PAIRS):
            without.append(_steps_per_second(run.events, each))
            with Screen() as screen:
                screen.wait_for("training", 30.0)
                screen.read(2.0)
                before = screen.received
                begun = time.monotonic()
                with_screen.append(_steps_per_second(run.events, each, meanwhile=screen.read))
                sent.append((screen.received - before) / (time.monotonic() - begun))
                keys += [screen.key_to_paint("g") for _ in range(20)]
            print_message(
                f"pair {pair + 1}: without {without[-1]:.2f}, with {with_screen[-1]:.2f} steps/s, "
                f"{sent[-1] / 1024:.2f} KiB/s"
            )
        owner.send(run, Stop())
        process.wait(60)
    finally:
        process.kill()
    with Screen() as screen:
        screen.wait_for("Runs", 30.0)
        screen.read(3.0)
        idle = screen.read(6.0) / 6.0
    ratios = [a / b for a, b in zip(with_screen, without, strict=True)]
    keys.sort()
    return {
        "steps_per_s_without": round(statistics.median(without), 2),
        "steps_per_s_with": round(statistics.median(with_screen), 2),
        **spread("ratio", ratios),
        "kib_per_s_median": round(statistics.median(sent) / 1024, 2),
        "kib_per_s_max": round(max(sent) / 1024, 2),
        "key_to_paint_ms_median": round(statistics.median(keys) * 1000, 1),
        "key_to_paint_ms_p99": round(keys[min(len(keys) - 1, int(len(keys) * 0.99))] * 1000, 1),
        "idle_bytes_per_s": round(idle, 1),
        "keys": len(keys),
    }


def _wait_for_steps(journal: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while _last_step(journal) < step:
        if time.monotonic() > deadline:
            raise TimeoutError("the trainer did not get going")
        time.sleep(0.2)


def _steps_per_second(journal: Path, seconds: float, meanwhile: Callable[[float], object] | None = None) -> float:
    """Steps that the journal gains, over the time between the two lines that were seen."""
    first, begun = _next_step(journal, meanwhile)
    deadline = begun + seconds
    while time.monotonic() < deadline:
        (meanwhile or time.sleep)(0.05)
    last, ended = _next_step(journal, meanwhile)
    return (last - first) / (ended - begun)


def _next_step(journal: Path, meanwhile: Callable[[float], object] | None) -> tuple[int, float]:
    """Wait until the journal tells a new step, so that the moment is the step's and not ours."""
    here = _last_step(journal)
    while (now := _last_step(journal)) == here:
        (meanwhile or time.sleep)(0.005)
    return now, time.monotonic()


def _last_step(journal: Path) -> int:
    with journal.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
        found = re.findall(rb'"event":"step","step":(\d+)', file.read())
    return int(found[-1]) if found else 0


# -- saving ----------------------------------------------------------------------------------------------------------


def _save() -> dict[str, Any]:
    """How long training stands still for a checkpoint, and how long until it is on the disk."""
    from engine.gpt.model import GPT
    from engine.gpt.spec import build

    figures: dict[str, Any] = {}
    for preset in ("nano", "karpathy"):
        stalls, totals, size = _saves(GPT, build({"preset": preset}, preset_for_auto="nano"))
        figures |= {
            f"{preset}_mib": round(size / 2**20, 1),
            f"{preset}_stall_ms_median": round(statistics.median(stalls) * 1000, 1),
            f"{preset}_on_disk_ms_median": round(statistics.median(totals) * 1000, 1),
        }
    return figures


def _saves(kind: Any, spec: Any) -> tuple[list[float], list[float], int]:
    import torch

    from checkpoints.state import capture
    from engine.gpt.saving import Checkpointer
    from engine.runs.events import Saved

    model = kind(spec.model(72))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model.loss(*(torch.zeros(1, 8, dtype=torch.long),) * 2).backward()
    optimizer.step()
    saver = Checkpointer(
        Path(os.environ["LLMLAB_HOME"]) / spec.preset, math.inf, lambda: (capture(model, optimizer), {})
    )
    stalls, totals, size = [], [], 0
    for step in range(PAIRS):
        begun = time.perf_counter()
        told = list(saver.save(step, best=False))
        stalls.append(time.perf_counter() - begun)
        for saved in (*told, *saver.report(wait=True)):
            assert isinstance(saved, Saved)
            totals.append(saved.seconds)
            size = saved.bytes
    saver.close()
    return stalls, totals, size
