"""Training the GPT on the device: losses against the CPU's, exact resume, and the time of a step and of a training."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from engine.bench import setups
from engine.bench.machine import matrix_peak, seconds_of
from engine.bench.rows import Row, judged, skipped, within
from engine.bench.setups import Setup

if TYPE_CHECKING:
    from torch import Tensor

    from data.corpus import Corpus
    from engine.gpt.spec import TrainSpec
    from engine.gpt.trainer import Trainer

Stepping: TypeAlias = "Callable[[Trainer], setups.Step]"

PRECISIONS = (
    ("float32", "float32", True, 1e-3, 1e-5),
    ("float32 with TF32", "float32", False, 1e-1, 1e-3),
    ("bfloat16", "bfloat16", False, 1e-1, 5e-3),
)
"""Name, precision of the spec, whether products are exact, and by how many nats a loss may differ from the CPU's:
in a training, where rounding grows from step to step, and with the same weights."""
CAPTURED_LIMIT = 1e-2  # nats in bfloat16: the optimizer of a graph computes its step sizes on the device
MUON_LIMIT = 1e-1  # nats: Muon's directions come from products in bfloat16 on a GPU
LONGEST = 30.0  # seconds of a training to the best validation loss
NOT_CAPTURED = "not built: the engine has no captured training step"


def losses(setup: Setup) -> Iterator[Row]:
    """Every loss of a training without dropout, whose masks differ between devices."""
    text, steps = setups.corpus(setup), setup.of(8, 50)

    def found(preset: str, stepping: Stepping, *, exact: bool = False, **given: str) -> list[float]:
        asked = setups.spec(setup, preset, dropout=0.0, warmup=10, **given)
        run = stepping(setups.trainer(asked, text, exact=exact))
        return [loss.item() for loss in [run()[0].clone() for _ in range(steps)]]

    def compared(what: str, wanted: list[float], there: list[float], limit: float) -> Row:
        apart = [abs(one - other) for one, other in zip(wanted, there, strict=True)]
        last = {"last_of_the_one": wanted[-1], "last_of_the_other": there[-1]}
        return within(f"{steps} training losses, {what}", max(apart), limit, at_the_first_step=apart[0], **last)

    on_cpu = found("small", setups.eager_step, exact=True, device="cpu", precision="float32")
    for name, precision, exact, limit, _ in PRECISIONS:
        there = found("small", setups.fastest_step, exact=exact, precision=precision)
        yield compared(f"CPU float32 and device {name}", on_cpu, there, limit)
    if setups.CAPTURES:
        eager = found("small", setups.eager_step, precision=precision)
        yield compared(f"eager and captured in {precision}", eager, there, CAPTURED_LIMIT)
    else:
        yield skipped(f"{steps} training losses, eager and captured", NOT_CAPTURED)
    on_cpu = found("fast", setups.eager_step, exact=True, device="cpu", precision="float32")
    there = found("fast", setups.fastest_step, precision=precision)
    yield compared(f"with Muon, CPU float32 and device {precision}", on_cpu, there, MUON_LIMIT)


def resume(setup: Setup) -> Iterator[Row]:
    """A training against the same again and one restored in its middle, dropout included."""
    text, half = setups.corpus(setup), setup.of(3, 20)
    steppings = (("eager", setups.eager_step), ("captured", setups.captured_step))
    for recipe, (how, stepping) in itertools.product(setups.RECIPES, steppings):
        asked, name = setups.spec(setup, recipe), f"{setups.named(setup, recipe)}, {how}"
        if stepping is setups.captured_step and not setups.CAPTURES:
            yield skipped(f"{2 * half} steps and {half} + {half}, {name}", NOT_CAPTURED)
            continue
        whole = _after(2 * half, asked, text, stepping)
        yield _equal(f"{2 * half} steps, twice, {name}", whole, _after(2 * half, asked, text, stepping))
        parts = _after(half, asked, text, stepping, _after(half, asked, text, stepping))
        yield _equal(f"{2 * half} steps and {half} + {half}, {name}", whole, parts)


def validation(setup: Setup) -> Iterator[Row]:
    """The same weights, trained a little on the CPU, judged by the whole validation split on both."""
    text = setups.corpus(setup)

    def made(exact: bool, **given: str) -> Trainer:
        return setups.trainer(setups.spec(setup, "small", **given), text, exact=exact)

    ours = made(True, device="cpu", precision="float32")
    for _ in range(setup.of(3, 10)):
        ours.step()
    (*_, (tokens, wanted)) = ours.evaluate()
    for name, precision, exact, _, limit in PRECISIONS:
        there = made(exact, precision=precision)
        there.model.load_state_dict(ours.model.state_dict())
        (*_, (_, found)) = there.evaluate()
        compared = f"validation loss, CPU float32 and device {name}"
        yield within(compared, abs(wanted - found), limit, tokens=tokens, on_CPU=wanted, on_device=found)


def step(setup: Setup) -> Iterator[Row]:
    """Seconds of a step: eager, captured as one graph, compiled by torch, and compiled and captured."""
    text, peak = setups.corpus(setup), matrix_peak(setup)
    for recipe in setups.RECIPES:
        asked, called = setups.spec(setup, recipe), setups.named(setup, recipe)
        yield _timed(setup, f"eager step of {called}", setups.trainer(asked, text), setups.eager_step, peak)
        name = f"captured step of {called}"
        if setups.CAPTURES:
            yield _timed(setup, name, setups.trainer(asked, text), setups.captured_step, peak)
        else:
            yield skipped(name, NOT_CAPTURED)
    recipe, *_ = setups.RECIPES
    asked = setups.spec(setup, recipe)
    for name, stepping in (
        (f"eager step of {recipe} with torch.compile", setups.eager_step),
        (f"captured step of {recipe} with torch.compile", setups.captured_step),
    ):
        if not setup.cuda:
            yield skipped(name, "takes minutes to compile on a CPU")
        elif stepping is setups.captured_step and not setups.CAPTURES:
            yield skipped(name, NOT_CAPTURED)
        else:
            made = setups.trainer(asked, text)
            made.model.compile()
            try:
                row = _timed(setup, name, made, stepping, peak)
            except Exception as error:  # of the compiler, which the program does not use
                yield skipped(name, f"{type(error).__name__}: {' '.join(str(error).split())[:150]}")
            else:
                yield skipped(name, row.reason) if row.reason else row


def best(setup: Setup) -> Iterator[Row]:
    """Whole trainings, until they stop early or the time is over."""
    for recipe in setups.RECIPES[: setup.of(1, 2)]:
        yield _whole(setup, recipe)


def _whole(setup: Setup, recipe: str) -> Row:
    from engine.gpt.train import train
    from engine.runs.events import Evaluated, Finished, Started
    from engine.runs.messages import Control, Stop

    given = {"steps": 20, "evaluate_every": 10} if setup.quick else {}
    control, begun, lowest, reason, steps = Control(), time.perf_counter(), math.inf, "", 0
    where, after, uniform = 0, 0.0, math.inf
    for event in train(setups.spec(setup, recipe, **given), control):
        if isinstance(event, Started):
            begun, uniform = time.perf_counter(), event.uniform_entropy
        elif isinstance(event, Evaluated) and event.val_loss < lowest:
            lowest, where, after = event.val_loss, event.step, time.perf_counter() - begun
        elif isinstance(event, Finished):
            reason, steps = event.reason, event.step
        if time.perf_counter() - begun > LONGEST:
            control.send(Stop(save=False))
    return judged(
        f"training of {setups.named(setup, recipe)} with evaluations and no checkpoints",
        where > 0 and lowest < uniform,
        "below the entropy of a uniform distribution",
        "it learned nothing",
        best_validation_loss=lowest,
        at_step=where,
        after_seconds=after,
        steps=steps,
        ended_by=reason,
    )


def _timed(setup: Setup, name: str, made: Trainer, stepping: Stepping, peak: float) -> Row:
    """Time of a step, the median of series after a warm-up. ``peak`` in floating point operations per second."""
    device, count, run = made.placement.device, setup.of(3, 50), stepping(made)

    def series(length: int = count) -> None:
        for _ in range(length):
            run()

    warm = seconds_of(device, lambda: series(setup.of(1, setups.WARM_UP)))
    seconds = statistics.median(seconds_of(device, series) for _ in range(setup.of(1, 3))) / count
    tokens = made.spec.batch * made.spec.context
    return judged(
        name,
        not (reason := setups.not_captured(run)),
        "",
        reason,
        ms_per_step=seconds * 1e3,
        tokens_per_s=tokens / seconds,
        share_of_matrix_peak=tokens * made.model.config.flops_per_token() / seconds / peak,
        seconds_of_warm_up=warm,
        loss=run()[0].item(),
    )


def _after(
    count: int,
    asked: TrainSpec,
    text: Corpus,
    stepping: Stepping,
    before: Trainer | None = None,
) -> Trainer:
    """A trainer after ``count`` steps, from the start or from a checkpoint of where another stands.

    Raises :class:`RuntimeError` when its step should be captured and was not.
    """
    from checkpoints import state

    made = setups.trainer(asked, text)
    if before is not None:
        contents = state.capture(before.model, before.optimizer).encode()
        state.restore_model(made.model, contents)
        state.restore_optimizer(made.model, made.optimizer, contents)
        made.position = before.position
    run = stepping(made)
    for _ in range(count):
        run()
    if reason := setups.not_captured(run):
        raise RuntimeError(reason)
    return made


def _equal(compared: str, one: Trainer, other: Trainer) -> Row:
    """Weights and optimizer states that must be equal to the bit."""
    import torch

    a, b = _tensors(one), _tensors(other)
    same = sum(torch.equal(a[name], b[name]) for name in a)
    apart = max(float((a[name] - b[name]).abs().max()) for name in a)
    reason = "weights or the optimizer's state differ"
    equal = f"{same} of {len(a)} tensors"
    return judged(compared, same == len(a), "equal to the bit", reason, equal=equal, largest_difference=apart)


def _tensors(made: Trainer) -> dict[str, Tensor]:
    """Copies of weights and optimizer state."""
    from checkpoints import state

    held = state.capture(made.model, made.optimizer)
    return {**held.model, **{f"optimizer {name}": part for name, part in held.optimizer.items()}}
