"""A text seen through a tokenizer: which token stands where, in characters and in bytes, and counts to compare.

A long text is tokenized in blocks, cut only where no token can cross. After an edit the blocks on both sides of it
are taken over, so that a megabyte can be typed into; a block holds the interpreter for a millisecond or two at most.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from engine.tokenization.encoding import Encoding, Tokenizer, repaired

BLOCK = 8192  # characters after which a text is cut at the next place where that is safe
LARGE = 4 * BLOCK  # characters of a block that found no such place
_WIDTH, _EDGE, _THRESHOLD = 80, 3, 1000  # how torch prints: columns, ids at the ends, ids that are all shown


@dataclass(frozen=True)
class Token:
    """One token of a text. ``index`` counts from the first; starts and ends count from the beginning of the text.

    ``shared`` is true when it holds a part of a code point that another token holds the rest of.
    """

    index: int
    id: int
    start: int
    end: int
    byte_start: int
    byte_end: int
    shared: bool
    unknown: bool
    special: bool


@dataclass(frozen=True)
class Counts:
    """What a text costs in one vocabulary.

    ``split`` counts code points that more than one token is needed for, ``lost`` those that no token stands for.
    """

    characters: int = 0
    bytes: int = 0
    tokens: int = 0
    unknown: int = 0
    split: int = 0
    special: int = 0
    lost: int = 0

    @property
    def characters_per_token(self) -> float | None:
        """How much text a token carries, without what is lost; None for no tokens."""
        return (self.characters - self.lost) / self.tokens if self.tokens else None


class Block:
    """A stretch of the text and its tokens, all counted from the block's own beginning."""

    def __init__(self, tokenizer: Tokenizer, text: str, *, special: bool = False) -> None:
        self.text = text
        self._tokenizer = tokenizer
        self.encoding: Encoding = tokenizer.encode(text, special=special)
        self.counts = Counts(
            len(text),
            len(repaired(text).encode()),
            len(self.encoding),
            len(self.encoding.unknown),
            0 if text.isascii() else len(self._shared_characters()),
            len(self.encoding.special),
            len(self.encoding.lost),
        )
        if len(text) > LARGE:
            _ = self.bytes  # now, in the thread that makes the block, and not when the screen asks

    def _shared_characters(self) -> set[int]:
        spans = [span for span in zip(self.encoding.starts, self.encoding.ends, strict=True) if span[0] < span[1]]
        return {place for (_, end), (after, _) in pairwise(spans) for place in range(after, end)}

    @cached_property
    def bytes(self) -> list[tuple[int, int]]:
        """The span of each token in the UTF-8 of the block: exact where the vocabulary's tokens are bytes."""
        content = repaired(self.text).encode()
        if self._tokenizer.kind == "bpe":
            pieces = [self._tokenizer.piece(token) for token in self.encoding.ids]
            if b"".join(pieces) == content:
                edges = [0, *accumulate(map(len, pieces))]
                return list(pairwise(edges))
        at = [0, *accumulate(len(character.encode()) for character in repaired(self.text))]
        return [(at[s], at[e]) for s, e in zip(self.encoding.starts, self.encoding.ends, strict=True)]


