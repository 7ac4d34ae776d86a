"""Trained classifiers read back from a run: probabilities from every method, and which words they hang on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from checkpoints import arrays, store
from checkpoints.run import Run
from engine.classify import baselines
from engine.classify import results as classify_results
from engine.classify.spec import LR, MLP, ClassifySpec
from engine.comparison.heads import Head, head_from
from engine.comparison.results import TUNED, UNREADABLE, encoder_of, has_tuned, reading
from engine.encoders.encode import encode_now, machine_for
from engine.encoders.epochs import METHOD as FINETUNE
from engine.encoders.epochs import Tuned
from engine.encoders.find import Encoder
from engine.encoders.fine_tune import load, probabilities
from engine.model_folder import present
from engine.runs import owner
from engine.runs.messages import finish

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class WordEffect:
    """A word of a text: what leaving it out takes away from the predicted class."""

    start: int
    end: int
    text: str
    effect: float
    """probability with the word minus without it: positive words speak for the class"""


class Classifier:
    """Every trained method of a run. Models are opened when they are first asked for; one thread at a time."""

    def __init__(self, run: Run) -> None:
        """Raises :class:`checkpoints.store.CheckpointError` when the run holds no trained classifier."""
        if another := owner.another_task(run, ClassifySpec.task, "trained classifier"):
            raise store.CheckpointError(another)
        self.run = run
        self.heads: dict[str, Head] = {}
        self.words: baselines.Words | None = None
        self.unreadable: dict[str, str] = {}
        """why a method cannot be read"""
        with reading(f"{run.name} holds no trained classifier that can be read"):
            self._about = about = run.read_json(classify_results.Store.ABOUT)
            self.classes = tuple(map(str, about["classes"]))
            self.pooling, self.length = str(about["pooling"]), int(about["length"])
            for method, facts in about["heads"].items():
                try:
                    if method == baselines.TFIDF:
                        self.words = classify_results.read_words(run, about)
                    held = arrays.read(run.path / "heads" / f"{method}.safetensors")
                    self.heads[method] = head_from(held, str(facts["settings"]))
                except UNREADABLE as error:
                    self.unreadable[method] = str(error)
        self.methods = [method for method in (baselines.TFIDF, LR, MLP) if method in self.heads]
        if has_tuned(run):
            self.methods.append(FINETUNE)
        if not self.methods:
            why = "".join(f"; {method}: {reason}" for method, reason in self.unreadable.items())
            raise store.CheckpointError(f"{run.name} has no trained method that can be read{why}")

    def predict(self, texts: Sequence[str], methods: Sequence[str] = ()) -> dict[str, NDArray[np.float64]]:
        """Probabilities ``(texts, classes)`` from every method, or those named.

        Raises :class:`engine.encoders.find.NoEncoder` when the encoder that the heads stand on is not at hand any more.
        """
        found: dict[str, NDArray[np.float64]] = {}
        features: Any = None
        for method in (methods or self.methods) if texts else ():
            if method == baselines.TFIDF:
                assert self.words is not None
                found[method] = self.heads[method].probabilities(self.words.features(texts))
            elif method == FINETUNE:
                found[method] = finish(probabilities(self._tuned, texts))
            else:
                if features is None:
                    features = encode_now(texts, self._machine, self.length, self.pooling)
                found[method] = self.heads[method].probabilities(features)
        return found

    def attribute(self, text: str, method: str) -> tuple[int, list[WordEffect]]:
        """The class that ``method`` predicts, and for each word of ``text`` what leaving it out takes away from it."""
        words = list(_WORD.finditer(text))[:100]
        texts = [text, *(text[: word.start()] + text[word.end() :] for word in words)]
        found = self.predict(texts, (method,))[method]
        chosen = int(found[0].argmax())
        lost = found[0, chosen] - found[1:, chosen]
        return chosen, [
            WordEffect(word.start(), word.end(), word[0], float(effect))
            for word, effect in zip(words, lost, strict=True)
        ]

    def encoder(self) -> Encoder:
        """The encoder that the heads use. Raises :class:`engine.encoders.find.NoEncoder`, also when it is another."""
        return encoder_of(self.run, self._about)

    @cached_property
    def _machine(self) -> Any:
        return machine_for(self.encoder())

    @cached_property
    def _tuned(self) -> Tuned:
        from engine.device import place

        opened = partial(Encoder.open_classifier, classes=list(self.classes), trained=True)
        return load(present(self.run.path / TUNED), self.length, str(place().device), opened)
