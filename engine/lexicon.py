"""A vocabulary to look things up in: search, neighbours, and how often each token occurs in a corpus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

from checkpoints import home
from data import dante
from data.corpus import CorpusError, finish
from engine.encoding import Tokenizer
from engine.tokens import tokenize

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
        return self._tokenizer.piece(token).decode("utf-8", "replace")

    def around(self, token: int, reach: int = 2) -> list[int]:
        """The ids beside ``token``: those learnt just before and after it, or sorted beside it."""
        size = self._tokenizer.size
        return [near for near in range(token - reach, token + reach + 1) if near != token and 0 <= near < size]

    def sharing(self, token: int, limit: int = 8) -> tuple[str, list[int]]:
        """The longest beginning that ``token`` shares with any other entry, and the entries that share it."""
        self._prepare()
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
        self._prepare()
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

    def _prepare(self) -> None:
        with self._lock:
            if self._order or not self._tokenizer.size:
                return
            ids = range(self._tokenizer.size)
            self._spelled = [self._tokenizer.token(ident) for ident in ids]
            self._texts = [self.text(ident) for ident in ids]
            self._order = sorted((spelled, ident) for ident, spelled in enumerate(self._spelled) if spelled)


def corpus() -> tuple[str, str, str]:
    """``(name, text, fingerprint)`` of the corpus at hand: the cached Inferno, else the bundled ``dantesque``."""
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
