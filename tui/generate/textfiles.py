"""Texts from files and into them."""

from __future__ import annotations

from pathlib import Path

LARGEST = 4 << 20  # bytes


def read(path: Path) -> str:
    """The text of a file. Raises :class:`OSError` or :class:`ValueError`."""
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"it has {size:,} bytes; up to {LARGEST:,} are read")
    content = path.read_bytes()
    if b"\0" in content:
        raise ValueError("this is no text file: it holds zero bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def write(path: Path, text: str) -> None:
    """Write a text as UTF-8; what UTF-8 cannot carry becomes a question mark. Raises :class:`OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", errors="replace", newline="")
