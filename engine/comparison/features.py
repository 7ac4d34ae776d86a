"""Features of every split of a data set, encoded once and shared by all contenders that stand on a frozen encoder."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.encoders import find
from engine.encoders.encode import encode
from engine.encoders.features import Cost, Features, group_of
from engine.encoders.find import Encoder
from engine.runs.events import EncodingDone, Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    from engine.encoders.features import Matrix


class SplitFeatures:
    """Items of each split by its name, the short splits first: they show soon how long the last takes."""

    def __init__(
        self, splits: Mapping[str, Sequence[Any]], encoder: str, pooling: str, *, length: int, device: str
    ) -> None:
        self._splits, self._named, self.length, self.device = splits, encoder, length, device
        self.pooling = pooling
        self._found: Encoder | None = None
        self._encoded: dict[str, Any] = {}
        self.encodings: list[EncodingDone] = []
        """what was encoded, once that is done"""
        self._cost = Cost()

    @property
    def encoder(self) -> Encoder:
        assert self._found is not None, "open it first"
        return self._found

    def open(self, control: Control) -> Generator[Event, None, Encoder]:
        """Find the encoder. Raises :class:`engine.encoders.find.NoEncoder`."""
        if self._found is None:
            self._found = yield from find.find(self._named, control)
        return self._found

    def encode(self, control: Control) -> Generator[Event, None, None]:
        """Encode every split. Raises what :func:`engine.encoders.encode.encode` raises."""
        for split, items in self._splits.items():
            self._encoded[split] = yield from self._features(items, control)
        self.encodings = [EncodingDone(self.encoder.name, self._cost.texts, self._cost.truncated, self._cost.seconds)]
        yield from self.encodings

    def _features(self, items: Sequence[Any], control: Control) -> Generator[Event, None, Any]:
        return self._features_of(items, control, (self.pooling, "mean"))

    def _features_of(
        self, texts: Sequence[str], control: Control, poolings: Sequence[str]
    ) -> Generator[Event, None, Features]:
        found = yield from encode(
            texts,
            self.encoder,
            control,
            length=self.length,
            group=group_of(self.pooling),
            poolings=poolings,
            device=self.device,
        )
        self._cost += found.cost
        return found

    def rows(self, split: str, pooling: str = "") -> Matrix:
        """Features of a split ``(texts, width)``, with the spec's pooling or another."""
        found: Features = self._encoded[split]
        return found.pooled(pooling or self.pooling)
