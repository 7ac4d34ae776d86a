"""One interface over every tokenizer: text to ids with spans, ids to text, whatever the kind of vocabulary."""

from __future__ import annotations

import abc
import codecs
import contextlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

Kind: TypeAlias = Literal["bpe", "wordpiece", "unigram", "characters", "other"]

UNKNOWN = -1  # the id of a character that a character vocabulary does not know
REPLACEMENT = "\ufffd"
_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>")
_BEFORE_SPACE = re.compile(r"(?<=\S)[ \n]")
_BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _byte_of() -> dict[str, int]:
    """GPT-2's spelling of bytes: those that print stand for themselves, the others follow from U+0100 on."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


BYTE_OF = _byte_of()
"""The byte that each character of a byte-level token stands for."""


class NoTokenizer(Exception):
    """There is no tokenizer of this name, or it breaks on a text; the message says which, why, and what to do."""


@contextlib.contextmanager
def guarded(problem: str) -> Iterator[None]:
    """Raise :class:`NoTokenizer`, which says ``problem`` and the reason, for anything that ``tokenizers`` raises.

    The library raises nothing narrower than :class:`Exception`; its panics (a regular expression that backtracks
    without end) are not even that, but a :class:`BaseException`.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise NoTokenizer(f"{problem} ({reason})") from None


@dataclass(frozen=True)
class Encoding:
    """A text as tokens.

    ``starts`` and ``ends`` count characters of the text as it was given; tokens that share a character share its
    span, and one that the model adds has an empty span at 0. ``unknown`` and ``special`` hold positions in ``ids``,
    ``lost`` those characters of the text, other than white space, that no token stands for.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]
    unknown: frozenset[int] = field(default=frozenset())
    special: frozenset[int] = field(default=frozenset())
    lost: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


class Stream:
    """Text from ids that come one at a time: no half of a character is ever handed out. Here each id is whole ones."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def step(self, token: int) -> str:
        """The text that this id completes; empty while a code point is incomplete."""
        return self._tokenizer.decode([token])

    def flush(self) -> str:
        """What is still held back, as ``decode`` gives it: U+FFFD for an incomplete code point."""
        return ""


class Tokenizer(abc.ABC):
    """Text to ids and back. Every method may be called from any thread.

    ``name`` is what the user asked for, ``source`` where it came from, ``size`` the number of ids, ``eos`` the id that
    ends a text, if there is one, ``specials`` the ids that stand for no text, ``unknown`` the one that stands for what
    is not in the vocabulary, if there is one.
    """

    name: str
    kind: Kind
    source: str
    size: int
    eos: int | None
    specials: frozenset[int]
    unknown: int | None = None

    @property
    @abc.abstractmethod
    def cut(self) -> re.Pattern[str] | None:
        """Matches where a text may be cut without changing a token; None when no such place is known."""

    @abc.abstractmethod
    def encode(self, text: str, *, special: bool = False) -> Encoding:
        """Tokens of ``text``. ``special`` adds what the model puts around a text ([CLS] and [SEP]).

        Text that spells a special token becomes it, as in ``transformers``. A lone surrogate, which no encoding
        carries, is read as U+FFFD. Raises :class:`NoTokenizer` for a text that the tokenizer breaks on.
        """

    @abc.abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``, special tokens as they are spelled."""

    def stream(self) -> Stream:
        """A new stream of text, for ids that come one at a time."""
        return Stream(self)

    @abc.abstractmethod
    def token(self, token: int) -> str:
        """The vocabulary's own spelling (``ĠWorld``, ``##ing``); empty for an id without a token."""

    @abc.abstractmethod
    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for: exact for byte-level BPE, else the UTF-8 of its text."""

    def spelled(self, token: int) -> str:
        """The text of one token by itself, its spaces kept; U+FFFD for bytes that are no whole character."""
        return self.piece(token).decode("utf-8", "replace")

    @abc.abstractmethod
    def id_of(self, token: str) -> int | None:
        """The id of a token by the vocabulary's own spelling."""

    @abc.abstractmethod
    def model(self) -> dict[str, Any]:
        """The model as its ``tokenizer.json`` has it: ``vocab``, ``merges``. Read anew at every call, slowly."""


