"""Folders that ``transformers`` loads: written beside their place, then put there whole, with the tokenizer's files."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

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
    """A folder to write into, which takes the place of ``folder`` at the end and is gone when writing fails."""
    temporary = folder.with_name(f"tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_tokenizer(encoder: Encoder, folder: Path, length: int, pad: int | None) -> None:
    """``tokenizer.json`` and its settings; nothing for a tokenizer that ``transformers`` cannot load.

    ``length`` is how many tokens are read, ``pad`` the id that texts are filled up with; None for ``[PAD]`` where there
    is one, else the end of a text.
    """
    words = encoder.tokenizer
    if not isinstance(words, BackedTokenizer):
        return
    words.backend.save(str(folder / "tokenizer.json"))
    special = {name: token for name, token in _SPECIAL.items() if words.id_of(token) is not None}
    if pad is not None:
        special["pad_token"] = words.token(pad)
    elif "pad_token" not in special:
        special["pad_token"] = words.token(words.eos or 0)
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), "utf-8")
