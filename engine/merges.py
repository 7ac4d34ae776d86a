"""How a token came about: byte-pair merges in the order of their ranks, or WordPiece's greedy longest match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from engine.encoding import BackedTokenizer, Tokenizer, repaired
from engine.tokens import Token, Tokenized


@dataclass(frozen=True)
class Merge:
    """Two neighbours become one. ``rank`` is the merge's place in the tokenizer's own list, 0 the first learnt."""

    rank: int
    left: str
    right: str
    result: str


@dataclass(frozen=True)
class Match:
    """One piece of a word: the longest entry that fits at its place.

    ``tried`` are the longer candidates that the vocabulary does not hold, longest first, spelled as it would spell
    them; ``id`` is None when nothing fitted and the whole word is unknown.
    """

    text: str
    id: int | None
    tried: tuple[str, ...]


class Merges:
    """The merge list of a BPE tokenizer (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909)."""

    def __init__(self, ranks: Mapping[tuple[str, str], int], prefix: str = "") -> None:
        self._ranks, self._prefix = ranks, prefix

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Merges | None:
        """The merges of ``tokenizer``, or None when it has none. Reads the whole model: a tenth of a second."""
        model = tokenizer.model()
        listed = model.get("merges")
        if not listed:
            return None
        pairs = (entry.split(" ", 1) if isinstance(entry, str) else entry for entry in listed)
        ranks = {(left, right): rank for rank, (left, right) in enumerate(pairs)}
        return cls(ranks, model.get("continuing_subword_prefix") or "")

    def __len__(self) -> int:
        return len(self._ranks)

    def steps(self, token: str) -> list[Merge]:
        """The merges that build ``token`` out of its single characters, in the order in which they are applied.

        The last one's result is the token itself, unless it is a single character or was added without merges.
        """
        parts = [token[:1], *(self._prefix + character for character in token[1:])] if token else []
        steps: list[Merge] = []
        while len(parts) > 1:
            known = [(self._ranks[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in self._ranks]
            if not known:
                break
            rank, place = min(known)
            left, right = parts[place], parts[place + 1]
            result = left + right.removeprefix(self._prefix)
            steps.append(Merge(rank, left, right, result))
            parts[place : place + 2] = [result]
        return steps


def matches(tokenizer: Tokenizer, word: str) -> list[Match]:
    """The way of WordPiece through a word that is already normalised (Wu et al. 2016, https://arxiv.org/abs/1609.08144).

    At each place the longest entry of the vocabulary wins. A single :class:`Match` without an id when the word is
    unknown: somewhere nothing fits, or it is longer than the tokenizer looks at.
    """
    model = tokenizer.backend.model if isinstance(tokenizer, BackedTokenizer) else None
    prefix: str = getattr(model, "continuing_subword_prefix", "##")
    longest: int = getattr(model, "max_input_chars_per_word", 100)
    found: list[Match] = []
    start = 0
    if len(word) > longest:
        return [Match(word, None, ())]
    while start < len(word):
        tried: list[str] = []
        for end in range(len(word), start, -1):
            candidate = (prefix if start else "") + word[start:end]
            ident = tokenizer.id_of(candidate)
            if ident is not None:
                found.append(Match(candidate, ident, tuple(tried)))
                start = end
                break
            tried.append(candidate)
        else:
            return [Match(word, None, tuple(tried))]
    return found


def word_of(view: Tokenized, token: Token, text: str) -> str:
    """The normalised word that a WordPiece token belongs to: its neighbours without a space between them."""
    tokenizer = view.tokenizer
    if not isinstance(tokenizer, BackedTokenizer):
        return text[token.start : token.end]
    prefix: str = getattr(tokenizer.backend.model, "continuing_subword_prefix", "##")
    first, last = token.index, token.index
    while first > 0 and tokenizer.token(view.token(first).id).startswith(prefix) and not _begins(view, first):
        first -= 1
    while last + 1 < len(view) and not _begins(view, last + 1):
        if not tokenizer.token(view.token(last + 1).id).startswith(prefix):
            break
        last += 1
    word = repaired(text[view.token(first).start : view.token(last).end])
    normalizer = tokenizer.backend.normalizer
    return normalizer.normalize_str(word).strip() if normalizer is not None else word


def _begins(view: Tokenized, index: int) -> bool:
    """Whether a token cannot continue the one before it, because something lies between them."""
    return view.token(index - 1).end < view.token(index).start
