"""Forty steps equal twenty, a resume and twenty more, to the bit."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as tensors_of
from workbench import FAST, KARPATHY, NANO, make_verse, measured, new_run, only, samples, spec, stop_at, train, weights

from engine.gpt.spec import TrainSpec, build
from engine.gpt.trainer import Trainer
from engine.runs.events import Evaluated, Event, Finished, Started, Step
from engine.runs.messages import Control, SetLearningRate

pytestmark = pytest.mark.usefixtures("known_peak")


def evaluations(events: list[Event]) -> list[tuple[Any, ...]]:
    return [(e.step, e.val_loss, e.train_loss, e.best_val_loss, e.best_step) for e in only(Evaluated, events)]


def assert_same(one: list[Event], other: list[Event], runs: tuple[Any, Any], step: int) -> None:
    """Both histories measured the same and ended in the same bytes."""
    assert len(measured(one)) == step
    assert measured(one) == measured(other)
    assert evaluations(one) == evaluations(other)
    assert samples(one) == samples(other)
    first, second = (weights(run, step) for run in runs)
    assert first.keys() == second.keys() == {"model.safetensors", "optimizer.safetensors"}
    for name in first:
        held, again = tensors_of(first[name]), tensors_of(second[name])
        assert held.keys() == again.keys()
        for key in held:
            assert held[key].numpy().tobytes() == again[key].numpy().tobytes(), key
    moments = tensors_of(first["optimizer.safetensors"])
    assert any(key.endswith("exp_avg_sq") for key in moments)
    assert {float(value) for key, value in moments.items() if key.endswith(".step")} == {float(step)}


def disturb(event: Event, control: Control) -> None:
    """Draw from every global source of random numbers."""
    torch.rand(3)
    torch.randperm(5)
    np.random.rand()
    random.random()


@pytest.mark.parametrize("stop", [20, 13])
@pytest.mark.parametrize(
    "shape",
    [NANO, KARPATHY, {**KARPATHY, "schedule": "cosine"}, {**FAST, "dropout": 0.1}],
    ids=["nano", "karpathy", "mix", "fast"],
)
def test_a_resumed_run_is_the_undisturbed_one(shape: dict[str, Any], stop: int, verse: Path) -> None:
    made = spec(verse, **shape)
    straight, interrupted = new_run(made), new_run(made)
    whole = train(made, run=straight)
    first = train(made, run=interrupted, on=stop_at(stop))
    at = only(Finished, first)[0].step
    assert stop <= at < 40
    rest = train(made, run=interrupted, resume=True)
    assert only(Started, rest)[0].step == at
    assert_same(whole, first + rest, (straight, interrupted), 40)
    held = tensors_of(weights(interrupted, 40)["optimizer.safetensors"])
    momenta = [tensor for name, tensor in held.items() if name.endswith(".momentum")]
    assert len(momenta) == (4 * made.layers if made.preset == "fast" else 0)
    assert all(tensor.any() for tensor in momenta)


def test_other_random_numbers_in_the_process_change_nothing(verse: Path) -> None:
    made = spec(verse, **KARPATHY)
    quiet, noisy = new_run(made), new_run(made)
    whole = train(made, run=quiet)

    def stop_and_disturb(event: Event, control: Control) -> None:
        disturb(event, control)
        stop_at(20)(event, control)

    first = train(made, run=noisy, on=stop_and_disturb)
    rest = train(made, run=noisy, resume=True, on=disturb)
    assert_same(whole, first + rest, (quiet, noisy), 40)


def test_many_interruptions_are_none(verse: Path) -> None:
    made = spec(verse, **KARPATHY)
    straight, broken = new_run(made), new_run(made)
    whole = train(made, run=straight)
    pieces: list[Event] = []
    for stop in (5, 10, 20, 21, 30):
        pieces += train(made, run=broken, resume=bool(pieces), on=stop_at(stop))
    pieces += train(made, run=broken, resume=True)
    assert len(only(Started, pieces)) == 6
    assert_same(whole, pieces, (straight, broken), 40)


def test_the_best_checkpoint_that_waited_in_memory_continues_exactly(
    verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(self: Trainer) -> Iterator[tuple[int, float]]:
        yield 1, 1.0 + abs(self.position.step - 20) / 100

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    made = spec(verse, **KARPATHY)
    straight, rewound = new_run(made), new_run(made)
    whole = train(made, run=straight)
    first = train(made, run=rewound)
    shutil.rmtree(rewound.checkpoints / "step-000040")
    rest = train(made, run=rewound, resume=True)
    assert only(Started, rest)[0].step == 20
    assert measured(rest) == measured(whole)[20:]
    assert evaluations(rest) == evaluations(whole)[3:]  # the one of step 20 is part of the checkpoint
    assert samples(rest) == {name: text for name, text in samples(first).items() if int(name) >= 20}
    assert weights(rewound, 40) == weights(straight, 40)


def test_a_changed_learning_rate_is_remembered(verse: Path) -> None:
    made = spec(verse)

    def slower(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 10:
            control.send(SetLearningRate(3e-4))

    def slower_then_stop(event: Event, control: Control) -> None:
        slower(event, control)
        stop_at(20)(event, control)

    straight, interrupted = new_run(made), new_run(made)
    whole = train(made, run=straight, on=slower)
    first = train(made, run=interrupted, on=slower_then_stop)
    assert_same(whole, first + train(made, run=interrupted, resume=True), (straight, interrupted), 40)


@pytest.mark.parametrize(("preset", "steps", "batch"), [("nano", 6, 12), ("karpathy", 2, 1), ("fast", 4, 12)])
def test_a_preset_in_its_real_shape_resumes_exactly(preset: str, steps: int, batch: int, tmp_path: Path) -> None:
    """The video's batch of 64 would take minutes here; everything else is as a user gets it."""
    path = tmp_path / "verse.txt"
    path.write_text(make_verse(120), encoding="utf-8")
    half = steps // 2
    given = {"corpus": str(path), "preset": preset, "steps": steps, "batch": batch, "evaluate_every": half}
    samples_too = {"sample_every": half, "sample_length": 20}
    made: TrainSpec = build({**given, **samples_too, "device": "cpu", "threads": 1}, preset_for_auto="nano")
    straight, interrupted = new_run(made), new_run(made)
    whole = train(made, run=straight)
    first = train(made, run=interrupted, on=stop_at(half))
    assert only(Finished, first)[0].step == half
    assert_same(whole, first + train(made, run=interrupted, resume=True), (straight, interrupted), steps)
