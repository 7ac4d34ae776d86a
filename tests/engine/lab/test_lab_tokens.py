"""The tokens of exercise 2.1 against GPT-2's tokenizer in ``transformers``, from the same vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import workbench

from engine.lab import tokens
from engine.tokenization.find import bundled


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import GPT2TokenizerFast

    ours = bundled("gpt2")
    encoder = tmp_path_factory.mktemp("gpt2") / "encoder.json"
    encoder.write_text(json.dumps({ours.token(number): number for number in range(ours.size)}))
    merges = Path(workbench.PROJECT / "data" / "bundled" / "gpt2" / "vocab.bpe")
    made: Any = GPT2TokenizerFast
    return made(vocab=str(encoder), merges=str(merges))


def test_every_text_has_the_tokens_of_transformers(theirs: Any) -> None:
    own = ("perché no", "x = [1, 2]", "", "naïve 😀")
    found = tokens.measure(own)
    assert [one.text for one in found.own] == [*own]
    for one in (*found.examples, *found.own, *found.words):
        assert list(one.ids) == theirs(one.text)["input_ids"]
        pieces = [theirs.decode([token], clean_up_tokenization_spaces=False) for token in one.ids]
        assert list(one.pieces) == pieces


def test_the_examples_differ_as_the_exercise_has_it() -> None:
    found = tokens.measure()
    assert tuple(one.text for one in found.examples) == tokens.EXAMPLES
    assert [one.ids for one in found.examples] == [
        *((15496, 2159), (31373, 2159), (23748, 2159), (15496, 10603), (15496, 2159, 220))
    ]
    assert [one.text for one in found.own] == [*tokens.OWN]
    assert len(found.words) == len({one.text for one in found.words}) == 20
    assert all(one.text.startswith(" ") and one.text[1:].isalpha() for one in found.words)


def test_the_tensor_is_that_of_transformers(theirs: Any) -> None:
    found = tokens.measure()
    tensor = theirs("Hello World", return_tensors="pt")["input_ids"]
    assert (found.tensor_shape, [[*found.tensor_ids]]) == (tuple(tensor.shape), tensor.tolist())
    assert (found.tokenizer, found.source) == ("gpt2", "bundled")
