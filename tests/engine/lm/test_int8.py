"""Rounded weights: how far off they are by their own arithmetic, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tinylm
import torch
from torch import nn
from workbench import notices

from engine.lm import find as lm
from engine.lm import int8
from engine.lm.model import ForeignModel, LanguageModel


def load(name: Path | str) -> tuple[LanguageModel, list[Any]]:
    events = []
    task = lm.load(str(name), int8=True)
    while True:
        try:
            events.append(next(task))
        except StopIteration as end:
            return end.value, events


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(24, 32), (72, 192), (301, 32), (33, 96), (5, 768)])
def test_a_layer_is_the_product_with_its_rounded_weights(shape: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(2)
    plain = nn.Linear(shape[1], shape[0], bias=bias)
    with torch.no_grad():
        plain.weight[1] = 0
        plain.weight[2] *= 1000
    rounded = int8.Int8Linear(plain)
    weight = rounded.weight.float() * rounded.scale.float()[:, None]
    step = plain.weight.abs().amax(1, keepdim=True) / 127
    assert ((weight - plain.weight).abs() <= step * 0.76).all()  # half a step, and the scale's own rounding
    for x in (torch.randn(shape[1]), torch.randn(2, 3, shape[1])):
        wanted = nn.functional.linear(x.bfloat16().float(), weight, plain.bias)
        with torch.inference_mode():
            found = rounded(x)
        assert found.shape == wanted.shape
        assert ((found - wanted).abs() <= 0.01 * (1 + wanted.abs())).all()  # the product is stored as bfloat16


def test_a_layer_that_the_product_cannot_do_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="40 is no multiple"):
        int8.Int8Linear(nn.Linear(40, 8))
    tinylm.write_gpt2(tmp_path, n_embd=40)
    model, _ = load(tmp_path)
    kinds = [type(module).__name__ for module in model.network.modules()]
    assert (kinds.count("Linear"), kinds.count("Int8Linear")) == (3 * 3 + 1, 3)  # only 160 is a multiple
    assert tinylm.ids(tinylm.complete(model, [1, 2], max_new_tokens=4))


def test_the_effect_is_what_a_comparison_finds() -> None:
    plain = tinylm.load("bundled")
    rounded, events = load("bundled")
    (notice,) = notices("int8", events)
    ids = int8.fixed_text(plain.tokenizer, int8.SCORED, plain.vocabulary)
    one, other = (
        model.feed(ids, every=True)[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])
        for model in (plain, rounded)
    )
    difference = float((one - other).abs().mean())
    assert 0 < difference < 0.02
    assert f"{difference:.4f} nats" in notice.text
    assert f"{len(ids) - 1} tokens" in notice.text
    assert rounded.precision == "int8 weights"
    assert rounded.parameters == plain.parameters
    assert rounded.bytes < 0.35 * plain.bytes
    assert rounded.fingerprint() != plain.fingerprint()


def test_a_completion_of_rounded_weights(tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path)
    rounded, _ = load(tmp_path)
    whole = tinylm.ids(tinylm.complete(rounded, [1, 2, 3], max_new_tokens=20))
    assert tinylm.ids(tinylm.complete(rounded, [1, 2, 3, *whole[:9]], max_new_tokens=11)) == whole[9:]


def test_other_architectures_stay_as_they_are(tmp_path: Path) -> None:
    tinylm.write_llama(tmp_path)
    model, events = load(tmp_path)
    assert isinstance(model, ForeignModel)
    assert model.precision == "float32"
    (notice,) = notices("int8", events)
    assert notice.level == "warning"
