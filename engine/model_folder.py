"""Folders that ``transformers`` loads: those of a run, replaced as a whole, and those that are exported."""

from __future__ import annotations

import contextlib
import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checkpoints import store
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.tokenization.encoding import BackedTokenizer, Tokenizer

RECORD = "training.json"
"""says in an exported folder where its model comes from"""
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

    aside = _aside(folder)
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    _sweep(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with store.replaced(folder, aside) as temporary:
            yield temporary
            for entry in temporary.rglob("*"):
                store.sync(entry)
    except SafetensorError as error:  # how it reports that the disk takes no more
        raise OSError(f"{folder.name}: {error}") from None


@contextlib.contextmanager
def exported(folder: Path, source: str, *, force: bool = False) -> Iterator[Path]:
    """A folder for the files of an export, which are moved into ``folder`` at the end.

    ``source`` is the run's name, before a slash. ``folder`` must be absent, empty or hold an export of the same run;
    with ``force`` it may hold anything, and keeps those files that the export has no file of the same name for. The
    files get the permissions that the umask leaves. Raises :class:`checkpoints.store.CheckpointError` and
    :class:`OSError`.
    """
    run, new, temporary = source.partition("/")[0], not folder.exists(), folder / ".export.tmp"
    if not new and not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder")
    store.remove(temporary)  # of an export that was killed
    held = str(Run(folder).read_json(RECORD).get("source", "")).partition("/")[0]
    if not (force or new or held == run != "") and any(folder.iterdir()):
        raise CheckpointError(
            f"{folder} is not empty and holds no export of {run}: choose another folder (export --force overwrites)"
        )
    temporary.mkdir(parents=True)
    try:
        write_json(temporary / RECORD, {"source": source})
        yield temporary
        files = [file for file in temporary.rglob("*") if file.is_file()]
        # A crash on the way leaves a folder that can be exported to again, and that is no model before the end.
        for file in sorted(files, key=lambda file: (file.name != RECORD, file.name == "config.json")):
            file.chmod(temporary.stat().st_mode & 0o666)
            store.sync(file)
            target = folder / file.relative_to(temporary)
            target.parent.mkdir(exist_ok=True)
            os.replace(file, target)
        store.sync(folder)
    finally:
        store.remove(temporary)
        if new:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def present(folder: Path) -> Path:
    """Where the content of ``folder`` is to be read: there, or aside if a crash came while it was being replaced.

    What a crash has left aside although it was replaced, or half written, is removed.
    """
    _sweep(folder)
    aside = _aside(folder)
    if aside.is_dir() and not folder.exists():
        return aside
    store.remove(aside)
    return folder


def size(folder: Path) -> int:
    """Bytes of all files in ``folder``."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def write_tokenizer(words: Tokenizer, folder: Path, length: int, pad: int | None) -> None:
    """``tokenizer.json`` and its settings; nothing for a tokenizer that ``transformers`` cannot load.

    ``length`` is how many tokens are read, ``pad`` the id that texts are filled up with; None for ``[PAD]`` where there
    is one, else the end of a text.
    """
    if not isinstance(words, BackedTokenizer):
        return
    (folder / "tokenizer.json").write_text(words.backend.to_str(pretty=True), "utf-8")
    special = {name: token for name, token in _SPECIAL.items() if words.id_of(token) is not None}
    if pad is not None:
        special["pad_token"] = words.token(pad)
    elif "pad_token" not in special:
        special["pad_token"] = words.token(words.eos or 0)
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length, **special}
    write_json(folder / "tokenizer_config.json", about)


def write_json(file: Path, content: Any) -> None:
    """Write one of a model's JSON files."""
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8", "backslashreplace")


def _sweep(folder: Path) -> None:
    """Remove what processes that are gone have half written in place of ``folder``."""
    for left in folder.parent.glob(f"tmp-*{glob.escape(folder.name)}"):
        writer = left.name.removeprefix("tmp-").removesuffix(folder.name).rstrip("-")
        if not writer or not store.alive(writer):
            store.remove(left)


def _aside(folder: Path) -> Path:
    return folder.with_name(f"old-{folder.name}")
