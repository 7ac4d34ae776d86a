"""What is known about the caret's token, and what the text costs in each vocabulary, as lines to show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.tokenization.encoding import UNKNOWN
from engine.tokenization.lexicon import matches, word_of
from engine.tokenization.spans import Token
from tui.hints import MISSING
from tui.text import safe
from tui.tokens.aligned_text import short
from tui.tokens.tokenizer_list import TokenizerEntry, TokenizerList
from tui.widgets.buffer import Buffer
from tui.widgets.glyphs import plain
from tui.widgets.styled import ACCENT, BAD, BOLD, DIM, PLAIN, WARN, cut

LABEL = 11  # cells of the names on the left
_CHOSEN, _WARN, _BAD = Style(color=ACCENT), Style(color=WARN), Style(color=BAD)
_SHOWN = 24  # characters or bytes of one token that are shown in full
_LONG = 200  # characters of a token that is no word
_TRIED = 3  # candidates of WordPiece that are shown of each piece
HEADS = ("tokens", "ch/tok", "unk", "split", "ref")
"""of the table of vocabularies"""
Chunk = tuple[str, Style]


def card(tokenizers: TokenizerList, token: Token | None, width: int) -> list[Strip]:
    """The card of the caret's token, most important first."""
    entry, text = tokenizers.current, tokenizers.text
    if entry is None or entry.tokenizer is None or entry.view is None:
        return []
    tokenizer = entry.tokenizer
    if token is None:
        return flow("token", [("no token here", DIM)], width) if text else []
    spelled = safe(tokenizer.token(token.id), lines=False)
    ident = "unknown" if token.id == UNKNOWN else f"{token.id}"
    lines = flow("token", [(f" {spelled or '?'} ", Style(reverse=True)), (f"id {ident}", BOLD), *_notes(token)], width)
    characters = (f"char {token.start:,}–{token.end:,}", PLAIN)
    lines += flow("span", [characters, (f"byte {token.byte_start:,}–{token.byte_end:,}", PLAIN)], width)
    piece = tokenizer.piece(token.id) if token.id != UNKNOWN else b""
    content = piece or text[token.start : token.end].encode("utf-8", "replace")
    lines += flow("bytes", _bytes(content), width)
    if token.id != UNKNOWN:
        lines += _built(entry, token, text, width)
    lines += flow("text", _characters(text[token.start : token.end]), width)
    if token.id == UNKNOWN:
        return lines
    if entry.occurrences is not None:
        seen = entry.occurrences.counts[token.id]
        share = f"{seen / max(1, entry.occurrences.tokens):.3%}"
        lines += flow("corpus", [(f"{seen:,} in {entry.occurrences.corpus}", PLAIN), (share, DIM)], width)
    return lines + _neighbours(entry, token, width)


def counts(tokenizers: TokenizerList, reference: str, width: int) -> list[Strip]:
    """A table: a row for each vocabulary, and how much more tokens a character costs than in the reference."""
    if not tokenizers.views:
        return []
    name_width = max(6, width - 32)
    titles = "".join(f"{head:>{cells}}" for head, cells in zip(HEADS, (9, 7, 4, 6, 6), strict=True))
    titles = f"{'':<{name_width}}{titles}"
    lines = [_line([(titles, DIM)])]
    for entry in tokenizers.ready:
        if entry.view is None:
            continue
        each, chosen = entry.view.counts, entry is tokenizers.current
        tokens, per, unknown, split, ratio = count_values(entry)
        name = short(entry.name, name_width - 3)
        cells = [
            ("▸ " if chosen else "  ", _CHOSEN),
            (set_cell_size(name, name_width - 2), BOLD if chosen else PLAIN),
            (f"{tokens:>9}{per:>7}", PLAIN),
            (f"{unknown:>4}", _BAD if each.unknown + each.lost else DIM),
            (f"{split:>6}", _WARN if each.split else DIM),
            (f"{ratio:>6}", PLAIN),
        ]
        lines.append(_line(cells))
    lines.append(_line([(set_cell_size(f"ref: relative to {reference}", width), DIM)]))
    return lines


def count_values(entry: TokenizerEntry) -> tuple[str, ...]:
    """What stands under each of the heads for a vocabulary that shows the text."""
    if entry.view is None:
        return ("",) * len(HEADS)
    each, ratio = entry.view.counts, entry.against_reference()
    per = f"{each.characters_per_token:.2f}" if each.characters_per_token else MISSING
    unknown, more = _short(each.unknown + each.lost), f"×{ratio:.2f}" if ratio else MISSING
    return _short(each.tokens), per, unknown, _short(each.split), more


def tensor(label: str, line: str, width: int) -> Strip:
    """The tensor on one line of the screen."""
    return _line([(f"{label}  ", DIM), (tensor_text(label, line, width), PLAIN)])


def tensor_text(label: str, line: str, width: int) -> str:
    """The tensor, cut where the line ends that its label begins."""
    line = re.sub(r"\n\s*", " ", line)
    room = max(8, width - cell_len(label) - 2)
    return line if len(line) <= room else line[: room - 1] + "…"