class Tokenized:
    """A whole text in one vocabulary; never changes once made."""

    def __init__(self, tokenizer: Tokenizer, blocks: Sequence[Block]) -> None:
        self.tokenizer = tokenizer
        self.blocks = tuple(blocks)
        parts = [block.counts for block in blocks]
        self._characters = [0, *accumulate(part.characters for part in parts)]
        self._bytes = [0, *accumulate(part.bytes for part in parts)]
        self._tokens = [0, *accumulate(part.tokens for part in parts)]
        self.counts = Counts(*map(sum, zip(*map(astuple, parts), strict=True)))

    def __len__(self) -> int:
        return self._tokens[-1]

    @property
    def ids(self) -> list[int]:
        """The id of every token."""
        return [token for block in self.blocks for token in block.encoding.ids]

    def token(self, index: int) -> Token:
        """The token at ``index``. Raises :class:`IndexError`."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._token(bisect_right(self._tokens, index) - 1, index)

    def at(self, offset: int) -> int | None:
        """Index of the first token that holds the character at ``offset``, or the next token; None after the last."""
        number = max(0, min(bisect_right(self._characters, offset) - 1, len(self.blocks) - 1))
        for place in range(number, len(self.blocks)):
            ends, local = self.blocks[place].encoding.ends, offset - self._characters[place]
            index = bisect_right(ends, local)
            if index < len(ends):
                return self._tokens[place] + index
        return None

    def between(self, start: int, end: int) -> Iterator[Token]:
        """Tokens that touch the characters from ``start`` up to ``end``, in order."""
        index = self.at(start)
        if index is None:
            return
        for number in range(bisect_right(self._tokens, index) - 1, len(self.blocks)):
            for place in range(max(index, self._tokens[number]), self._tokens[number + 1]):
                token = self._token(number, place)
                if token.start >= end:
                    return
                yield token

    def id(self, index: int) -> int:
        """The id at ``index``."""
        number = bisect_right(self._tokens, index) - 1
        return self.blocks[number].encoding.ids[index - self._tokens[number]]

    def tensor_line(self) -> str:
        """See :func:`tensor_line`; does not gather more ids than are shown."""
        if len(self) <= _THRESHOLD:
            return tensor_line(self.ids)
        near = [self.id(index) for index in (*range(_EDGE), *range(len(self) - _EDGE, len(self)))]
        return tensor_line([*near[:_EDGE], *[0] * (_THRESHOLD + 1 - 2 * _EDGE), *near[_EDGE:]])

    def __iter__(self) -> Iterator[Token]:
        for number in range(len(self.blocks)):
            for index in range(self._tokens[number], self._tokens[number + 1]):
                yield self._token(number, index)

    def _token(self, number: int, index: int) -> Token:
        block, local = self.blocks[number], index - self._tokens[number]
        encoding, offset, byte_offset = block.encoding, self._characters[number], self._bytes[number]
        starts, ends, (byte_start, byte_end) = encoding.starts, encoding.ends, block.bytes[local]
        beside = [near for near in (local - 1, local + 1) if 0 <= near < len(starts) and starts[near] < ends[near]]
        shared = any(starts[near] < ends[local] and starts[local] < ends[near] for near in beside)
        return Token(
            index,
            encoding.ids[local],
            offset + starts[local],
            offset + ends[local],
            byte_offset + byte_start,
            byte_offset + byte_end,
            shared,
            local in encoding.unknown,
            local in encoding.special,
        )


def tokenize(
    tokenizer: Tokenizer, text: str, before: Tokenized | None = None, *, stale: Callable[[], bool] = lambda: False
) -> Tokenized | None:
    """``text`` in the vocabulary of ``tokenizer``; what it has in common with ``before`` is not done again.

    ``stale`` is asked before each block; None is returned as soon as it says yes.
    """
    front: list[Block] = []
    back: list[Block] = []
    start, end = 0, len(text)
    if before is not None and before.tokenizer is tokenizer and tokenizer.cut is not None:
        old = before.blocks
        for block in old:
            if not text.startswith(block.text, start) or not _is_safe(tokenizer, text, start + len(block.text)):
                break
            front.append(block)
            start += len(block.text)
        for block in reversed(old[len(front) :]):
            edge = end - len(block.text)
            if edge < start or not text.startswith(block.text, edge) or not _is_safe(tokenizer, text, edge):
                break
            back.append(block)
            end = edge
    made: list[Block] = []
    for piece in _cut(tokenizer, text, start, end):
        if stale():
            return None
        made.append(Block(tokenizer, piece))
    return Tokenized(tokenizer, [*front, *made, *reversed(back)])


def tensor_line(ids: Sequence[int]) -> str:
    """What ``print(tokenizer(text, return_tensors="pt")["input_ids"])`` prints, without torch.

    As torch does, lines end at 80 columns and of more than 1,000 ids only three at each end are shown.
    """
    if not ids:
        return "tensor([], size=(1, 0), dtype=torch.int64)"
    shortened = len(ids) > _THRESHOLD
    shown = [*ids[:_EDGE], *ids[-_EDGE:]] if shortened else list(ids)
    width = max(len(str(token)) for token in shown)
    words = [f"{token:>{width}}" for token in shown]
    if shortened:
        words.insert(_EDGE, " ...")
    indent = len("tensor([")
    each = max(1, (_WIDTH - indent) // (width + 2))
    lines = [", ".join(words[place : place + each]) for place in range(0, len(words), each)]
    return "tensor([[" + (",\n" + " " * (indent + 1)).join(lines) + "]])"


def _is_safe(tokenizer: Tokenizer, text: str, place: int) -> bool:
    """Whether no token crosses ``place``, and none beside it depends on the other side."""
    return place in (0, len(text)) or (tokenizer.cut is not None and tokenizer.cut.match(text, place) is not None)


def _cut(tokenizer: Tokenizer, text: str, start: int, end: int) -> Iterator[str]:
    while start < end:
        found = tokenizer.cut.search(text, start + BLOCK, end) if tokenizer.cut is not None else None
        edge = found.start() if found else end
        yield text[start:edge]
        start = edge
