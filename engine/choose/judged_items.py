"""Items that zero-shot has judged, on the disk one by one, so that a new start of the run goes on after the last."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import store
from engine.runs import codec


@dataclass(frozen=True)
class ChoiceScore:
    """One choice after the question. Natural logarithms; ``-inf`` for a choice that the model cannot spell."""

    strip: tuple[tuple[str, float], ...]
    """its tokens and their log-probabilities"""
    sum: float
    token: float
    character: float
    pmi: float
    alone: float
    """the sum after the uninformative prompt: what the choice is worth without the question"""

    def way(self, name: str) -> float:
        """The score by one of ``WAYS``."""
        return float(getattr(self, name))


@dataclass(frozen=True)
class JudgedItem:
    """What zero-shot found for one item."""

    choices: tuple[ChoiceScore, ...]
    truncated: bool = False
    """whether the prompt was cut at its beginning"""
    reason: str = ""
    """why the item could not be scored"""

    def agrees(self, other: JudgedItem) -> bool:
        """Whether both are of the same model and item, as far as rounding lets the scores tell."""
        pairs = zip(self.choices, other.choices, strict=False)
        return len(self.choices) == len(other.choices) and all(
            one.sum == two.sum or math.isclose(one.sum, two.sum, rel_tol=1e-3, abs_tol=1e-3) for one, two in pairs
        )


class JudgedItems:
    """A file whose first line is ``key``, all that decides the scores, followed by a line for each judged item.

    A file with another key is begun anew. What cannot be written is only lost for a new start.
    """

    def __init__(self, path: Path, key: Sequence[Any]) -> None:
        self._path, self._key = path, [*key]
        self.found: list[JudgedItem] = []
        """of an earlier start, in the order of the items"""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            first, *rest = store.read_file(path).split(b"\n")
            if store.decode(first) == self._key:
                for line in rest:  # up to one that was not written whole
                    self.found.append(codec.decode(JudgedItem, store.decode(line)))
        self._begin()

    def forget(self) -> None:
        """Drop what was found: it is of another model."""
        self.found = []
        self._begin()

    def add(self, item: JudgedItem) -> None:
        """Put the next item on the disk."""
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(self._line(codec.encode(item)))

    def _begin(self) -> None:
        lines = [self._line(self._key), *(self._line(codec.encode(item)) for item in self.found)]
        with contextlib.suppress(OSError):
            store.replace_file(self._path, b"".join(lines))

    def _line(self, content: Any) -> bytes:
        return json.dumps(content).encode() + b"\n"