class CharacterTokenizer(Tokenizer):
    """A character vocabulary, with its own policy for characters that it does not know."""

    kind: Kind = "characters"
    eos = None
    specials = frozenset()
    cut = re.compile("[ -~\n]")  # none of these combines with what stands before it

    def __init__(self, vocabulary: Vocabulary, name: str, source: str) -> None:
        self.vocabulary, self.name, self.source, self.size = vocabulary, name, source, len(vocabulary)

    def encode(self, text: str, *, special: bool = False) -> Encoding:
        text = repaired(text)
        id_of = self.vocabulary.id_of
        if self.vocabulary.knows_all(text):
            return Encoding([id_of(c) for c in text], list(range(len(text))), list(range(1, len(text) + 1)))
        ids: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        unknown: list[int] = []
        for position, source, known in self.vocabulary.pieces(text):
            if known is None:
                unknown.append(len(ids))
            ids += [UNKNOWN] if known is None else map(id_of, known)
            starts += [position] * (len(ids) - len(starts))
            ends += [position + len(source)] * (len(ids) - len(ends))
        return Encoding(ids, starts, ends, frozenset(unknown))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.token(token) or REPLACEMENT for token in ids)

    def token(self, token: int) -> str:
        return self.vocabulary.characters[token] if 0 <= token < self.size else ""

    def piece(self, token: int) -> bytes:
        return self.token(token).encode("utf-8", "replace")

    def id_of(self, token: str) -> int | None:
        return self.vocabulary.id_of(token) if token in self.vocabulary.characters else None

    def model(self) -> dict[str, Any]:
        return {"vocab": {character: index for index, character in enumerate(self.vocabulary.characters)}}


class BackedTokenizer(Tokenizer):
    """A tokenizer of the ``tokenizers`` library."""

    def __init__(self, backend: Backend, name: str, source: str, eos: str | None = None) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend, self.name, self.source, self.size = backend, name, source, backend.get_vocab_size()
        added = backend.get_added_tokens_decoder()
        self._added = {index: token.content for index, token in added.items()}
        self.specials = frozenset(index for index, token in added.items() if token.special)
        ends = (eos,) if eos else [end for end in _ENDS if backend.token_to_id(end) in self.specials]
        self.eos = backend.token_to_id(ends[0]) if ends else None
        self._by_byte = "ByteLevel" in repr(backend.decoder)
        model = type(backend.model).__name__
        kinds: dict[str, Kind] = {"WordPiece": "wordpiece", "Unigram": "unigram", "BPE": "other"}
        self.kind = "bpe" if model == "BPE" and self._by_byte else kinds.get(model, "other")
        self._prefix = str(getattr(backend.model, "continuing_subword_prefix", None) or "")
        unknown = getattr(backend.model, "unk_token", None)
        self.unknown = backend.token_to_id(unknown) if isinstance(unknown, str) else None
        if model == "Unigram":
            self.unknown = self.model().get("unk_id")
        bytes_only = self._by_byte or "ByteLevel" in repr(backend.pre_tokenizer)
        self._exact = bytes_only and backend.normalizer is None
        self._drops = model == "BPE" and not (unknown or bytes_only or getattr(backend.model, "byte_fallback", False))
        """whether a character that is not in the vocabulary leaves no token"""

    def encode(self, text: str, *, special: bool = False) -> Encoding:
        text = repaired(text)
        with guarded(f"{self.source}: its tokenizer fails on a text"):
            found = self.backend.encode(text, add_special_tokens=special)
        ids = found.ids
        offsets = found.offsets
        starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
        lost = () if self._exact else self._lost(text, ids, starts, ends)
        marked = self.specials | {self.unknown}
        if marked.isdisjoint(ids):
            return Encoding(ids, starts, ends, lost=lost)
        unknown = frozenset(
            position
            for position, token in enumerate(ids)
            if token == self.unknown and text[starts[position] : ends[position]] != self.token(token)
        )
        special_ones = frozenset(position for position, token in enumerate(ids) if token in self.specials) - unknown
        return Encoding(ids, starts, ends, unknown, special_ones, lost)

    def _lost(self, text: str, ids: Sequence[int], starts: Sequence[int], ends: Sequence[int]) -> tuple[int, ...]:
        """See :attr:`Encoding.lost`."""
        if not self._drops:
            return tuple(uncovered(text, starts, ends))
        if all(map(self._spells, set(text))):
            return ()
        # What is dropped moves the spans of a word: only those of added tokens can be relied on.
        added = [place for place, token in enumerate(ids) if token in self._added]
        found = {at for place in added for at in range(starts[place], ends[place])}
        begin = 0
        for end in range(1, len(text) + 1):
            if end == len(text) or not composes(text, begin, end):
                whole = self._spells(text[begin:end])
                found.update(at for at in range(begin, end) if whole or self._spells(text[at]))
                begin = end
        return tuple(at for at in range(len(text)) if at not in found)

    def _spells(self, character: str) -> bool:
        """Whether a vocabulary without an unknown token has what a character, with its marks, is normalized to."""
        normalizer = self.backend.normalizer
        spelled = normalizer.normalize_str(character) if normalizer is not None else character
        return all(one.isspace() or one in self._alphabet for one in spelled)

    @cached_property
    def _alphabet(self) -> frozenset[str]:
        vocabulary, ends = self.backend.get_vocab(), str(getattr(self.backend.model, "end_of_word_suffix", None) or "")
        spelled = (token.removeprefix(self._prefix).removesuffix(ends) for token in vocabulary)
        return frozenset(one for one in spelled if len(one) == 1)

    def decode(self, ids: Sequence[int]) -> str:
        with guarded(f"{self.source}: its tokenizer cannot decode"):
            text: str = self.backend.decode(list(ids), skip_special_tokens=False)
        return text

    def stream(self) -> Stream:
        return _ByByte(self) if self._by_byte else _Decoding(self)

    def token(self, token: int) -> str:
        return (self.backend.id_to_token(token) or "") if token >= 0 else ""

    def piece(self, token: int) -> bytes:
        spelled = self.token(token)
        if token in self._added:
            return spelled.encode()
        if self._by_byte:
            try:
                return bytes(BYTE_OF[character] for character in spelled)
            except KeyError:
                return spelled.encode()
        if byte := _BYTE.fullmatch(spelled):
            return bytes.fromhex(byte[1])
        if self.kind == "wordpiece":
            return spelled.removeprefix(self._prefix).encode()
        return spelled.replace("▁", " ").encode()

    def id_of(self, token: str) -> int | None:
        return self.backend.token_to_id(token)

    def model(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.backend.to_str())["model"]
        return content

    @cached_property
    def cut(self) -> re.Pattern[str] | None:
        added = self.backend.get_added_tokens_decoder().values()
        if any(token.rstrip or any(map(str.isspace, token.content)) for token in added):
            return None
        splitter, normalizer = repr(self.backend.pre_tokenizer), repr(self.backend.normalizer)
        gpt2 = splitter.startswith("ByteLevel(add_prefix_space=False") and "use_regex=True" in splitter
        bert = splitter.startswith("BertPreTokenizer") and normalizer.startswith(("BertNormalizer", "None"))
        return _BEFORE_SPACE if (gpt2 and normalizer == "None") or bert else None


