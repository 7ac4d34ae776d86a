"""From an edited text to tokens again, without losing those that stand for what was not edited."""

from __future__ import annotations

from typing import TypeAlias

from engine.encoding import Tokenizer

Pieces: TypeAlias = list[tuple[int, str]]
"""Tokens as ids, each with the text that it adds."""


def encode(tokenizer: Tokenizer, text: str) -> Pieces:
    """The tokens of ``text`` with what each adds to it, so that their texts joined are ``text``.

    Of tokens that share a character the last one adds it.
    """
    encoding = tokenizer.encode(text)
    made: Pieces = []
    done = 0
    for place, number in enumerate(encoding.ids):
        last = place + 1 == len(encoding.ids)
        end = len(text) if last else min(encoding.ends[place], encoding.starts[place + 1])
        made.append((number, text[done : max(done, end)]))
        done = max(done, end)
    return made


def recode(tokens: Pieces, draft: str, tokenizer: Tokenizer) -> tuple[int, Pieces]:
    """Tokens for ``draft`` after ``tokens``: how many of these stay, and what follows.

    A tokenizer may join what was appended with what stood before, so it is given the text from the last word that
    it starts anew (where it can be cut: at a space after a non-space), else all of it. A completion's own tokens
    before that stay as the model drew them, even where the tokenizer would spell their text otherwise.
    """
    if not draft:
        return len(tokens), []
    start = len(tokens) if tokenizer.cuttable else 0
    following = draft
    while start > 0 and not (following.startswith(" ") and _ends_word(tokens[start - 1][1])):
        start -= 1
        following = tokens[start][1]
    made = encode(tokenizer, "".join(text for _, text in tokens[start:]) + draft)
    same = 0
    for ours, theirs in zip(tokens[start:], made, strict=False):
        if ours != theirs:
            break
        same += 1
    return start + same, made[same:]


def _ends_word(text: str) -> bool:
    return text != "" and not text[-1].isspace()
