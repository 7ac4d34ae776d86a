"""Memory that runs out, at each allocation: trainings and evaluations go on with less at once and learn the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from trainings import HEADS, TRAININGS
from workbench import spec

from engine.choose import scorer
from engine.comparison import heads
from engine.comparison.head_training import FitSettings
from engine.device import allocate_state, check_fit, fitting, out_of_memory
from engine.encoders import epochs, padding
from engine.encoders import find as encoders
from engine.encoders.encode import EncodeFailed
from engine.encoders.fine_tune import probabilities
from engine.gpt import sample
from engine.gpt.model import GPT
from engine.gpt.train import TrainingFailed, train
from engine.gpt.trainer import Trainer
from engine.lm.model_files import NoModel
from engine.retrieve import bi_encoder
from engine.runs.events import Evaluated, Event, Finished, Notice, SampleText, Step

OTHER = "cpu:0"
"""a device that is not the one called ``cpu``"""
TEXTS = [name for name in TRAININGS if name != "projection"]


class Full(TorchDispatchMode):
    """Has no memory for one allocation, the ``at``-th since it was made, and counts them. 0: has all."""

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.at, self.count = at, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returns = func._schema.returns
        if returns and all(one.alias_info is None for one in returns):
            self.count += 1
            if self.count == self.at:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return func(*args, **(kwargs or {}))

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function in which memory runs out."""

        def called(*args: Any, **options: Any) -> Any:
            with self:
                return function(*args, **options)

        return called


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(epochs, "INTERVAL", 1e9)
    monkeypatch.setattr(padding, "_LOWERED", {})


@pytest.fixture
def encoder(tmp_path: Path) -> encoders.Encoder:
    found: encoders.Encoder = tiny.finish(encoders.find(str(tiny.bert(tmp_path / "bert"))))[1]
    return found


def training_of(name: str, encoder: encoders.Encoder) -> epochs.Training:
    """Without dropout, whose masks are others in other batches, and with the optimizer that a GPU has."""
    training = TRAININGS[name](encoder, 24, 8)
    for part in training.model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    training.optimizer = torch.optim.AdamW(training.model.parameters(), lr=training.peak, fused=True)
    first_two = training.batches(0)[:2]
    training.batches = lambda epoch: first_two  # type: ignore[method-assign]
    training.step = 1  # the first step of a bi-encoder is shown at once
    return training


def notices(events: list[Any]) -> list[str]:
    return [one.text for one in events if isinstance(one, Notice) and one.kind == "memory"]


def limit(model: Any, texts: int) -> None:
    """Let a model run out of memory with more than ``texts`` at a time."""
    forward = model.forward

    def limited(*args: Any, **inputs: Any) -> Any:
        given = inputs["input_ids"] if "input_ids" in inputs else args[0]
        if len(given) > texts:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GiB, max allowed: 9.07 GiB)")
        return forward(*args, **inputs)

    model.forward = limited


