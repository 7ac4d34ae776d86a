"""What the Tokens pane keeps on the disk: the text that is edited, ids that were saved, what was copied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from checkpoints import home, store
from data import encodings, packaged
from data.encodings import TextError
from data.plaintext import normalise_line_ends
from engine.runs import codec
from engine.tokenization.spans import Tokenized

LARGEST = 8_000_000  # bytes of a file that the editor opens
DEFAULTS = ("gpt2", "wordpiece", "bundled")
MOST = 6  # vocabularies side by side


@dataclass(frozen=True)
class TokensState:
    """What was on the screen, so that it can be there again."""

    text: str = ""
    caret: int = 0
    names: tuple[str, ...] = DEFAULTS
    ids: bool = True
    marks: bool = True


def folder() -> Path:
    """The folder of all this."""
    return home.home() / "tokens"


def save(state: TokensState) -> None:
    """Keep it, atomically. Raises :class:`OSError`."""
    _write(folder() / "desk.json", json.dumps(vars(state)))


def restore() -> TokensState:
    """What was kept; the defaults where there is nothing, or nothing that can be read."""
    try:
        state = codec.decode(TokensState, store.read_object(folder() / "desk.json"))
    except (OSError, ValueError):
        fetched = (home.models() / packaged.SMOLLM2_NAME / "tokenizer.json").is_file()
        return TokensState(names=(*DEFAULTS, packaged.SMOLLM2_NAME) if fetched else DEFAULTS)
    return replace(state, names=state.names[:MOST])


def export(path: Path, text: str, views: Sequence[Tokenized]) -> None:
    """Write the ids of ``text`` in every vocabulary as one JSON object. Raises :class:`OSError`."""
    tokenizers: list[dict[str, Any]] = [
        {
            "tokenizer": view.tokenizer.name,
            "source": view.tokenizer.source,
            "ids": view.ids,
            "offsets": [[token.start, token.end] for token in view],
        }
        for view in views
    ]
    _write(path, json.dumps({"text": text, "tokenizers": tokenizers}))


def read(path: Path) -> str:
    """The text of a file. Raises :class:`OSError` and :class:`data.encodings.TextError`, which say what is wrong."""
    size = path.stat().st_size
    if size > LARGEST:
        raise TextError(
            f"{path} has {size:,} bytes, and the editor is limited to {LARGEST:,}; "
            "`llmlab-tui tokenize < FILE` has no limit"
        )
    return normalise_line_ends(encodings.decode(path.read_bytes()).text)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    store.replace_file(path, content.encode("utf-8", "backslashreplace"))
