"""One's own texts as documents: each file is cut into passages at its paragraphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data import encodings, formats
from data.collection import Gathering
from data.encodings import TextError
from data.plaintext import normalise_line_ends

SUFFIXES = (".txt", ".md", ".rst", ".text", ".tex", ".org")
PASSAGE = 1200  # characters of a document


def texts(path: Path) -> tuple[list[tuple[str, Path]], list[str]]:
    """The text files of a folder that are not hidden, by their names in it, or a single one; names of the others."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    named = [(file.relative_to(path if path.is_dir() else path.parent), file) for file in files if file.is_file()]
    shown = [(name.as_posix(), file) for name, file in named if not any(part.startswith(".") for part in name.parts)]
    return [one for one in shown if _is_text(one[1])], [name for name, file in shown if not _is_text(file)]


def gather(files: Sequence[tuple[str, Path]], others: Sequence[str], found: Gathering) -> None:
    """Take in the passages of some files, and tell which ``others`` are not used. Raises :class:`OSError`."""
    if others:
        found.checks.append(f"not used, since they are not texts: {formats.some(others)}")
    for name, file in files[: found.reading.most or None]:
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
    found.checks.append("your own texts; no queries or qrels: search only")


def _is_text(file: Path) -> bool:
    return Path(encodings.uncompressed(file.name.lower())).suffix in SUFFIXES


def _passages(content: str) -> Iterator[str]:
    """Paragraphs put together up to ``PASSAGE`` characters; a longer one is cut at spaces."""
    held = ""
    for paragraph in normalise_line_ends(content).split("\n\n"):
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
