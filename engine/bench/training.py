"""Training the GPT on the device: losses against the CPU's, exact resume, and the time of a step and of a training."""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from checkpoints import home, state
from data.corpus import Corpus
from engine.bench import setups
from engine.bench.machine import bandwidth, clock, matrix_peak, seconds_of
from engine.bench.rows import Row, judged, measured, skipped, spread, within
from engine.bench.setup import Setup
from engine.gpt import optimizers, runs
from engine.gpt import train as gpt
from engine.gpt.loss_buffer import LossBuffer
from engine.gpt.saving import Checkpointer
from engine.gpt.spec import TrainSpec
from engine.gpt.trainer import Trainer
from engine.runs.events import Evaluated, Finished, Saved, Started, Step
from engine.runs.messages import Control, Stop

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
PAIRS = 5
SPAN = 250  # steps of a recorded run that count


def losses(setup: Setup) -> Iterator[Row]:
    """Every loss of a training without dropout, whose masks differ between devices."""
    text, steps = setups.corpus(setup), setup.of(8, 50)

    def found(preset: str, stepping: setups.Stepping, *, exact: bool = False, **given: str) -> list[float]:
        asked = setup.spec(preset, dropout=0.0, warmup=10, **given)
        run = stepping(setups.trainer(asked, text, exact=exact))
        return [loss.item() for loss in [run()[0].clone() for _ in range(steps)]]

    def compared(what: str, wanted: list[float], there: list[float], limit: float) -> Row:
        apart = [abs(one - other) for one, other in zip(wanted, there, strict=True)]
        last = {"last_of_the_one": wanted[-1], "last_of_the_other": there[-1]}
        return within(f"{steps} training losses, {what}", max(apart), limit, at_the_first_step=apart[0], **last)

    one_by_one, captured = setups.STEPPINGS.values()
    on_cpu = found("small", one_by_one, exact=True, device="cpu", precision="float32")
    for name, precision, exact, limit, _ in PRECISIONS:
        there = found("small", captured, exact=exact, precision=precision)
        yield compared(f"CPU float32 and device {name}", on_cpu, there, limit)
    eager = found("small", one_by_one, precision=precision)
    yield compared(f"eager and captured in {precision}", eager, there, CAPTURED_LIMIT)
    on_cpu = found("fast", one_by_one, exact=True, device="cpu", precision="float32")
    there = found("fast", captured, precision=precision)
    yield compared(f"with Muon, CPU float32 and device {precision}", on_cpu, there, MUON_LIMIT)


def resume(setup: Setup) -> Iterator[Row]:
    """A training against the same again and one restored in its middle, dropout included."""
    text, half = setups.corpus(setup), setup.of(3, 20)
    for recipe, (how, stepping) in itertools.product(setups.RECIPES, setups.STEPPINGS.items()):
        asked, name = setup.spec(recipe), f"{setup.named(recipe)}, {how}"
        whole = _after(2 * half, asked, text, stepping)
        yield _equal(f"{2 * half} steps, twice, {name}", whole, _after(2 * half, asked, text, stepping))
        parts = _after(half, asked, text, stepping, _after(half, asked, text, stepping))
        yield _equal(f"{2 * half} steps and {half} + {half}, {name}", whole, parts)


def validation(setup: Setup) -> Iterator[Row]:
    """The same weights, trained a little on the CPU, judged by the whole validation split on both."""
    text = setups.corpus(setup)

    def made(exact: bool, **given: str) -> Trainer:
        return setups.trainer(setup.spec("small", **given), text, exact=exact)

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
    text, peak = setups.corpus(setup), matrix_peak(setups.place(setup))
    for recipe, (how, stepping) in itertools.product(setups.RECIPES, setups.STEPPINGS.items()):
        made, called = setups.trainer(setup.spec(recipe), text), setup.named(recipe)
        yield _timed(setup, f"{how} step of {called}", made, stepping, peak)
    recipe, *_ = setups.RECIPES
    for how, stepping in setups.STEPPINGS.items():
        name = f"{how} step of {recipe} with torch.compile"
        if not setup.cuda:
            yield skipped(name, "takes minutes to compile on a CPU")
            continue
        made = setups.trainer(setup.spec(recipe), text)
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