@pytest.mark.parametrize("name", TEXTS)
def test_an_epoch_learns_the_same_wherever_memory_runs_out_in_a_step(name: str, encoder: encoders.Encoder) -> None:
    plain, counted = training_of(name, encoder), Full()
    plain._step = counted.around(plain._step)  # type: ignore[method-assign]
    assert notices(tiny.finish(plain.epoch(0))[0]) == []
    first_step = counted.count // len(plain.batches(0))
    assert first_step > 100
    in_state = first_step - 60  # three tensors for each of about 40 parameters, then a few to clip
    for at in (1, 9, first_step // 4, first_step // 2, in_state, first_step - 1, first_step + 7):
        training = training_of(name, encoder)
        training._step = Full(at).around(training._step)  # type: ignore[method-assign]
        (told,) = notices(tiny.finish(training.epoch(0))[0])
        assert told.startswith("out of memory: ")
        assert training._epoch_losses == pytest.approx(plain._epoch_losses, abs=2e-5), at


@pytest.mark.parametrize("name", TEXTS)
def test_a_training_takes_what_fits_says_so_once_and_keeps_to_it(name: str, encoder: encoders.Encoder) -> None:
    plain, training = training_of(name, encoder), training_of(name, encoder)
    tiny.finish(plain.epoch(0))
    limit(training.model, 3)
    (told,) = notices(tiny.finish(training.epoch(0))[0])
    assert f"takes {training.micro_batches.texts} texts at a time from now on" in told
    assert training.micro_batches.texts in (2, 3)
    assert training._epoch_losses == pytest.approx(plain._epoch_losses, abs=2e-5)
    assert notices(tiny.finish(training.epoch(0))[0]) == []


@pytest.mark.parametrize("name", TEXTS)
def test_no_memory_for_a_single_text_is_said_with_advice(name: str, encoder: encoders.Encoder) -> None:
    training = training_of(name, encoder)
    limit(training.model, 0)
    with pytest.raises(EncodeFailed, match="train on a single text at a time: lower the length, name a smaller encod"):
        tiny.finish(training.epoch(0))
    with pytest.raises(EncodeFailed, match="not enough memory for a single text: cut the texts shorter"):
        tiny.finish(training.measure())


def test_another_error_of_a_step_is_not_mistaken_for_memory(encoder: encoders.Encoder) -> None:
    training = training_of("classify", encoder)

    def broken(batch: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    training.loss = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        tiny.finish(training.epoch(0))


@pytest.mark.parametrize("name", TEXTS)
def test_an_evaluation_takes_what_fits_and_remembers_it(name: str, encoder: encoders.Encoder) -> None:
    plain, training = training_of(name, encoder), training_of(name, encoder)
    tiny.finish(plain.measure())
    limit(training.model, 3)
    first = notices(tiny.finish(training.measure())[0])
    assert first
    assert all(one.startswith("out of memory: going on with ") for one in first)
    assert notices(tiny.finish(training.measure())[0]) == []
    assert training.history[0].loss == pytest.approx(plain.history[0].loss, abs=1e-5)
    assert training.history[0].score == plain.history[0].score


def test_no_texts_have_no_results(encoder: encoders.Encoder) -> None:
    training = training_of("classify", encoder)
    tuned = epochs.Tuned(training.model.eval(), encoder, "cpu", training.settings)
    assert tiny.finish(probabilities(tuned, []))[1].shape == (0, 3)


@pytest.mark.parametrize("name", ["mlp", "margin"])
def test_a_head_goes_to_the_cpu_wherever_memory_runs_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "FitSettings", partial(FitSettings, epochs=3))
    full = Full()
    events, wanted = full.around(tiny.finish)(HEADS[name](60, device=OTHER))
    assert notices(events) == []
    for at in (1, 2, 5, 20, full.count // 2, full.count):
        events, found = Full(at).around(tiny.finish)(HEADS[name](60, device=OTHER))
        assert notices(events) == [f"out of memory on {OTHER}: this method is trained on the CPU"]
        for ours, theirs in zip(tensors_of(found), tensors_of(wanted), strict=True):
            assert np.array_equal(ours, theirs), at
    with pytest.raises(torch.OutOfMemoryError), Full(5):
        tiny.finish(HEADS[name](60, device="cpu"))


def tensors_of(head: Any) -> list[Any]:
    return list((head.arrays() if isinstance(head, heads.Head) else scorer.arrays(head)).values())


def test_a_projection_goes_to_the_cpu_where_memory_runs_out(
    encoder: encoders.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = TRAININGS["projection"](encoder, 40, 8)
    assert isinstance(training, bi_encoder._BiTraining)
    wanted = tiny.finish(bi_encoder.train(training.inputs, training.control))[1]
    monkeypatch.setattr("engine.device.place", lambda device: SimpleNamespace(device=OTHER))
    events, state = Full(500).around(tiny.finish)(bi_encoder.train(training.inputs, training.control))
    assert notices(events) == [f"out of memory on {OTHER}: this method is trained on the CPU"]
    assert torch.equal(state.tensors["weight"], wanted.tensors["weight"])


def trained(**changes: Any) -> list[Event]:
    """Every event of a short training that evaluates and samples at steps 0, 4 and 8."""
    due = {"steps": 8, "evaluate_every": 4, "sample_every": 4, "sample_length": 5}
    return list(train(spec("dantesque", **{**due, **changes})))


@pytest.fixture(scope="module")
def undisturbed() -> list[Event]:
    return trained()


def results(events: list[Event], kind: Any) -> list[float]:
    return [one.loss if kind is Step else one.val_loss for one in events if isinstance(one, kind)]


def test_a_gpt_learns_the_same_wherever_memory_runs_out_in_a_step(
    undisturbed: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step
    for at in (1, 10, 40, 100, 150):
        full = Full(at)
        monkeypatch.setattr(Trainer, "step", full.around(step))
        events = trained()
        assert full.count > 400
        (told,) = notices(events)
        assert told == "out of memory: taking 2 windows at a time from now on; the batch per step is unchanged: 4"
        assert results(events, Step) == pytest.approx(results(undisturbed, Step), abs=1e-5), at
        assert results(events, Evaluated) == pytest.approx(results(undisturbed, Evaluated), abs=1e-5)


def test_an_evaluation_of_a_gpt_takes_what_fits_and_gives_the_same(
    undisturbed: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = GPT.loss

    def limited(self: GPT, inputs: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        if not self.training and inputs.numel() > 600:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(self, inputs, *rest, **named)

    monkeypatch.setattr(GPT, "loss", limited)
    events = trained()
    fewer = [1024, 512]
    assert notices(events) == [f"out of memory: evaluating {one:,} characters at a time from now on" for one in fewer]
    assert results(events, Evaluated) == pytest.approx(results(undisturbed, Evaluated), rel=1e-6)
    assert results(events, Step) == results(undisturbed, Step)
    monkeypatch.setattr(GPT, "loss", Full(1).around(loss))
    with pytest.raises(TrainingFailed, match="out of memory in an evaluation of one window"):
        trained(context=2048, device="cpu")


@pytest.mark.parametrize(("part", "name"), [(sample, "copy"), (GPT, "new_cache"), (sample, "choose")])
def test_a_sample_without_memory_is_left_out_and_the_training_goes_on(
    part: Any, name: str, undisturbed: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = 0, getattr(part, name)

    def full(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(*args, **options)

    if name == "copy":
        calls = 2
        monkeypatch.setattr(sample, "copy", SimpleNamespace(deepcopy=lambda *args: full(*args)))
        original = copy.deepcopy
    else:
        monkeypatch.setattr(part, name, full)
    events = trained()
    told = {"copy": 0, "new_cache": 8, "choose": 0}[name]
    assert notices(events) == [f"out of memory: the sample of step {told} ends here"]
    assert results(events, Step) == results(undisturbed, Step)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "steps"
    ended = [one.step for one in events if isinstance(one, SampleText) and one.done]
    assert ended == ([4, 8] if name == "copy" else [0, 4, 8])


def test_a_gpt_that_does_not_fit_is_said_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GPT, "to", Full(1).around(lambda *_: torch.zeros(1)))
    with pytest.raises(TrainingFailed, match="does not fit into the memory of cpu: lower the context or"):
        trained()


def test_the_state_of_an_optimizer_is_allocated_for_all_parameters_or_none() -> None:
    parameters = [torch.nn.Parameter(torch.ones(3)) for _ in range(4)]
    for one in parameters[:3]:
        one.grad = torch.ones(3)
    optimizer = torch.optim.AdamW(
        [{"params": parameters[:2]}, {"params": parameters[2:], "weight_decay": 0.0}], fused=True
    )
    for at in range(1, 10):
        with pytest.raises(torch.OutOfMemoryError), Full(at):
            allocate_state(optimizer)
        assert not optimizer.state
    allocate_state(optimizer)
    ours = [dict(optimizer.state[one]) for one in parameters[:3]]
    assert set(optimizer.state) == set(parameters[:3])  # the fourth is not trained
    held = [one["exp_avg"] for one in ours]
    optimizer.step()
    assert all(optimizer.state[one]["exp_avg"] is held[row] for row, one in enumerate(parameters[:3]))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GiB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to"),
    ],
)
def test_every_way_to_say_that_memory_ran_out_is_known(error: Exception) -> None:
    assert out_of_memory(error)
    assert not out_of_memory(ValueError(str(error)))


def test_what_does_not_fit_is_said_with_figures_and_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.device.free_memory", lambda device: 3 * 2**29)
    gpu = torch.device("cuda", 1)
    check_fit("gpt2", 2**30, gpu, "Lower the context", NoModel)
    wanted = (
        "gpt2 does not fit into the memory of cuda:1: it needs 2.00 GiB and 1.50 GiB are free. "
        "Lower the context or use --device cpu."
    )
    with pytest.raises(NoModel) as raised:
        check_fit("gpt2", 2**31, gpu, "Lower the context", NoModel)
    assert str(raised.value) == wanted
    with pytest.raises(NoModel) as raised, fitting("gpt2", 2**31, gpu, "Lower the context", NoModel):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert str(raised.value) == wanted
    with pytest.raises(RuntimeError, match="shapes"), fitting("gpt2", 2**31, gpu, "", NoModel):
        raise RuntimeError("shapes do not match")
