"""Features of every split of a data set, encoded once and shared by all contenders that stand on a frozen encoder."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.encoders import find
from engine.encoders.encode import encode
from engine.encoders.features import Features, group_of
from engine.encoders.find import Encoder
from engine.runs.events import Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    from engine.encoders.features import Matrix


class SplitFeatures:
    """Texts of each split by its name, the short splits first: they show soon how long the last takes."""

    def __init__(
        self, texts: Mapping[str, Sequence[str]], encoder: str, pooling: str, *, length: int, device: str
    ) -> None:
        self._texts, self._named, self._length, self._device = texts, encoder, length, device
        self.pooling = pooling
        self._found: Encoder | None = None
        self._encoded: dict[str, Features] = {}
        self.seconds = 0.0
        """spent encoding"""

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
        begun = time.monotonic()
        for split, texts in self._texts.items():
            self._encoded[split] = yield from encode(
                texts,
                self.encoder,
                control,
                length=self._length,
                group=group_of(self.pooling),
                poolings=(self.pooling, "mean"),
                device=self._device,
            )
        self.seconds = time.monotonic() - begun

    def rows(self, split: str, pooling: str = "") -> Matrix:
        """Features of a split ``(texts, width)``, with the spec's pooling or another."""
        return self._encoded[split].pooled(pooling or self.pooling)