def train(setup: Setup) -> Iterator[Row]:
    """A recorded run with its evaluation, sample and saves against the bare loop, and where the time of a step goes."""
    yield _recorded(setup)
    for recipe in ("nano", "fast"):
        yield from _profile(setup, recipe)


def save(setup: Setup) -> Iterator[Row]:
    """How long training stands still for a checkpoint, and how long until it is on the disk."""
    for recipe in ("nano", "karpathy"):
        made = setups.trainer(setup.spec(recipe, device="cpu"), setups.corpus(setup))
        optimizers.allocate(made.optimizer)

        def held(made: Trainer = made) -> Any:
            return state.capture(made.model, made.optimizer), {}

        (folder := home.runs() / recipe).mkdir(parents=True)
        saver = Checkpointer(folder, math.inf, held)
        stalls, saved = [], []
        for number in range(PAIRS):
            begun = time.perf_counter()
            told = list(saver.save(number, best=False))
            stalls.append(time.perf_counter() - begun)
            saved += [event for event in (*told, *saver.report(wait=True)) if isinstance(event, Saved)]
        saver.close()
        yield measured(
            f"a checkpoint of {setup.named(recipe)}",
            MiB=saved[-1].bytes / 2**20,
            **spread("pause_ms", stalls, 1e3),
            **spread("on_disk_ms", [event.seconds for event in saved], 1e3),
        )