class _ByByte(Stream):
    """Byte-level tokens: what is decoded does not depend on what follows once the bytes of a character are there."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def step(self, token: int) -> str:
        return self._decoder.decode(self._tokenizer.piece(token))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class _Decoding(_ByByte):
    """Any other tokenizer: a token's text is what it adds to the text of the token before it.

    Byte tokens (``<0xE2>``) are put together here: the library's ``DecodeStream`` fails on bytes that are no UTF-8.
    """

    def __init__(self, tokenizer: BackedTokenizer) -> None:
        super().__init__(tokenizer)
        self._before: list[int] = []
        self._falls_back = "ByteFallback" in repr(tokenizer.backend.decoder)

    def step(self, token: int) -> str:
        before, self._before = self._before, [token]
        if self._falls_back and (byte := _BYTE.fullmatch(self._tokenizer.token(token))):
            return self._decoder.decode(bytes.fromhex(byte[1]))
        decode = self._tokenizer.decode
        return self.flush() + decode([*before, token])[len(decode(before)) :]


def uncovered(text: str, starts: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Positions of characters, white space apart, that no token's span holds; the spans are in order.

    A mark that is composed with the character before it, as normalizers do, is not one of them.
    """
    found: list[int] = []
    reached = 0
    for start, end in [*zip(starts, ends, strict=True), (len(text), len(text))]:
        if start > reached and not text[reached:start].isspace():
            whole = reached
            while 0 < whole < start and composes(text, reached - 1, whole):
                whole += 1
            found += [at for at in range(whole, start) if not text[at].isspace()]
        reached = max(reached, end)
    return found


def composes(text: str, begin: int, place: int) -> bool:
    """Whether Unicode composes the character at ``place`` with those from ``begin`` up to it into one."""
    normal = unicodedata.normalize
    return len(normal("NFC", text[begin : place + 1])) == len(normal("NFC", text[begin:place]))


def repaired(text: str) -> str:
    """``text`` with U+FFFD for every lone surrogate: as long as before, and UTF-8 can carry it."""
    return text if text.isascii() else _SURROGATE.sub(REPLACEMENT, text)
