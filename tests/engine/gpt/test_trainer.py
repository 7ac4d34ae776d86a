"""One step and one evaluation, against plain PyTorch and plain loops."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from workbench import KARPATHY, NANO, VERSE, spec

from data.corpus import from_text
from engine.device import place
from engine.gpt import optimizers
from engine.gpt import trainer as module
from engine.gpt.loss_buffer import LossBuffer
from engine.gpt.trainer import Position, Trainer

CORPUS = from_text(VERSE, name="verse", source="test")


def make(**changes: Any) -> Trainer:
    made = spec("verse", **changes)
    return Trainer(made, CORPUS, place(made.device, made.precision, made.threads))


class Counter(TorchDispatchMode):
    """Counts the operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.seen[name] = self.seen.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("shape", [NANO, KARPATHY, {**NANO, "clip": 0.01}])
def test_no_step_asks_the_device_for_a_number(shape: dict[str, Any]) -> None:
    trainer = make(**shape)
    readings = LossBuffer(trainer.placement.device)
    with Counter() as counter:
        for _ in range(70):  # more than one block of window positions
            loss, norm, rate = trainer.step()
            readings.add(trainer.position.step, rate, loss, norm)
        assert counter.seen["embedding"] >= 70  # it does see what a step does
        assert "_local_scalar_dense" not in counter.seen
        assert "nonzero" not in counter.seen
        loss.item()
    assert counter.seen["_local_scalar_dense"] == 1


