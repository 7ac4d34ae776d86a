"""What GPT-2's tokenizer does with the texts of exercise 2.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.lab.results import Tokenized, Tokens
from engine.tokenization.encoding import BackedTokenizer
from engine.tokenization.find import bundled

if TYPE_CHECKING:
    from engine.tokenization.encoding import Tokenizer

EXAMPLES = ("Hello World", "hello World", " hello World", "HelloWorld", "Hello World ")
"""Case, a leading space, no space and a space at the end: each gives GPT-2 other ids."""

OWN = (
    "The students are training a small language model on a laptop.",
    "Nel mezzo del cammin di nostra vita mi ritrovai per una selva oscura",
    "def mean(values):\n    return sum(values) / len(values)",
    "3.14159265358979 and 1,000,000",
)
"""Texts for whoever gives none: English, Italian, code and digits."""

WORDS = (
    *("the", "of", "and", "to", "in", "that", "was", "his", "with", "they"),
    *("have", "this", "from", "people", "water", "number", "because", "school", "house", "little"),
)
"""Common English words, which the tokenizer gets with a space before each."""


def measure(own: Sequence[str] = ()) -> Tokens:
    """Tokenize the examples, ``own`` texts (``OWN`` where there are none) and ``WORDS`` by the bundled GPT-2 tokenizer.

    The tensor is what a tokenizer of ``transformers`` with the same vocabulary returns for the first example and
    ``return_tensors="pt"``. Slow at first: PyTorch and ``transformers`` are loaded for it.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = bundled("gpt2")
    assert isinstance(tokenizer, BackedTokenizer)
    library: Any = PreTrainedTokenizerFast
    tensor = library(tokenizer_object=tokenizer.backend)(EXAMPLES[0], return_tensors="pt")["input_ids"]
    return Tokens(
        tokenizer="gpt2",
        source=tokenizer.source,
        examples=tuple(_tokenized(tokenizer, text) for text in EXAMPLES),
        own=tuple(_tokenized(tokenizer, text) for text in own or OWN),
        words=tuple(_tokenized(tokenizer, f" {word}") for word in WORDS),
        tensor_shape=tuple(tensor.shape),
        tensor_ids=tuple(tensor.flatten().tolist()),
    )


def _tokenized(tokenizer: Tokenizer, text: str) -> Tokenized:
    """``pieces`` is the text of each token, its spaces kept; U+FFFD where a token holds a part of a character."""
    ids = tuple(tokenizer.encode(text).ids)
    return Tokenized(text, ids, tuple(map(tokenizer.spelled, ids)))
