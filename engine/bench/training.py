"""Training the GPT on the device: losses against the CPU's, exact resume, and the time of a step and of a training."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.bench import setups
from engine.bench.machine import seconds_of
from engine.bench.rows import Row, judged, measured, skipped, within
from engine.bench.setups import Setup

if TYPE_CHECKING:
    from torch import Tensor

    from data.corpus import Corpus
    from engine.gpt.spec import TrainSpec
    from engine.gpt.trainer import Trainer

PRECISIONS = (
    ("float32", "float32", True, 1e-3, 1e-5),
    ("float32 with TF32", "float32", False, 2e-2, 1e-3),
    ("bfloat16", "bfloat16", False, 5e-2, 5e-3),
)
"""Name, precision of the spec, whether products are exact, and by how many nats a loss may differ from the CPU's:
in a training, where rounding grows from step to step, and with the same weights."""
LONGEST = 60.0  # seconds of the training to the best validation loss
NOT_CAPTURED = "not available: the engine has no captured training step"


def losses(setup: Setup) -> Iterator[Row]:
    """Every loss of a training without dropout, whose masks differ between devices."""
    text, steps = setups.corpus(setup), setup.of(8, 50)

    def found(exact: bool, **given: str) -> list[float]:
        asked = setups.spec(setup, "small", dropout=0.0, warmup=10, **given)
        made = setups.trainer(asked, text, exact=exact)
        return [loss.item() for loss in [made.step()[0] for _ in range(steps)]]

    wanted = found(True, device="cpu", precision="float32")
    for name, precision, exact, limit, _ in PRECISIONS:
        there = found(exact, precision=precision)
        apart = [abs(one - other) for one, other in zip(wanted, there, strict=True)]
        compared = f"{steps} training losses, CPU float32 and device {name}"
        figures = {"last_on_CPU": wanted[-1], "last_on_device": there[-1]}
        yield within(compared, max(apart), limit, at_the_first_step=apart[0], **figures)


def resume(setup: Setup) -> Iterator[Row]:
    """A training of ``karpathy`` against one that was saved and restored in its middle, dropout included."""
    import torch

    text, half = setups.corpus(setup), setup.of(4, 20)
    asked = setups.spec(setup, "karpathy")
    for captured in (False, True):
        compared = f"{2 * half} steps and {half} + {half}, {'captured' if captured else 'eager'}"
        whole = _after(2 * half, asked, text, captured)
        if whole is None:
            yield skipped(compared, NOT_CAPTURED)
            continue
        one, other = (
            _tensors(made) for made in (whole, _after(half, asked, text, captured, _after(half, asked, text, captured)))
        )
        same = sum(torch.equal(one[name], other[name]) for name in one)
        apart = max(float((one[name] - other[name]).abs().max()) for name in one)
        reason = "weights or the optimizer's state differ"
        equal = f"{same} of {len(one)} tensors"
        yield judged(compared, same == len(one), "equal to the bit", reason, equal=equal, largest_difference=apart)


def validation(setup: Setup) -> Iterator[Row]:
    """The same weights, trained a little on the CPU, judged by the whole validation split on both."""
    text = setups.corpus(setup)

    def made(exact: bool, **given: str) -> Trainer:
        return setups.trainer(setups.spec(setup, "small", **given), text, exact=exact)

    ours = made(True, device="cpu", precision="float32")
    for _ in range(setup.of(3, 20)):
        ours.step()
    (*_, (tokens, wanted)) = ours.evaluate()
    for name, precision, exact, _, limit in PRECISIONS:
        there = made(exact, precision=precision)
        there.model.load_state_dict(ours.model.state_dict())
        (*_, (_, found)) = there.evaluate()
        compared = f"validation loss, CPU float32 and device {name}"
        yield within(compared, abs(wanted - found), limit, tokens=tokens, on_CPU=wanted, on_device=found)


def step(setup: Setup) -> Iterator[Row]:
    """Seconds of a step of ``karpathy``: eager, captured as one graph, and compiled by torch."""
    from engine.device import measure_peak

    text, asked = setups.corpus(setup), setups.spec(setup, "karpathy")
    peak = measure_peak(setups.place(setup), 0.5)
    made = setups.trainer(asked, text)
    yield _timed(setup, "eager training step", made, made.step, peak)
    graph = setups.captured_step(made)
    name = "captured training step"
    yield skipped(name, NOT_CAPTURED) if graph is None else _timed(setup, name, made, graph, peak)
    name = "training step with torch.compile"
    if not setup.cuda:
        yield skipped(name, "takes minutes to compile on a CPU")
        return
    made = setups.trainer(asked, text)
    made.model.compile()
    try:
        compiling = seconds_of(made.placement.device, made.step)
    except Exception as error:  # of the compiler, which the program does not use
        yield skipped(name, f"{type(error).__name__}: {' '.join(str(error).split())[:150]}")
        return
    yield _timed(setup, name, made, made.step, peak, seconds_of_the_first_step=compiling)


def best(setup: Setup) -> Iterator[Row]:
    """A whole training of ``karpathy``, until it stops early or the time is over."""
    from engine.gpt.train import train
    from engine.runs.events import Evaluated, Finished, Started
    from engine.runs.messages import Control, Stop

    given = {"steps": 30, "evaluate_every": 10} if setup.quick else {}
    control, begun, lowest, reason, steps = Control(), time.perf_counter(), math.inf, "", 0
    where, after, uniform = 0, 0.0, math.inf
    for event in train(setups.spec(setup, "karpathy", **given), control):
        if isinstance(event, Started):
            begun, uniform = time.perf_counter(), event.uniform_entropy
        elif isinstance(event, Evaluated) and event.val_loss < lowest:
            lowest, where, after = event.val_loss, event.step, time.perf_counter() - begun
        elif isinstance(event, Finished):
            reason, steps = event.reason, event.step
        if time.perf_counter() - begun > LONGEST:
            control.send(Stop(save=False))
    yield judged(
        f"training of {'a tiny model' if setup.quick else 'karpathy'} with evaluations and no checkpoints",
        where > 0 and lowest < uniform,
        "below the entropy of a uniform distribution",
        "it learned nothing",
        best_validation_loss=lowest,
        at_step=where,
        after_seconds=after,
        steps=steps,
        ended_by=reason,
    )


def _timed(setup: Setup, name: str, made: Trainer, run: setups.Step, peak: float, **more: float) -> Row:
    """Time of a step, the median of three series after a warm-up. ``peak`` in floating point operations per second."""
    device, count = made.placement.device, setup.of(3, 50)

    def series() -> None:
        for _ in range(count):
            run()

    for _ in range(3):
        run()
    seconds = statistics.median(seconds_of(device, series) for _ in range(3)) / count
    tokens = made.spec.batch * made.spec.context
    return measured(
        name,
        ms_per_step=seconds * 1e3,
        tokens_per_s=tokens / seconds,
        share_of_matrix_peak=tokens * made.model.config.flops_per_token() / seconds / peak,
        loss=run()[0].item(),
        **more,
    )


def _after(count: int, asked: TrainSpec, text: Corpus, captured: bool, before: Trainer | None = None) -> Trainer | None:
    """A trainer after ``count`` steps, from the start or from where another stands; None where nothing captures."""
    from checkpoints import state

    made = setups.trainer(asked, text)
    if before is not None:
        contents = state.capture(before.model, before.optimizer).encode()
        state.restore_model(made.model, contents)
        state.restore_optimizer(made.model, made.optimizer, contents)
        made.position = before.position
    run = setups.captured_step(made) if captured else made.step
    if run is not None:
        for _ in range(count):
            run()
    return made if run is not None else None


def _tensors(made: Trainer | None) -> dict[str, Tensor]:
    """Copies of weights and optimizer state."""
    from checkpoints import state

    assert made is not None
    held = state.capture(made.model, made.optimizer)
    return {**held.model, **{f"optimizer {name}": part for name, part in held.optimizer.items()}}
