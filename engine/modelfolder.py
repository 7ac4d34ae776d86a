"""Folders that ``transformers`` loads: written beside their place, then put there whole, with the tokenizer's files."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from checkpoints import store
from engine.encoders import Encoder
from engine.encoding import BackedTokenizer

_SPECIAL = {
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``folder`` at the end and is gone when writing fails.

    What was there before is put aside first and removed last, so :func:`present` finds one of the two at any time, also
    after a crash. Raises :class:`OSError`.
    """
    from safetensors import SafetensorError

    temporary, aside = folder.with_name(f"tmp-{folder.name}"), _aside(folder)
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    for left in (temporary, aside):
        shutil.rmtree(left, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for entry in (*temporary.rglob("*"), temporary):
            store.sync(entry)
        if folder.exists():
            folder.rename(aside)
        try:
            temporary.rename(folder)
        except OSError:
            if aside.exists():
                aside.rename(folder)
            raise
        store.sync(folder.parent)
        shutil.rmtree(aside, ignore_errors=True)
    except SafetensorError as error:  # how it reports that the disk takes no more
        raise OSError(f"{folder.name}: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def present(folder: Path) -> Path:
    """Where the model of ``folder`` is to be read: there, or aside if a crash came while it was being replaced."""
    aside = _aside(folder)
    return aside if aside.is_dir() and not folder.exists() else folder


def write_tokenizer(encoder: Encoder, folder: Path, length: int, pad: int | None) -> None:
    """``tokenizer.json`` and its settings; nothing for a tokenizer that ``transformers`` cannot load.

    ``length`` is how many tokens are read, ``pad`` the id that texts are filled up with; None for ``[PAD]`` where there
    is one, else the end of a text.
    """
    words = encoder.tokenizer
    if not isinstance(words, BackedTokenizer):
        return
    (folder / "tokenizer.json").write_text(words.backend.to_str(pretty=True), "utf-8")
    special = {name: token for name, token in _SPECIAL.items() if words.id_of(token) is not None}
    if pad is not None:
        special["pad_token"] = words.token(pad)
    elif "pad_token" not in special:
        special["pad_token"] = words.token(words.eos or 0)
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), "utf-8")


def _aside(folder: Path) -> Path:
    return folder.with_name(f"old-{folder.name}")
