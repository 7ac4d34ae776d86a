"""One's own texts as documents: each file is cut into passages at its paragraphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data import encodings
from data.collection import Gathering
from data.encodings import TextError

SUFFIXES = (".txt", ".md", ".rst", ".text", ".tex", ".org")
PASSAGE = 1200  # characters of a document


def texts(path: Path) -> list[tuple[str, Path]]:
    """The text files of a folder that are not hidden, by their names in it, or a single one."""
    if path.is_file():
        return [(path.name, path)] if _is_text(path) else []
    named = [(file.relative_to(path), file) for file in sorted(path.rglob("*")) if _is_text(file) and file.is_file()]
    return [(name.as_posix(), file) for name, file in named if not any(part.startswith(".") for part in name.parts)]


def gather(files: Sequence[tuple[str, Path]], found: Gathering) -> None:
    """Take in the passages of some files. Raises :class:`OSError`."""
    for name, file in files:
        with encodings.open_bytes(file) as opened:
            content = opened.read()
        try:
            decoded = encodings.decode(content, found.reading.encoding)
        except TextError as error:
            found.leave("texts", f"({error})", name)
            continue
        if (read_as := encodings.title(decoded.encoding)) != "UTF-8":
            found.tell("texts", f"read as {read_as}", name)
        if decoded.replaced:
            found.tell("texts", "with characters that could not be decoded and became U+FFFD", name)
        pieces = list(_passages(decoded.text))
        if not pieces:
            found.leave("texts", "without a word", name)
        for number, piece in enumerate(pieces, 1):
            called = name if len(pieces) == 1 else f"{name}#{number}"
            found.document(called, file.name.partition(".")[0], piece, name, number)
    found.checks.append("own texts: they can be searched; without queries and qrels nothing can be judged")


def _is_text(file: Path) -> bool:
    return Path(file.name.lower().removesuffix(".gz").removesuffix(".zst")).suffix in SUFFIXES


def _passages(content: str) -> Iterator[str]:
    """Paragraphs put together up to ``PASSAGE`` characters; a longer one is cut at spaces."""
    held = ""
    for paragraph in content.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        rest = " ".join(paragraph.split())
        while rest:
            if held and len(held) + len(rest) + 1 > PASSAGE:
                yield held
                held = ""
            if len(rest) <= PASSAGE:
                held = f"{held} {rest}".strip()
                break
            cut = rest.rfind(" ", 0, PASSAGE) + 1 or PASSAGE
            yield rest[:cut].strip()
            rest = rest[cut:].lstrip()
    if held:
        yield held
