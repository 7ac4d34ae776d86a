"""Muon against singular value decompositions and a loop over single matrices; rates and groups against the spec."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from workbench import FAST, KARPATHY, NANO, VERSE, spec

from data.corpus import from_text
from engine.device import place
from engine.gpt import optimizers
from engine.gpt.trainer import Trainer

CORPUS = from_text(VERSE, name="verse", source="test")


def make(**changes: Any) -> Trainer:
    made = spec("verse", **changes)
    return Trainer(made, CORPUS, place(made.device, made.precision, made.threads))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 16, 64)])
def test_a_matrix_keeps_its_directions_and_loses_its_sizes(shape: tuple[int, ...], precision: torch.dtype) -> None:
    torch.manual_seed(1)
    given = torch.randn(shape) * 1e-3
    found = optimizers.orthogonal(given.to(precision))
    assert found.dtype == precision
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    turned = left.mT @ found.float() @ right.mT  # in the given matrix's own directions
    sizes = turned.diagonal(dim1=1, dim2=2)
    assert 0.5 < float(sizes.min()) <= float(sizes.max()) < 1.3
    assert float((turned - sizes.diag_embed()).abs().max()) < (0.1 if precision == torch.bfloat16 else 1e-4)


def newton_schulz(one: Tensor) -> Tensor:
    """As in Jordan's text, of a single matrix."""
    x = one.mT if one.shape[0] > one.shape[1] else one
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        squared = x @ x.mT
        x = 3.4445 * x + (-4.7750 * squared + 2.0315 * squared @ squared) @ x
    return x.mT if one.shape[0] > one.shape[1] else x


def test_muon_moves_each_matrix_as_a_plain_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    trainer = make(**FAST)
    parameters = dict(trainer.model.named_parameters())
    matrices = {name: one.detach().clone() for name, one in parameters.items() if name.startswith("blocks.")}
    momenta = {name: torch.zeros_like(one) for name, one in matrices.items()}
    optimizers.allocate(trainer.optimizer)
    for step in range(3):
        torch.manual_seed(step)
        rate = 0.02 / (step + 1)
        optimizers.set_rate(trainer.optimizer, rate)
        for name, one in parameters.items():
            one.grad = torch.randn_like(one)
            if name in matrices:
                momenta[name] = 0.9 * momenta[name] + 0.1 * one.grad
                direction = 0.1 * one.grad + 0.9 * momenta[name]
                pieces = direction.chunk(3) if "qkv" in name else [direction]
                tall = max(1.0, pieces[0].shape[0] / pieces[0].shape[1]) ** 0.5
                matrices[name] -= rate * tall * torch.cat([newton_schulz(piece) for piece in pieces])
        trainer.optimizer.step()
    for name, one in matrices.items():
        assert torch.allclose(parameters[name], one, atol=1e-5), name
        assert torch.allclose(trainer.optimizer.state[parameters[name]]["momentum"], momenta[name], atol=1e-6)


def test_what_is_no_matrix_of_a_block_moves_by_adamw_at_its_own_rate() -> None:
    trainer = make(**FAST)
    model = trainer.model
    others = {"tokens.weight": 0.45, "head.weight": 0.15}
    plain = {name: dict(model.named_parameters())[name].detach().clone().requires_grad_() for name in others}
    reference = torch.optim.AdamW(
        [{"params": [plain[name]], "lr": 0.02 * share} for name, share in others.items()],
        betas=(0.8, 0.95),
        weight_decay=0.0,
    )
    optimizers.allocate(trainer.optimizer)
    for step in range(3):
        torch.manual_seed(step)
        for name, parameter in model.named_parameters():
            parameter.grad = torch.randn_like(parameter)
            if name in plain:
                plain[name].grad = parameter.grad.clone()
        optimizers.set_rate(trainer.optimizer, 0.02)
        trainer.optimizer.step()
        reference.step()
    for name, one in plain.items():
        assert torch.allclose(dict(model.named_parameters())[name], one, atol=1e-6), name


@pytest.mark.parametrize("shape", [NANO, KARPATHY, FAST, {**FAST, "tied": True}])
def test_every_parameter_is_in_one_group(shape: dict[str, Any]) -> None:
    trainer = make(**shape)
    held = [id(one) for group in trainer.optimizer.param_groups for one in group["params"]]
    assert sorted(held) == sorted(map(id, trainer.model.parameters()))


def test_a_step_reads_nothing_back_and_its_rates_stay_where_they_are() -> None:
    trainer = make(**FAST)
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    trainer.step()
    trainer.position.step = 35
    trainer.step()
    assert all(group["lr"] is rate for group, rate in zip(trainer.optimizer.param_groups, rates, strict=True))
    expected = trainer.rate(35)
    assert sorted(float(rate) / expected for rate in rates) == pytest.approx([0.15, 0.45, 1.0])


def test_the_linear_schedule_is_constant_and_then_falls() -> None:
    trainer = make(**{**FAST, "steps": 100, "cooldown": 0.25, "final_rate": 0.02, "learning_rate": 0.1})
    rates = [trainer.rate(step) for step in range(101)]
    assert rates[:76] == [0.1] * 76
    assert rates[100] == pytest.approx(0.002)
    falls = [one - other for one, other in itertools.pairwise(rates[75:])]
    assert falls == pytest.approx([0.098 / 25] * 25)
