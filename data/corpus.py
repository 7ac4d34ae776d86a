"""A corpus: text as character ids, its vocabulary, where it came from, and facts to measure a model against.

One path serves a sonnet and a terabyte: files are decoded in chunks, counted once for the vocabulary, encoded
once, and what is too large for memory goes to a memory-mapped file in the cache, named by its content.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from data import encodings
from data.encodings import Decoded, Decoder, TextError, notices
from data.plaintext import Cut, clean, normalise_line_ends
from data.vocabulary import Vocabulary

Ids: TypeAlias = npt.NDArray[Any]
Reading: TypeAlias = Generator[tuple[str, int, int], None, "Corpus"]
"""Work in progress: yields ``(what, bytes done, bytes in all)`` and returns the corpus."""

CHUNK = 4 * 1024 * 1024  # bytes read at a time
CLEAN_LIMIT = 64 * 1024 * 1024  # bytes; larger texts are taken as they are: no book is that long
MEMORY_LIMIT = 256 * 1024 * 1024  # bytes of ids held in memory; more are memory-mapped
MOST_FILES = 100_000  # of a folder, so that / is refused and not read
DENSE_LIMIT = 1024  # vocabulary size up to which pairs are counted in a table of all that there could be


class CorpusError(TextError):
    """The corpus cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Facts:
    """What is known about a text before any model sees it. Entropies are nats per character."""

    characters: int
    distinct: int
    uniform: float
    """ln V: the loss of uniform guessing."""
    unigram: float
    """Entropy of the character frequencies: the loss of knowing how often each character occurs."""
    bigram: float
    """Entropy of a character given the one before: the loss of knowing all pairs."""


@dataclass(frozen=True)
class Corpus:
    """Text as ids, ready to train on.

    ``ids`` is a one-dimensional integer array of ``facts.characters`` elements, in memory or memory-mapped.
    ``fingerprint`` is the SHA-256 of the normalised text in UTF-8; it names the corpus everywhere. ``encoding`` is
    the codec of the files that it was read from, several separated by commas; ``notices`` tell what was left out.
    """

    ids: Ids
    vocabulary: Vocabulary
    facts: Facts
    fingerprint: str
    name: str
    source: str
    cuts: tuple[Cut, ...] = ()
    notices: tuple[str, ...] = field(default=())
    encoding: str = "utf-8"

    @property
    def excerpt(self) -> str:
        """The first two lines that are not empty, at most 60 characters of each."""
        return _excerpt(self.text(0, 2000))

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """The characters from ``start`` to ``stop``."""
        points = np.array([ord(character) for character in self.vocabulary.characters], np.uint32)
        return points[self.ids[start:stop]].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")

    def split(self, validation: float = 0.1) -> tuple[Ids, Ids]:
        """The first part to train on and the last ``validation`` share to validate on, both contiguous."""
        boundary = int(len(self.ids) * (1.0 - validation))
        return self.ids[:boundary], self.ids[boundary:]


@dataclass(frozen=True)
class Head:
    """What the beginning of a text file or folder shows: its encoding and excerpt, and whether there is much more."""

    large: bool
    encoding: str
    excerpt: str

    @classmethod
    def of(cls, path: Path, encoding: str, limit: int) -> Head:
        """Of ``path``, ``large`` above ``limit`` bytes, of which a compressed one counts as 8.

        Raises :class:`OSError` and :class:`TextError`.
        """
        files = _Files(path, encoding)
        first = files.paths[0]
        codec = encodings.detect(first, encoding, scan=False)
        with encodings.TextStream(first, codec) as stream:
            excerpt = _excerpt(normalise_line_ends(stream.read(2000)))
        packed = first.suffix.lower() in encodings.COMPRESSED
        return cls(files.size * (8 if packed else 1) > limit, codec.removesuffix("-sig"), excerpt)


def from_file(path: Path, *, cache: Path, name: str | None = None, encoding: str = "") -> Reading:
    """Read a text file, or every text of a folder in the order of their names, as a corpus.

    ``cache`` is where ids too large for memory go. ``encoding`` is that of all files; where it is empty each file's own
    is found. Raises :class:`CorpusError` with the path in the message.
    """
    try:
        if "\0" in str(path):  # there can be none
            raise FileNotFoundError
        name = name or (path.with_suffix("") if path.suffix.lower() in encodings.COMPRESSED else path).stem
        files = _Files(path, encoding)
        texts = files.texts() if files.size <= CLEAN_LIMIT else None
        if texts is None:
            corpus = yield from _from_large(files, cache, name, str(path))
        else:
            corpus = from_text("".join(texts), name=name, source=str(path))
        return files.described(corpus)
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file") from None
    except OSError as error:
        raise CorpusError(f"{error.filename or path}: {error.strerror or error}") from None
    except TextError as error:
        raise CorpusError(f"{path}: {error}") from None


