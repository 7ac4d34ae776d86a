"""The model: what it costs, that it cannot see ahead, and that its cache changes nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from workbench import KARPATHY, NANO

from engine.gpt.config import NANOCHAT, GPTConfig
from engine.gpt.model import GPT
from engine.gpt.sample import choose, sample
from engine.gpt.spec import PRESETS, TrainSpec, build


def model(**changes: Any) -> GPT:
    torch.manual_seed(1)
    made = GPT(GPTConfig(**{"vocabulary": 20, "layers": 2, "heads": 2, "width": 16, "context": 8, **changes}))
    with torch.no_grad():  # away from the nearly uniform logits of a new model
        for parameter in made.parameters():
            parameter.mul_(4).add_(torch.randn_like(parameter) * 0.1)
    return made.double().eval()


SWITCHES: list[dict[str, Any]] = [
    {},
    {"activation": "relu", "tied": False, "qkv_bias": False, "head_bias": True},
    {"head_bias": True},
    {**NANOCHAT, "tied": False, "soft_cap": 15.0, "rotary_base": 100.0},
    {"positions": "rotary", "attention_scale": 0.3, "bias": False},
    {"norm": "rms", "qk_norm": True},
]


def test_the_karpathy_preset_is_the_model_of_the_video() -> None:
    config = TrainSpec(**PRESETS["karpathy"]).model(72)
    assert config.parameters() == 10_794_312
    assert sum(parameter.numel() for parameter in GPT(config).parameters()) == 10_794_312


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("vocabulary", [2, 72])
def test_counted_parameters_are_the_models(preset: str, vocabulary: int) -> None:
    config = build({"preset": preset}, preset_for_auto="nano").model(vocabulary)
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in GPT(config).parameters()) == config.parameters()


@pytest.mark.parametrize("tiny", [NANO, KARPATHY])
def test_the_spec_decides_the_switches(tiny: dict[str, Any]) -> None:
    spec = build(tiny, preset_for_auto="nano")
    made = GPT(spec.model(20))
    likes_the_video = tiny is KARPATHY
    assert (made.head.weight is made.tokens.weight) is not likes_the_video
    assert (made.head.bias is not None) is likes_the_video
    assert (made.blocks[0].qkv.bias is None) is likes_the_video
    assert spec.dropout == (0.2 if likes_the_video else 0.0)


@pytest.mark.parametrize("switches", SWITCHES)
def test_logits_do_not_depend_on_what_comes_later(switches: dict[str, Any]) -> None:
    made = model(**switches)
    ids = torch.randint(20, (3, 8))
    with torch.no_grad():
        before = made(ids)
        for position in range(8):
            changed = ids.clone()
            changed[:, position] = (ids[:, position] + 1) % 20
            after = made(changed)
            assert torch.allclose(after[:, :position], before[:, :position], atol=1e-12, rtol=0)
            assert not torch.allclose(after[:, position:], before[:, position:], atol=1e-3)


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("prefill", [1, 3, 8])
def test_logits_with_a_cache_are_those_without(switches: dict[str, Any], prefill: int) -> None:
    made = model(**switches)
    ids = torch.randint(20, (2, 8))
    with torch.no_grad():
        whole = made(ids)
        cache = made.new_cache(batch=2)
        pieces = [made(ids[:, :prefill], cache, 0)]
        pieces += [made(ids[:, at : at + 1], cache, at) for at in range(prefill, 8)]
    assert torch.allclose(torch.cat(pieces, 1), whole, atol=1e-12, rtol=0)


def test_a_position_beyond_the_context_is_refused() -> None:
    made = model()
    with pytest.raises(ValueError, match="beyond the context of 8"):
        made(torch.zeros(1, 9, dtype=torch.long))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_the_cross_entropy_of_the_definition(reduction: str) -> None:
    made = model()
    ids, targets = torch.randint(20, (2, 8)), torch.randint(20, (2, 8))
    targets[1, 5:] = -100
    with torch.no_grad():
        found = made.loss(ids, targets, reduction=reduction).item()
        log = made(ids).double().log_softmax(-1)
    terms = [-log[row, at, targets[row, at]].item() for row in range(2) for at in range(8) if targets[row, at] >= 0]
    assert found == pytest.approx(sum(terms) / (len(terms) if reduction == "mean" else 1), rel=1e-6)


def test_greedy_sampling_is_the_argmax_of_the_uncached_model() -> None:
    made = model()
    prompt = [3, 1, 4]
    taken = [int(t) for t in sample(made, prompt, 20, generator=torch.Generator(), temperature=0)]
    window, expected = list(prompt), []
    for _ in range(20):
        if len(window) > 8:  # the context is full: go on from its last half
            window = window[-4:]
        with torch.no_grad():
            expected.append(int(made(torch.tensor([window]))[0, -1].argmax()))
        window.append(expected[-1])
    assert taken == expected


def test_a_long_prompt_counts_with_its_last_context() -> None:
    made = model()
    long = [int(i) for i in torch.randint(20, (30,))]
    one, other = (
        [int(t) for t in sample(made, prompt, 9, generator=torch.Generator().manual_seed(2))]
        for prompt in (long, long[-8:])
    )
    assert one == other


def test_frequencies_of_sampled_tokens_are_the_softmax() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    generator = torch.Generator().manual_seed(1)
    count = 4000
    for temperature in (1.0, 0.5):
        drawn = torch.tensor([int(choose(logits, generator, temperature)) for _ in range(count)])
        wanted = (logits[0] / temperature).softmax(-1)
        share = torch.bincount(drawn, minlength=4) / count
        assert (share - wanted).abs().max() < 4 * 0.5 / count**0.5  # four standard errors


def test_memory_needed_grows_with_batch_and_shape() -> None:
    config = GPTConfig(72, 4, 4, 128, 64)
    least = config.parameters() * 4 * 4  # float32 weights, gradients, two moments
    assert config.training_memory(1) > least
    assert config.training_memory(24) > config.training_memory(12)
    assert dataclasses.replace(config, dropout=0.2).training_memory(12) > config.training_memory(12)


def test_flops_are_six_per_multiplying_parameter_and_attention() -> None:
    config = GPTConfig(72, 4, 4, 128, 64)
    matrices = [p.numel() for n, p in GPT(config).named_parameters() if p.dim() == 2 and "positions" not in n]
    assert config.flops_per_token() == 6 * sum(matrices) + 12 * 4 * 128 * 64


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("pieces", [[3, 5], [1, 2, 5], [4, 1, 3]])
def test_a_later_piece_sees_what_came_before(switches: dict[str, Any], pieces: list[int]) -> None:
    made = model(**switches)
    ids = torch.randint(20, (2, 8))
    with torch.no_grad():
        whole, cache, at, found = made(ids), made.new_cache(batch=2), 0, []
        for length in pieces:
            found.append(made(ids[:, at : at + length], cache, at))
            at += length
        assert torch.allclose(torch.cat(found, 1), whole, atol=1e-12, rtol=0)
        last = made(ids[:, 3:], cache, 3, last=True)
    assert last.shape == (2, 1, 20)
    assert torch.allclose(last, whole[:, -1:], atol=1e-12, rtol=0)


@pytest.mark.parametrize("switches", SWITCHES)
def test_a_step_with_its_position_in_a_tensor_is_the_same(switches: dict[str, Any]) -> None:
    made = model(**switches)
    ids = torch.randint(20, (1, 8))
    with torch.no_grad():
        whole, cache = made(ids), made.new_cache()
        made(ids[:, :3], cache, 0)
        found = [made.step(ids[:, at : at + 1], cache, torch.tensor([at])) for at in range(3, 8)]
    assert torch.allclose(torch.cat(found, 1), whole[:, 3:], atol=1e-12, rtol=0)
