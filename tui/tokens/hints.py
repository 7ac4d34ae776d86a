"""What F1 explains in the Tokens pane: the counts of every vocabulary, the card of a token, its ids."""

from __future__ import annotations

from engine.tokenization.spans import Token
from tui.hints import MISSING, Hint
from tui.text import safe
from tui.tokens import token_details
from tui.tokens.tokenizer_list import TokenizerList
from tui.widgets.buffer import Buffer

COUNTS = {
    "tokens": ("Tokens of the text", "A model computes once for each, so a shorter row is cheaper.", "token"),
    "ch/tok": (
        "Characters per token",
        "The more, the better the vocabulary fits the text.",
        "token",
    ),
    "unk": ("Unknown tokens", "What they stand for is lost to the model.", "vocabulary"),
    "split": (
        "Characters that are split over several tokens",
        "Byte-level vocabularies do that with characters that were rare where they were trained.",
        "BPE",
    ),
    "ref": (
        "Tokens per character, divided by those of the reference text",
        "Above ×1.00 this text costs more tokens than the reference of the same length.",
        "token",
    ),
}
CARD = {
    "token": (
        "The vocabulary has it as {shown}.",
        "The id is all that a model receives; it looks up a learned vector by it.",
        "token",
    ),
    "span": (
        "In the text the token stands at {shown}, counted from 0, without the end.",
        "Characters are code points; bytes are of UTF-8, which takes 1 to 4 for each.",
    ),
    "bytes": (
        "The bytes of the token in hexadecimal are {shown}.",
        "Byte-level vocabularies are made of them.",
    ),
    "merges": (
        "BPE joins the bytes to the token by these merges: {shown}.",
        "The number after # is the rank: merges of low rank were learned first, from the most frequent pairs.",
        "BPE",
    ),
    "path": (
        "WordPiece has looked for the word's longest beginnings: {shown}.",
        "✗ are not in the vocabulary; ✓ is the longest that is, and the rest of the word begins with ##.",
        "WordPiece",
    ),
    "text": ("The token stands for {shown}.", "U+ is the number of a character in Unicode.", "token"),
    "corpus": (
        "The token occurs {shown} of its tokens.",
        "What is rare in training text has a vector that was seldom trained.",
        "corpus",
    ),
    "neighbours": (
        "Ids beside this one are of {shown}.",
        "Vocabularies of merges number their entries in the order in which they were learned.",
        "vocabulary",
    ),
    "prefix": (
        "Other entries begin alike: {shown}.",
        "The model does not know that they do: each has a vector of its own.",
        "vocabulary",
    ),
}
"""what is drawn on each line of the card, what that means, and a term of the glossary"""


def counts(tokenizers: TokenizerList) -> list[Hint]:
    """Of the table of vocabularies and its title."""
    if not tokenizers.views:
        return []
    first, found = tokenizers.views[0].counts, []
    for place, head in enumerate(token_details.HEADS):
        what, meaning, term = COUNTS[head]
        cells = [(safe(one.name, lines=False), token_details.count_values(one)[place]) for one in tokenizers.ready]
        told = ", ".join(f"{name} {cell}" for name, cell in cells)
        found.append(
            Hint(head, tuple(cell for _, cell in cells if cell != MISSING), f"{what}: {told}. {meaning}", term)
        )
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
        if label in CARD:
            what, meaning, *term = CARD[label]
            told = what.replace("{shown}", " ".join(lines))
            made.append(Hint(label, tuple(lines), f"{told} {meaning}", *term))
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