def from_text(text: str, *, name: str, source: str) -> Corpus:
    """Encode ``text`` as it is. Raises :class:`CorpusError` when there is nothing but white space."""
    if not text.replace("\ufffd", "").strip():
        raise CorpusError("the text has nothing but white space")
    points = _code_points(text)
    tally = _Tally()
    tally.add(points)
    vocabulary, lookup = tally.vocabulary()
    ids = lookup[points]
    tally.add_pairs(ids, len(vocabulary))
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Corpus(ids, vocabulary, tally.facts(), fingerprint, name, source)


class _Files:
    """The files of a corpus, and what is to be told about how they were read."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._root, self._encoding, self._folder = path, encoding, path.is_dir()
        self._read: dict[Path, Decoded | Decoder] = {}
        self._cuts: list[tuple[Path, Cut]] = []
        self._skipped: list[str] = []
        self.paths = [path]
        if self._folder:
            found = list(islice((file for file in path.rglob("*") if not file.is_dir()), MOST_FILES + 1))
            if len(found) > MOST_FILES:
                raise CorpusError(f"this folder has more than {MOST_FILES:,} files; name one with fewer")
            self.paths = [file for file in sorted(found) if self._usable(file)]
            if not self.paths:
                raise CorpusError("; ".join(["there is no text file in this folder", *self._notices()]))
        self.size = sum(file.stat().st_size for file in self.paths)
        """bytes of all files, compressed ones as they are"""
        if not self.size:
            raise CorpusError("the file is empty")

    def texts(self) -> list[str] | None:
        """The text of every file, cleaned (:func:`data.plaintext.clean`); None where it is too much for memory."""
        texts: list[str] = []
        read: dict[Path, Decoded | Decoder] = {}
        every_cut: list[tuple[Path, Cut]] = []
        left = CLEAN_LIMIT
        for file in self.paths:
            with encodings.open_bytes(file) as opened:
                content = opened.read(left + 1)
            left -= len(content)
            if left < 0:
                return None
            read[file] = decoded = encodings.decode(content, self._encoding)
            text, cuts = clean(normalise_line_ends(decoded.text))
            every_cut += [(file, cut) for cut in cuts]
            texts.append(text + "\n" * (self._folder and not text.endswith("\n")))
        self._read, self._cuts = read, every_cut
        return texts

    def chunks(self) -> Iterator[tuple[int, str]]:
        """The text of all files piece by piece with line ends normalised, and the bytes decoded so far."""
        done = 0
        for file in self.paths:
            known = self._read.get(file)
            decoder = Decoder(known.encoding if known else encodings.detect(file, self._encoding))
            decoder.first = -1 if known else 0  # the second time no lines are counted
            held = ""  # a CR at the end of a piece may be half of a CRLF
            last = ""
            with encodings.open_bytes(file) as opened:
                while block := opened.read(CHUNK):
                    done += len(block)
                    text = held + decoder.decode(block)
                    held = "\r" if text.endswith("\r") else ""
                    text = normalise_line_ends(text.removesuffix("\r"))
                    last = text[-1:] or last
                    yield done, text
            text = normalise_line_ends(held + decoder.decode(b"", final=True))
            yield done, text + "\n" * (self._folder and (text or last)[-1:] != "\n")
            self._read[file] = known or decoder

    def described(self, corpus: Corpus) -> Corpus:
        """``corpus`` with its encodings, what was cut, and notices of all that was replaced or left out."""
        codecs = ", ".join(dict.fromkeys(file.encoding.removesuffix("-sig") for file in self._read.values()))
        notices = self._notices()
        if codecs != "utf-8":
            beginning = corpus.excerpt.replace("\n", " / ")
            notices.append(f"{self._root.name} begins: {beginning}")
        cuts = {f"{cut.reason} ({self._name(file)})" if self._folder else cut.reason: cut for file, cut in self._cuts}
        return replace(
            corpus,
            cuts=tuple(Cut(cut.characters, reason) for reason, cut in cuts.items()),
            notices=tuple(notices),
            encoding=codecs,
        )

    def _usable(self, file: Path) -> bool:
        """Whether a file of a folder is text; what is not is noted."""
        why = "hidden" if any(part.startswith(".") for part in file.relative_to(self._root).parts) else ""
        try:
            if not why and not file.is_file():
                why = "no regular file"
            if not why and not file.stat().st_size:  # also those of /proc, some of which never end
                why = "empty"
            if not why:
                encodings.detect(file, self._encoding, scan=False)
        except OSError as error:
            why = str(error.strerror or error)
        except TextError as error:
            why = str(error)
        if why:
            self._skipped.append(f"{self._name(file)}: {why}")
        return not why

    def _notices(self) -> list[str]:
        """Sentences with a count and the first place, one for each kind of thing that a user should know."""
        if not self._folder:
            (file,) = self._read.values()
            return notices(self._root.name, file.encoding, file.replaced, file.first)
        found = []
        for codec in dict.fromkeys(encodings.title(file.encoding) for file in self._read.values()):
            files = [path for path, file in self._read.items() if encodings.title(file.encoding) == codec]
            if codec != "UTF-8":
                found.append(f"{_files(len(files))} read as {codec}, the first is {self._name(files[0])}")
        if bad := [(path, file) for path, file in self._read.items() if file.replaced]:
            replaced = sum(file.replaced for _, file in bad)
            first = f"{self._name(bad[0][0])}, line {bad[0][1].first:,}"
            found.append(f"{replaced:,} characters in {_files(len(bad))} became U+FFFD, the first in {first}")
        if self._skipped:
            found.append(f"{_files(len(self._skipped))} left out, the first is {self._skipped[0]}")
        return found

    def _name(self, file: Path) -> str:
        return str(file.relative_to(self._root))


def _excerpt(text: str) -> str:
    lines = [line.strip()[:60] for line in text.split("\n")]
    return "\n".join([line for line in lines if line][:2])


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _from_large(files: _Files, cache: Path, name: str, source: str) -> Reading:
    tally = _Tally()
    digest = hashlib.sha256()
    done = 0
    for done, text in files.chunks():
        digest.update(text.encode("utf-8"))
        tally.add(_code_points(text))
        yield "reading corpus", done, max(2 * files.size, done)
    vocabulary, lookup = tally.vocabulary()
    fingerprint = digest.hexdigest()
    size, total = done, tally.total
    ids: Ids
    if total * lookup.itemsize <= MEMORY_LIMIT:
        ids = np.empty(total, lookup.dtype)
        target = partial = None
    else:
        cache.mkdir(parents=True, exist_ok=True)
        target = cache / f"{fingerprint}.{lookup.dtype.name}"
        partial = target.with_suffix(f".{os.getpid()}.part")
        ids = np.memmap(partial, lookup.dtype, "w+", shape=(total,))
    position = 0
    for done, text in files.chunks():
        piece = lookup[_code_points(text)]
        if position + len(piece) > total:
            raise CorpusError("it became longer while it was read")
        ids[position : position + len(piece)] = piece
        tally.add_pairs(piece, len(vocabulary))
        position += len(piece)
        yield "encoding corpus", size + done, 2 * size
    if isinstance(ids, np.memmap) and target is not None and partial is not None:
        ids.flush()
        partial.replace(target)
        ids = np.memmap(target, lookup.dtype, "r")
    return Corpus(ids, vocabulary, tally.facts(), fingerprint, name, source)


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class _Tally:
    """Counts of characters and of pairs, gathered piece by piece."""

    def __init__(self) -> None:
        self._counts = np.zeros(0x110000, np.int64)
        self._pairs: npt.NDArray[np.int64] | None = None  # of all that there could be, or:
        self._sparse: tuple[Ids, Ids] = (np.empty(0, np.int64), np.empty(0, np.int64))  # codes, and how often each is
        self._last: Ids | None = None  # of the piece before
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
        """Count the pairs of a piece, and the one across its beginning; ``size`` is that of the vocabulary."""
        for start in range(0, len(ids), CHUNK):  # so that all in 64-bit integers takes little memory
            piece = ids[start : start + CHUNK]
            last = piece[:1] if self._last is None else self._last
            pairs = np.empty(len(piece), np.int64)
            pairs[:1], pairs[1:] = last, piece[:-1]
            pairs *= size
            pairs += piece
            pairs, self._last = pairs[self._last is None :], piece[-1:]
            if size <= DENSE_LIMIT:
                counts = np.bincount(pairs, minlength=size * size)
                self._pairs = counts if self._pairs is None else self._pairs + counts
            elif len(pairs):
                self._sparse = _merged(self._sparse, np.unique(pairs, return_counts=True))

    def facts(self) -> Facts:
        counts = self._counts[self._counts > 0]
        size = len(counts)
        if self._pairs is not None:
            pairs, firsts = self._pairs, self._pairs.reshape(size, size).sum(axis=1)
        else:
            codes, pairs = self._sparse
            firsts = np.bincount(codes // size, pairs).astype(np.int64)  # exact below 2⁵³
        return Facts(self.total, size, math.log(size), _entropy(counts), _entropy(pairs) - _entropy(firsts))


def _merged(one: tuple[Ids, Ids], other: tuple[Ids, Ids]) -> tuple[Ids, Ids]:
    """Sum of two counts, each of sorted codes and how often they occur."""
    codes = np.concatenate([one[0], other[0]])
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    return codes[starts], np.add.reduceat(np.concatenate([one[1], other[1]])[order], starts)


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    """Entropy in nats of the distribution that ``counts`` describes."""
    counts = counts[counts > 0]
    total = int(counts.sum())
    if total == 0:
        return 0.0
    shares = counts / total
    return float(-(shares * np.log(shares)).sum())