def _recorded(setup: Setup) -> Row:
    """Steps per second of a run and of the bare loop, in pairs.

    One evaluation, one sample and whatever saves fall due lie within the ``SPAN`` steps of a run that count.
    """
    span = setup.of(20, SPAN)
    asked = setup.spec("nano", steps=1_000_000, evaluate_every=span, sample_every=span)
    text = setups.corpus(setup)

    def loop(made: Trainer) -> float:
        """Seconds for half a span of the bare loop; one half goes before ours and one after, against the drift."""
        begun = time.perf_counter()
        for number in range(span // 2):
            inputs, targets = made.windows.at(number)
            made.optimizer.zero_grad(set_to_none=True)
            loss = made.model.loss(inputs, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(made.model.parameters(), asked.clip)
            made.optimizer.step()
        loss.item()
        return time.perf_counter() - begun

    ours, bare = [], []
    for _ in range(setup.of(1, PAIRS)):
        made = setups.trainer(asked, text)
        made.step()
        before, control, times = loop(made), Control(), {}
        for event in runs.drive(runs.create(asked), control, resume=False):
            if isinstance(event, Step):
                times[event.step] = time.perf_counter()
                if event.step >= span + 40:
                    control.send(Stop(save=False))
        first = min(number for number in times if number >= 20)
        last = min(number for number in times if number >= first + span)
        ours.append((last - first) / (times[last] - times[first]))
        bare.append(span / (before + loop(made)))
    return measured(
        f"{span} steps of {setup.named('nano')}, a recorded run and the bare loop",
        **spread("times_as_fast", [one / other for one, other in zip(ours, bare, strict=True)]),
        ours_steps_per_s=statistics.median(ours),
        bare_steps_per_s=statistics.median(bare),
        tokens_per_s=statistics.median(ours) * asked.batch * asked.context,
    )


def _profile(setup: Setup, recipe: str) -> Iterator[Row]:
    """The parts of a step against what the machine can do at most, medians of many steps.

    On a CPU the time is that of the thread which computes, without what other processes take from it.
    """
    made, called = setups.trainer(setup.spec(recipe), setups.corpus(setup)), setup.named(recipe)
    device = made.placement.device
    peak, bus, losses = matrix_peak(made.placement), bandwidth(device), LossBuffer(device)
    spent: dict[str, list[float]] = defaultdict(list)

    def clocked(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            begun = clock(device)
            try:
                return work(*given, **named)
            finally:
                spent[part][-1] += clock(device) - begun

        return run

    def step() -> None:
        loss, norm, rate = made.step()
        losses.add(made.position.step, rate, loss, norm)
        if losses.due():
            losses.take()

    methods: tuple[tuple[str, Any, str], ...] = (
        ("batch", made.windows, "load"),
        ("batch", made.windows, "gather"),
        ("forward", made.model, "loss"),
        ("backward", torch.Tensor, "backward"),
        ("optimizer", made.optimizer, "step"),
    )
    with contextlib.ExitStack() as stack:
        for part, owner, method in methods:
            stack.enter_context(mock.patch.object(owner, method, clocked(part, getattr(owner, method))))
        for _ in range(count := setup.of(4, 60)):
            for part in ("step", *dict.fromkeys(part for part, _, _ in methods)):
                spent[part].append(0.0)
            clocked("step", step)()
    medians = {part: statistics.median(times[count // 4 :]) for part, times in spent.items()}
    whole = medians.pop("step")
    tokens = made.spec.batch * made.spec.context
    arithmetic = tokens * made.model.config.flops_per_token()
    products, traffic = _update(made)
    at_most = {
        "forward": {"share_of_matrix_peak": arithmetic / 3 / peak},
        "backward": {"share_of_matrix_peak": arithmetic * 2 / 3 / peak},
        "optimizer": {"share_of_matrix_peak": products / peak, "share_of_bandwidth": traffic / bus},
    }
    yield measured(
        f"a step of {called}",
        ms=whole * 1e3,
        tokens_per_s=tokens / whole,
        share_of_matrix_peak=arithmetic / whole / peak,
        matrix_GFLOP_per_s=peak / 1e9,
        memory_GB_per_s=bus / 1e9,
        threads=made.placement.threads,
        precision=made.placement.precision,
    )
    for part, seconds in (*medians.items(), ("bookkeeping", whole - sum(medians.values()))):
        shares = {name: least / seconds for name, least in at_most.get(part, {}).items()}
        yield measured(f"a step of {called}: {part}", ms=seconds * 1e3, share_of_step=seconds / whole, **shares)


def _update(made: Trainer) -> tuple[float, float]:
    """Floating point operations of Muon's products in an update, and the bytes that an update must read and write.

    A parameter, its gradient and its moments are read, and all but the gradient written.
    """
    products = traffic = 0.0
    for group in made.optimizer.param_groups:
        for parameter in group["params"]:
            moments = 1 if optimizers.MOMENTUM in group else 2
            traffic += 4 * parameter.numel() * (3 + 2 * moments)
            if optimizers.MOMENTUM in group:
                for one in optimizers.separate(parameter):
                    short, long = sorted(one.shape)
                    products += optimizers.ITERATIONS * (4 * short**2 * long + 2 * short**3)
    return products, traffic


def _whole(setup: Setup, recipe: str) -> Row:
    given = {"steps": 20, "evaluate_every": 10} if setup.quick else {}
    control, begun, lowest, reason, steps = Control(), time.perf_counter(), math.inf, "", 0
    where, after, uniform = 0, 0.0, math.inf
    for event in gpt.train(setup.spec(recipe, **given), control):
        if isinstance(event, Started):
            begun, uniform = time.perf_counter(), event.uniform_entropy
        elif isinstance(event, Evaluated) and event.val_loss < lowest:
            lowest, where, after = event.val_loss, event.step, time.perf_counter() - begun
        elif isinstance(event, Finished):
            reason, steps = event.reason, event.step
        if time.perf_counter() - begun > LONGEST:
            control.send(Stop(save=False))
    return judged(
        f"training of {setup.named(recipe)} with evaluations and no checkpoints",
        where > 0 and lowest < uniform,
        "below the entropy of a uniform distribution",
        "it learned nothing",
        best_validation_loss=lowest,
        at_step=where,
        after_seconds=after,
        steps=steps,
        ended_by=reason,
    )


def _timed(setup: Setup, name: str, made: Trainer, stepping: setups.Stepping, peak: float) -> Row:
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
    stepping: setups.Stepping,
    before: Trainer | None = None,
) -> Trainer:
    """A trainer after ``count`` steps, from the start or from a checkpoint of where another stands.

    Raises :class:`RuntimeError` when its step should be captured and was not.
    """
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
    a, b = _tensors(one), _tensors(other)
    same = sum(torch.equal(a[name], b[name]) for name in a)
    apart = max(float((a[name] - b[name]).abs().max()) for name in a)
    reason = "weights or the optimizer's state differ"
    equal = f"{same} of {len(a)} tensors"
    return judged(compared, same == len(a), "equal to the bit", reason, equal=equal, largest_difference=apart)


def _tensors(made: Trainer) -> dict[str, Tensor]:
    """Copies of weights and optimizer state."""
    held = state.capture(made.model, made.optimizer)
    return {**held.model, **{f"optimizer {name}": part for name, part in held.optimizer.items()}}
