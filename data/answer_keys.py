"""How the answers of a data set point at its choices: by an index from 0 or from 1, a label, a letter, or the text.

It is decided once for all rows of a split: the same 2 may be the third choice, the second, or the one that reads "2".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.choice_schemas import Parts

LETTERS = "ABCDEFGHIJ"
AUTO = "auto"
KINDS = {
    "label": "labels of the choices",
    "0": "indices counted from 0",
    "1": "indices counted from 1",
    "letter": "letters",
    "text": "texts of the choices",
}
GIVEN = (AUTO, "0", "1", "letter", "text")
"""what a user can say of the answers"""
ENOUGH = 0.95  # of the rows that the best reading explains; a reading before it that explains as many is taken
_TRUTH = {"true": "yes", "false": "no"}
_LETTER = re.compile(r"\(?([A-Ja-j])[).:]?")
_NUMBER = re.compile(r"([0-9]{1,9})(\.0+)?")


@dataclass(frozen=True)
class AnswerKey:
    """One of ``KINDS``, and which others explain as many answers of the split, but otherwise."""

    kind: str
    rivals: frozenset[str] = frozenset()

    def told(self, example: Parts, item: str) -> str:
        """The convention, spelled out by an answer."""
        place = place_of(self.kind, example)
        chosen = f"the choice {example.choices[place][:60]!r} ({LETTERS[place]})" if place is not None else "no choice"
        line = f"answers are {KINDS[self.kind]}: answer {str(example.answer)[:60]} of {item} is read as {chosen}"
        if self.rivals:
            others = " or ".join(KINDS[kind] for kind in KINDS if kind in self.rivals)
            line += f"; they could be {others} too: --answer-base decides"
        return line


def place_of(kind: str, parts: Parts) -> int | None:
    """The place of the right choice where answers are of this kind; None where there is no such choice."""
    answer, choices = parts.answer, parts.choices
    if kind in ("0", "1"):
        number = _integer(answer)
        return number - int(kind) if number is not None and 0 <= number - int(kind) < len(choices) else None
    spelled = " ".join(str(answer).split())
    if kind == "letter":
        found = _LETTER.fullmatch(spelled)
        place = LETTERS.index(found[1].upper()) if found else len(choices)
        return place if place < len(choices) else None
    names = parts.labels if kind == "label" else choices
    if spelled in names:
        return names.index(spelled)
    folded = [name.casefold() for name in names]
    also = str(_integer(answer)) if isinstance(answer, float) else _TRUTH.get(spelled.casefold(), spelled)
    return next((folded.index(one.casefold()) for one in (spelled, also) if one.casefold() in folded), None)


def decide(splits: Mapping[str, Sequence[Parts]], published: str = "", likely: str = "") -> dict[str, AnswerKey]:
    """The convention of each split, of which every row has an answer.

    Where the rows alone do not tell, it is that which is ``published`` with the schema, of another split that does
    tell, or the ``likely`` one of indices.
    """
    keys = {split: _of(rows, published, likely) for split, rows in splits.items() if rows}
    sure = {key.kind for key in keys.values() if not key.rivals}
    return {
        split: AnswerKey(min(sure)) if len(sure) == 1 and sure <= key.rivals | {key.kind} else key
        for split, key in keys.items()
    }


def _of(rows: Sequence[Parts], published: str, likely: str) -> AnswerKey:
    labels = [place_of("label", parts) for parts in rows]
    if None not in labels:
        return AnswerKey("label")
    places = {"label": labels} | {kind: [place_of(kind, parts) for parts in rows] for kind in KINDS if kind != "label"}
    counts = {kind: len(rows) - found.count(None) for kind, found in places.items()}
    index = max(("0", "1"), key=lambda kind: (counts[kind], kind == published, kind == likely, kind == "0"))
    first = published if published in ("letter", "text") else index if published else "label"
    enough = ENOUGH * max(counts.values())
    kind = next(kind for kind in (first, "label", index, "letter", "text") if counts[kind] >= enough)
    if kind in (published, "label"):
        return AnswerKey(kind)
    others = (one for one in KINDS if counts[one] >= counts[kind] and places[one] != places[kind])
    return AnswerKey(kind, frozenset(others))


def _integer(answer: Any) -> int | None:
    if isinstance(answer, int):
        return None if isinstance(answer, bool) else answer
    if isinstance(answer, float):
        return int(answer) if answer.is_integer() else None
    found = _NUMBER.fullmatch(answer.strip()) if isinstance(answer, str) else None
    return int(found[1]) if found else None
