"""``llmlab-tui tokenize``: a text's tokens, as rows for people or as JSON for programs."""

from __future__ import annotations

import time
from typing import Annotated, Any

from cyclopts import Parameter

from engine.tokenization.encoding import Tokenizer
from tui.command import piped
from tui.command.driven import DONE
from tui.command.options import Flag, Json, Texts
from tui.output import print_json, say
from tui.text import safe

KINDS = {
    "bpe": "byte-level BPE",
    "wordpiece": "WordPiece",
    "unigram": "unigram",
    "characters": "characters",
    "other": "other",
}
_ROWS = 50_000  # rows that one call of the terminal or pipe takes
_WIDEST = 24  # cells of the spelling's column


def tokenize(
    text: Annotated[str | None, Texts] = None,
    *,
    tokenizer: Annotated[list[str] | None, Parameter(name="--tokenizer", negative="")] = None,
    special: Annotated[bool, Flag] = False,
    json: Json = False,
) -> int:
    """Tokenize a text: ids, tokens, spans in characters and bytes, and counts.

    Parameters
    ----------
    text
        The text, or - for stdin; without it, stdin.
    tokenizer
        gpt2 (the default), wordpiece, bundled, a run (name, path or latest), a folder with tokenizer.json, or a name on
        the Hugging Face Hub. Repeat the option for several.
    special
        Add special tokens such as [CLS] and [SEP].
    """
    from engine.tokenization.find import load

    begun = time.monotonic()
    tokenizers = [load(name) for name in tokenizer or ["gpt2"]]
    content = piped.given(text)
    for number, each in enumerate(tokenizers):
        found = _describe(each, content, special)
        if json:
            print_json(found)
            continue
        _print(each, found, first=number == 0)
    if json:
        seconds = round(time.monotonic() - begun, 3)
        print_json({"event": "finished", "reason": "done", "tokenizers": len(tokenizers), "seconds": seconds})
    return DONE


def _describe(tokenizer: Tokenizer, text: str, special: bool) -> dict[str, Any]:
    from engine.tokenization.spans import Block, Tokenized
    from engine.tokenization.spans import tokenize as view

    made = Tokenized(tokenizer, [Block(tokenizer, text, special=True)]) if special else view(tokenizer, text)
    assert made is not None
    listed = list(made)
    counts = made.counts
    return {
        "event": "tokenized",
        "tokenizer": tokenizer.name,
        "kind": tokenizer.kind,
        "source": tokenizer.source,
        "vocabulary": tokenizer.size,
        "ids": [token.id for token in listed],
        "tokens": [tokenizer.token(token.id) for token in listed],
        "offsets": [[token.start, token.end] for token in listed],
        "byte_offsets": [[token.byte_start, token.byte_end] for token in listed],
        "unknown": [token.index for token in listed if token.unknown],
        "special": [token.index for token in listed if token.special],
        "shared": [token.index for token in listed if token.shared],
        "characters": counts.characters,
        "bytes": counts.bytes,
        "token_count": counts.tokens,
        "split_code_points": counts.split,
        "lost": counts.lost,
        "characters_per_token": counts.characters_per_token,
    }


def _print(tokenizer: Tokenizer, found: dict[str, Any], *, first: bool) -> None:
    from rich.cells import cell_len, set_cell_size

    if not first:
        say("")
    source = safe(found["source"], lines=False)
    say(f"{safe(tokenizer.name, lines=False)}: {KINDS[tokenizer.kind]}, {tokenizer.size:,} ids, {source}")
    marks = dict.fromkeys(found["shared"], "part of a code point")
    marks |= dict.fromkeys(found["unknown"], "unknown") | dict.fromkeys(found["special"], "special")
    spelled = [safe(token, lines=False).replace(" ", "␣") if token else "?" for token in found["tokens"]]
    width = min(_WIDEST, max((cell_len(token) for token in spelled), default=0))
    digits = max((len(str(ident)) for ident in found["ids"]), default=1)
    rows = []
    for index, (ident, token) in enumerate(zip(found["ids"], spelled, strict=True)):
        characters, place = _span(found["offsets"][index]), _span(found["byte_offsets"][index])
        shown = set_cell_size(token, width) if cell_len(token) <= width else token
        row = f"  {ident:>{digits}}  {shown}  characters {characters:<11} bytes {place:<11} {marks.get(index, '')}"
        rows.append(row.rstrip())
    for start in range(0, len(rows), _ROWS):
        say("\n".join(rows[start : start + _ROWS]))
    per = found["characters_per_token"]
    facts = [
        _count(found["token_count"], "token"),
        _count(found["characters"], "character"),
        _count(found["bytes"], "byte"),
        f"{per:.2f} characters per token" if per else "",
        f"{len(found['unknown']):,} unknown" if found["unknown"] else "",
        _count(found["split_code_points"], "code point") + " split" if found["split_code_points"] else "",
        _count(found["lost"], "character") + " lost: in no token" if found["lost"] else "",
    ]
    say("  " + ", ".join(filter(None, facts)))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _span(pair: list[int]) -> str:
    return f"{pair[0]}-{pair[1]}" if pair[0] < pair[1] else "none"
