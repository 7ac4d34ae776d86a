"""Llama's family by the project's own network against ``generate`` and the logits of ``transformers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tinylm
import torch

from engine.lm import llama
from engine.lm.model import ForeignModel, OwnModel

transformers = pytest.importorskip("transformers")

SHAPE = {
    "vocab_size": tinylm.VOCABULARY, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3,
    "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 96, "initializer_range": 0.25,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "Llama": {"rope_parameters": {"rope_type": "default", "rope_theta": 3e4}},
    "Mistral": {"sliding_window": None, "tie_word_embeddings": True, "head_dim": 16},
    "Qwen2": {"num_key_value_heads": 6},
    "Qwen3": {"head_dim": 16, "rms_norm_eps": 1e-4},
}


def write(folder: Path, kind: str, **changes: Any) -> Any:
    """A random model, no parameter of which is where it began."""
    torch.manual_seed(11)
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **KINDS[kind], **changes})
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
    tinylm.write_tokenizer(folder)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_is_generates_in_20_prompts(kind: str, tmp_path: Path) -> None:
    theirs = write(tmp_path, kind)
    draws = torch.Generator().manual_seed(3)
    prompts = [torch.randint(tinylm.VOCABULARY - 1, (1 + number % 20,), generator=draws) for number in range(20)]
    wanted: dict[int, tuple[list[int], torch.Tensor]] = {}
    """of each prompt: it with what follows, and log probabilities after every token"""
    for length in range(1, 21):
        numbers = [number for number, prompt in enumerate(prompts) if len(prompt) == length]
        batch = torch.stack([prompts[number] for number in numbers])
        whole = theirs.generate(
            batch, attention_mask=torch.ones_like(batch), do_sample=False, max_new_tokens=12, eos_token_id=None
        )
        with torch.inference_mode():
            logprobs = theirs(whole).logits.log_softmax(-1)
        wanted |= {number: (row.tolist(), scores) for number, row, scores in zip(numbers, whole, logprobs, strict=True)}
    assert len(wanted) == 20
    for static in (False, True):
        ours = tinylm.load(tmp_path)
        assert isinstance(ours, OwnModel)
        if static:
            ours.use_static_step()
        for number, prompt in enumerate(prompts):
            whole, logprobs = wanted[number]
            found = tinylm.complete(ours, prompt.tolist(), greedy=True, max_new_tokens=12)
            made = whole[len(prompt) :]
            stop = made.index(tinylm.VOCABULARY - 1) + 1 if tinylm.VOCABULARY - 1 in made and ours.eos else len(made)
            assert tinylm.ids(found) == made[:stop]
            for place, token in enumerate(tinylm.tokens(found), len(prompt)):
                assert token.logprob == pytest.approx(float(logprobs[place - 1, token.id]), abs=1e-4)


@pytest.mark.parametrize("static", [False, True])
def test_the_cache_grows_and_nothing_changes(static: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = write(tmp_path, "Llama")
    monkeypatch.setattr(llama.Llama.new_cache, "__kwdefaults__", {"room": 8})
    ours = tinylm.load(tmp_path)
    assert isinstance(ours, OwnModel)
    if static:
        ours.use_static_step()
    ids = torch.randint(tinylm.VOCABULARY, (96,), generator=torch.Generator().manual_seed(5)).tolist()
    with torch.inference_mode():
        wanted = theirs(torch.tensor([ids])).logits[0]
    before = ours._cache_bytes()
    assert torch.allclose(ours.feed(ids[:5], every=True), wanted[:5], atol=1e-4)
    for place in range(5, 40):
        assert torch.allclose(ours.feed([ids[place]]), wanted[place], atol=1e-4)
    assert torch.allclose(ours.feed(ids[40:], every=True), wanted[40:], atol=1e-4)
    assert ours._cache_bytes() == 12 * before  # the whole context, no more


@pytest.mark.parametrize("context", [96, 3000])
def test_the_size_of_a_new_cache_is_that_of_its_tensors(context: int, tmp_path: Path) -> None:
    write(tmp_path, "Llama", max_position_embeddings=context)
    ours = tinylm.load(tmp_path)
    assert isinstance(ours.network, llama.Llama)
    assert ours._cache_bytes() == ours.network.config.cache_size(4)
    assert ours._cache_bytes() == 2 * 3 * 2 * 8 * 4 * min(context, llama.ROOM)


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"mlp_bias": True},
    ],
    ids=str,
)
def test_what_it_does_not_compute_goes_through_transformers(changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = write(tmp_path, "Llama", **changes)
    ours = tinylm.load(tmp_path)
    assert isinstance(ours, ForeignModel)
    with torch.inference_mode():
        wanted = theirs(torch.tensor([[1, 2, 3]])).logits[0]
    assert torch.allclose(ours.feed([1, 2, 3], every=True), wanted, atol=1e-4)