def title(buffer: Buffer) -> str:
    """What the editor shows, and where the caret is."""
    line = buffer.text.count("\n", 0, buffer.caret) + 1
    chosen = f", {len(buffer.selected):,} selected" if buffer.selected else ""
    return f"text, line {line:,} of {buffer.text.count(chr(10)) + 1:,}{chosen}"


def size_of(tokenizers: TokenizerList) -> str:
    """How long the text is that all vocabularies show."""
    if not tokenizers.views:
        return "vocabularies"
    first = tokenizers.views[0].counts
    special = sum(view.counts.special for view in tokenizers.views)
    return f"{first.characters:,} characters, {first.bytes:,} bytes" + (f", {special:,} special" if special else "")


def card_title(tokenizers: TokenizerList, token: Token | None) -> str:
    """Which token the card is about."""
    entry = tokenizers.current
    if token is None or entry is None or entry.view is None:
        return "token"
    return f"token {token.index + 1:,} of {len(entry.view):,}"


def flow(label: str, chunks: Iterable[Chunk], width: int) -> list[Strip]:
    """Chunks behind a label, over as many lines as they need; a chunk longer than a line is cut."""
    room = max(4, width - LABEL)
    lines: list[list[Chunk]] = [[]]
    used = 0
    for text, style in chunks:
        text = cut(text, room)
        cells = cell_len(text)
        if used and used + 1 + cells > room:
            lines.append([])
            used = 0
        if used:
            lines[-1].append((" ", style if style == lines[-1][-1][1] else PLAIN))
            used += 1
        lines[-1].append((text, style))
        used += cells
    labels = [label, *[""] * (len(lines) - 1)]
    return [_line([(f"{name:<{LABEL}}", DIM), *line]) for name, line in zip(labels, lines, strict=True)]


def _notes(token: Token) -> list[Chunk]:
    if token.unknown:
        return [("not in the vocabulary", _BAD)]
    if token.special:
        return [("special", _WARN)]
    if token.shared:
        return [("part of a code point", _WARN)]
    return []


def _characters(text: str) -> list[Chunk]:
    if len(text) == 1:
        name = unicodedata.name(text, "unnamed").lower()
        return [(plain(text), BOLD), (f"U+{ord(text):04X}", PLAIN), (name, DIM)]
    shown = [(plain(text[:_SHOWN]), BOLD)]
    return [*shown, (f"and {len(text) - _SHOWN:,} more", DIM)] if len(text) > _SHOWN else shown


def _bytes(content: bytes) -> list[Chunk]:
    shown = [(f"{byte:02x}", PLAIN) for byte in content[:_SHOWN]]
    return [*shown, (f"and {len(content) - _SHOWN:,} more", DIM)] if len(content) > _SHOWN else shown


def _built(entry: TokenizerEntry, token: Token, text: str, width: int) -> list[Strip]:
    """How the token came about."""
    tokenizer, view = entry.tokenizer, entry.view
    if tokenizer is None or view is None or token.special:
        return []
    if entry.merges is not None:
        steps = entry.merges.steps(tokenizer.token(token.id))
        chunks: list[Chunk] = [(safe(f"{s.left}+{s.right}→{s.result} #{s.rank:,}", lines=False), PLAIN) for s in steps]
        return flow("merges", chunks or [("none (single byte)", DIM)], width)
    if tokenizer.kind != "wordpiece":
        return []
    if token.end - token.start > _LONG:
        return flow("path", [("word too long for WordPiece", DIM)], width)
    path: list[Chunk] = []
    for match in matches(tokenizer, word_of(view, token, text)):
        tried = [safe(candidate, lines=False) for candidate in match.tried[-_TRIED:]]
        earlier = len(match.tried) - len(tried)
        path += [(("✗ " if number == 0 else "") + each, DIM) for number, each in enumerate(tried)]
        if earlier:
            path.append((f"(after {earlier} longer ones)", DIM))
        found = "✓ " + safe(match.text, lines=False) if match.id is not None else "no match"
        path.append((found, BOLD if match.id == token.id else PLAIN))
    return flow("path", path, width)


def _neighbours(entry: TokenizerEntry, token: Token, width: int) -> list[Strip]:
    tokenizer, lexicon = entry.tokenizer, entry.lexicon
    if tokenizer is None or lexicon is None:
        return []

    def named(ident: int) -> str:
        return safe(tokenizer.token(ident), lines=False).replace(" ", "␣")

    near = [(f"{ident} {named(ident)}", PLAIN) for ident in lexicon.around(token.id)]
    lines = flow("neighbours", near, width)
    prefix, sharing = lexicon.sharing(token.id)
    if sharing:
        shown = [(named(ident), PLAIN) for ident in sharing]
        lines += flow("prefix", [(f"{safe(prefix, lines=False)}…", DIM), *shown], width)
    return lines


def _short(number: int) -> str:
    """A number for a narrow column."""
    return f"{number:,}" if number < 10_000_000 else f"{number / 1e6:.0f}M"


def _line(chunks: Iterable[Chunk]) -> Strip:
    return Strip(Segment.simplify(Segment(text, style) for text, style in chunks if text))
