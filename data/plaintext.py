"""Plain text out of the files people have: encodings, line ends, web pages, Gutenberg's wrapping, Dante's front matter.

Everything here works on text in memory; :mod:`data.corpus` streams what is too large for that.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_HEADING = re.compile(
    r"^[^\S\n]*(?:(?:inferno|purgatorio|paradiso)\b[^\w\n]*)?canto\s+(?P<number>[ivxlc]+|\d+|primo)\b[^\w\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_GUTENBERG_START = re.compile(
    r"^.*(?:\*{3}\s*START OF (?:THE|THIS) PROJECT GUTENBERG[^\n]*|\*END\*? ?THE SMALL PRINT![^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_GUTENBERG_END = re.compile(
    r"^[^\S\n]*(?:\*{3}\s*END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg).*$",
    re.IGNORECASE | re.MULTILINE,
)
# Each of Dante's three canticles ends on this word, which makes the last verse easy to find.
_LAST_VERSE = re.compile(r"^[^\n]*\bstelle\b[^\w\n]*$", re.IGNORECASE | re.MULTILINE)
_CONTROL = bytes(byte for byte in range(32) if byte not in (9, 10, 12, 13, 27))
_PRE = re.compile(r"<pre[^>]*>(.*?)</pre>", re.IGNORECASE | re.DOTALL)


class TextError(ValueError):
    """A file cannot be used as text; the message says what is wrong with it and what to do."""


@dataclass(frozen=True)
class Cut:
    """A piece of a file that is not part of the text: how many characters, and why it went."""

    characters: int
    reason: str

    def __str__(self) -> str:
        return f"cut {self.characters:,} characters: {self.reason}"


def detect_encoding(head: bytes, *, whole: bool) -> str:
    """Name the codec for a file from its first bytes.

    ``whole`` says that ``head`` is the entire file; otherwise a code point cut at the end is forgiven.
    UTF-8 and UTF-16 (with a byte order mark) are recognised, everything else that looks like text is Latin-1.
    Raises :class:`TextError` for binary content.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\x00" in head:
        raise TextError("this is a binary file (it contains NUL bytes); a corpus is plain text")
    body = head if whole else head[: max(0, len(head) - 3)]
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        if not whole and error.start >= len(body) - 3:
            return "utf-8-sig"
        control = len(head) - len(head.translate(None, _CONTROL))
        if control > len(head) // 100:
            raise TextError("this is a binary file (too many control bytes); a corpus is plain text") from None
        return "latin-1"
    return "utf-8-sig"


def normalise_line_ends(text: str) -> str:
    """Turn CRLF and CR into LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def clean(text: str) -> tuple[str, list[Cut]]:
    """Cut what surrounds a book: a web page, Gutenberg's header and licence, everything around Dante's cantos.

    Returns the text and what was cut. Canto headings stay. Text without any of these comes back unchanged.
    """
    cuts: list[Cut] = []
    start = re.match(r"\s*(?:<!doctype html|<html)", text, re.IGNORECASE)
    if start and (page := _PRE.search(text)):
        inner = normalise_line_ends(html.unescape(page.group(1)))
        cuts.append(Cut(len(text) - len(inner), "the web page around the text"))
        text = inner
    if marker := _GUTENBERG_START.search(text):
        cuts.append(Cut(marker.end(), "Project Gutenberg's header"))
        text = text[marker.end() :].lstrip("\n")
    if marker := _GUTENBERG_END.search(text):
        cuts.append(Cut(len(text) - marker.start(), "Project Gutenberg's licence"))
        text = text[: marker.start()].rstrip("\n") + "\n"
    return _between_cantos(text, cuts)


def count_cantos(text: str) -> int:
    """How many canto headings the text has."""
    return len(_HEADING.findall(text))


def _between_cantos(text: str, cuts: list[Cut]) -> tuple[str, list[Cut]]:
    headings = [found for found in _HEADING.finditer(text) if _verse_follows(text, found.end())]
    if not headings:
        return text, cuts
    first = next((found for found in headings if found["number"].lower() in ("i", "1", "primo")), None)
    if first is None:
        return text, cuts
    begin = text.rfind("\n", 0, first.start()) + 1
    # A title that stands on the lines right above the heading ("INFERNO") goes with the introduction.
    last_heading = headings[-1].end()
    verses = [found.end() for found in _LAST_VERSE.finditer(text, last_heading)]
    end = verses[-1] if verses else len(text)
    if text[:begin].strip():
        cuts.append(Cut(begin, "everything before the first canto"))
    else:
        begin = 0
    if text[end:].strip():
        cuts.append(Cut(len(text) - end, "everything after the last verse"))
        tail = "\n"
    else:
        tail = text[end:]
    return text[begin:end] + tail, cuts


def _verse_follows(text: str, position: int) -> bool:
    """A heading in a table of contents is followed by another heading; a real one by lines of verse."""
    following = [line for line in text[position : position + 600].split("\n") if line.strip()][:3]
    return len(following) == 3 and not any(_HEADING.match(line) for line in following)
