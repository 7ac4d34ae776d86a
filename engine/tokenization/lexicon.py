"""A vocabulary to look things up in: search, neighbours, occurrences in a corpus, and how its tokens are built."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, takewhile

from checkpoints import home
from engine.runs.messages import finish
from engine.tokenization.encoding import BackedTokenizer, Tokenizer, repaired
from engine.tokenization.spans import Token, Tokenized, tokenize


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


SPACES = str.maketrans({"·": " ", "␣": " ", "␠": " "})
"""What a user may type for a space that would not be seen."""


@dataclass(frozen=True)
class Occurrences:
    """How often each id occurs in a corpus of ``tokens`` tokens."""

    corpus: str
    fingerprint: str
    counts: Counter[int]
    tokens: int


class Lexicon:
    """The entries of one vocabulary, sorted when they are first needed (some hundredths of a second)."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._spelled: list[str] = []
        self._texts: list[str] = []
        self._order: list[tuple[str, int]] = []

    def text(self, token: int) -> str:
        """What an id stands for, as text; bytes that are no UTF-8 become U+FFFD."""
        return self._tokenizer.spelled(token)

    def around(self, token: int, reach: int = 2) -> list[int]:
        """The ids beside ``token``: those learnt just before and after it, or sorted beside it."""
        size = self._tokenizer.size
        return [near for near in range(token - reach, token + reach + 1) if near != token and 0 <= near < size]

    def sharing(self, token: int, limit: int = 8) -> tuple[str, list[int]]:
        """The longest beginning that ``token`` shares with any other entry, and the entries that share it."""
        self.prepare()
        spelled = self._tokenizer.token(token)
        place = bisect_left(self._order, (spelled, token))
        beside = [self._order[near][0] for near in (place - 1, place + 1) if 0 <= near < len(self._order)]
        prefix = max((_common(spelled, other) for other in beside), key=len, default="")
        if not prefix:
            return "", []
        start = bisect_left(self._order, (prefix, -1))
        entries = takewhile(lambda entry: entry[0].startswith(prefix), self._order[start : start + limit + 1])
        return prefix, [ident for _, ident in entries if ident != token][:limit]

    def search(self, wanted: str, *, case: bool = False, limit: int = 200) -> list[int]:
        """Ids whose text or spelling contains ``wanted``: the entry itself first, then beginnings, then the rest.

        A space may be typed as itself or visibly (``·the``, ``␣the``, ``Ġthe``). A number also finds its id.
        """
        self.prepare()
        if not wanted:
            return []
        asked = {wanted, wanted.translate(SPACES)}
        if not case:
            asked = {word.lower() for word in asked}
        exact: list[int] = []
        beginning: list[int] = []
        inside: list[int] = []
        for ident, (text, spelled) in enumerate(zip(self._texts, self._spelled, strict=True)):
            forms = (text, spelled) if case else (text.lower(), spelled.lower())
            if not any(word in form for word in asked for form in forms):
                continue
            if any(word in forms for word in asked):
                exact.append(ident)
            elif any(form.startswith(word) for word in asked for form in forms):
                beginning.append(ident)
            else:
                inside.append(ident)
        found = [*exact, *beginning, *inside]
        if wanted.isascii() and wanted.isdigit() and int(wanted) < self._tokenizer.size:
            found = list(dict.fromkeys([int(wanted), *found]))
        return found[:limit]

    def prepare(self) -> None:
        """Sort the vocabulary, unless it is sorted: not for the thread of a screen."""
        with self._lock:
            if self._order or not self._tokenizer.size:
                return
            ids = range(self._tokenizer.size)
            self._spelled = [self._tokenizer.token(ident) for ident in ids]
            self._texts = [self.text(ident) for ident in ids]
            self._order = sorted((spelled, ident) for ident, spelled in enumerate(self._spelled) if spelled)


def corpus() -> tuple[str, str, str]:
    """``(name, text, fingerprint)`` of the corpus at hand: the cached Inferno, else the bundled ``dantesque``."""
    from data import dante  # imports numpy, which takes long
    from data.corpus import CorpusError

    if (home.cache() / "inferno.txt").exists():
        try:
            found = finish(dante.load("dante", cache=home.cache(), urls=()))
        except (CorpusError, OSError):
            found = dante.dantesque()
    else:
        found = dante.dantesque()
    return found.name, found.text(), found.fingerprint


def occurrences(
    tokenizer: Tokenizer, name: str, text: str, fingerprint: str, *, stale: Callable[[], bool] = lambda: False
) -> Occurrences | None:
    """Count the tokens of a corpus; None as soon as ``stale`` says yes."""
    found = tokenize(tokenizer, text, stale=stale)
    if found is None:
        return None
    counts: Counter[int] = Counter()
    for block in found.blocks:
        counts.update(block.encoding.ids)
    return Occurrences(name, fingerprint, counts, len(found))


def _common(one: str, other: str) -> str:
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
