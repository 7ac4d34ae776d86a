"""What a pre-trained encoder was trained for, as far as its files tell: that decides what its frozen vectors mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data import packaged

if TYPE_CHECKING:
    from engine.encoders.find import Encoder

SIMILARITY, WORDS = "similarity", "words"
ABOUT: Mapping[str, str] = {
    SIMILARITY: "was trained for sentence similarity: its frozen features are those of a trained sentence encoder",
    WORDS: "was trained to predict words, not to compare texts",
}
"""what a kind of training means, and what follows where the encoder is trained further"""
_WORD_HEADS = ("ForMaskedLM", "ForPreTraining", "ForCausalLM", "LMHeadModel")


def pretraining(encoder: Encoder) -> str:
    """``similarity`` of sentences, ``words``, or empty where the files do not tell.

    Sentence encoders are the bundled MiniLM, models of the organisation sentence-transformers, and folders in its
    layout. Encoders of words are those whose configuration names a head that predicts words.
    """
    if (
        encoder.sentence is not None
        or encoder.name == packaged.MINILM
        or encoder.name.startswith("sentence-transformers/")
    ):
        return SIMILARITY
    heads = encoder.config.get("architectures")
    named = heads if isinstance(heads, list) else []
    return WORDS if any(str(head).endswith(_WORD_HEADS) for head in named) else ""


def about_encoder(encoder: Encoder) -> list[str]:
    """A sentence that says what it was trained for, where that is known."""
    known = ABOUT.get(pretraining(encoder))
    return [f"The encoder ({encoder.name}) {known}."] if known else []
