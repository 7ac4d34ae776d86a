"""A character vocabulary, and its stated policy for characters that it does not know."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# Punctuation that keyboards and typesetters write differently and Unicode normalisation keeps apart.
_LOOKALIKES = (
    "'\u2019\u2018\u02bc`\u00b4",
    '"\u201c\u201d\u00ab\u00bb\u201e',
    "-\u2010\u2011\u2013\u2014\u2212",
    " \u00a0\t",
)


class UnknownCharacterError(ValueError):
    """A character is not in the vocabulary and nothing explains it."""

    def __init__(self, character: str, position: int) -> None:
        name = unicodedata.name(character, "unnamed")
        super().__init__(
            f"character {character!r} (U+{ord(character):04X} {name}) at position {position} "
            "is not in this model's vocabulary"
        )
        self.character = character
        self.position = position


@dataclass(frozen=True)
class Encoded:
    """Token ids, and the substitutions that were made to get them as ``(position, from, to)``."""

    ids: list[int]
    mapped: list[tuple[int, str, str]]

    def explain(self) -> str:
        """One line for the user about what was replaced; empty when nothing was."""
        pairs = dict.fromkeys(f"{before!r} as {after!r}" for _, before, after in self.mapped)
        return "read " + ", ".join(pairs) if pairs else ""


class Vocabulary:
    """The distinct characters of a corpus in code point order; a character's token id is its index.

    ``encode`` knows three kinds of unknown character. One that Unicode normalisation explains (a decomposed or
    compatibility form, an accent the corpus never uses) or that is a keyboard's spelling of the corpus's
    punctuation (``'`` for ``\u2019``) is mapped and reported. Any other is refused by name and position.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = tuple(sorted(set(characters)))
        self._ids = {character: index for index, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def decode(self, ids: Sequence[int]) -> str:
        """Characters of ``ids``, joined."""
        return "".join(self.characters[index] for index in ids)

    def encode(self, text: str) -> Encoded:
        """Token ids of ``text``.

        Raises :class:`UnknownCharacterError` for the first character that neither stands in the vocabulary nor is
        explained by the policy above. Positions count characters of ``text`` as it was given.
        """
        ids: list[int] = []
        mapped: list[tuple[int, str, str]] = []
        for position, source, known in self.pieces(text):
            if known is None:
                raise UnknownCharacterError(source, position)
            if known != source:
                mapped.append((position, source, known))
            ids.extend(self._ids[character] for character in known)
        return Encoded(ids, mapped)

    def pieces(self, text: str) -> Iterator[tuple[int, str, str | None]]:
        """``(position, source, known)`` from start to end: what stands in ``text`` and what it is read as.

        ``known`` holds only characters of the vocabulary; it is None for a character that nothing explains.
        """
        position = 0
        while position < len(text):
            cluster = self._cluster(text, position)
            for source in dict.fromkeys((cluster, text[position])):
                known = self._resolve(source)
                if known is not None:
                    break
            yield position, source, known
            position += len(source)

    def id_of(self, character: str) -> int:
        """The id of a character of the vocabulary. Raises :class:`KeyError`."""
        return self._ids[character]

    def knows_all(self, text: str) -> bool:
        """Whether every character stands in the vocabulary and stands alone, so that each is one token."""
        distinct = set(text)
        return distinct <= self._ids.keys() and not any(unicodedata.combining(character) for character in distinct)

    @staticmethod
    def _cluster(text: str, start: int) -> str:
        end = start + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        return text[start:end]

    def _resolve(self, source: str) -> str | None:
        if len(source) == 1 and source in self._ids:
            return source
        for kind in ("NFC", "NFKC", "NFKD"):
            form = unicodedata.normalize(kind, source)
            if form and all(character in self._ids for character in form):
                return form
        # Before accents are dropped: Unicode takes ´ apart into a space and an accent.
        for group in _LOOKALIKES:
            if source in group:
                return next((character for character in group if character in self._ids), None)
        stripped = "".join(c for c in unicodedata.normalize("NFKD", source) if not unicodedata.combining(c))
        return stripped if stripped and all(character in self._ids for character in stripped) else None