@pytest.mark.parametrize("context", [7, 8])
def test_an_evaluation_is_the_mean_over_every_target(context: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVALUATION_TOKENS", 5 * context)
    trainer = make(context=context, dropout=0.5)
    ids = trainer.validation.tolist()
    losses = []
    trainer.model.eval()
    with torch.no_grad():
        for begin in range(0, len(ids) - 1, context):
            window = ids[begin : begin + context + 1]
            log = trainer.model(torch.tensor([window[:-1]]))[0].double().log_softmax(-1)
            losses += [-log[at, target].item() for at, target in enumerate(window[1:])]
    assert len(losses) == len(ids) - 1
    results = list(trainer.evaluate())
    assert results[-1][0] == len(ids) - 1
    assert results[-1][1] == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert len(results) == math.ceil((len(ids) - 1) / (5 * context))


def test_a_step_is_pytorchs_adamw_with_clipping() -> None:
    trainer = make(clip=0.5, weight_decay=0.3, learning_rate=1e-2)
    reference = make(clip=0.5, weight_decay=0.3, learning_rate=1e-2)
    model = reference.model
    groups = [
        {"params": [p for p in model.parameters() if p.dim() == 2], "weight_decay": 0.3},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=False)
    for step in range(3):
        loss, norm, rate = trainer.step()
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        expected = model.loss(*reference.windows.at(step))
        expected.backward()
        total = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        assert norm.item() == pytest.approx(total.item(), rel=1e-4)
        assert total > 0.5  # so the clipping did something
    for one, other in zip(trainer.model.parameters(), model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("micro", [4, 2])
def test_memory_that_runs_out_at_any_allocation_of_the_first_update_costs_nothing(
    micro: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = make()
    reference.position.micro_batch = micro
    reference.step()
    for k in range(1, 1000):
        trainer, count = make(), 0

        def failing(call: Any, k: int = k) -> Any:
            def counted(*arguments: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == k:
                    raise torch.OutOfMemoryError("out of memory")
                return call(*arguments, **named)

            return counted

        with monkeypatch.context() as patch:
            for name in ("zeros", "zeros_like", "tensor", "empty_like"):
                patch.setattr(torch, name, failing(getattr(torch, name)))
            try:
                trainer.step()
            except torch.OutOfMemoryError:
                trainer.position.micro_batch = micro  # the failed step changed nothing: this one begins anew
                trainer.step()
            else:
                assert k > 2 * len(list(trainer.model.parameters()))  # both moments of each
                return
        assert trainer.position.step == 1
        for one, other in zip(trainer.model.parameters(), reference.model.parameters(), strict=True):
            assert torch.equal(one, other), k
            for key, value in reference.optimizer.state[other].items():
                assert torch.equal(trainer.optimizer.state[one][key], value), (k, key)
    raise AssertionError("the step never succeeded")


@pytest.mark.parametrize("work", ["step", "evaluate"])
def test_what_was_computed_before_memory_ran_out_is_freed_at_once(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, held = make(), []

    def short(*arguments: Any, **named: Any) -> None:
        activations = torch.ones(3)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(trainer.model, "loss", short)
    gc.disable()
    try:
        list(trainer.evaluate() if work == "evaluate" else trainer.step())
    except torch.OutOfMemoryError:
        assert held[0]() is None  # the one who lowers the batch holds the error while it does
    finally:
        gc.enable()
    assert held


def test_the_optimizer_begins_as_pytorchs_own_does() -> None:
    trainer, plain = make(), make()
    for parameter in (*trainer.model.parameters(), *plain.model.parameters()):
        parameter.grad = torch.ones_like(parameter)
    optimizers.allocate(trainer.optimizer)
    trainer.optimizer.step()
    plain.optimizer.step()
    for one, other in zip(trainer.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)
        mine, theirs = trainer.optimizer.state[one], plain.optimizer.state[other]
        assert {key: (value.dtype, value.tolist()) for key, value in mine.items()} == {
            key: (value.dtype, value.tolist()) for key, value in theirs.items()
        }


def test_what_decays_follows_the_spec() -> None:
    matrices, rest = make(decay="matrices").optimizer.param_groups
    assert {p.dim() for p in matrices["params"]} == {2}
    assert {p.dim() for p in rest["params"]} == {1}
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    (everything,) = make(decay="everything").optimizer.param_groups
    assert len(everything["params"]) == len(matrices["params"]) + len(rest["params"])
    assert everything["weight_decay"] == 0.1


@pytest.mark.parametrize("micro", [1, 2, 3, 6])
def test_accumulated_gradients_are_those_of_the_whole_batch(micro: int) -> None:
    whole, pieces = make(batch=6, clip=0.0), make(batch=6, clip=0.0)
    pieces.position.micro_batch = micro
    losses = [trainer.step()[0].item() for trainer in (whole, pieces)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for one, other in zip(whole.model.parameters(), pieces.model.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, atol=1e-6)


def test_the_cosine_rises_falls_and_ends_at_its_share() -> None:
    trainer = make(steps=100, warmup=10, learning_rate=1e-2, final_rate=0.1)
    rates = [trainer.rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-2 * (n + 1) / 11 for n in range(10)])
    assert rates[10] == pytest.approx(1e-2)
    assert rates[55] == pytest.approx((1e-2 + 1e-3) / 2)  # half way down
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert trainer.rate(100) == pytest.approx(1e-3)
    assert trainer.rate(500) == pytest.approx(1e-3)


def test_a_constant_rate_is_constant_after_its_warm_up() -> None:
    trainer = make(schedule="constant", warmup=4, learning_rate=1e-2)
    assert [trainer.rate(step) for step in (0, 3, 4, 30)] == pytest.approx([2e-3, 8e-3, 1e-2, 1e-2])
    trainer.position.learning_rate = 1e-3
    assert trainer.rate(30) == pytest.approx(1e-3)


def test_dropout_of_a_step_does_not_depend_on_other_random_numbers() -> None:
    one, other = make(**KARPATHY), make(**KARPATHY)
    for step in range(4):
        loss, norm, _ = one.step()
        torch.manual_seed(step)
        torch.rand(5)
        again, norm_again, _ = other.step()
        assert (loss.item(), norm.item()) == (again.item(), norm_again.item())


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(99)
    one = make(seed=5)
    torch.rand(3)
    other, different = make(seed=5), make(seed=6)
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.model.tokens.weight, different.model.tokens.weight)


def test_a_position_survives_json_also_before_the_first_evaluation() -> None:
    import json

    fresh = Position(step=3, learning_rate=1e-3, micro_batch=4)
    assert Position.from_dict(json.loads(json.dumps(fresh.to_dict(), allow_nan=False))) == fresh
    trainer = make()
    trainer.position.history.append(module.Evaluation(0, 1 / 3, None))
    trainer.position.best_step, trainer.position.best_val_loss = 0, 1 / 3
    assert Position.from_dict(json.loads(json.dumps(trainer.position.to_dict()))) == trainer.position
