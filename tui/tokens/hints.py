"""What F1 explains in the Tokens pane: the counts of every vocabulary, the card of a token, its ids."""

from __future__ import annotations

from pathlib import Path

from engine.tokenization.spans import Token
from tui.hints import MISSING, Hint, read
from tui.text import safe
from tui.tokens import token_details
from tui.tokens.tokenizer_list import TokenizerList
from tui.widgets.buffer import Buffer

VIEWS = read(Path(__file__).with_suffix(".jsonl"))
CARD = {row.name: row for row in VIEWS["card"]}
"""by what is drawn at the beginning of each line of the card"""


def counts(tokenizers: TokenizerList) -> list[Hint]:
    """Of the table of vocabularies and its title."""
    if not tokenizers.views:
        return []
    first, found = tokenizers.views[0].counts, []
    for place, row in enumerate(VIEWS["counts"]):
        cells = [(safe(one.name, lines=False), token_details.count_values(one)[place]) for one in tokenizers.ready]
        told = ", ".join(f"{name} {cell}" for name, cell in cells)
        shown = tuple(cell for _, cell in cells if cell != MISSING)
        found.append(Hint(row.name, shown, f"{row.figure.replace('{shown}', told)} {row.meaning}", row.term))
    sizes = token_details.size_of(tokenizers)
    each = f"{first.bytes / first.characters:.2f}" if first.characters else MISSING
    told = f"The text has {sizes}. A character takes {each} bytes of UTF-8 on average."
    return [*found, Hint("characters", (sizes,), told)]


def card(tokenizers: TokenizerList, token: Token | None, width: int, height: int) -> list[Hint]:
    """Of the lines of the card that there is room for, and of its title."""
    found: dict[str, list[str]] = {}
    label = ""
    for line in token_details.card(tokenizers, token, width)[:height]:
        label = line.text[: token_details.LABEL].strip() or label
        found.setdefault(label, []).append(line.text[token_details.LABEL :].strip())
    if token is None or tokenizers.current is None:
        return []
    title = token_details.card_title(tokenizers, token)
    told = f"The caret is on {title} of this text in {safe(tokenizers.current.name, lines=False)}. ←→ walk along them."
    made = [Hint(title, (title,), told, "token")]
    for label, lines in found.items():
        if row := CARD.get(label):
            told = row.figure.replace("{shown}", " ".join(lines))
            made.append(Hint(label, tuple(lines), f"{told} {row.meaning}", row.term))
    return made


def tensor(label: str, line: str, width: int) -> list[Hint]:
    """Of the tensor below the rows."""
    drawn = token_details.tensor_text(label, line, width)
    told = f'With return_tensors="pt" the tokenizer returns {drawn}. Its shape is (texts, tokens), here with one text.'
    return [Hint(label, (drawn,), told)] if line else []


def rows(tokenizers: TokenizerList, token: Token | None, ids: bool) -> list[Hint]:
    """Of the coloured spans and the ids below them."""
    current = tokenizers.current
    if current is None or current.tokenizer is None:
        return []
    name = safe(current.name, lines=False)
    shown = (
        (f"{token.id}",)
        if ids and token is not None and token.id >= 0 and current.tokenizer.kind != "characters"
        else ()
    )
    here = f", {shown[0]} of the one at the caret in {name}" if shown else ""
    told = f"Every coloured span is a token, and the number below it is its id in that vocabulary{here}."
    return [Hint("tokens", shown, f"{told} The same text has other tokens and other ids in each vocabulary.", "token")]


def text(buffer: Buffer) -> list[Hint]:
    """Of the title of the editor."""
    title = token_details.title(buffer)
    told = f"The caret is in {title.removeprefix('text, ')}, at character {buffer.caret:,} of {len(buffer.text):,}."
    return [Hint("text", (title,), f"{told} What is typed is tokenized at once.", "token")]
