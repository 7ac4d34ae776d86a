"""A corpus: text as character ids, its vocabulary, where it came from, and facts to measure a model against.

One path serves a sonnet and a terabyte: the file is decoded in chunks, counted once for the vocabulary, encoded
once, and what is too large for memory goes to a memory-mapped file in the cache, named by its content.
"""

from __future__ import annotations

import codecs
import hashlib
import math
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from data.plaintext import Cut, TextError, clean, detect_encoding, normalise_line_ends
from data.vocabulary import Vocabulary

Ids: TypeAlias = npt.NDArray[Any]
Reading: TypeAlias = Generator[tuple[str, int, int], None, "Corpus"]
"""Work in progress: yields ``(what, bytes done, bytes in all)`` and returns the corpus."""

CHUNK = 4 * 1024 * 1024  # bytes read at a time
CLEAN_LIMIT = 64 * 1024 * 1024  # bytes; larger files are taken as they are, nobody wraps a book that long
MEMORY_LIMIT = 256 * 1024 * 1024  # bytes of ids held in memory; more are memory-mapped
BIGRAM_LIMIT = 4096  # vocabulary size up to which bigrams are counted exactly


class CorpusError(TextError):
    """The corpus cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Facts:
    """What is known about a text before any model sees it. Entropies are nats per character."""

    characters: int
    distinct: int
    uniform: float
    """ln V: the loss of knowing nothing."""
    unigram: float
    """Entropy of the character frequencies: the loss of knowing how often each character occurs."""
    bigram: float
    """Entropy of a character given the one before: the loss of knowing all pairs. NaN above BIGRAM_LIMIT."""


@dataclass(frozen=True)
class Corpus:
    """Text as ids, ready to train on.

    ``ids`` is a one-dimensional integer array of ``facts.characters`` elements, in memory or memory-mapped.
    ``fingerprint`` is the SHA-256 of the normalised text in UTF-8; it names the corpus everywhere.
    """

    ids: Ids
    vocabulary: Vocabulary
    facts: Facts
    fingerprint: str
    name: str
    source: str
    cuts: tuple[Cut, ...] = ()
    notices: tuple[str, ...] = field(default=())

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """The characters from ``start`` to ``stop``."""
        points = np.array([ord(character) for character in self.vocabulary.characters], np.uint32)
        return points[self.ids[start:stop]].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")

    def split(self, validation: float = 0.1) -> tuple[Ids, Ids]:
        """The first part to train on and the last ``validation`` share to validate on, both contiguous."""
        boundary = int(len(self.ids) * (1.0 - validation))
        return self.ids[:boundary], self.ids[boundary:]


def from_file(path: Path, *, cache: Path, name: str | None = None) -> Reading:
    """Read a text file as a corpus; ``cache`` is where ids too large for memory go.

    Raises :class:`CorpusError` with the path in the message.
    """
    try:
        if "\0" in str(path):  # there can be none
            raise FileNotFoundError
        size = path.stat().st_size
        if path.is_dir():
            raise CorpusError("this is a folder; name a text file")
        if size == 0:
            raise CorpusError("the file is empty")
        if size <= CLEAN_LIMIT:
            raw = path.read_bytes()
            text = normalise_line_ends(raw.decode(detect_encoding(raw, whole=True)))
            return from_text(text, name=name or path.stem, source=str(path))
        with path.open("rb") as file:
            head = file.read(min(size, 1 << 20))
        encoding = detect_encoding(head, whole=len(head) == size)
        try:
            return (yield from _from_large(path, encoding, size, cache, name or path.stem))
        except UnicodeDecodeError:  # a beginning without accents looks like UTF-8 and need not be
            return (yield from _from_large(path, "latin-1", size, cache, name or path.stem))
    except FileNotFoundError:
        raise CorpusError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not valid {error.encoding} at byte {error.start:,}") from None
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}") from None
    except TextError as error:
        raise CorpusError(f"{path}: {error}") from None


def from_text(text: str, *, name: str, source: str, wrapped: bool = True) -> Corpus:
    """Encode ``text``; ``wrapped`` text is cleaned first (see :func:`data.plaintext.clean`).

    Raises :class:`CorpusError` when nothing is left.
    """
    text, cuts = clean(text) if wrapped else (text, [])
    if not text.strip():
        raise CorpusError("nothing is left of the text but white space")
    points = _code_points(text)
    tally = _Tally()
    tally.add(points)
    vocabulary, lookup = tally.vocabulary()
    ids = lookup[points]
    tally.add_pairs(ids, len(vocabulary))
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Corpus(ids, vocabulary, tally.facts(), fingerprint, name, source, tuple(cuts))


def _from_large(path: Path, encoding: str, size: int, cache: Path, name: str) -> Reading:
    tally = _Tally()
    digest = hashlib.sha256()
    for done, text in _chunks(path, encoding):
        digest.update(text.encode("utf-8", "surrogatepass"))
        tally.add(_code_points(text))
        yield "reading corpus", done, 2 * size
    vocabulary, lookup = tally.vocabulary()
    fingerprint = digest.hexdigest()
    ids: Ids
    if tally.total * lookup.itemsize <= MEMORY_LIMIT:
        ids = np.empty(tally.total, lookup.dtype)
        target = partial = None
    else:
        cache.mkdir(parents=True, exist_ok=True)
        target = cache / f"{fingerprint}.{lookup.dtype.name}"
        partial = target.with_suffix(f".{os.getpid()}.part")
        ids = np.memmap(partial, lookup.dtype, "w+", shape=(tally.total,))
    position = 0
    for done, text in _chunks(path, encoding):
        piece = lookup[_code_points(text)]
        ids[position : position + len(piece)] = piece
        tally.add_pairs(piece, len(vocabulary))
        position += len(piece)
        yield "encoding corpus", size + done, 2 * size
    if isinstance(ids, np.memmap) and target is not None and partial is not None:
        ids.flush()
        partial.replace(target)
        ids = np.memmap(target, lookup.dtype, "r")
    return Corpus(ids, vocabulary, tally.facts(), fingerprint, name, str(path))


def _chunks(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Text of a file piece by piece with line ends normalised, and the bytes read so far."""
    decoder = codecs.getincrementaldecoder(encoding)()
    held = ""  # a CR at the end of a piece may be half of a CRLF
    done = 0
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            done += len(block)
            text = held + decoder.decode(block)
            held = "\r" if text.endswith("\r") else ""
            yield done, normalise_line_ends(text.removesuffix("\r"))
        yield done, normalise_line_ends(held + decoder.decode(b"", final=True))


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class _Tally:
    """Counts of characters and of pairs, gathered piece by piece."""

    def __init__(self) -> None:
        self._counts = np.zeros(0x110000, np.int64)
        self._pairs: npt.NDArray[np.int64] | None = None
        self._last: int | None = None
        self.total = 0

    def add(self, points: npt.NDArray[np.uint32]) -> None:
        self._counts += np.bincount(points, minlength=0x110000)
        self.total += len(points)

    def vocabulary(self) -> tuple[Vocabulary, npt.NDArray[Any]]:
        """The vocabulary, and an array that maps a code point to its id."""
        present = np.flatnonzero(self._counts)
        lookup = np.zeros(0x110000, np.uint8 if len(present) <= 256 else np.int32)
        lookup[present] = np.arange(len(present))
        return Vocabulary(map(chr, present.tolist())), lookup

    def add_pairs(self, ids: Ids, size: int) -> None:
        if size > BIGRAM_LIMIT or not len(ids):
            return
        if self._pairs is None:
            self._pairs = np.zeros(size * size, np.int64)
        wide = ids.astype(np.int64)
        if self._last is not None:
            self._pairs[self._last * size + int(wide[0])] += 1
        self._pairs += np.bincount(wide[:-1] * size + wide[1:], minlength=size * size)
        self._last = int(wide[-1])

    def facts(self) -> Facts:
        counts = self._counts[self._counts > 0]
        bigram = math.nan
        if self._pairs is not None:
            size = len(counts)
            bigram = _entropy(self._pairs) - _entropy(self._pairs.reshape(size, size).sum(axis=1))
        return Facts(self.total, len(counts), math.log(len(counts)), _entropy(counts), bigram)


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    """Entropy in nats of the distribution that ``counts`` describes."""
    counts = counts[counts > 0]
    total = int(counts.sum())
    if total == 0:
        return 0.0
    shares = counts / total
    return float(-(shares * np.log(shares)).sum())
